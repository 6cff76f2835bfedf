//! What `dream bench` times, and how many operations it takes: a training step on random tokens (the same
//! code as [`crate::train`], without texts) and encoding.

pub mod texts;

use crate::llm::{InjectionConfig, ReadDocuments, judge};
use crate::model::Model;
use crate::model::config::DecoderConfig;
use crate::model::lora::{LoraAdapter, Module};
use crate::prompt::{Prefix, Suffix};
use crate::retriever::{Retriever, Role, Text};
use crate::train::objective::{QueryLoss, d_logits};
use crate::train::step::{GroupTexts, Step, StepTexts};
use crate::{Error, Result};
use dream_nn::optim::{AdamW, AdamWConfig, Parameter, clip_grad_norm};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// Sizes of a step.
#[derive(Clone, Copy, Debug)]
pub struct StepShape {
    /// Documents in the prompt.
    pub docs: usize,
    /// Tokens of each document, for retriever and language model.
    pub doc_tokens: usize,
    /// Tokens of each query, for both.
    pub query_tokens: usize,
    /// Tokens of each target.
    pub target_tokens: usize,
    /// Queries that share the prompt.
    pub queries: usize,
    /// Whether they share one prefix, or each has the documents read for itself.
    pub share_prefix: bool,
}

/// A step that can be run again and again.
#[derive(Debug)]
pub struct StepBench {
    retriever: Retriever,
    llm: Arc<Model>,
    injection: InjectionConfig,
    texts: StepTexts,
    prefix: Prefix,
    suffixes: Vec<Suffix>,
    optimizer: AdamW,
    shape: StepShape,
    chunk_tokens: usize,
}

impl StepBench {
    /// Random tokens of the given sizes; the retriever's adapter is as the configuration of `retriever` says.
    ///
    /// # Errors
    /// The prompt does not fit the language model's context, or the retriever has no adapter.
    pub fn new(
        mut retriever: Retriever,
        llm: Arc<Model>,
        injection: InjectionConfig,
        shape: StepShape,
        chunk_tokens: usize,
    ) -> Result<Self> {
        let prompt = shape.docs * shape.doc_tokens + shape.query_tokens + shape.target_tokens;
        let context = llm.decoder.config.max_position_embeddings;
        if prompt > context {
            return Err(Error::Invalid(format!(
                "a prompt of {prompt} tokens does not fit the language model's context of {context}"
            )));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut random = |model: &Model, n: usize| -> Vec<u32> {
            let vocab = model.decoder.config.vocab_size as u32;
            (0..n)
                .map(|_| rng.random_range(vocab / 100..vocab))
                .collect()
        };
        let mut texts = StepTexts::default();
        let mut group = GroupTexts::default();
        let mut prefix = Prefix {
            ids: Vec::new(),
            doc_spans: Vec::new(),
        };
        let base = Arc::clone(&retriever.model);
        for _ in 0..shape.docs {
            group.documents.push(texts.texts.len());
            texts.texts.push(Text {
                role: Role::Document,
                ids: random(&base, shape.doc_tokens),
            });
            let start = prefix.ids.len();
            prefix.ids.extend(random(&llm, shape.doc_tokens));
            prefix.doc_spans.push(start..prefix.ids.len());
        }
        let mut suffixes = Vec::new();
        for _ in 0..shape.queries {
            group.queries.push(texts.texts.len());
            group.positives.push(Vec::new());
            texts.texts.push(Text {
                role: Role::Query,
                ids: random(&base, shape.query_tokens),
            });
            suffixes.push(Suffix {
                ids: random(&llm, shape.query_tokens + shape.target_tokens),
                target_start: shape.query_tokens,
            });
        }
        texts.groups.push(group);
        let adapter = retriever.adapter.as_mut().ok_or_else(|| {
            Error::Invalid("a step needs a retriever with an adapter to train".into())
        })?;
        let lengths: Vec<usize> = adapter
            .parameters()
            .iter()
            .map(|m| m.data().len())
            .collect();
        Ok(Self {
            retriever,
            llm,
            injection,
            texts,
            prefix,
            suffixes,
            optimizer: AdamW::new(AdamWConfig::default(), &lengths),
            shape,
            chunk_tokens,
        })
    }

    /// Takes one step; the loss it found, and each query's.
    pub fn step(&mut self) -> Result<(f64, Vec<f32>)> {
        let step = Step {
            retriever: &self.retriever,
            texts: &self.texts,
            temperature: 0.05,
            chunk_tokens: self.chunk_tokens,
            dropout_seed: None,
        };
        let mut losses = Vec::new();
        let mut result = step.compute(|_, weights| {
            let judged = self.judge(weights)?;
            losses = judged.iter().map(|q| q.loss).collect();
            Ok(judged)
        })?;
        clip_grad_norm(&mut result.gradients.adapter.parts_mut(), 1.0);
        let gradients = result.gradients.adapter.parts();
        let adapter = self.retriever.adapter.as_mut();
        let values = adapter.map(LoraAdapter::parameters_mut).unwrap_or_default();
        let mut parameters: Vec<Parameter<'_>> = values
            .into_iter()
            .zip(gradients)
            .map(|(value, grad)| Parameter {
                value,
                grad,
                decay: true,
            })
            .collect();
        self.optimizer.step(1e-4, &mut parameters);
        Ok((result.loss, losses))
    }

    fn judge(&self, weights: &[Vec<f32>]) -> Result<Vec<QueryLoss>> {
        let decoder = &self.llm.decoder;
        let judge_some = |suffixes: &[Suffix], weights: &[Vec<f32>]| {
            let documents = ReadDocuments::new(decoder, &self.prefix);
            judge(
                decoder,
                &self.injection,
                &documents,
                suffixes,
                weights,
                true,
            )
        };
        let judged = if self.shape.share_prefix {
            judge_some(&self.suffixes, weights)?
        } else {
            let pairs = self.suffixes.chunks(1).zip(weights.chunks(1));
            let each = pairs.map(|(suffix, weights)| judge_some(suffix, weights));
            each.collect::<Result<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect()
        };
        let losses = judged
            .iter()
            .zip(weights)
            .map(|(judgement, weights)| QueryLoss {
                loss: judgement.loss,
                d_logits: d_logits(weights, &judgement.d_weights),
            });
        Ok(losses.collect())
    }

    /// Multiplications and additions of a step: linear layers, heads, attention and adapters.
    pub fn operations(&self) -> f64 {
        let shape = self.shape;
        let base = &self.retriever.model.decoder.config;
        let llm = &self.llm.decoder.config;
        let layers = llm.num_hidden_layers as f64;
        let prefixes = if shape.share_prefix { 1 } else { shape.queries } as f64;
        let prefix = (shape.docs * shape.doc_tokens) as f64;
        let (queries, suffix) = (
            shape.queries as f64,
            (shape.query_tokens + shape.target_tokens) as f64,
        );
        let targets = queries * shape.target_tokens as f64;

        // Retriever: forward and input gradient; an adapter costs its forward and five products back.
        let texts = self.texts.texts.iter().map(|text| text.ids.len() as f64);
        let lora_r = self.retriever.adapter.as_ref().map_or(0, |a| a.config.r);
        let retriever: f64 = texts
            .map(|n| {
                let attention = 3.0 * attention(base, n * (n + 1.0) / 2.0);
                let per_token = 4.0 * linears(base) + 8.0 * lora_r as f64 * lora_width(base);
                n * per_token * base.num_hidden_layers as f64 + attention
            })
            .sum();
        // Prefix: forward alone; the last layer ends with its keys and values.
        let read = prefix * 2.0 * linears(llm) * (layers - 1.0)
            + attention(llm, prefix * (prefix + 1.0) / 2.0);
        // Suffix: forward, and input gradient from the lowest injected layer on.
        let live = 1.0 - self.injection.heads.lowest_layer() as f64 / layers;
        let seen = suffix * prefix + suffix * (suffix + 1.0) / 2.0;
        let suffixes = queries
            * (suffix * 2.0 * linears(llm) * layers * (1.0 + live)
                + attention(llm, seen) * (1.0 + 2.0 * live));
        let head = 4.0 * targets * (llm.vocab_size * llm.hidden_size) as f64;
        retriever + prefixes * read + suffixes + head
    }
}

/// Multiplications and additions of encoding texts of these lengths in tokens: linear layers, attention and
/// adapters, as if every token went through all of every layer.
pub fn encode_operations(retriever: &Retriever, lengths: &[usize]) -> f64 {
    let config = &retriever.model.decoder.config;
    let adapter = retriever.adapter.as_ref();
    let adapter: usize = adapter.map_or(0, |a| a.parameters().iter().map(|m| m.data().len()).sum());
    let per_token = 2.0 * (linears(config) * config.num_hidden_layers as f64 + adapter as f64);
    let text = |n: &usize| {
        let n = *n as f64;
        n * per_token + attention(config, n * (n + 1.0) / 2.0)
    };
    lengths.iter().map(text).sum()
}

/// Weights of a layer's linear parts.
fn linears(config: &DecoderConfig) -> f64 {
    let size = |module: Module| {
        let (out_features, in_features) = module.shape(config);
        (out_features * in_features) as f64
    };
    Module::ALL.into_iter().map(size).sum()
}

/// Input and output features of a layer's adapters, summed.
fn lora_width(config: &DecoderConfig) -> f64 {
    let width = |module: Module| {
        let (out_features, in_features) = module.shape(config);
        (out_features + in_features) as f64
    };
    Module::ALL.into_iter().map(width).sum()
}

/// Forward operations of attention over `pairs` of rows and visible keys, all layers.
fn attention(config: &DecoderConfig, pairs: f64) -> f64 {
    4.0 * pairs * (config.num_attention_heads * config.head_dim * config.num_hidden_layers) as f64
}
