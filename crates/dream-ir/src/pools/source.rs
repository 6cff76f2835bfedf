//! Where candidates come from, and what happens to known passages.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Where candidates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolSource {
    /// The row's own candidates, in their order.
    AsGiven,
    /// The best documents of the corpus for the query, by BM25.
    Bm25,
    /// The nearest documents by a retriever's embeddings; this crate only knows the name.
    Dense,
    /// BM25 and embeddings, fused.
    Hybrid,
    /// Random documents.
    Random,
    /// Known passages of other rows.
    InBatch,
}

/// What happens to a row's known passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownPassage {
    /// In the pool if the source finds it: no label is used.
    AsFound,
    /// No filter drops them; if none of them was found, the first one replaces the last candidate.
    Include,
    /// None of them is in the pool.
    Exclude,
}

/// What a pool with fewer than `k` candidates gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fill {
    /// Random documents.
    #[default]
    Random,
    /// Nothing.
    None,
}

impl PoolSource {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::AsGiven,
        Self::Bm25,
        Self::Dense,
        Self::Hybrid,
        Self::Random,
        Self::InBatch,
    ];

    /// Whether a retriever embeds queries and documents.
    pub fn is_embedding(self) -> bool {
        matches!(self, Self::Dense | Self::Hybrid)
    }

    /// Whether documents come in an order that a score made.
    pub fn is_ranking(self) -> bool {
        !matches!(self, Self::Random | Self::InBatch)
    }

    fn name(self) -> &'static str {
        match self {
            Self::AsGiven => "as-given",
            Self::Bm25 => "bm25",
            Self::Dense => "dense",
            Self::Hybrid => "hybrid",
            Self::Random => "random",
            Self::InBatch => "in-batch",
        }
    }
}

impl KnownPassage {
    const ALL: [Self; 3] = [Self::AsFound, Self::Include, Self::Exclude];

    fn name(self) -> &'static str {
        match self {
            Self::AsFound => "as-found",
            Self::Include => "include",
            Self::Exclude => "exclude",
        }
    }
}

impl Fill {
    const ALL: [Self; 2] = [Self::Random, Self::None];

    fn name(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::None => "none",
        }
    }
}

/// The value with this name.
fn named<T: Copy>(text: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<T> {
    let found = all.iter().find(|value| name(**value) == text);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|value| name(*value)).collect();
        let names = names.join(", ");
        Error::Invalid(format!("wanted one of {names}, got {text:?}"))
    })
}

impl fmt::Display for PoolSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PoolSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named(text, &Self::ALL, Self::name)
    }
}

impl fmt::Display for KnownPassage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KnownPassage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named(text, &Self::ALL, Self::name)
    }
}

impl fmt::Display for Fill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Fill {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        named(text, &Self::ALL, Self::name)
    }
}
