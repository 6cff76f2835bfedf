//! What mining found, in numbers.

use dream_ir::pools::{Dropped, Origin, Selection};
use dream_ir::{Corpus, TrainingRow};
use serde::{Deserialize, Serialize};

/// Counts over rows; sums where means are wanted, so that a later process can go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Rows that were read.
    pub rows: u64,
    /// Rows for which nothing was left: they were not written.
    pub left_out: u64,
    /// Candidates in all rows.
    pub candidates: u64,
    /// Candidates that were drawn at random to fill up.
    pub filled: u64,
    /// Rows that name a known passage.
    pub known_rows: u64,
    /// Those of them for which the source found it.
    pub known_found: u64,
    /// Its ranks, added up.
    pub known_rank_sum: u64,
    /// Documents that were kept out.
    pub dropped: Dropped,
    /// Rows that had candidates before.
    pub given_rows: u64,
    /// For each of them, the share of those that are candidates again; added up.
    pub overlap_sum: f64,
}

impl Summary {
    /// Counts a row.
    pub(super) fn add(&mut self, row: &TrainingRow, selection: &Selection, corpus: &Corpus) {
        let candidates = &selection.candidates;
        self.rows += 1;
        self.left_out += u64::from(candidates.is_empty());
        self.candidates += candidates.len() as u64;
        let filled = candidates.iter().filter(|c| c.origin == Origin::Fill);
        self.filled += filled.count() as u64;
        self.known_rows += u64::from(!row.positive_ids.is_empty());
        if let Some(rank) = selection.known_rank {
            self.known_found += 1;
            self.known_rank_sum += rank as u64;
        }
        self.dropped += selection.dropped;
        let given = &row.candidate_ids;
        if !given.is_empty() {
            let document = |id: &String| corpus.index_of(id);
            let again = given
                .iter()
                .filter(|id| candidates.iter().any(|c| Some(c.document) == document(id)));
            self.given_rows += 1;
            self.overlap_sum += again.count() as f64 / given.len() as f64;
        }
    }

    /// Rows that were written.
    pub fn written(&self) -> u64 {
        self.rows - self.left_out
    }

    /// Share of the rows with a known passage for which the source found it.
    pub fn known_share(&self) -> Option<f64> {
        mean(self.known_found as f64, self.known_rows)
    }

    /// Its mean rank where it was found, from 1.
    pub fn known_mean_rank(&self) -> Option<f64> {
        mean(self.known_rank_sum as f64, self.known_found)
    }

    /// Mean share of the candidates that rows had before.
    pub fn mean_overlap(&self) -> Option<f64> {
        mean(self.overlap_sum, self.given_rows)
    }
}

fn mean(sum: f64, n: u64) -> Option<f64> {
    (n > 0).then(|| sum / n as f64)
}
