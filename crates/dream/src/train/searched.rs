//! Candidates that are searched while training, with the retriever as it is then.
//!
//! A *period* is the steps from one search to the next. A search embeds the whole corpus, and finds
//! candidates for the rows of its period and no others.

use super::data::TrainData;
use crate::candidates::{Dense, Fusion, Source};
use crate::evaluate::Progress;
use crate::index::kinds::InMemory;
use crate::retriever::Retriever;
use crate::{Error, Result};
use dream_ir::pools::{Numbered, most_known, select_all};
use dream_ir::{Bm25, Pool, PoolSource};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Rows that are searched together.
const CHUNK_ROWS: usize = 1024;

/// The candidates of a period's rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Searched {
    /// Optimiser steps done when they were searched.
    pub step: u64,
    /// By the number of the row: documents of the corpus, best first.
    documents: BTreeMap<usize, Vec<usize>>,
}

impl Searched {
    /// Searches the candidates of `rows`. `words` is the index of the corpus, for hybrid candidates;
    /// `progress` gets the documents that are embedded and those in all.
    ///
    /// # Errors
    /// See [`InMemory::embed`], [`Source::find`] and [`select_all`]; a row has no candidate.
    pub fn search(
        data: &TrainData,
        step: u64,
        rows: &BTreeSet<usize>,
        (retriever, words): (&Retriever, Option<&Bm25>),
        progress: &mut Progress,
    ) -> Result<Self> {
        let (set, settings) = (&data.set, data.pool_settings());
        let embedded = InMemory::embed(retriever, &set.corpus, progress)?;
        let dense = Dense {
            retriever,
            documents: &embedded,
        };
        let fusion = Fusion::default();
        let source = match words {
            Some(words) if settings.source == PoolSource::Hybrid => {
                Source::Hybrid(dense, words, &fusion)
            }
            _ => Source::Dense(dense),
        };
        let depth = settings.depth(most_known(&set.rows));
        let numbered: Vec<Numbered<'_>> = rows.iter().map(|row| (*row, &set.rows[*row])).collect();
        let mut documents = BTreeMap::new();
        for rows in numbered.chunks(CHUNK_ROWS) {
            let found = source.find(rows, &set.corpus, depth)?;
            let selections = select_all(rows, &found, &set.corpus, &settings)?;
            for ((number, row), selection) in rows.iter().zip(selections) {
                let pool = selection.into_pool(row, &set.corpus)?;
                documents.insert(*number, pool.documents);
            }
            if !progress(set.corpus.len(), set.corpus.len()) {
                return Err(Error::Stopped);
            }
        }
        Ok(Self { step, documents })
    }

    /// Refuses candidates that cannot be those of `rows`, as a damaged checkpoint might hold.
    pub fn check(&self, data: &TrainData, rows: &BTreeSet<usize>) -> Result<()> {
        let n = data.set.corpus.len();
        let is_good = |row: &usize| {
            let documents = self.documents.get(row);
            documents.is_some_and(|all| !all.is_empty() && all.iter().all(|d| *d < n))
        };
        match rows.iter().find(|row| !is_good(row)) {
            None => Ok(()),
            Some(row) => Err(Error::Invalid(format!(
                "the checkpoint holds no usable candidates of row {:?}",
                data.set.rows[*row].id
            ))),
        }
    }

    /// The pool of a row of the period.
    pub fn pool(&self, row: usize, data: &TrainData) -> Pool {
        let documents = self.documents.get(&row);
        let documents = documents.expect("rows of the period were searched. This is a bug.");
        Pool::new(documents.clone(), &data.set.rows[row], &data.set.corpus)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }

    /// Share of the rows with a known passage whose pool holds one.
    pub fn with_known_passage(&self, data: &TrainData) -> Option<f64> {
        let rows = self.documents.keys().copied();
        let known: Vec<usize> = rows
            .filter(|row| !data.set.rows[*row].positive_ids.is_empty())
            .collect();
        let holds = |row: &&usize| !self.pool(**row, data).positives.is_empty();
        let with = known.iter().filter(holds).count();
        (!known.is_empty()).then(|| with as f64 / known.len() as f64)
    }
}
