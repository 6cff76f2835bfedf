//! The head list as a file: which heads, best first, and what found them.

use super::{HeadId, HeadSet, ScoredHead, Selector};
use crate::model::Model;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Longest head list file read: a list of every head of the largest models is far below.
const MAX_BYTES: u64 = 16 << 20;

/// Heads of a model, and how they were found: all of them with their scores, or those that somebody
/// chose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadList {
    /// Best first.
    pub heads: Vec<ScoredHead>,
    /// What was maximised; absent where somebody chose the heads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<Selector>,
    /// How many of `heads` are meant to be used.
    #[serde(default = "default_count")]
    pub selected: usize,
    /// Digest of the language model's weights.
    #[serde(default)]
    pub model_digest: String,
    /// Prompts scored.
    #[serde(default)]
    pub prompts: usize,
    /// Documents a prompt.
    #[serde(default)]
    pub candidates: usize,
    /// Where the other documents came from: `bm25` or `random`.
    #[serde(default)]
    pub negatives: String,
    /// Seed of sampling and order.
    #[serde(default)]
    pub seed: u64,
    /// Version of this program.
    #[serde(default)]
    pub version: String,
}

fn default_count() -> usize {
    16
}

impl HeadList {
    /// Heads without scores.
    pub fn unscored(heads: &HeadSet, selector: Option<Selector>) -> Self {
        let unscored = |head: &HeadId| ScoredHead {
            head: *head,
            score: f32::NAN,
        };
        Self {
            heads: heads.heads().iter().map(unscored).collect(),
            selector,
            selected: heads.heads().len(),
            model_digest: String::new(),
            prompts: 0,
            candidates: 0,
            negatives: String::new(),
            seed: 0,
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    /// Reads `14-3,21-2`, or the file of that name: a head list or such a text.
    pub fn parse_or_read(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if !path.is_file() {
            let heads = text.parse().map_err(|e: Error| {
                Error::Invalid(format!("{e}; nor is {text:?} the file of a head list"))
            })?;
            return Ok(Self::unscored(&heads, None));
        }
        let bytes = crate::files::read_capped(path, MAX_BYTES)?;
        match String::from_utf8(bytes) {
            Ok(list) if !list.trim_start().starts_with('{') => {
                Ok(Self::unscored(&list.parse()?, None))
            }
            _ => Self::read(path),
        }
    }

    /// The heads to use on `model`, which the list names from here on.
    ///
    /// # Errors
    /// The list was made for another model, or names heads that this one does not have.
    pub fn for_model(&mut self, model: &Model) -> Result<HeadSet> {
        let (made_for, digest) = (&self.model_digest, &model.digest);
        if !made_for.is_empty() && made_for != digest {
            return Err(Error::Invalid(format!(
                "the head list was made for another model (digest {made_for}) than {} (digest \
                 {digest}): run `dream heads` on this one",
                model.path.display()
            )));
        }
        let heads = self.selection()?;
        heads.check(&model.decoder.config)?;
        self.model_digest.clone_from(digest);
        Ok(heads)
    }

    /// Whether the heads have scores.
    pub fn is_scored(&self) -> bool {
        self.heads.iter().any(|scored| !scored.score.is_nan())
    }

    /// The heads to use.
    pub fn selection(&self) -> Result<HeadSet> {
        super::select::top(&self.heads, self.selected)
    }

    /// Reads a list from a file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = crate::files::read_capped(path, MAX_BYTES)?;
        serde_json::from_slice(&bytes).map_err(|e| Error::Malformed {
            path: path.into(),
            what: format!("wanted a head list as `dream heads --out` writes it: {e}"),
        })
    }
}
