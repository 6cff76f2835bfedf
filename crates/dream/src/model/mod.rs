//! Language models: configuration, weights, the decoder, and the adapters that retrievers train.

pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod lora;

use crate::Result;
use crate::tokenizer::Tokenizer;
use checkpoint::Checkpoint;
use decoder::Decoder;
use dream_nn::Dtype;
use std::path::{Path, PathBuf};

/// A frozen model with its tokenizer: a language model, or the base of a retriever.
#[derive(Debug)]
pub struct Model {
    /// Weights.
    pub decoder: Decoder,
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Where it was read from.
    pub path: PathBuf,
    /// Digest of its weight files.
    pub digest: String,
}

impl Model {
    /// Reads a folder or a GGUF file, with weights in `dtype`.
    ///
    /// # Errors
    /// Something is missing, malformed or not supported; the message names the file.
    pub fn load(path: &Path, dtype: Dtype) -> Result<Self> {
        let checkpoint = Checkpoint::open(path)?;
        let tokenizer = Tokenizer::for_model(path)?;
        let decoder = Decoder::load(&checkpoint, dtype)?;
        Ok(Self {
            decoder,
            tokenizer,
            path: path.into(),
            digest: checkpoint.digest(),
        })
    }
}
