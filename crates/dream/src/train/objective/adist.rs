//! ADist (Atlas, arXiv 2208.03299): the document weights imitate how much attention the target gives to
//! each document in one joint prompt, times the length of what is read (method section 5.3).
//!
//! ```text
//! g_k = sum over layers, target tokens t, tokens j of d_k of mean_heads(alpha_tj ||v_j||)  /  (layers * target tokens)
//! q   = softmax(g / teacher_temperature);   L = a divergence of q and w
//! ```
//!
//! A plain forward of the frozen model; nothing goes back through it. `value_norm = false` leaves `||v_j||` out. The rows
//! are those that predict target tokens. Worked: `g = (.15, .05)` at temperature .05 are `q = (.881, .119)`; with `w = (.5, .5)`
//! the gradient of the logits is `(-.381, .381)`.
//!
//! Atlas divides by 256 more, its text length, and takes temperature 0.01: 2.56 here, at which the teacher of a small decoder is flat.
//! Measured as `KL(q || uniform)` with SmolLM2-135M-Instruct, 8 candidates (at most `ln 8 = 2.08`), 8 questions: 2.03 at 0.01, .58 at 0.1; without
//! lengths 1.26 at 0.01. That was with a preamble before the documents. The first token of a prompt is an attention sink: without a
//! preamble (or a beginning of text) it belongs to the first document, which then has nearly all of `q` (2.08 at 0.01).

use super::attention_mass::AttentionMass;
use super::distill::{Divergence, log_teacher};
use super::{LanguageModel, Objective, QueryLoss, Request, Tokens};
use crate::Result;
use crate::llm::ReadDocuments;
use crate::model::decoder::{Batch, Pass};

/// The objective.
#[derive(Debug)]
pub struct ADist<'a> {
    llm: LanguageModel<'a>,
    teacher_temperature: f32,
    value_norm: bool,
    divergence: Divergence,
    tokens: Tokens,
}

impl<'a> ADist<'a> {
    /// Takes the teacher and how it is turned into a distribution.
    pub fn new(
        llm: LanguageModel<'a>,
        teacher_temperature: f32,
        value_norm: bool,
        divergence: Divergence,
    ) -> Self {
        Self {
            llm,
            teacher_temperature,
            value_norm,
            divergence,
            tokens: Tokens::default(),
        }
    }

    /// `g` of the module's formula, `[queries][documents]`; 0 where a document is hidden.
    pub fn attention(&self, group: &super::Group<'_>) -> Result<Vec<Vec<f64>>> {
        let prompt = self.llm.joint_prompt(group)?;
        self.tokens.add(prompt.tokens());
        let decoder = &self.llm.model.decoder;
        let config = &decoder.config;
        let documents = ReadDocuments::new(decoder, &prompt.prefix);
        let suffixes = prompt.suffixes.iter().map(|suffix| suffix.ids.as_slice());
        let batch = Batch::new(suffixes, documents.cache().len);
        let targets = prompt.suffixes.iter();
        let targets = targets.map(|s| s.target_start - 1..s.ids.len() - 1);
        let reader = AttentionMass {
            rows: targets.collect(),
            hidden: &prompt.hidden,
            value_norms: self.value_norm.then(|| documents.value_norms(decoder)),
            heads_a_key: config.num_attention_heads / config.num_key_value_heads,
            documents: &documents,
        };
        let pass = Pass {
            batch: &batch,
            prefix: Some(documents.cache()),
            lora: None,
            dropout_seed: None,
            reader: &reader,
            // Attention is all that is looked at.
            wanted: Some(&[]),
        };
        let records = decoder.forward(&pass, None).records;
        let layers_heads = config.num_hidden_layers * config.num_attention_heads;
        let mut sums = vec![vec![0.0; group.documents.len()]; group.queries.len()];
        for recorded in records {
            let rows = reader.rows[recorded.segment].len();
            let share = 1.0 / (layers_heads * rows) as f64;
            let sums = sums[recorded.segment].iter_mut();
            for (sum, mass) in sums.zip(&recorded.record) {
                *sum += share * f64::from(*mass);
            }
        }
        Ok(sums)
    }
}

impl Objective for ADist<'_> {
    fn evaluate(&self, request: Request<'_, '_>) -> Result<Vec<QueryLoss>> {
        let attention = self.attention(request.group)?;
        let queries = request.group.queries.iter().zip(request.weights);
        let losses = queries.zip(&attention).map(|((query, weights), scores)| {
            let teacher = log_teacher(scores, self.teacher_temperature, &query.hidden);
            self.divergence.loss(&teacher, weights)
        });
        Ok(losses.collect())
    }

    fn llm_tokens(&self) -> u64 {
        self.tokens.total()
    }
}
