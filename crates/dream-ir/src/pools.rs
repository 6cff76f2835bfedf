//! Candidate pools: the documents that compete for one training row. Taken from the row itself or
//! from BM25, with the known passage left as found, forced in (the labelled controls) or kept out
//! (sets whose target is the passage), filled up with random documents, and shuffled by epoch so
//! that a position tells nothing.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use rand::SeedableRng;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::bm25::{Bm25, Bm25Params};
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::training::{TrainingRow, TrainingSet};

/// Where candidates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PoolSource {
    /// The row's own candidates, in their order.
    AsGiven,
    /// The best documents of the corpus for the query, by BM25.
    Bm25,
}

/// What happens to a row's known passages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnownPassage {
    /// In the pool if the source finds it: no label is used.
    AsFound,
    /// If none of them was found, the first one replaces the last candidate.
    Include,
    /// None of them is in the pool.
    Exclude,
}

impl fmt::Display for PoolSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsGiven => "as-given",
            Self::Bm25 => "bm25",
        })
    }
}

impl FromStr for PoolSource {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "as-given" => Ok(Self::AsGiven),
            "bm25" => Ok(Self::Bm25),
            _ => Err(Error::Invalid(format!(
                "wanted as-given or bm25, got {text:?}"
            ))),
        }
    }
}

/// How pools are built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PoolSettings {
    /// Where candidates come from.
    pub source: PoolSource,
    /// Candidates a row; fewer only if the corpus holds fewer.
    pub k: usize,
    /// What happens to known passages.
    pub known_passage: KnownPassage,
    /// Seed of the filling.
    pub seed: u64,
    /// Constants of BM25, if it is the source.
    pub bm25: Bm25Params,
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
pub fn candidate_pools(set: &TrainingSet, settings: &PoolSettings) -> Result<Vec<Pool>> {
    match settings.source {
        PoolSource::AsGiven => given_pools(set, settings),
        PoolSource::Bm25 => {
            let index = Bm25::of_corpus(&set.corpus, settings.bm25)?;
            bm25_pools(&set.rows, &set.corpus, &index, settings)
        }
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
    if index.len() != corpus.len() {
        let (indexed, held) = (index.len(), corpus.len());
        return Err(Error::Invalid(format!(
            "the index holds {indexed} documents, the corpus {held}: not the same corpus"
        )));
    }
    let queries: Vec<&str> = rows.iter().map(|row| row.query.as_str()).collect();
    let most_known = rows
        .iter()
        .map(|row| row.positive_ids.len())
        .max()
        .unwrap_or(0);
    let ranked = index.search_all(&queries, settings.k.saturating_add(most_known));
    let pools = rows
        .iter()
        .zip(ranked)
        .enumerate()
        .map(|(row_index, (row, hits))| {
            let found = hits.into_iter().map(|(document, _)| document).collect();
            pool_of(row_index, row, found, corpus, settings)
        });
    pools.collect()
}

fn given_pools(set: &TrainingSet, settings: &PoolSettings) -> Result<Vec<Pool>> {
    let pools = set.rows.iter().enumerate().map(|(row_index, row)| {
        let ids = row.candidate_ids.iter();
        let found = ids
            .map(|id| index_in(&set.corpus, id, row))
            .collect::<Result<_>>()?;
        pool_of(row_index, row, found, &set.corpus, settings)
    });
    pools.collect()
}

/// Applies the settings to what the source found, best first.
fn pool_of(
    row_index: usize,
    row: &TrainingRow,
    found: Vec<usize>,
    corpus: &Corpus,
    settings: &PoolSettings,
) -> Result<Pool> {
    let k = settings.k;
    if k == 0 {
        return Err(Error::Invalid(
            "a pool needs at least 1 candidate a row, got k = 0".to_owned(),
        ));
    }
    let known = known_passages(row, corpus);
    let excluded: &[usize] = match settings.known_passage {
        KnownPassage::Exclude => &known,
        KnownPassage::AsFound | KnownPassage::Include => &[],
    };
    let mut seen: HashSet<usize> = excluded.iter().copied().collect();
    let mut documents = found;
    documents.retain(|&document| seen.insert(document));
    documents.truncate(k);
    if settings.known_passage == KnownPassage::Include {
        let Some(&first) = known.first() else {
            return Err(no_known_passage(row));
        };
        if !known.iter().any(|passage| documents.contains(passage)) {
            documents.truncate(k - 1);
            documents.push(first);
        }
    }
    if documents.is_empty() {
        let (id, query) = (&row.id, &row.query);
        return Err(Error::Invalid(format!(
            "row {id:?} has no candidate: query {query:?}"
        )));
    }
    let mut rng = row_rng(Purpose::Fill, settings.seed, 0, row_index);
    fill_up(&mut documents, k, excluded, corpus.len(), &mut rng);
    Ok(Pool::new(documents, row, corpus))
}

/// Adds random documents, none twice and none excluded, until there are `k` or no more.
fn fill_up(
    documents: &mut Vec<usize>,
    k: usize,
    excluded: &[usize],
    n_documents: usize,
    rng: &mut ChaCha8Rng,
) {
    if documents.len() >= k {
        return;
    }
    // At most documents + excluded of the drawn ones are of no use.
    let drawn = k.saturating_add(excluded.len()).min(n_documents);
    let taken: HashSet<usize> = documents.iter().chain(excluded).copied().collect();
    let fresh = index::sample(rng, n_documents, drawn)
        .into_iter()
        .filter(|d| !taken.contains(d));
    documents.extend(fresh.take(k - documents.len()));
}

/// Known passages that the corpus holds, in the row's order.
fn known_passages(row: &TrainingRow, corpus: &Corpus) -> Vec<usize> {
    row.positive_ids
        .iter()
        .filter_map(|id| corpus.index_of(id))
        .collect()
}

fn index_in(corpus: &Corpus, id: &str, row: &TrainingRow) -> Result<usize> {
    let unknown = || {
        let row = &row.id;
        Error::Invalid(format!(
            "row {row:?} names the document {id:?}, which the corpus does not hold"
        ))
    };
    corpus.index_of(id).ok_or_else(unknown)
}

fn no_known_passage(row: &TrainingRow) -> Error {
    Error::Invalid(format!(
        "row {:?} names no known passage of the corpus, but the pools shall include one",
        row.id
    ))
}

#[derive(Clone, Copy)]
enum Purpose {
    Shuffle = 1,
    Fill = 2,
}

/// A generator for one row and purpose: the 32 bytes of the seed are the four numbers.
fn row_rng(purpose: Purpose, seed: u64, epoch: u64, row: usize) -> ChaCha8Rng {
    let mut bytes = [0u8; 32];
    let numbers = [seed, epoch, row as u64, purpose as u64];
    for (part, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        part.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::document::Document;
    use rand::RngExt;

    fn corpus(texts: &[&str]) -> Corpus {
        let document = |(id, text): (usize, &&str)| Document {
            id: id.to_string(),
            title: String::new(),
            text: (*text).to_owned(),
        };
        Corpus::new(texts.iter().enumerate().map(document)).unwrap()
    }

    fn row(query: &str, positives: &[&str], candidates: &[&str]) -> TrainingRow {
        let strings = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
        TrainingRow {
            id: format!("row of {query}"),
            query: query.to_owned(),
            target: "t".to_owned(),
            positive_ids: strings(positives),
            candidate_ids: strings(candidates),
            candidates: Vec::new(),
        }
    }

    fn settings(source: PoolSource, k: usize, known_passage: KnownPassage) -> PoolSettings {
        PoolSettings {
            source,
            k,
            known_passage,
            seed: 5,
            bm25: Bm25Params::default(),
        }
    }

    fn pools(row: TrainingRow, texts: &[&str], settings: &PoolSettings) -> Result<Vec<Pool>> {
        let set = TrainingSet::new(vec![row], corpus(texts))?;
        candidate_pools(&set, settings)
    }

    const TEXTS: [&str; 6] = [
        "iron",
        "iron gold",
        "iron gold salt",
        "gold",
        "salt",
        "none",
    ];

    #[test]
    fn bm25_pools_hold_the_best_documents_first_and_mark_the_known_passage() {
        let settings = settings(PoolSource::Bm25, 2, KnownPassage::AsFound);
        let pool = &pools(row("iron", &["1"], &[]), &TEXTS, &settings).unwrap()[0];
        assert_eq!(pool.documents, [0, 1]);
        assert_eq!(pool.positives, [1]);
    }

    #[test]
    fn a_known_passage_that_was_not_found_replaces_the_last_candidate() {
        let settings = settings(PoolSource::Bm25, 2, KnownPassage::Include);
        let pool = &pools(row("iron", &["4", "5"], &[]), &TEXTS, &settings).unwrap()[0];
        assert_eq!(
            (&pool.documents[..], &pool.positives[..]),
            (&[0, 4][..], &[1][..])
        );
        let pool = &pools(row("iron", &["5", "1"], &[]), &TEXTS, &settings).unwrap()[0];
        assert_eq!(
            (&pool.documents[..], &pool.positives[..]),
            (&[0, 1][..], &[1][..])
        );
        let error = pools(row("iron", &[], &[]), &TEXTS, &settings).unwrap_err();
        assert!(error.to_string().contains("row of iron"), "{error}");
    }

    #[test]
    fn excluded_passages_are_neither_found_nor_drawn() {
        let settings = settings(PoolSource::Bm25, 6, KnownPassage::Exclude);
        let pool = &pools(row("iron", &["0", "5"], &[]), &TEXTS, &settings).unwrap()[0];
        assert_eq!(pool.documents[..2], [1, 2]);
        let mut all = pool.documents.clone();
        all.sort_unstable();
        assert_eq!(all, [1, 2, 3, 4]);
        assert!(pool.positives.is_empty());
    }

    #[test]
    fn given_candidates_keep_their_order_without_repetitions() {
        let settings = settings(PoolSource::AsGiven, 3, KnownPassage::AsFound);
        let given = row("q", &["3"], &["4", "3", "4", "1", "0"]);
        let pool = &pools(given, &TEXTS, &settings).unwrap()[0];
        assert_eq!(
            (&pool.documents[..], &pool.positives[..]),
            (&[4, 3, 1][..], &[1][..])
        );
    }

    #[test]
    fn a_query_without_candidates_is_an_error_that_names_it() {
        for source in [PoolSource::Bm25, PoolSource::AsGiven] {
            let settings = settings(source, 3, KnownPassage::AsFound);
            let error = pools(row("zzz", &[], &[]), &TEXTS, &settings).unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("has no candidate: query \"zzz\""),
                "{error}"
            );
        }
        let alone = settings(PoolSource::Bm25, 1, KnownPassage::Include);
        assert_eq!(
            pools(row("zzz", &["5"], &[]), &TEXTS, &alone).unwrap()[0].documents,
            [5]
        );
        let none = settings(PoolSource::Bm25, 0, KnownPassage::AsFound);
        assert!(pools(row("iron", &[], &[]), &TEXTS, &none).is_err());
    }

    #[test]
    fn short_pools_are_filled_to_k_with_distinct_documents_whatever_the_sizes() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for _ in 0..500 {
            let n_documents = rng.random_range(1..60usize);
            let mut some = |most: usize| {
                let count = rng.random_range(0..=most.min(n_documents));
                index::sample(&mut rng, n_documents, count).into_vec()
            };
            let (found, excluded, k) = (some(9), some(9), 1 + some(20).len());
            let mut documents: Vec<usize> = found
                .into_iter()
                .filter(|d| !excluded.contains(d))
                .take(k)
                .collect();
            let before = documents.clone();
            let mut fill_rng = ChaCha8Rng::seed_from_u64(k as u64);
            fill_up(&mut documents, k, &excluded, n_documents, &mut fill_rng);
            let distinct: HashSet<usize> = documents.iter().copied().collect();
            assert_eq!(documents[..before.len()], before);
            assert_eq!(distinct.len(), documents.len());
            assert_eq!(documents.len(), k.min(n_documents - excluded.len()));
            assert!(excluded.iter().all(|e| !distinct.contains(e)));
        }
    }

    #[test]
    fn the_shuffle_depends_on_seed_epoch_and_row_and_carries_the_positives_along() {
        let pool = Pool {
            documents: (100..132).collect(),
            positives: vec![3, 7],
        };
        let shuffled = pool.shuffled(1, 2, 3);
        assert_eq!(shuffled, pool.shuffled(1, 2, 3));
        let mut sorted = shuffled.documents.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, pool.documents);
        let mut positives: Vec<usize> = shuffled
            .positives
            .iter()
            .map(|&p| shuffled.documents[p])
            .collect();
        positives.sort_unstable();
        assert_eq!(positives, [103, 107]);
        for other in [(0, 2, 3), (1, 0, 3), (1, 2, 0), (2, 1, 3), (1, 3, 2)] {
            assert_ne!(shuffled, pool.shuffled(other.0, other.1, other.2));
        }
    }

    #[test]
    fn the_settings_are_read_from_their_text_form() {
        for source in [PoolSource::AsGiven, PoolSource::Bm25] {
            assert_eq!(source.to_string().parse::<PoolSource>().unwrap(), source);
            let json = serde_json::to_string(&source).unwrap();
            assert_eq!(json, format!("\"{source}\""));
        }
        assert!("dense".parse::<PoolSource>().is_err());
    }
}
