//! Batches: which queries meet which documents in which step.
//!
//! Everything is a function of (seed, step), so a resumed run needs no cursor.

use super::config::{DataConfig, TrainConfig};
use super::objective::{Group, GroupQuery};
use super::searched::Searched;
use crate::Result;
use dream_ir::{
    Document, KnownPassage, Pool, PoolSettings, Qrels, Query, TrainingRow, TrainingSet,
};
use rand::SeedableRng;
use rand::seq::{SliceRandom, index};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;
use std::ops::Range;

/// Rows, pools and the held-out rows.
#[derive(Debug)]
pub struct TrainData {
    /// Rows to train on, and the whole corpus.
    pub set: TrainingSet,
    /// Candidates of each training row; empty where they are searched while training.
    pub(super) pools: Vec<Pool>,
    /// Rows never trained on; each names a known passage.
    pub heldout: Vec<TrainingRow>,
    settings: DataConfig,
    seed: u64,
}

/// The documents and queries of one prompt, by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupIndex {
    /// Indices into the corpus, in prompt order.
    pub documents: Vec<usize>,
    /// Rows, and the places of their known passages among the documents.
    pub queries: Vec<(usize, Vec<usize>)>,
}

impl TrainData {
    /// Reads the data of a configuration, keeps `eval.heldout` rows aside and builds the pools.
    pub fn open(config: &TrainConfig) -> Result<Self> {
        let set = match &config.data.rows {
            Some(rows) => TrainingSet::open_rows(&config.data.path, rows)?,
            None => TrainingSet::open(&config.data.path)?,
        };
        let heldout = if config.eval.data.is_some() {
            0
        } else {
            config.eval.heldout
        };
        Self::new(set, &config.data, heldout, config.seed)
    }

    /// The same from rows in memory.
    ///
    /// # Errors
    /// Nothing is left to train on, too few rows name a known passage to evaluate on, or a pool cannot
    /// be built.
    pub fn new(set: TrainingSet, settings: &DataConfig, heldout: usize, seed: u64) -> Result<Self> {
        let TrainingSet { mut rows, corpus } = set;
        rows.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let heldout = hold_out(&mut rows, heldout)?;
        let set = TrainingSet { rows, corpus };
        let pools = if settings.pool.is_embedding() {
            Vec::new()
        } else {
            dream_ir::pools::candidate_pools(&set, &settings.pool_settings(seed))?
        };
        Ok(Self {
            set,
            pools,
            heldout,
            settings: settings.clone(),
            seed,
        })
    }

    /// Whether candidates are searched while training.
    pub fn is_searched(&self) -> bool {
        self.settings.pool.is_embedding()
    }

    /// How pools are built.
    pub fn pool_settings(&self) -> PoolSettings {
        self.settings.pool_settings(self.seed)
    }

    /// The prompts of step number `step` (from 0) with `batch_size` queries. `searched` has their rows'
    /// candidates where those are searched while training.
    pub fn step(
        &self,
        step: u64,
        batch_size: usize,
        searched: Option<&Searched>,
    ) -> Vec<GroupIndex> {
        self.drawn(step..step + 1, batch_size)
            .chunks(self.settings.queries_per_pool)
            .map(|rows| self.group(rows, searched))
            .collect()
    }

    /// The rows of some steps.
    pub fn rows_of(&self, steps: Range<u64>, batch_size: usize) -> BTreeSet<usize> {
        let drawn = self.drawn(steps, batch_size).into_iter();
        drawn.map(|(_, row)| row).collect()
    }

    /// Epochs and rows of some steps, in their order.
    fn drawn(&self, steps: Range<u64>, batch_size: usize) -> Vec<(u64, usize)> {
        let n = self.set.rows.len() as u64;
        let mut order: Vec<usize> = Vec::new();
        let mut epoch = u64::MAX;
        let mut rows = Vec::with_capacity(batch_size);
        for place in steps.start * batch_size as u64..steps.end * batch_size as u64 {
            if epoch != place / n {
                epoch = place / n;
                order = (0..n as usize).collect();
                order.shuffle(&mut ChaCha8Rng::seed_from_u64(
                    self.seed ^ (epoch << 32) ^ 0x5eed,
                ));
            }
            rows.push((epoch, order[(place % n) as usize]));
        }
        rows
    }

    fn group(&self, rows: &[(u64, usize)], searched: Option<&Searched>) -> GroupIndex {
        let (epoch, first_row) = rows[0];
        let k = self.settings.candidates;
        let mut documents: Vec<usize> = Vec::with_capacity(k);
        let ranked = rows.iter().map(|(_, row)| self.ranked(*row, searched));
        let ranked: Vec<Vec<usize>> = ranked.collect();
        // Best candidates of every query first, then second best, until the prompt is full.
        'fill: for rank in 0..k {
            for candidates in &ranked {
                if let Some(document) = candidates.get(rank)
                    && !documents.contains(document)
                {
                    if documents.len() == k {
                        break 'fill;
                    }
                    documents.push(*document);
                }
            }
        }
        let corpus = &self.set.corpus;
        let shuffled = Pool::new(documents, &self.set.rows[first_row], corpus)
            .shuffled(self.seed, epoch, first_row)
            .documents;
        let positives =
            |row: usize| Pool::new(shuffled.clone(), &self.set.rows[row], corpus).positives;
        let queries = rows
            .iter()
            .map(|(_, row)| (*row, positives(*row)))
            .collect();
        GroupIndex {
            documents: shuffled,
            queries,
        }
    }

    /// A row's candidates best first; a known passage that was put in stands first, so that sharing
    /// a prompt does not cut it off.
    fn ranked(&self, row: usize, searched: Option<&Searched>) -> Vec<usize> {
        let pool = match searched {
            Some(searched) => &searched.pool(row, self),
            None => &self.pools[row],
        };
        let mut ranked = pool.documents.clone();
        if self.settings.known_passage == KnownPassage::Include
            && let Some(first) = pool.positives.first()
        {
            let known = ranked.remove(*first);
            ranked.insert(0, known);
        }
        ranked
    }

    /// The texts of a group.
    pub fn texts(&self, group: &GroupIndex) -> Group<'_> {
        let document = |d: &usize| &self.set.corpus.documents()[*d];
        let query = |(row, positives): &(usize, Vec<usize>)| GroupQuery {
            question: &self.set.rows[*row].query,
            target: &self.set.rows[*row].target,
            positives: positives.clone(),
        };
        Group {
            documents: group.documents.iter().map(document).collect(),
            queries: group.queries.iter().map(query).collect(),
        }
    }

    /// Held-out rows as queries with judgements, and the documents to search: all, or the known
    /// passages and seeded others up to `limit`.
    pub fn heldout_set(&self, limit: usize) -> Result<(Vec<&Document>, Vec<Query>, Qrels)> {
        let mut qrels = Qrels::default();
        let mut queries = Vec::new();
        let mut wanted = Vec::new();
        let corpus = &self.set.corpus;
        for row in &self.heldout {
            for id in &row.positive_ids {
                if let Some(index) = corpus.index_of(id) {
                    wanted.push(index);
                    qrels.add(&row.id, id, 1).map_err(crate::Error::Invalid)?;
                }
            }
            queries.push(Query {
                id: row.id.clone(),
                text: row.query.clone(),
            });
        }
        let n = if limit == 0 {
            corpus.len()
        } else {
            limit.min(corpus.len())
        };
        wanted.sort_unstable();
        wanted.dedup();
        if n < corpus.len() {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ 0xe7a1);
            for other in index::sample(&mut rng, corpus.len(), corpus.len()) {
                if wanted.len() >= n {
                    break;
                }
                if !wanted.contains(&other) {
                    wanted.push(other);
                }
            }
            wanted.sort_unstable();
        } else {
            wanted = (0..corpus.len()).collect();
        }
        Ok((
            wanted.iter().map(|d| &corpus.documents()[*d]).collect(),
            queries,
            qrels,
        ))
    }
}

/// Takes the last `n` rows that name a known passage: the others have nothing to be evaluated against.
fn hold_out(rows: &mut Vec<TrainingRow>, n: usize) -> Result<Vec<TrainingRow>> {
    let invalid = |what: String| Err(crate::Error::Invalid(what));
    if rows.len() <= n {
        return invalid(format!(
            "eval.heldout is {n}, but there are only {} training rows: none is left to train on; \
             lower eval.heldout",
            rows.len()
        ));
    }
    let known = rows.iter().filter(|row| !row.positive_ids.is_empty());
    let known = known.count();
    if known < n {
        return invalid(format!(
            "eval.heldout is {n}, but only {known} of {} training rows name a known passage \
             (context_id or positive_ids) to evaluate on: lower eval.heldout (0 trains without \
             evaluation), or set eval.data to a BEIR folder",
            rows.len()
        ));
    }
    let mut heldout = Vec::with_capacity(n);
    for i in (0..rows.len()).rev() {
        if heldout.len() < n && !rows[i].positive_ids.is_empty() {
            heldout.push(rows.remove(i));
        }
    }
    heldout.reverse();
    Ok(heldout)
}
