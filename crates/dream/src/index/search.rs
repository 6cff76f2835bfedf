//! Exact search: inner products in blocks, and the best `k` documents of each query in a bounded heap.
//!
//! Memory is `queries x k` hits and one block of scores, however many documents pass by. Ties at the
//! border of the `k` go to the document that came first; the order of tied documents within a result
//! is settled later, by `dream_ir::Run`, as trec_eval does.

use crate::{Error, Result};
use dream_nn::gemm::{Threads, gemm};
use dream_nn::matrix::{Matrix, View};
use rayon::prelude::*;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Queries whose scores are computed together.
const QUERY_BLOCK: usize = 256;
/// Documents whose scores a thread computes together.
const DOCUMENT_BLOCK: usize = 512;

/// A document's position and its score.
pub type Scored = (usize, f32);

/// The best documents seen so far, for many queries at once.
#[derive(Debug)]
pub struct TopK<'a> {
    queries: &'a Matrix,
    k: usize,
    best: Vec<Heap>,
    n_documents: usize,
}

/// The best candidates of one query, the worst of them on top.
type Heap = BinaryHeap<Reverse<Candidate>>;

/// Ordered by score, then by position: a document that came first is the better one.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: f32,
    document: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = self.score.total_cmp(&other.score);
        by_score.then_with(|| other.document.cmp(&self.document))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

impl<'a> TopK<'a> {
    /// Nothing seen yet; `queries [queries, dim]`.
    ///
    /// # Errors
    /// `k` is 0.
    pub fn new(queries: &'a Matrix, k: usize) -> Result<Self> {
        if k == 0 {
            let what = "the number of documents to find must be at least 1, not 0";
            return Err(Error::Invalid(what.into()));
        }
        Ok(Self {
            queries,
            k,
            best: vec![BinaryHeap::new(); queries.rows()],
            n_documents: 0,
        })
    }

    /// Scores more documents, `documents` row-major `[n, dim]`. Positions go on from the last call.
    pub fn add(&mut self, documents: &[f32]) {
        let dim = self.queries.cols();
        assert_eq!(documents.len() % dim, 0, "whole rows. This is a bug.");
        let (queries, k, first) = (self.queries, self.k, self.n_documents);
        let empty = || vec![Heap::new(); queries.rows()];
        let found = documents.par_chunks(DOCUMENT_BLOCK * dim).enumerate().fold(
            empty,
            |mut heaps, (i, block)| {
                let documents = View::new(block, block.len() / dim, dim);
                add_block(
                    queries,
                    documents,
                    first + i * DOCUMENT_BLOCK,
                    k,
                    &mut heaps,
                );
                heaps
            },
        );
        let found = found.reduce(empty, |into, from| merge(into, from, k));
        self.best = merge(std::mem::take(&mut self.best), found, k);
        self.n_documents += documents.len() / dim;
    }

    /// For each query its documents, best first.
    pub fn finish(self) -> Vec<Vec<Scored>> {
        let sorted = |heap: BinaryHeap<Reverse<Candidate>>| {
            let hits = heap.into_sorted_vec().into_iter();
            hits.map(|Reverse(c)| (c.document, c.score)).collect()
        };
        self.best.into_par_iter().map(sorted).collect()
    }
}

/// Scores `documents [n, dim]`, whose positions begin at `first`, on the calling thread.
fn add_block(queries: &Matrix, documents: View<'_>, first: usize, k: usize, heaps: &mut [Heap]) {
    for (block, heaps) in heaps.chunks_mut(QUERY_BLOCK).enumerate() {
        let start = block * QUERY_BLOCK;
        let queries = queries.view().rows(start..start + heaps.len());
        let mut scores = Matrix::zeros(heaps.len(), documents.rows_len());
        let one = Threads::One;
        gemm(scores.view_mut(), queries, documents.t(), 1.0, false, one);
        for (row, heap) in heaps.iter_mut().enumerate() {
            for (document, &score) in (first..).zip(scores.row(row)) {
                push(heap, k, Candidate { score, document });
            }
        }
    }
}

/// The best of both, query by query: the order of candidates is total, so who found them does not matter.
fn merge(mut into: Vec<Heap>, from: Vec<Heap>, k: usize) -> Vec<Heap> {
    for (heap, others) in into.iter_mut().zip(from) {
        for Reverse(candidate) in others {
            push(heap, k, candidate);
        }
    }
    into
}

fn push(heap: &mut Heap, k: usize, candidate: Candidate) {
    if heap.len() < k {
        heap.push(Reverse(candidate));
    } else if let Some(mut worst) = heap.peek_mut()
        && worst.0 < candidate
    {
        *worst = Reverse(candidate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    fn search<'a>(
        queries: &Matrix,
        shards: impl IntoIterator<Item = &'a [f32]>,
        k: usize,
    ) -> Result<Vec<Vec<Scored>>> {
        let mut top = TopK::new(queries, k)?;
        shards.into_iter().for_each(|shard| top.add(shard));
        Ok(top.finish())
    }

    fn random(rows: usize, cols: usize, seed: u64) -> Matrix {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let data = (0..rows * cols).map(|_| rng.random_range(-1.0..1.0));
        Matrix::from_vec(rows, cols, data.collect())
    }

    #[test]
    fn blocked_search_over_shards_equals_sorting_all_inner_products() -> Result<()> {
        // Sizes on both sides of a block's border; the expectation is the definition.
        let (queries, documents) = (random(300, 5, 1), random(1500, 5, 2));
        let (a, b) = documents.data().split_at(1101 * 5);
        let found = search(&queries, [a, b], 7)?;
        for q in (0..300).step_by(37) {
            let score = |d: usize| -> f32 {
                let pairs = queries.row(q).iter().zip(documents.row(d));
                pairs.map(|(x, y)| x * y).sum()
            };
            let mut all: Vec<Scored> = (0..1500).map(|d| (d, score(d))).collect();
            all.sort_by(|x, y| y.1.total_cmp(&x.1));
            assert_eq!(found[q].len(), 7);
            for (got, want) in found[q].iter().zip(&all) {
                assert!((got.1 - want.1).abs() < 1e-5, "query {q}: {got:?} {want:?}");
                assert!((score(got.0) - got.1).abs() < 1e-5);
            }
        }
        Ok(())
    }

    #[test]
    fn ties_at_the_border_go_to_the_document_that_came_first() -> Result<()> {
        let query = Matrix::from_vec(1, 1, vec![1.0]);
        let found = search(&query, [&[0.5, 1.0, 0.5][..], &[0.5]], 2)?;
        assert_eq!(found, [vec![(1, 1.0), (0, 0.5)]]);
        Ok(())
    }

    #[test]
    fn fewer_documents_than_asked_for_are_all_found_and_none_asked_for_is_an_error() -> Result<()> {
        let query = Matrix::from_vec(1, 1, vec![-1.0]);
        assert_eq!(
            search(&query, [&[1.0, 2.0][..]], 9)?,
            [vec![(0, -1.0), (1, -2.0)]]
        );
        assert_eq!(search(&query, [], 9)?, [vec![]]);
        assert!(search(&query, [], 0).is_err());
        Ok(())
    }

    #[test]
    fn a_score_that_is_no_number_is_not_hidden() -> Result<()> {
        let query = Matrix::from_vec(1, 1, vec![1.0]);
        let found = search(&query, [&[1.0, f32::NAN, 2.0][..]], 1)?;
        assert!(found[0][0].1.is_nan()); // `Run::insert` then says so
        Ok(())
    }
}
