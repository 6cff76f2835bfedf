//! From what a source found to a row's candidates: filters, known passages, filling.

use std::collections::HashSet;

use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::training::TrainingRow;

use super::filters::{Dropped, Reason};
use super::find::{Found, Numbered};
use super::judge::Judge;
use super::rng::{Purpose, row_rng};
use super::source::{Fill, KnownPassage};
use super::{Pool, PoolSettings, known_passages};

/// Random documents that are looked at for each place to be filled, where filters may drop them.
const DRAWS_A_PLACE: usize = 16;

/// One document of a row's pool, and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// Index in the corpus.
    pub document: usize,
    /// What the source gave it.
    pub score: Option<f32>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a candidate comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The source found it at this rank, from 1.
    Found(usize),
    /// It is a known passage that the source did not find.
    Known,
    /// It was drawn to fill the pool.
    Fill,
}

/// The candidates of one row, best first, and what was kept out.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// No document twice.
    pub candidates: Vec<Candidate>,
    /// Documents that filters kept out.
    pub dropped: Dropped,
    /// Rank of the best known passage in the source's list, from 1.
    pub known_rank: Option<usize>,
}

impl Selection {
    /// Candidates that were not drawn to fill the pool.
    pub fn n_chosen(&self) -> usize {
        let is_chosen = |candidate: &&Candidate| candidate.origin != Origin::Fill;
        self.candidates.iter().filter(is_chosen).count()
    }

    /// As a pool of the row.
    ///
    /// # Errors
    /// There is no candidate but those that fill.
    pub fn into_pool(self, row: &TrainingRow, corpus: &Corpus) -> Result<Pool> {
        if self.n_chosen() == 0 {
            let (id, query) = (&row.id, &row.query);
            return Err(Error::Invalid(format!(
                "row {id:?} has no candidate: query {query:?}"
            )));
        }
        let documents = self.candidates.iter().map(|c| c.document);
        Ok(Pool::new(documents.collect(), row, corpus))
    }
}

/// The candidates of rows for which a source found `found`.
///
/// # Errors
/// A setting is out of range, a score is not finite or, where a filter needs it, missing; a row has no known
/// passage that pools shall include.
pub fn select_all(
    rows: &[Numbered<'_>],
    found: &[Vec<Found>],
    corpus: &Corpus,
    settings: &PoolSettings,
) -> Result<Vec<Selection>> {
    settings.check()?;
    let rows = rows.par_iter().zip(found);
    rows.map(|(row, found)| select(*row, found, corpus, settings))
        .collect()
}

fn select(
    (number, row): Numbered<'_>,
    found: &[Found],
    corpus: &Corpus,
    settings: &PoolSettings,
) -> Result<Selection> {
    let (k, policy) = (settings.k, settings.known_passage);
    let known = known_passages(row, corpus);
    let include = policy == KnownPassage::Include;
    if include && known.is_empty() {
        return Err(Error::Invalid(format!(
            "row {:?} names no known passage of the corpus, but the pools shall include one",
            row.id
        )));
    }
    let filters = &settings.filters;
    let documents = corpus.documents();
    let mut judge = Judge::new(filters, row, corpus, found, (policy, &known));
    let mut selection = Selection {
        candidates: Vec::with_capacity(k.min(found.len())),
        dropped: Dropped::default(),
        known_rank: None,
    };
    let mut seen = HashSet::new();
    for (rank, &found) in (1..).zip(found) {
        check_score(row, found, &documents[found.document].id, settings)?;
        let is_known = known.contains(&found.document);
        if is_known {
            selection.known_rank.get_or_insert(rank);
        }
        if selection.candidates.len() == k || !seen.insert(found.document) {
            continue;
        }
        let reason = match policy {
            KnownPassage::Exclude if is_known => Some(Reason::Known),
            KnownPassage::Include if is_known => None,
            _ => judge.reason(rank, found, &documents[found.document], is_known),
        };
        match reason {
            Some(reason) => selection.dropped.add(reason),
            None => selection.candidates.push(Candidate {
                document: found.document,
                score: found.score,
                origin: Origin::Found(rank),
            }),
        }
    }
    let mut candidates = selection.candidates;
    if include && !candidates.iter().any(|c| known.contains(&c.document)) {
        candidates.truncate(k - 1);
        let found = found.iter().find(|found| found.document == known[0]);
        candidates.push(Candidate {
            document: known[0],
            score: found.and_then(|found| found.score),
            origin: Origin::Known,
        });
    }
    if settings.fill == Fill::Random && candidates.len() < k {
        let excluded: &[usize] = match policy {
            KnownPassage::Exclude => &known,
            KnownPassage::AsFound | KnownPassage::Include => &[],
        };
        let taken: Vec<usize> = candidates.iter().map(|c| c.document).collect();
        let mut rng = row_rng(Purpose::Fill, settings.seed, 0, number);
        let fresh = if filters.is_none() {
            fill(&taken, k, excluded, corpus.len(), &mut rng)
        } else {
            let wanted = k.saturating_mul(DRAWS_A_PLACE);
            let mut fresh = fill(&taken, wanted, excluded, corpus.len(), &mut rng);
            fresh.retain(|d| judge.reason_of_text(&documents[*d]).is_none());
            fresh.truncate(k - taken.len());
            fresh
        };
        candidates.extend(fresh.into_iter().map(|document| Candidate {
            document,
            score: None,
            origin: Origin::Fill,
        }));
    }
    Ok(Selection {
        candidates,
        ..selection
    })
}

fn check_score(row: &TrainingRow, found: Found, id: &str, settings: &PoolSettings) -> Result<()> {
    let row = &row.id;
    match found.score {
        Some(score) if !score.is_finite() => Err(Error::Invalid(format!(
            "row {row:?}: the score of the candidate {id:?} is {score}"
        ))),
        None if settings.filters.need_scores() => Err(Error::Invalid(format!(
            "row {row:?}: the candidate {id:?} has no score, which the largest score and the margin ask for"
        ))),
        _ => Ok(()),
    }
}

/// Random documents, none twice, taken or excluded, so that with those taken there are `k` or no more.
pub(super) fn fill(
    taken: &[usize],
    k: usize,
    excluded: &[usize],
    n_documents: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    // At most taken + excluded of the drawn ones are of no use.
    let drawn = k.saturating_add(excluded.len()).min(n_documents);
    let useless: HashSet<usize> = taken.iter().chain(excluded).copied().collect();
    index::sample(rng, n_documents, drawn)
        .into_iter()
        .filter(|d| !useless.contains(d))
        .take(k.saturating_sub(taken.len()))
        .collect()
}
