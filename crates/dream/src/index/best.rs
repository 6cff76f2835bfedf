//! The best `k` documents of one query, in a bounded list.
//!
//! The list grows to `2 k`; then the worse half is dropped, and the worst score left is the border that
//! later documents must pass. Few do, so most scores cost one comparison, sixteen at a time. A heap of
//! a thousand candidates took four times as long as the inner products themselves.

use super::search::Scored;
use dream_nn::ops::elementwise::{above, any_above};
use std::cmp::Ordering;

/// Scores compared with the border together.
const CHUNK: usize = 64;

/// The best documents of one query among those seen so far. Documents come in the order of their positions.
#[derive(Clone, Debug)]
pub(super) struct Best {
    k: usize,
    candidates: Vec<Candidate>,
    /// A score must be above it: at the border, an earlier document stands already. Not a number while
    /// nothing has been dropped, which every score is `above`.
    border: f32,
}

/// Ordered by score, then by position: a document that came first is the better one.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: f32,
    document: usize,
}

impl Candidate {
    /// Both zeros are one score, and what is no number ranks above all numbers: it must not be hidden.
    fn new(score: f32, document: usize) -> Self {
        let score = if score.is_nan() {
            f32::NAN
        } else {
            score + 0.0
        };
        Self { score, document }
    }

    fn best_first(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then_with(|| self.document.cmp(&other.document))
    }
}

impl Best {
    /// Nothing seen yet; `k` is at least 1.
    pub fn new(k: usize) -> Self {
        Self {
            k,
            candidates: Vec::new(),
            border: f32::NAN,
        }
    }

    /// Adds documents, whose positions begin at `first`.
    pub fn add(&mut self, first: usize, scores: &[f32]) {
        for (i, chunk) in scores.chunks(CHUNK).enumerate() {
            if !any_above(chunk, self.border) {
                continue;
            }
            for (document, &score) in (first + i * CHUNK..).zip(chunk) {
                if above(score, self.border) {
                    self.push(Candidate::new(score, document));
                }
            }
        }
    }

    /// The best of several lists, best first. Which list a document stood in does not matter: the
    /// order of candidates is total.
    pub fn merge<'a>(lists: impl Iterator<Item = &'a Self>, k: usize) -> Vec<Scored> {
        let all = lists.flat_map(|list| &list.candidates);
        let mut all: Vec<Candidate> = all.copied().collect();
        all.sort_unstable_by(Candidate::best_first);
        all.truncate(k);
        all.iter().map(|c| (c.document, c.score)).collect()
    }

    fn push(&mut self, candidate: Candidate) {
        self.candidates.push(candidate);
        if self.candidates.len() >= self.k.saturating_mul(2) {
            let last = self.k - 1;
            let by = Candidate::best_first;
            let (_, worst, _) = self.candidates.select_nth_unstable_by(last, by);
            self.border = worst.score;
            self.candidates.truncate(self.k);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(scores: &[f32], k: usize) -> Vec<Scored> {
        let mut best = Best::new(k);
        // In pieces, as blocks of documents come.
        for (i, scores) in scores.chunks(100).enumerate() {
            best.add(i * 100, scores);
        }
        assert!(best.candidates.len() < 2 * k);
        Best::merge([&best].into_iter(), k)
    }

    #[test]
    fn the_list_is_bounded_and_equals_sorting() {
        // Many ties: 997 scores in 1500 documents, among them both zeros.
        let scores: Vec<f32> = (0..1500).map(|i| (i * 7919 % 997) as f32 - 500.0).collect();
        let mut sorted: Vec<Scored> = scores.iter().copied().enumerate().collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1)); // stable: ties stay in order
        for k in [1, 2, 7, 64, 600, 1499] {
            assert_eq!(best(&scores, k), sorted[..k], "{k}");
        }
        assert_eq!(best(&scores, usize::MAX / 2).len(), 1500);
    }

    #[test]
    fn zeros_tie_infinities_are_kept_and_what_is_no_number_comes_first() {
        assert_eq!(best(&[-0.0, 0.0, -0.0], 2), [(0, 0.0), (1, 0.0)]);
        let lowest = [f32::NEG_INFINITY; 3];
        assert_eq!(best(&lowest, 2), [(0, lowest[0]), (1, lowest[0])]);
        let mut scores = [f32::INFINITY; 300];
        scores[299] = -f32::NAN;
        let found = best(&scores, 2);
        assert!(found[0].0 == 299 && found[0].1.is_nan());
        assert_eq!(found[1], (0, f32::INFINITY));
    }
}
