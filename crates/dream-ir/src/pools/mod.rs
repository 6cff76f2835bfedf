//! Candidate pools: the documents that compete for one training row.
//!
//! A source finds documents ([`Finder`]; embeddings are the library's above this one), filters keep some of
//! them out ([`Filters`]), the known passage is left as found, forced in (the labelled controls) or kept out
//! (sets whose target is the passage), and what is missing is filled with random documents: [`select_all`].
//! In training pools are shuffled by epoch so that a position tells nothing.

mod filters;
mod find;
mod judge;
mod rng;
mod select;
mod similarity;
mod source;

pub use filters::{Dropped, Filters, Ranks, Reason};
pub use find::{Finder, Found, Numbered, Ring, first_known, fused};
pub use select::{Candidate, Origin, Selection, select_all};
pub use similarity::{Shingles, WordText};
pub use source::{Fill, KnownPassage, PoolSource};

use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::bm25::{Bm25, Bm25Params};
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::training::{TrainingRow, TrainingSet};
use rng::{Purpose, row_rng};

/// Documents that are looked at where filters may drop some of them, unless something else is asked for.
pub const DEFAULT_DEPTH: usize = 100;

/// How pools are built.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PoolSettings {
    /// Where candidates come from.
    pub source: PoolSource,
    /// Candidates a row; fewer only if the corpus holds fewer, or nothing fills.
    pub k: usize,
    /// Documents of the source's list that are looked at; without it, those that are needed where there is no
    /// filter, else [`DEFAULT_DEPTH`], `k` or the last of the ranks asked for.
    pub depth: Option<usize>,
    /// What happens to known passages.
    pub known_passage: KnownPassage,
    /// What keeps documents out.
    pub filters: Filters,
    /// What a pool gets that is short.
    pub fill: Fill,
    /// Seed of what is drawn.
    pub seed: u64,
    /// Constants of BM25, if it is the source.
    pub bm25: Bm25Params,
}

impl PoolSettings {
    /// `k` candidates of a source, without filters, known passages as found.
    pub fn new(source: PoolSource, k: usize) -> Self {
        Self {
            source,
            k,
            depth: None,
            known_passage: KnownPassage::AsFound,
            filters: Filters::default(),
            fill: Fill::Random,
            seed: 0,
            bm25: Bm25Params::default(),
        }
    }

    /// Documents of the source's list that are looked at, for rows with at most so many known passages.
    pub fn depth(&self, most_known: usize) -> usize {
        let needed = self.k.saturating_add(most_known);
        self.depth.unwrap_or(match self.filters.ranks {
            Some(ranks) => ranks.last(),
            None if self.filters.is_none() => needed,
            None => DEFAULT_DEPTH.max(needed),
        })
    }

    /// Refuses settings that cannot be met, and filters that would do nothing.
    pub fn check(&self) -> Result<()> {
        let invalid = |what: String| Err(Error::Invalid(what));
        let Self {
            source, k, filters, ..
        } = self;
        if *k == 0 {
            return invalid("a pool needs at least 1 candidate a row, got k = 0".to_owned());
        }
        let depth = self.depth(0);
        if let Some(ranks) = filters.ranks {
            if ranks.last() > depth {
                return invalid(format!(
                    "ranks {ranks} need a depth of at least {}, not {depth}",
                    ranks.last()
                ));
            }
            if ranks.count() < *k {
                let count = ranks.count();
                return invalid(format!(
                    "a pool of {k} candidates cannot come from the {count} ranks {ranks}"
                ));
            }
        }
        if depth < *k {
            return invalid(format!(
                "a pool of {k} candidates needs a depth of at least {k}, not {depth}"
            ));
        }
        if !source.is_ranking() && (filters.need_scores() || filters.ranks.is_some()) {
            return invalid(format!(
                "{source} candidates have neither ranks nor scores: ranks, largest score and margin do not go with them"
            ));
        }
        filters.check()
    }
}

/// The candidates of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Indices into the corpus, no one twice.
    pub documents: Vec<usize>,
    /// Positions in `documents` of known passages, ascending. Never a training signal for DREAM.
    pub positives: Vec<usize>,
}

impl Pool {
    /// A pool of these documents, with the row's known passages marked.
    pub fn new(documents: Vec<usize>, row: &TrainingRow, corpus: &Corpus) -> Self {
        let known = known_passages(row, corpus);
        let mut pool = Self {
            documents,
            positives: Vec::new(),
        };
        let found = |&position: &usize| known.contains(&pool.documents[position]);
        pool.positives = (0..pool.documents.len()).filter(found).collect();
        pool
    }

    /// The same documents in the order that (seed, epoch, row index) give, whatever was drawn
    /// before.
    #[must_use]
    pub fn shuffled(&self, seed: u64, epoch: u64, row: usize) -> Self {
        let mut order: Vec<usize> = (0..self.documents.len()).collect();
        order.shuffle(&mut row_rng(Purpose::Shuffle, seed, epoch, row));
        let is_positive = |&position: &usize| self.positives.contains(&order[position]);
        Self {
            documents: order.iter().map(|&from| self.documents[from]).collect(),
            positives: (0..order.len()).filter(is_positive).collect(),
        }
    }
}

/// The pools of all rows, in their order, not yet shuffled: best candidate first. BM25 indexes
/// the whole corpus of the set.
///
/// # Errors
/// The source needs embeddings; see [`select_all`].
pub fn candidate_pools(set: &TrainingSet, settings: &PoolSettings) -> Result<Vec<Pool>> {
    let TrainingSet { rows, corpus } = set;
    match settings.source {
        PoolSource::AsGiven => pools(rows, corpus, Finder::AsGiven, settings),
        PoolSource::Bm25 => {
            let index = Bm25::of_corpus(corpus, settings.bm25)?;
            bm25_pools(rows, corpus, &index, settings)
        }
        PoolSource::Random => pools(rows, corpus, Finder::Random(settings.seed), settings),
        PoolSource::InBatch => {
            let ring = Ring::of_rows(rows, corpus, settings.seed)?;
            pools(rows, corpus, Finder::InBatch(&ring), settings)
        }
        source @ (PoolSource::Dense | PoolSource::Hybrid) => Err(Error::Invalid(format!(
            "{source} candidates need a retriever"
        ))),
    }
}

/// Pools by BM25 from an index of `corpus` that exists already; `settings.source` and
/// `settings.bm25` are not looked at.
pub fn bm25_pools(
    rows: &[TrainingRow],
    corpus: &Corpus,
    index: &Bm25,
    settings: &PoolSettings,
) -> Result<Vec<Pool>> {
    pools(rows, corpus, Finder::Bm25(index), settings)
}

fn pools(
    rows: &[TrainingRow],
    corpus: &Corpus,
    finder: Finder<'_>,
    settings: &PoolSettings,
) -> Result<Vec<Pool>> {
    settings.check()?;
    let depth = match finder {
        Finder::AsGiven => settings.depth.unwrap_or(usize::MAX),
        _ => settings.depth(most_known(rows)),
    };
    let numbered: Vec<Numbered<'_>> = rows.iter().enumerate().collect();
    let found = finder.find(&numbered, corpus, depth)?;
    let selections = select_all(&numbered, &found, corpus, settings)?;
    let pools = selections.into_iter().zip(rows);
    pools
        .map(|(selection, row)| selection.into_pool(row, corpus))
        .collect()
}

/// Known passages of the row that names most.
pub fn most_known(rows: &[TrainingRow]) -> usize {
    let counts = rows.iter().map(|row| row.positive_ids.len());
    counts.max().unwrap_or(0)
}

/// Known passages that the corpus holds, in the row's order.
fn known_passages(row: &TrainingRow, corpus: &Corpus) -> Vec<usize> {
    row.positive_ids
        .iter()
        .filter_map(|id| corpus.index_of(id))
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod select_tests;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
