//! The head list as a file: which heads, best first, and what found them.

use super::{HeadSet, ScoredHead, Selector};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Longest head list file read: a list of every head of the largest models is far below.
const MAX_BYTES: u64 = 16 << 20;

/// Every head of a model with its score, and how the scores came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeadList {
    /// Best first.
    pub heads: Vec<ScoredHead>,
    /// What was maximised.
    #[serde(default)]
    pub selector: Selector,
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

impl HeadSet {
    /// Reads `14-3,21-2`, or the file of that name: a head list or such a text.
    pub fn parse_or_read(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if !path.is_file() {
            return text.parse().map_err(|e: Error| {
                Error::Invalid(format!("{e}; nor is {text:?} the file of a head list"))
            });
        }
        let bytes = crate::files::read_capped(path, MAX_BYTES)?;
        match String::from_utf8(bytes) {
            Ok(list) if !list.trim_start().starts_with('{') => list.parse(),
            _ => HeadList::read(path)?.selection(),
        }
    }
}
