//! Exact search: inner products in blocks, and the best `k` documents of each query in a bounded list.
//!
//! Each thread takes the next block of documents, scores it and keeps its own lists, which are merged at
//! the end: memory is `threads x queries x 2 k` candidates and a block of scores a thread, however many
//! documents pass by. A block of stored documents becomes `f32` just before it is scored. Ties at the border of the `k` go to the document that came first; the order of
//! tied documents within a result is settled later, by `dream_ir::Run`, as trec_eval does.

use super::best::Best;
use crate::{Error, Result};
use dream_nn::Rows;
use dream_nn::gemm::{Threads, gemm};
use dream_nn::matrix::{Matrix, View, ViewMut};
use dream_nn::ops::elementwise::dot;
use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Queries whose scores are computed together.
const QUERY_BLOCK: usize = 256;
/// Documents whose scores a thread computes together.
const DOCUMENT_BLOCK: usize = 512;
/// Up to so many queries are multiplied row by row: a product would first copy every document into
/// its own order, which takes longer than reading it.
const FEW_QUERIES: usize = 8;

/// A document's position and its score.
pub type Scored = (usize, f32);

/// The best documents seen so far, for many queries at once.
#[derive(Debug)]
pub struct TopK<'a> {
    queries: &'a Matrix,
    k: usize,
    workers: Vec<Worker>,
    n_documents: usize,
}

/// What a thread keeps between blocks.
#[derive(Clone, Debug)]
struct Worker {
    /// By query.
    best: Vec<Best>,
    /// Scores of a block, `[queries, documents]`.
    scores: Vec<f32>,
    /// A block of documents as `f32`, `[documents, dim]`, where they are stored as something else.
    widened: Vec<f32>,
}

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
        let worker = Worker {
            best: vec![Best::new(k); queries.rows()],
            scores: vec![0.0; queries.rows().min(QUERY_BLOCK) * DOCUMENT_BLOCK],
            widened: Vec::new(),
        };
        Ok(Self {
            queries,
            k,
            workers: vec![worker; rayon::current_num_threads()],
            n_documents: 0,
        })
    }

    /// Scores more documents, `[n, dim]`. Positions go on from the last call.
    pub fn add(&mut self, documents: Rows<'_>) {
        let (queries, first) = (self.queries, self.n_documents);
        assert_eq!(documents.dim(), queries.cols(), "sizes. This is a bug.");
        let n = documents.count();
        let next = AtomicUsize::new(0);
        let work = |worker: &mut Worker| {
            // Blocks reach a worker in the order of their positions, as `Best` wants them.
            loop {
                let start = next.fetch_add(DOCUMENT_BLOCK, Ordering::Relaxed);
                if start >= n {
                    break;
                }
                let end = n.min(start + DOCUMENT_BLOCK);
                worker.add(queries, documents, start..end, first);
            }
        };
        self.workers.par_iter_mut().with_max_len(1).for_each(work);
        self.n_documents += n;
    }

    /// For each query its documents, best first.
    pub fn finish(self) -> Vec<Vec<Scored>> {
        let lists = |query: usize| self.workers.iter().map(move |worker| &worker.best[query]);
        (0..self.queries.rows())
            .into_par_iter()
            .map(|query| Best::merge(lists(query), self.k))
            .collect()
    }
}

impl Worker {
    /// Scores some of `documents`, the first of which has position `first`, on the calling thread.
    fn add(&mut self, queries: &Matrix, documents: Rows<'_>, range: Range<usize>, first: usize) {
        let (n, first) = (range.len(), first + range.start);
        let documents = documents.block(range, &mut self.widened);
        for (block, best) in self.best.chunks_mut(QUERY_BLOCK).enumerate() {
            let start = block * QUERY_BLOCK;
            let scores = &mut self.scores[..best.len() * n];
            score(queries, start..start + best.len(), documents, scores);
            for (best, scores) in best.iter_mut().zip(scores.chunks_exact(n)) {
                best.add(first, scores);
            }
        }
    }
}

/// Inner products of some queries, `[range.len(), documents]`.
fn score(queries: &Matrix, range: Range<usize>, documents: &[f32], scores: &mut [f32]) {
    let dim = queries.cols();
    let n = documents.len() / dim;
    if range.len() > FEW_QUERIES {
        let scores = ViewMut::new(scores, range.len(), n, n);
        let (queries, documents) = (queries.view().rows(range), View::new(documents, n, dim));
        return gemm(scores, queries, documents.t(), 1.0, false, Threads::One);
    }
    for (i, document) in documents.chunks_exact(dim).enumerate() {
        for (row, query) in range.clone().enumerate() {
            scores[row * n + i] = dot(queries.row(query), document);
        }
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
        let rows = |shard| Rows::plain(shard, queries.cols());
        shards.into_iter().for_each(|shard| top.add(rows(shard)));
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
        let (all_queries, documents) = (random(300, 5, 1), random(1500, 5, 2));
        let (a, b) = documents.data().split_at(1101 * 5);
        for n_queries in [1, FEW_QUERIES, 300] {
            let queries = all_queries.rows_copy(0..n_queries);
            let found = search(&queries, [a, b], 7)?;
            for q in (0..n_queries).step_by(37) {
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
