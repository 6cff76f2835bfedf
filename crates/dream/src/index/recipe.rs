//! All that decides the bits of an encoded index beside its documents.

use super::encoder::Encoder;
use crate::retriever::Retriever;
use crate::{Error, Result};
use dream_nn::{Dtype, Storage};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::Path;

/// How an index is encoded. The same recipe and documents on the same kind of processor give the same bits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The retriever.
    #[serde(flatten)]
    pub encoder: Encoder,
    /// Size of an embedding.
    pub dim: usize,
    /// How embeddings are stored.
    pub dtype: Storage,
    /// Sizes and the type that products are computed in.
    #[serde(flatten)]
    pub encoding: Encoding,
    /// Version of the program: another one may add in another order.
    pub version: String,
}

/// What decides how sums are added up: an embedding depends on what stands beside its text by rounding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Encoding {
    /// Number type of the model's weights: `f32` or `bf16`.
    pub compute_dtype: String,
    /// Tokens that ran through the model at once.
    pub batch_tokens: NonZeroUsize,
    /// Documents a shard; batches begin anew in each.
    pub shard_size: NonZeroUsize,
}

/// Sizes that [`Recipe::new`] is given.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Tokens that run through the model at once.
    pub batch_tokens: NonZeroUsize,
    /// Documents a shard.
    pub shard_size: NonZeroUsize,
}

impl Recipe {
    /// What `retriever` would do; `model` is what to call its base, `compute` the type of its weights.
    pub fn new(
        retriever: &Retriever,
        model: impl Into<String>,
        compute: Dtype,
        dtype: Storage,
        sizes: Sizes,
    ) -> Self {
        Self {
            encoder: Encoder::of(retriever, model),
            dim: retriever.dim(),
            dtype,
            encoding: Encoding {
                compute_dtype: compute.to_string(),
                batch_tokens: sizes.batch_tokens,
                shard_size: sizes.shard_size,
            },
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// Refuses another recipe; the model's name alone may differ. `place` is where `self` was found.
    ///
    /// # Errors
    /// The first setting that differs, with both values.
    pub fn check_same(&self, other: &Self, place: &Path) -> Result<()> {
        let json = |recipe: &Self| {
            serde_json::to_value(recipe).expect("a struct of plain fields is JSON. This is a bug.")
        };
        let (ours, theirs) = (json(self), json(other));
        let keys = ours.as_object().into_iter().flat_map(|map| map.keys());
        match keys
            .filter(|key| *key != "model")
            .find(|key| ours[*key] != theirs[*key])
        {
            None => Ok(()),
            Some(key) => Err(Error::Invalid(format!(
                "{} was made with {key} {}, not {}",
                place.display(),
                ours[key],
                theirs[key]
            ))),
        }
    }
}
