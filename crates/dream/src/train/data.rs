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
use std::collections::{BTreeSet, HashSet};
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
    /// The queries.
    pub queries: Vec<QueryIndex>,
}

/// A query of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryIndex {
    /// Its row.
    pub row: usize,
    /// Places of its known passages among the documents, those that it must not see left out.
    pub positives: Vec<usize>,
    /// Places of documents that it must not see: its known passages where these are excluded, which stand
    /// there because of another query.
    pub hidden: Vec<usize>,
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
        let queries = rows.iter().map(|(_, row)| self.query(*row, &shuffled));
        GroupIndex {
            queries: queries.collect(),
            documents: shuffled,
        }
    }

    /// All queries and documents of a step as one group, each document once.
    pub fn batch(&self, groups: &[GroupIndex]) -> GroupIndex {
        let mut documents: Vec<usize> = Vec::new();
        let mut seen = HashSet::new();
        for group in groups {
            let fresh = group.documents.iter().filter(|d| seen.insert(**d));
            documents.extend(fresh);
        }
        let queries = groups.iter().flat_map(|group| &group.queries);
        let queries = queries.map(|query| self.query(query.row, &documents));
        GroupIndex {
            queries: queries.collect(),
            documents,
        }
    }

    fn query(&self, row: usize, documents: &[usize]) -> QueryIndex {
        let corpus = &self.set.corpus;
        let known = Pool::new(documents.to_vec(), &self.set.rows[row], corpus).positives;
        let (positives, hidden) = match self.settings.known_passage {
            KnownPassage::Exclude => (Vec::new(), known),
            KnownPassage::AsFound | KnownPassage::Include => (known, Vec::new()),
        };
        QueryIndex {
            row,
            positives,
            hidden,
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
        let query = |query: &QueryIndex| GroupQuery {
            question: &self.set.rows[query.row].query,
            target: &self.set.rows[query.row].target,
            positives: query.positives.clone(),
            hidden: query.hidden.clone(),
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

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use dream_ir::Corpus;

    /// Twenty documents about iron, each of which a row was made of; its neighbour holds a part of the target too.
    fn own_documents() -> TrainingSet {
        let document = |i: usize| Document {
            id: format!("d{i}"),
            title: String::new(),
            text: format!("iron part {i}"),
        };
        let row = |i: usize| TrainingRow {
            id: format!("r{i}"),
            query: format!("iron {i}"),
            target: "t".into(),
            positive_ids: vec![format!("d{i}"), format!("d{}", (i + 1) % 20)],
            candidate_ids: Vec::new(),
            candidate_scores: Vec::new(),
            candidates: Vec::new(),
        };
        let corpus = Corpus::new((0..20).map(document)).unwrap();
        TrainingSet::new((0..20).map(row).collect(), corpus).unwrap()
    }

    fn excluding() -> TrainData {
        let settings: DataConfig = toml::from_str(
            "path = ''\nknown_passage = 'exclude'\ncandidates = 6\nqueries_per_pool = 3",
        )
        .unwrap();
        TrainData::new(own_documents(), &settings, 5, 1).unwrap()
    }

    #[test]
    fn held_out_rows_are_judged_by_the_documents_that_their_pools_may_not_hold() {
        let data = excluding();
        assert_eq!(data.heldout.len(), 5);
        for limit in [0, 1, 12] {
            let (documents, queries, qrels) = data.heldout_set(limit).unwrap();
            assert_eq!((queries.len(), qrels.len()), (5, 5));
            for row in &data.heldout {
                for id in &row.positive_ids {
                    assert_eq!(qrels.get(&row.id).unwrap().get(id), Some(&1));
                    assert!(
                        documents.iter().any(|document| document.id == *id),
                        "{id} of {limit}"
                    );
                }
            }
        }
    }
}
