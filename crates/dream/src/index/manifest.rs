//! `manifest.json` of an embedding folder: what made the embeddings, how many there are, and the
//! BLAKE3 digest of every file beside it.

use crate::files::{read_capped, write_json};
use crate::model::lora::LoraAdapter;
use crate::retriever::{Pooling, Retriever, Standardize, Standardizer};
use crate::{Error, Result};
use dream_nn::Storage;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the file that makes a folder an index; it is written last.
pub const MANIFEST: &str = "manifest.json";
/// Ending of a shard's file of ids.
pub(super) const IDS: &str = "ids";
/// Ending of a shard's file of scales.
pub(super) const SCALES: &str = "scales";
/// What this program writes and reads. A program that knows `f32` alone refuses the others by their `dtype`.
pub const FORMAT_VERSION: u32 = 1;
/// Longest manifest read: room for 200,000 shards.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the program that wrote it.
    pub format_version: u32,
    /// What made the embeddings.
    #[serde(flatten)]
    pub encoder: Encoder,
    /// Size of an embedding.
    pub dim: usize,
    /// How the embeddings are stored.
    pub dtype: Storage,
    /// Documents in all shards.
    pub count: usize,
    /// The shards, in the order of the corpus.
    pub shards: Vec<Shard>,
    /// Version of the program that wrote it.
    pub version: String,
}

/// Files of one name: row-major embeddings, their scales if `dtype` has such, and the ids of the documents, one a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// `shard-00000`: the files' name without its ending: `.ids`, `.scales` or the `dtype`.
    pub name: String,
    /// Documents in it.
    pub count: usize,
    /// BLAKE3 of the embeddings.
    pub embeddings_blake3: String,
    /// BLAKE3 of the scales.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scales_blake3: Option<String>,
    /// Bytes of the ids file.
    pub ids_bytes: u64,
    /// BLAKE3 of the ids.
    pub ids_blake3: String,
}

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

/// Name of a shard by its number.
pub fn shard_name(number: usize) -> String {
    format!("shard-{number:05}")
}

impl Manifest {
    /// Reads and checks the manifest of a folder.
    ///
    /// # Errors
    /// It is missing, of another format, or says things that cannot be true together.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let malformed = |what: String| Error::Malformed {
            path: path.clone(),
            what,
        };
        let bytes = read_capped(&path, MAX_MANIFEST_BYTES)?;
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        manifest.check().map_err(malformed)?;
        Ok(manifest)
    }

    /// Writes it, atomically: the folder is an index from here on.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join(MANIFEST), self)
    }

    fn check(&self) -> Result<(), String> {
        if self.format_version != FORMAT_VERSION {
            return Err(format!(
                "format_version must be {FORMAT_VERSION}, not {}",
                self.format_version
            ));
        }
        if self.dim == 0 || self.count == 0 {
            let (dim, count) = (self.dim, self.count);
            return Err(format!(
                "dim and count must be at least 1, not {dim} and {count}"
            ));
        }
        let mut count = 0usize;
        for (number, shard) in self.shards.iter().enumerate() {
            let wanted = shard_name(number);
            if shard.name != wanted {
                // Names are never taken from the file: it could point anywhere.
                return Err(format!(
                    "shard {number} must be called {wanted}, not {:?}",
                    shard.name
                ));
            }
            if shard.scales_blake3.is_some() != self.dtype.has_scales() {
                let dtype = self.dtype;
                let needs = if dtype.has_scales() {
                    "needs"
                } else {
                    "has no"
                };
                return Err(format!(
                    "{wanted}: an index of dtype {dtype} {needs} scales_blake3"
                ));
            }
            count = count.saturating_add(shard.count);
        }
        if count != self.count {
            return Err(format!(
                "count is {}, but its shards hold {count} documents",
                self.count
            ));
        }
        Ok(())
    }
}
