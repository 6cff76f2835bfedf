//! What turns texts into embeddings, as an index remembers it.

use crate::model::lora::LoraAdapter;
use crate::retriever::{Pooling, Retriever, Standardize, Standardizer};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What turned documents into embeddings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoder {
    /// The model as it was named.
    pub model: String,
    /// Digest of its weights.
    pub weights_digest: String,
    /// Digest of adapter and standardising layer, if there are any.
    pub adapter_digest: Option<String>,
    /// How token states became one vector.
    pub pooling: Pooling,
    /// Whether the first token was left out of the mean.
    pub skip_first_token: bool,
    /// Whether an end-of-text token was appended.
    pub append_eos: bool,
    /// The standardising layer's kind.
    pub standardize: Standardize,
    /// Put before every document.
    pub prompt: String,
    /// Tokens a document, at most.
    pub max_len: usize,
    /// Whether embeddings have length 1: always.
    pub normalized: bool,
}

impl Encoder {
    /// The retriever as it would encode documents; `model` is what to call its base.
    pub fn of(retriever: &Retriever, model: impl Into<String>) -> Self {
        let config = &retriever.config;
        Self {
            model: model.into(),
            weights_digest: retriever.model.digest.clone(),
            adapter_digest: digest(retriever.adapter.as_ref(), retriever.standardizer.as_ref()),
            pooling: config.pooling,
            skip_first_token: config.skip_first_token,
            append_eos: config.append_eos,
            standardize: config.standardize,
            prompt: config.document_prompt.clone(),
            max_len: config.max_document_tokens,
            normalized: true,
        }
    }

    /// Refuses a retriever whose queries would live in another space. The document's prompt and
    /// length, which queries do not share, and the model's name may differ.
    pub fn check_queries(&self, queries: &Self, index: &Path) -> Result<()> {
        let json = |encoder: &Self| {
            serde_json::to_value(encoder).expect("a struct of plain fields is JSON. This is a bug.")
        };
        let (ours, theirs) = (json(self), json(queries));
        for key in [
            "weights_digest",
            "adapter_digest",
            "pooling",
            "skip_first_token",
            "append_eos",
            "standardize",
            "normalized",
        ] {
            if ours[key] != theirs[key] {
                return Err(Error::Invalid(format!(
                    "{} was made with {key} {}, the queries' retriever has {}; search with the model ({}), adapter \
                     and options that encoded it, or encode the corpus again",
                    index.display(),
                    ours[key],
                    theirs[key],
                    self.model,
                )));
            }
        }
        Ok(())
    }
}

/// Digest of everything training made, independent of the files it lies in.
fn digest(adapter: Option<&LoraAdapter>, standardizer: Option<&Standardizer>) -> Option<String> {
    if adapter.is_none() && standardizer.is_none() {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    if let Some(adapter) = adapter {
        hasher.update(&adapter.config.scale().to_le_bytes());
        for (name, matrix) in adapter.names().iter().zip(adapter.parameters()) {
            hasher.update(name.as_bytes());
            update(&mut hasher, matrix.data());
        }
    }
    if let Some(standardizer) = standardizer {
        for (name, vector) in Standardizer::NAMES.iter().zip(standardizer.parts()) {
            hasher.update(name.as_bytes());
            update(&mut hasher, vector);
        }
    }
    Some(hasher.finalize().to_hex().to_string())
}

fn update(hasher: &mut blake3::Hasher, values: &[f32]) {
    hasher.update(&(values.len() as u64).to_le_bytes());
    for value in values {
        hasher.update(&value.to_le_bytes());
    }
}
