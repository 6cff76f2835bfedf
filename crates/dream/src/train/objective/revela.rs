//! Revela (arXiv 2506.16552) on pools: next-token loss of a language model that, in every layer and head,
//! reads documents beside its own text, weighted by the retriever (method section 5.4).
//!
//! Pass 1 reads each document alone and keeps the keys and values of every layer. Pass 2 runs question and target alone, with
//! ordinary attention plus `sum_k w_k b~_k` ([`crate::cross_attention`]); the loss is that of the target's tokens
//! (method section 2.4), its gradient exact, through all layers. Revela's own setting, where a batch of text chunks are queries and documents at once, is
//! a group in which each query hides its own document: the weights are then Revela's `Sim`, rows summing to 1, diagonal 0.
//! Worked: two documents, one hidden: `w = (0, 1)`, and the gradient `w_k (d_k - sum(w d))` is `(0, 0)`.

use super::{LanguageModel, Objective, QueryLoss, Request, Tokens, d_logits};
use crate::Result;
use crate::cross_attention::CrossAttention;
use crate::llm::{Back, ReadDocuments, Trial, run};
use crate::model::decoder::Batch;
use crate::prompt::Suffix;
use dream_nn::Matrix;
use dream_nn::ops::elementwise::{axpy, dot};
use std::ops::Range;

/// The objective.
#[derive(Debug)]
pub struct Revela<'a> {
    llm: LanguageModel<'a>,
    value_norm: bool,
    tokens: Tokens,
}

impl<'a> Revela<'a> {
    /// Takes the language model, and whether readouts are divided by their values' mean length.
    pub fn new(llm: LanguageModel<'a>, value_norm: bool) -> Self {
        Self {
            llm,
            value_norm,
            tokens: Tokens::default(),
        }
    }
}

impl Objective for Revela<'_> {
    fn evaluate(&self, request: Request<'_, '_>) -> Result<Vec<QueryLoss>> {
        let prompts = self.llm.single_prompts(request.group)?;
        let decoder = &self.llm.model.decoder;
        let config = &decoder.config;
        let alone = prompts.suffixes.into_iter();
        let suffixes: Vec<Suffix> = alone.map(|s| self.llm.packer.alone(s)).collect();
        let weights = request.weights;
        let trial = Trial {
            suffixes: &suffixes,
            weights,
            hidden: &prompts.hidden,
        };
        trial.check(prompts.prefixes.len())?;
        let mut tuning = request.tuning;
        let documents = ReadDocuments::tuned(decoder, &prompts.prefixes, tuning.as_ref());
        let batch = Batch::new(suffixes.iter().map(|suffix| suffix.ids.as_slice()), 0);
        self.tokens.add(documents.cache().len + batch.rows());
        let norms = self.value_norm.then(|| documents.value_norms(decoder));
        let reader = CrossAttention {
            doc_spans: documents.doc_spans(),
            prefix_len: documents.cache().len,
            weights,
            value_norms: norms.as_deref(),
            heads_a_key: config.num_attention_heads / config.num_key_value_heads,
            norm_gradient: tuning.is_some(),
        };
        let back = match &mut tuning {
            None => Back::ToLayer(0),
            Some(tuning) => Back::Tuned(tuning),
        };
        let mut ran = run(decoder, &documents, &batch, &suffixes, &reader, back);
        let mut d_weights = vec![vec![0.0; prompts.prefixes.len()]; suffixes.len()];
        for recorded in &ran.back {
            axpy(
                &mut d_weights[recorded.segment],
                1.0,
                &recorded.record.d_weights,
            );
        }
        if let Some(tuning) = &mut tuning {
            for recorded in &ran.back {
                let key_head = recorded.head / reader.heads_a_key;
                let of_head = key_head * config.head_dim..(key_head + 1) * config.head_dim;
                let d_values = &mut ran.d_prefix[recorded.layer].v;
                let values = &documents.cache().layers[recorded.layer].v;
                add_norm_gradient(d_values, &recorded.record.d_norms, values, &of_head);
            }
            documents.backward(decoder, &ran.d_prefix, tuning);
        }
        let queries = ran.losses.iter().zip(weights.iter().zip(&d_weights));
        let losses = queries.map(|(loss, (weights, d_weights))| QueryLoss {
            loss: *loss,
            d_logits: d_logits(weights, d_weights),
        });
        Ok(losses.collect())
    }

    fn llm_tokens(&self) -> u64 {
        self.tokens.total()
    }
}

/// From the lengths of values to the values: `d ||v|| / dv = v / ||v||`.
fn add_norm_gradient(
    d_values: &mut Matrix,
    d_norms: &[f32],
    values: &Matrix,
    of_head: &Range<usize>,
) {
    for (token, d_norm) in d_norms.iter().enumerate() {
        let v = &values.row(token)[of_head.clone()];
        let norm = dot(v, v).sqrt();
        if norm > 0.0 {
            let d_v = &mut d_values.row_mut(token)[of_head.clone()];
            axpy(d_v, d_norm / norm, v);
        }
    }
}
