//! The retriever: a decoder with adapters, pooled to one L2-normalised vector a text.
//!
//! Method section 2.2: hidden states after the final norm, pooled, optionally standardised, then
//! normalised in `f32`; the score of a document is its inner product with the query.

pub mod adapter;
pub mod config;
mod pooling;
pub mod standardize;

pub use config::{Pooling, RetrieverConfig, Role, Standardize};
pub use standardize::Standardizer;

use crate::model::Model;
use crate::model::decoder::{Batch, Pass, Tape};
use crate::model::lora::{LoraAdapter, LoraGradients};
use crate::{Error, Result};
use dream_nn::Matrix;
use dream_nn::ops::attention::PlainReader;
use dream_nn::ops::elementwise::{l2_normalise, l2_normalise_backward};
use std::sync::Arc;

/// Tokens that run through the model at once when nothing has to be kept.
pub const ENCODE_TOKENS: usize = 4096;

/// A tokenised text and what it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text {
    /// Query or document.
    pub role: Role,
    /// Token ids, never empty.
    pub ids: Vec<u32>,
}

/// A decoder that turns texts into embeddings.
#[derive(Debug)]
pub struct Retriever {
    /// The frozen base.
    pub model: Arc<Model>,
    /// Pooling, prompts and lengths.
    pub config: RetrieverConfig,
    /// What training changed; absent in an untrained retriever.
    pub adapter: Option<LoraAdapter>,
    /// Present if the configuration asks for standardisation.
    pub standardizer: Option<Standardizer>,
}

/// Gradients of everything a retriever can train.
#[derive(Clone, Debug)]
pub struct RetrieverGradients {
    /// Of the adapters.
    pub adapter: LoraGradients,
    /// Of the standardising layer, if there is one.
    pub standardizer: Option<Standardizer>,
}

/// What [`Retriever::backward`] needs of [`Retriever::forward_with_tape`].
#[derive(Debug)]
pub struct RetrieverTape {
    batch: Batch,
    roles: Vec<Role>,
    tape: Tape,
    pooled: Matrix,
    norms: Vec<f32>,
    embeddings: Matrix,
    dropout_seed: Option<u64>,
}

impl Retriever {
    /// Size of an embedding.
    pub fn dim(&self) -> usize {
        self.model.decoder.config.hidden_size
    }

    /// Prompt, text, truncation, end-of-text token.
    ///
    /// # Errors
    /// The text has no tokens at all.
    pub fn tokenize(&self, role: Role, text: &str) -> Result<Text> {
        let prompted = format!("{}{text}", self.config.prompt(role));
        let tokenizer = &self.model.tokenizer;
        let mut ids = Vec::new();
        if tokenizer.adds_bos() {
            ids.extend(tokenizer.bos_id());
        }
        ids.extend(tokenizer.encode(&prompted)?);
        let eos = if self.config.append_eos {
            tokenizer.eos_id()
        } else {
            None
        };
        ids.truncate(self.config.max_tokens(role) - usize::from(eos.is_some()));
        ids.extend(eos);
        if ids.is_empty() {
            // An empty document is still a document: one end-of-text (or the first) token stands for it.
            ids.push(tokenizer.eos_id().unwrap_or(0));
        }
        let (len, context) = (ids.len(), self.model.decoder.config.max_position_embeddings);
        if len > context {
            return Err(Error::Invalid(format!(
                "a text of {len} tokens does not fit the retriever's context of {context}"
            )));
        }
        Ok(Text { role, ids })
    }

    /// Embeddings of texts, `[texts, dim]`, without anything kept for a way back.
    pub fn embed(&self, texts: &[Text]) -> Matrix {
        self.embed_with(texts, None)
    }

    /// Embeddings under training's dropout.
    pub fn embed_with(&self, texts: &[Text], dropout_seed: Option<u64>) -> Matrix {
        let mut data = Vec::with_capacity(texts.len() * self.dim());
        for chunk in chunks(texts, ENCODE_TOKENS) {
            data.extend(self.embed_at_once(chunk, dropout_seed).into_vec());
        }
        Matrix::from_vec(texts.len(), self.dim(), data)
    }

    /// Embeddings of texts that run through the model at once, `[texts, dim]`.
    pub fn embed_batch(&self, texts: &[Text]) -> Matrix {
        self.embed_at_once(texts, None)
    }

    /// Pooled vectors before standardisation and normalisation, `[texts, dim]`.
    pub fn pool(&self, texts: &[Text]) -> Matrix {
        let mut data = Vec::with_capacity(texts.len() * self.dim());
        for chunk in chunks(texts, ENCODE_TOKENS) {
            data.extend(self.pooled(chunk, None, None).0.into_vec());
        }
        Matrix::from_vec(texts.len(), self.dim(), data)
    }

    /// Embeddings of texts that fit in memory with all activations.
    pub fn forward_with_tape(
        &self,
        texts: &[Text],
        dropout_seed: Option<u64>,
    ) -> (Matrix, RetrieverTape) {
        let mut tape = Tape::from_layer(0);
        let (pooled, batch) = self.pooled(texts, dropout_seed, Some(&mut tape));
        let roles = roles(texts);
        let mut embeddings = pooled.clone();
        let norms = self.finish(&mut embeddings, &roles);
        let copy = embeddings.clone();
        (
            copy,
            RetrieverTape {
                batch,
                roles,
                tape,
                pooled,
                norms,
                embeddings,
                dropout_seed,
            },
        )
    }

    /// Adds to `gradients`, given `d_embeddings [texts, dim]`.
    pub fn backward(
        &self,
        tape: RetrieverTape,
        d_embeddings: &Matrix,
        gradients: &mut RetrieverGradients,
    ) {
        let RetrieverTape {
            batch,
            roles,
            tape,
            pooled,
            norms,
            embeddings,
            dropout_seed,
        } = tape;
        let mut d = d_embeddings.clone();
        for (row, norm) in norms.iter().enumerate() {
            l2_normalise_backward(embeddings.row(row), *norm, d.row_mut(row));
        }
        if let (Some(layer), Some(gradient)) = (&self.standardizer, &mut gradients.standardizer) {
            layer.backward(&pooled, &roles, &mut d, gradient);
        }
        let d_hidden = pooling::backward(&self.config, &d, &batch.segments);
        let pass = self.pass(&batch, dropout_seed);
        self.model
            .decoder
            .backward(&pass, tape, &d_hidden, Some(&mut gradients.adapter));
    }

    /// Zero gradients for everything this retriever can train.
    ///
    /// # Errors
    /// The retriever has no adapter.
    pub fn zero_gradients(&self) -> Result<RetrieverGradients> {
        let adapter = self.adapter.as_ref().ok_or_else(|| {
            Error::Invalid("an untrained retriever without adapter has nothing to train".into())
        })?;
        Ok(RetrieverGradients {
            adapter: adapter.zero_gradients(),
            standardizer: self
                .standardizer
                .as_ref()
                .map(|_| Standardizer::zeros(self.dim())),
        })
    }

    fn pass<'a>(&'a self, batch: &'a Batch, dropout_seed: Option<u64>) -> Pass<'a, PlainReader> {
        Pass {
            lora: self.adapter.as_ref(),
            dropout_seed,
            ..Pass::plain(batch)
        }
    }

    fn embed_at_once(&self, texts: &[Text], dropout_seed: Option<u64>) -> Matrix {
        let mut pooled = self.pooled(texts, dropout_seed, None).0;
        self.finish(&mut pooled, &roles(texts));
        pooled
    }

    fn pooled(
        &self,
        texts: &[Text],
        dropout_seed: Option<u64>,
        tape: Option<&mut Tape>,
    ) -> (Matrix, Batch) {
        let batch = Batch::new(texts.iter().map(|text| text.ids.as_slice()), 0);
        let output = self
            .model
            .decoder
            .forward(&self.pass(&batch, dropout_seed), tape);
        (
            pooling::forward(&self.config, &output.hidden, &batch.segments),
            batch,
        )
    }

    /// Standardises and normalises in place; returns the lengths before.
    fn finish(&self, pooled: &mut Matrix, roles: &[Role]) -> Vec<f32> {
        if let Some(layer) = &self.standardizer {
            layer.forward(pooled, roles);
        }
        (0..pooled.rows())
            .map(|row| l2_normalise(pooled.row_mut(row)))
            .collect()
    }
}

/// Cuts texts into runs of at most `max_tokens` tokens (a single longer text is a run of its own).
pub fn chunks(texts: &[Text], max_tokens: usize) -> Vec<&[Text]> {
    let mut runs = Vec::new();
    let (mut start, mut tokens) = (0, 0);
    for (i, text) in texts.iter().enumerate() {
        if i > start && tokens + text.ids.len() > max_tokens {
            runs.push(&texts[start..i]);
            (start, tokens) = (i, 0);
        }
        tokens += text.ids.len();
    }
    if start < texts.len() {
        runs.push(&texts[start..]);
    }
    runs
}

fn roles(texts: &[Text]) -> Vec<Role> {
    texts.iter().map(|text| text.role).collect()
}
