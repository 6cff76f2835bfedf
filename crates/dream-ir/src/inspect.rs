//! What training data hold, before anybody trains on them: counts, lengths, pools, and how much of a target could be copied.

use std::collections::HashSet;

use rayon::prelude::*;
use serde::Serialize;

use crate::document::Document;
use crate::error::Result;
use crate::pools::Pool;
use crate::training::TrainingSet;
use crate::verbatim::{RUN_WORDS, Words};

/// Share of rows from which on the loss is said to measure copying.
const MOSTLY: f64 = 0.5;

/// Lengths of texts, in the unit of whoever counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Lengths {
    /// The mean.
    pub mean: f64,
    /// The shortest.
    pub min: usize,
    /// Half are at most as long.
    pub median: usize,
    /// Nine of ten are at most as long.
    pub p90: usize,
    /// Ninety-nine of a hundred are at most as long.
    pub p99: usize,
    /// The longest.
    pub max: usize,
}

impl Lengths {
    /// Of these lengths; all 0 if there are none. A quantile is the smallest length that enough texts do not exceed.
    pub fn of(mut lengths: Vec<usize>) -> Self {
        lengths.sort_unstable();
        let n = lengths.len();
        let (Some(min), Some(max)) = (lengths.first(), lengths.last()) else {
            return Self::default();
        };
        let quantile = |percent: usize| lengths[(n * percent).div_ceil(100).max(1) - 1];
        Self {
            mean: lengths.iter().sum::<usize>() as f64 / n as f64,
            min: *min,
            median: quantile(50),
            p90: quantile(90),
            p99: quantile(99),
            max: *max,
        }
    }
}

/// Counts of rows and documents.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inspection {
    /// Rows.
    pub rows: usize,
    /// Rows that name a known passage.
    pub rows_with_known_passage: usize,
    /// Row ids that stand more than once; training refuses them where they are held out.
    pub duplicate_row_ids: Vec<String>,
    /// Documents.
    pub documents: usize,
    /// Documents whose text another one has too.
    pub duplicate_documents: usize,
    /// Rows whose query stands word for word in a known passage: finding that one is no proof of anything.
    pub queries_in_known_passage: usize,
    /// Of queries.
    pub query_lengths: Lengths,
    /// Of targets.
    pub target_lengths: Lengths,
    /// Of documents, titles included.
    pub document_lengths: Lengths,
}

/// Counts rows and documents; `count` gives the length of a text.
pub fn inspect(
    set: &TrainingSet,
    count: &(dyn Fn(&str) -> Result<usize> + Sync),
) -> Result<Inspection> {
    let mut seen = HashSet::new();
    let twice = set.rows.iter().filter(|row| !seen.insert(row.id.as_str()));
    let twice: HashSet<&str> = twice.map(|row| row.id.as_str()).collect();
    let mut duplicate_row_ids: Vec<String> = twice.into_iter().map(str::to_owned).collect();
    duplicate_row_ids.sort_unstable();
    let texts: Vec<String> = set
        .corpus
        .documents()
        .par_iter()
        .map(Document::full_text)
        .collect();
    let distinct: HashSet<&str> = texts.iter().map(String::as_str).collect();
    let duplicate_documents = texts.len() - distinct.len();
    let lengths = |texts: Vec<&str>| -> Result<Lengths> {
        let counted: Result<Vec<usize>> = texts.into_par_iter().map(count).collect();
        Ok(Lengths::of(counted?))
    };
    let is_in_known = |row: &&crate::TrainingRow| {
        let query = Words::of(&row.query);
        let mut known = row.positive_ids.iter().filter_map(|id| set.corpus.get(id));
        known.any(|document| Words::of(&document.full_text()).holds(&query))
    };
    Ok(Inspection {
        rows: set.rows.len(),
        rows_with_known_passage: set
            .rows
            .iter()
            .filter(|row| !row.positive_ids.is_empty())
            .count(),
        duplicate_row_ids,
        documents: texts.len(),
        duplicate_documents,
        queries_in_known_passage: set.rows.iter().filter(is_in_known).count(),
        query_lengths: lengths(set.rows.iter().map(|row| row.query.as_str()).collect())?,
        target_lengths: lengths(set.rows.iter().map(|row| row.target.as_str()).collect())?,
        document_lengths: lengths(texts.iter().map(String::as_str).collect())?,
    })
}

/// The pools that training would use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PoolInspection {
    /// Candidates asked for.
    pub candidates: usize,
    /// Pools with fewer.
    pub smaller_pools: usize,
    /// Pools with a known passage among the candidates.
    pub with_known_passage: usize,
    /// Rows whose target stands word for word in no candidate.
    pub target_in_none: usize,
    /// ... in exactly one.
    pub target_in_one: usize,
    /// ... in several.
    pub target_in_several: usize,
    /// Of `target_in_one`, targets of at least [`RUN_WORDS`] words: an answer of two words is hardly a copy.
    pub long_target_in_one: usize,
}

impl PoolInspection {
    /// Whether the loss would mostly measure copying (method section 7): long targets that stand in exactly one candidate
    /// give that one away, as a label would.
    pub fn measures_copying(&self) -> bool {
        let rows = self.target_in_none + self.target_in_one + self.target_in_several;
        self.long_target_in_one as f64 > MOSTLY * rows as f64
    }
}

/// Looks for targets in the candidates; `pools` are those of the set's rows, in order.
pub fn inspect_pools(set: &TrainingSet, pools: &[Pool], candidates: usize) -> PoolInspection {
    let documents = set.corpus.documents();
    let words: Vec<Words> = documents
        .par_iter()
        .map(|document| Words::of(&document.full_text()))
        .collect();
    let one = |(row, pool): (&crate::TrainingRow, &Pool)| {
        let target = Words::of(&row.target);
        let holding = pool
            .documents
            .iter()
            .filter(|d| words[**d].holds(&target))
            .count();
        PoolInspection {
            candidates,
            smaller_pools: usize::from(pool.documents.len() < candidates),
            with_known_passage: usize::from(!pool.positives.is_empty()),
            target_in_none: usize::from(holding == 0),
            target_in_one: usize::from(holding == 1),
            target_in_several: usize::from(holding > 1),
            long_target_in_one: usize::from(holding == 1 && target.len() >= RUN_WORDS),
        }
    };
    let add = |a: PoolInspection, b: PoolInspection| PoolInspection {
        candidates,
        smaller_pools: a.smaller_pools + b.smaller_pools,
        with_known_passage: a.with_known_passage + b.with_known_passage,
        target_in_none: a.target_in_none + b.target_in_none,
        target_in_one: a.target_in_one + b.target_in_one,
        target_in_several: a.target_in_several + b.target_in_several,
        long_target_in_one: a.long_target_in_one + b.long_target_in_one,
    };
    let rows = set.rows.par_iter().zip(pools);
    let none = || PoolInspection {
        candidates,
        ..PoolInspection::default()
    };
    rows.map(one).reduce(none, add)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{Corpus, Document, TrainingRow};

    fn set() -> TrainingSet {
        let document = |id: &str, text: &str| Document {
            id: id.into(),
            title: String::new(),
            text: text.into(),
        };
        let long = "one two three four five six seven eight nine";
        let corpus = Corpus::new([
            document("a", &format!("so {long} ten")),
            document("b", "oslo lies in norway"),
            document("c", "oslo lies in norway"),
        ]);
        let row = |id: &str, query: &str, target: &str, known: &[&str]| TrainingRow {
            id: id.into(),
            query: query.into(),
            target: target.into(),
            positive_ids: known.iter().map(|&id| id.to_owned()).collect(),
            candidate_ids: vec![],
            candidate_scores: vec![],
            candidates: vec![],
        };
        let rows = vec![
            row("r", "q q", long, &["a"]),
            row("s", "Oslo lies", "Norway", &["b"]),
            row("r", "q", "gold", &[]),
        ];
        TrainingSet::new(rows, corpus.unwrap()).unwrap()
    }

    #[test]
    fn counts_lengths_and_what_comes_twice() {
        let found = inspect(&set(), &|text| Ok(text.split(' ').count())).unwrap();
        assert_eq!(
            (found.rows, found.rows_with_known_passage, found.documents),
            (3, 2, 3)
        );
        assert_eq!(found.duplicate_row_ids, ["r"]);
        assert_eq!(
            (found.duplicate_documents, found.queries_in_known_passage),
            (1, 1)
        );
        let target = found.target_lengths;
        assert_eq!(
            (target.min, target.median, target.p90, target.max),
            (1, 1, 9, 9)
        );
        assert_eq!(Lengths::of(vec![]), Lengths::default());
    }

    #[test]
    fn targets_are_looked_for_in_their_candidates() {
        let set = set();
        let pool = |row: usize| Pool::new(vec![0, 1, 2], &set.rows[row], &set.corpus);
        let found = inspect_pools(&set, &[pool(0), pool(1), pool(2)], 4);
        let wanted = PoolInspection {
            candidates: 4,
            smaller_pools: 3,
            with_known_passage: 2,
            target_in_none: 1,
            target_in_one: 1,
            target_in_several: 1,
            long_target_in_one: 1,
        };
        assert_eq!(found, wanted);
        assert!(!found.measures_copying());
        let only = TrainingSet {
            rows: vec![set.rows[0].clone()],
            corpus: set.corpus.clone(),
        };
        assert!(inspect_pools(&only, &[pool(0)], 3).measures_copying());
    }
}
