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
    halves: [HalfTape; 2],
    roles: Vec<Role>,
    pooled: Matrix,
    norms: Vec<f32>,
    embeddings: Matrix,
    dropout_seed: Option<u64>,
}

/// One half of the texts: what went through the decoder, and its activations.
#[derive(Debug)]
struct HalfTape {
    batch: Batch,
    wanted: Option<Vec<usize>>,
    tape: Tape,
}

impl Retriever {
    /// Size of an embedding.
    pub fn dim(&self) -> usize {
        let width = self.width();
        self.config.dim.map_or(width, |dim| dim.min(width))
    }

    /// Size of a pooled vector, of which the embedding is the beginning or the whole.
    pub fn width(&self) -> usize {
        self.model.decoder.config.hidden_size
    }

    /// Refuses settings that do not fit the model.
    ///
    /// # Errors
    /// See [`RetrieverConfig::check`]; more dimensions than the model has, or none.
    pub fn check(&self) -> Result<()> {
        self.config.check()?;
        match self.config.dim {
            Some(dim) if dim == 0 || dim > self.width() => {
                let width = self.width();
                let what = format!("dim must be 1 to {width}, the model's size, not {dim}");
                Err(Error::Invalid(what))
            }
            _ => Ok(()),
        }
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

    /// Pooled vectors before standardisation and normalisation, `[texts, width]`.
    pub fn pool(&self, texts: &[Text]) -> Matrix {
        let mut data = Vec::with_capacity(texts.len() * self.width());
        for chunk in chunks(texts, ENCODE_TOKENS) {
            data.extend(self.pooled(chunk, None).into_vec());
        }
        Matrix::from_vec(texts.len(), self.width(), data)
    }

    /// Embeddings of texts that fit in memory with all activations.
    pub fn forward_with_tape(
        &self,
        texts: &[Text],
        dropout_seed: Option<u64>,
    ) -> (Matrix, RetrieverTape) {
        let [first, second] = halves(texts);
        let forward = |texts| {
            let mut tape = Tape::from_layer(0);
            let (pooled, batch, wanted) = self.decode(texts, dropout_seed, Some(&mut tape));
            let half = HalfTape {
                batch,
                wanted,
                tape,
            };
            (pooled, half)
        };
        let ((a, first), (b, second)) = rayon::join(|| forward(first), || forward(second));
        let pooled = a.stacked(&b);
        let roles = roles(texts);
        let (embeddings, norms) = self.finish(pooled.clone(), &roles);
        let tape = RetrieverTape {
            halves: [first, second],
            roles,
            pooled,
            norms,
            embeddings: embeddings.clone(),
            dropout_seed,
        };
        (embeddings, tape)
    }

    /// Adds to `gradients`, given `d_embeddings [texts, dim]`.
    pub fn backward(
        &self,
        tape: RetrieverTape,
        d_embeddings: &Matrix,
        gradients: &mut RetrieverGradients,
    ) {
        let RetrieverTape {
            halves: [first, second],
            roles,
            pooled,
            norms,
            embeddings,
            dropout_seed,
        } = tape;
        let mut d = d_embeddings.clone();
        for (row, norm) in norms.iter().enumerate() {
            l2_normalise_backward(embeddings.row(row), *norm, d.row_mut(row));
        }
        // What was cut off has no gradient.
        let mut d = d.with_cols(self.width());
        if let (Some(layer), Some(gradient)) = (&self.standardizer, &mut gradients.standardizer) {
            layer.backward(&pooled, &roles, &mut d, gradient);
        }
        let mut of_second = gradients.adapter.zeros();
        let of_first = &mut gradients.adapter;
        let cut = first.batch.segments.len();
        let (d_first, d_second) = (d.rows_copy(0..cut), d.rows_copy(cut..d.rows()));
        let backward = |half: HalfTape, d: Matrix, gradients: &mut LoraGradients| {
            let HalfTape {
                batch,
                wanted,
                tape,
            } = half;
            let d_hidden = pooling::backward(&self.config, d, &batch.segments);
            let pass = self.pass(&batch, wanted.as_deref(), dropout_seed);
            let decoder = &self.model.decoder;
            decoder.backward(&pass, tape, &d_hidden, Some(gradients));
        };
        rayon::join(
            || backward(first, d_first, of_first),
            || backward(second, d_second, &mut of_second),
        );
        gradients.adapter.add_assign(&of_second);
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
                .map(|_| Standardizer::zeros(self.width())),
        })
    }

    fn pass<'a>(
        &'a self,
        batch: &'a Batch,
        wanted: Option<&'a [usize]>,
        dropout_seed: Option<u64>,
    ) -> Pass<'a, PlainReader> {
        Pass {
            wanted,
            lora: self.adapter.as_ref(),
            dropout_seed,
            ..Pass::plain(batch)
        }
    }

    fn embed_at_once(&self, texts: &[Text], dropout_seed: Option<u64>) -> Matrix {
        let pooled = self.pooled(texts, dropout_seed);
        self.finish(pooled, &roles(texts)).0
    }

    fn pooled(&self, texts: &[Text], dropout_seed: Option<u64>) -> Matrix {
        let [first, second] = halves(texts);
        let decode = |texts| self.decode(texts, dropout_seed, None).0;
        let (first, second) = rayon::join(|| decode(first), || decode(second));
        first.stacked(&second)
    }

    fn decode(
        &self,
        texts: &[Text],
        dropout_seed: Option<u64>,
        tape: Option<&mut Tape>,
    ) -> (Matrix, Batch, Option<Vec<usize>>) {
        let batch = Batch::new(texts.iter().map(|text| text.ids.as_slice()), 0);
        let wanted = pooling::wanted_rows(&self.config, &batch.segments);
        let pass = self.pass(&batch, wanted.as_deref(), dropout_seed);
        let hidden = self.model.decoder.forward(&pass, tape).hidden;
        let pooled = pooling::forward(&self.config, hidden, &batch.segments);
        (pooled, batch, wanted)
    }

    /// Standardises, cuts and normalises; the embeddings and the lengths before.
    fn finish(&self, mut pooled: Matrix, roles: &[Role]) -> (Matrix, Vec<f32>) {
        if let Some(layer) = &self.standardizer {
            layer.forward(&mut pooled, roles);
        }
        let mut embeddings = pooled.with_cols(self.dim());
        let norms = (0..embeddings.rows())
            .map(|row| l2_normalise(embeddings.row_mut(row)))
            .collect();
        (embeddings, norms)
    }
}

/// Cuts texts in two, of about equally many tokens.
///
/// Both halves go through the decoder at the same time: while one waits for the slower part of a
/// product, the other keeps the cores busy. Always two, so that sums do not depend on the cores.
fn halves(texts: &[Text]) -> [&[Text]; 2] {
    let total: usize = texts.iter().map(|text| text.ids.len()).sum();
    let mut before = 0;
    let middle = texts.iter().take_while(|text| {
        before += text.ids.len();
        2 * before <= total
    });
    let (first, second) = texts.split_at(middle.count());
    [first, second]
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
