//! What `dream bench` times, and how many operations it takes: a training step on random tokens (the same
//! code as [`crate::train`], without texts) and encoding.

pub mod texts;

use crate::llm::{InjectionConfig, ReadDocuments, judge};
use crate::model::Model;
use crate::model::config::DecoderConfig;
use crate::model::lora::{LoraAdapter, Module};
use crate::prompt::{Prefix, Suffix};
use crate::retriever::{Pooling, Retriever, Role, Text};
use crate::train::objective::{QueryLoss, query_losses};
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
            group.hidden.push(Vec::new());
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
        Ok(query_losses(&judged, weights))
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

        // Retriever: forward and input gradient; an adapter costs its forward twice more on the way back.
        let texts = self.texts.texts.iter().map(|text| text.ids.len());
        let lora_r = self.retriever.adapter.as_ref().map_or(0, |a| a.config.r) as f64;
        let retriever: f64 = texts
            .map(|n| {
                let linear = |size: Size| passed(&self.retriever, n, size);
                let first = n as f64 * module_sizes(base, &QKV, weights);
                4.0 * linear(weights) - 2.0 * first
                    + 6.0 * lora_r * linear(width)
                    + 3.0 * attention(base, triangle(n as f64))
            })
            .sum();
        // Prefix: forward alone; the last layer ends with its keys and values.
        let read = prefix * 2.0 * linears(llm) * (layers - 1.0) + attention(llm, triangle(prefix));
        // Suffix: forward, and input gradient from the lowest injected layer on.
        let live = 1.0 - self.injection.heads.lowest_layer() as f64 / layers;
        let seen = suffix * prefix + triangle(suffix);
        let suffixes = queries
            * (suffix * 2.0 * linears(llm) * layers * (1.0 + live)
                + attention(llm, seen) * (1.0 + 2.0 * live));
        let head = 4.0 * targets * (llm.vocab_size * llm.hidden_size) as f64;
        retriever + prefixes * read + suffixes + head
    }
}

/// Multiplications and additions of encoding texts of these lengths in tokens: linear layers, attention and
/// adapters.
pub fn encode_operations(retriever: &Retriever, lengths: &[usize]) -> f64 {
    let config = &retriever.model.decoder.config;
    let lora_r = retriever.adapter.as_ref().map_or(0, |a| a.config.r) as f64;
    let text = |n: &usize| {
        2.0 * passed(retriever, *n, weights)
            + 2.0 * lora_r * passed(retriever, *n, width)
            + attention(config, triangle(*n as f64))
    };
    lengths.iter().map(text).sum()
}

/// Number of something in a linear layer of `(out_features, in_features)`.
type Size = fn((usize, usize)) -> f64;

fn weights((out_features, in_features): (usize, usize)) -> f64 {
    (out_features * in_features) as f64
}

fn width((out_features, in_features): (usize, usize)) -> f64 {
    (out_features + in_features) as f64
}

/// What a layer computes of every token, even where pooling reads one.
const QKV: [Module; 3] = [Module::QProj, Module::KProj, Module::VProj];

fn module_sizes(config: &DecoderConfig, modules: &[Module], size: Size) -> f64 {
    modules.iter().map(|m| size(m.shape(config))).sum()
}

/// Sizes of the linear layers that a text of `n` tokens passes in the retriever, each token counted.
fn passed(retriever: &Retriever, n: usize, size: Size) -> f64 {
    let config = &retriever.model.decoder.config;
    let layer = module_sizes(config, &Module::ALL, size);
    let unread = match retriever.config.pooling {
        Pooling::LastToken => n - 1,
        Pooling::Mean => 0,
    };
    let rest = layer - module_sizes(config, &QKV, size);
    (n * config.num_hidden_layers) as f64 * layer - unread as f64 * rest
}

/// Weights of a layer's linear parts.
fn linears(config: &DecoderConfig) -> f64 {
    module_sizes(config, &Module::ALL, weights)
}

/// Pairs of a row and a row that it sees.
fn triangle(n: f64) -> f64 {
    n * (n + 1.0) / 2.0
}

/// Forward operations of attention over `pairs` of rows and visible keys, all layers.
fn attention(config: &DecoderConfig, pairs: f64) -> f64 {
    4.0 * pairs * (config.num_attention_heads * config.head_dim * config.num_hidden_layers) as f64
}
