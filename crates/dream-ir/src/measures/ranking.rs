//! One query's ranking as grades, and the value of each measure over it.

use std::collections::BTreeMap;

use super::Measure;
use crate::run::Hit;

/// What the measures need to know of one query.
#[derive(Debug)]
pub(super) struct Ranking {
    /// Grades of the documents found, best first; `None` where a document is not judged.
    grades: Vec<Option<i32>>,
    /// Grades above 0 of all judged documents, largest first.
    ideal: Vec<i32>,
    /// Number of judged documents of at least the relevance level.
    n_relevant: usize,
    relevance_level: i32,
}

impl Ranking {
    /// Of documents best first, and judgements by document id.
    pub(super) fn new<'a>(
        hits: impl Iterator<Item = &'a Hit>,
        judged: &BTreeMap<String, i32>,
        relevance_level: i32,
    ) -> Self {
        let mut ideal: Vec<i32> = judged
            .values()
            .copied()
            .filter(|grade| *grade > 0)
            .collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        let relevant = judged.values().filter(|grade| **grade >= relevance_level);
        Self {
            grades: hits.map(|hit| judged.get(&hit.document).copied()).collect(),
            n_relevant: relevant.count(),
            ideal,
            relevance_level,
        }
    }

    /// The value of a measure, from 0 to 1.
    pub(super) fn value(&self, measure: Measure) -> f64 {
        let relevant = self.n_relevant as f64;
        match measure {
            Measure::Ndcg(k) => ratio(
                discounted(self.grades.iter().take(k).map(|grade| grade.unwrap_or(0))),
                discounted(self.ideal.iter().take(k).copied()),
            ),
            Measure::Map(k) => ratio(self.precisions(k), relevant),
            Measure::Recall(k) => ratio(self.found(k) as f64, relevant),
            Measure::Precision(k) => ratio(self.found(k) as f64, k as f64),
            Measure::Rr(k) => self
                .relevant_ranks(k)
                .next()
                .map_or(0.0, |rank| 1.0 / rank as f64),
            Measure::Success(k) => f64::from(u8::from(self.found(k) > 0)),
            Measure::RCap(k) => ratio(self.found(k) as f64, self.n_relevant.min(k) as f64),
            Measure::Judged(k) => {
                let judged = self.grades.iter().take(k).flatten().count();
                ratio(judged as f64, self.grades.len().min(k) as f64)
            }
        }
    }

    /// Ranks, from 1, of the relevant documents among the first k.
    fn relevant_ranks(&self, k: usize) -> impl Iterator<Item = usize> {
        let ranked = self.grades.iter().zip(1..).take(k);
        ranked.filter_map(|(grade, rank)| {
            grade
                .is_some_and(|grade| grade >= self.relevance_level)
                .then_some(rank)
        })
    }

    /// Number of relevant documents among the first k.
    fn found(&self, k: usize) -> usize {
        self.relevant_ranks(k).count()
    }

    /// Sum of the precisions at the relevant documents among the first k.
    fn precisions(&self, k: usize) -> f64 {
        self.relevant_ranks(k)
            .zip(1..)
            .fold(0.0, |sum, (rank, found)| {
                sum + f64::from(found) / rank as f64
            })
    }
}

/// Sum of grades above 0 over log2(rank + 1), ranks from 1.
fn discounted(grades: impl Iterator<Item = i32>) -> f64 {
    grades
        .zip(1u32..)
        .map(|(grade, rank)| f64::from(grade.max(0)) / f64::from(rank + 1).log2())
        .fold(0.0, |sum, gain| sum + gain) // sum() of nothing is -0
}

/// The quotient, 0 where there is nothing to divide by.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}
