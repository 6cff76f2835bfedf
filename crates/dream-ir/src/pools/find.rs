//! Sources of candidates that need no embeddings, and the fusion of two.

use std::collections::HashSet;

use rand::seq::{SliceRandom, index};

use crate::bm25::Bm25;
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::fusion::{Method, fuse};
use crate::run::{Hit, Run};
use crate::training::TrainingRow;

use super::rng::{Purpose, row_rng};

/// A document that a source found; its rank is its place in the list, from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Index in the corpus.
    pub document: usize,
    /// Where the source gives one; never NaN.
    pub score: Option<f32>,
}

/// A row and its number, which seeds what is drawn for it.
pub type Numbered<'a> = (usize, &'a TrainingRow);

/// Finds candidates.
#[derive(Clone, Copy)]
pub enum Finder<'a> {
    /// The rows' own candidates.
    AsGiven,
    /// The words of an index of the whole corpus.
    Bm25(&'a Bm25),
    /// Chance, with this seed.
    Random(u64),
    /// Known passages of other rows.
    InBatch(&'a Ring),
}

impl Finder<'_> {
    /// For each row at most `depth` documents, best first.
    ///
    /// # Errors
    /// The corpus does not hold a candidate that a row names, or is not the one that was indexed.
    pub fn find(
        &self,
        rows: &[Numbered<'_>],
        corpus: &Corpus,
        depth: usize,
    ) -> Result<Vec<Vec<Found>>> {
        let numbers = rows.iter().map(|(number, _)| *number);
        match self {
            Self::AsGiven => rows
                .iter()
                .map(|(_, row)| given(row, corpus, depth))
                .collect(),
            Self::Bm25(index) => by_words(index, rows, corpus, depth),
            Self::Random(seed) => Ok(numbers
                .map(|number| {
                    let mut rng = row_rng(Purpose::Draw, *seed, 0, number);
                    let n = corpus.len();
                    let drawn = index::sample(&mut rng, n, depth.min(n));
                    drawn.into_iter().map(Found::unscored).collect()
                })
                .collect()),
            Self::InBatch(ring) => Ok(numbers.map(|number| ring.after(number, depth)).collect()),
        }
    }
}

impl Found {
    fn unscored(document: usize) -> Self {
        Self {
            document,
            score: None,
        }
    }

    fn scored((document, score): (usize, f32)) -> Self {
        Self {
            document,
            score: Some(score),
        }
    }

    /// What searches give: positions in the corpus with their scores.
    pub fn all(hits: impl IntoIterator<Item = (usize, f32)>) -> Vec<Self> {
        hits.into_iter().map(Self::scored).collect()
    }
}

fn given(row: &TrainingRow, corpus: &Corpus, depth: usize) -> Result<Vec<Found>> {
    let ids = row.candidate_ids.iter().enumerate().take(depth);
    let found = ids.map(|(place, id)| {
        Ok(Found {
            document: index_in(corpus, id, row)?,
            score: row.candidate_scores.get(place).copied().flatten(),
        })
    });
    found.collect()
}

fn by_words(
    index: &Bm25,
    rows: &[Numbered<'_>],
    corpus: &Corpus,
    depth: usize,
) -> Result<Vec<Vec<Found>>> {
    if index.len() != corpus.len() {
        let (indexed, held) = (index.len(), corpus.len());
        return Err(Error::Invalid(format!(
            "the index holds {indexed} documents, the corpus {held}: not the same corpus"
        )));
    }
    let queries: Vec<&str> = rows.iter().map(|(_, row)| row.query.as_str()).collect();
    let hits = index.search_all(&queries, depth);
    Ok(hits.into_iter().map(Found::all).collect())
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

/// All rows in a seeded order that ends where it begins: the candidates of a row are the known passages
/// of the rows after it.
#[derive(Debug)]
pub struct Ring {
    /// First known passages in the order of the rows that have one.
    passages: Vec<usize>,
    /// For each row, how many of `passages` come before those that follow it.
    starts: Vec<usize>,
    /// Whether each row has one of its own: the one before its start.
    has_own: Vec<bool>,
}

impl Ring {
    /// Of the first known passage of each row.
    ///
    /// # Errors
    /// Fewer than two rows have one.
    pub fn new(known: &[Option<usize>], seed: u64) -> Result<Self> {
        let n_known = known.iter().flatten().count();
        if n_known < 2 {
            let n = known.len();
            return Err(Error::Invalid(format!(
                "in-batch candidates are known passages of other rows, but {n_known} of {n} rows name one \
                 (context_id or positive_ids)"
            )));
        }
        let mut order: Vec<usize> = (0..known.len()).collect();
        order.shuffle(&mut row_rng(Purpose::Ring, seed, 0, 0));
        let mut ring = Self {
            passages: Vec::with_capacity(n_known),
            starts: vec![0; known.len()],
            has_own: known.iter().map(Option::is_some).collect(),
        };
        for row in order {
            ring.passages.extend(known[row]);
            ring.starts[row] = ring.passages.len();
        }
        Ok(ring)
    }

    /// The ring of rows in memory.
    ///
    /// # Errors
    /// See [`Ring::new`].
    pub fn of_rows(rows: &[TrainingRow], corpus: &Corpus, seed: u64) -> Result<Self> {
        let known: Vec<Option<usize>> = rows.iter().map(|row| first_known(row, corpus)).collect();
        Self::new(&known, seed)
    }

    /// Known passages of the rows after row `number`, up to `n`, none twice.
    pub(super) fn after(&self, number: usize, n: usize) -> Vec<Found> {
        let all = self.passages.len();
        let others = all - usize::from(self.has_own[number]);
        let start = self.starts[number];
        let mut seen = HashSet::new();
        let passages = (start..start + others).map(|place| self.passages[place % all]);
        passages
            .filter(|document| seen.insert(*document))
            .take(n)
            .map(Found::unscored)
            .collect()
    }
}

/// A row's first known passage that the corpus holds.
pub fn first_known(row: &TrainingRow, corpus: &Corpus) -> Option<usize> {
    row.positive_ids.iter().find_map(|id| corpus.index_of(id))
}

/// Two lists for each row as one, at most `depth` documents long.
///
/// # Errors
/// See [`fuse`]; a score is not finite.
pub fn fused(
    lists: &[Vec<Vec<Found>>],
    corpus: &Corpus,
    method: Method,
    weights: &[f64],
    depth: usize,
) -> Result<Vec<Vec<Found>>> {
    let documents = corpus.documents();
    let runs = lists.iter().map(|rows| {
        let mut run = Run::default();
        for (number, found) in rows.iter().enumerate() {
            let hits = found.iter().map(|found| Hit {
                document: documents[found.document].id.clone(),
                score: found.score.unwrap_or(0.0),
            });
            run.insert(number.to_string(), hits.collect())?;
        }
        Ok(run)
    });
    let runs = runs.collect::<Result<Vec<Run>>>()?;
    let fused = fuse(&runs, method, weights, depth)?;
    let n_rows = lists.first().map_or(0, Vec::len);
    let lists = (0..n_rows).map(|number| {
        let hits = fused.get(&number.to_string()).unwrap_or_default();
        let hit = |hit: &Hit| Some((corpus.index_of(&hit.document)?, hit.score));
        Found::all(hits.iter().filter_map(hit))
    });
    Ok(lists.collect())
}
