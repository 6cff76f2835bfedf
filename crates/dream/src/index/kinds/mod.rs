//! Kinds of search over the same documents, behind one trait: exact search is the default and the truth;
//! the others are faster or smaller, and are judged by how much of the truth they find ([`recall`]).
//!
//! | kind | first | then |
//! |---|---|---|
//! | [`Exact`], [`InMemory`] | all inner products | |
//! | [`Approximate`] | a walk through a graph of neighbours (HNSW) | |
//! | [`TwoStage`] | bits or 8-bit integers of all documents | inner products of the best few with what is stored |

mod approximate;
mod exact;
mod in_memory;
mod two_stage;
mod vectors;

pub use approximate::{Approximate, GraphSettings};
pub use exact::Exact;
pub use in_memory::InMemory;
pub use two_stage::{FirstStage, TwoStage};
pub use vectors::Vectors;

use super::search::Scored;
use crate::{Error, Result};
use dream_nn::Matrix;
use std::collections::HashSet;

/// Something that finds the nearest documents of queries. Called by commands with all queries at once;
/// uses all threads.
pub trait VectorIndex {
    /// Size of documents and queries.
    fn dim(&self) -> usize;

    /// For each query, `queries [queries, dim]`, at most `k` documents with their inner products, best
    /// first; positions count as in the index.
    ///
    /// # Errors
    /// Queries of another size, `k` 0 or more than this kind was made for.
    fn search(&self, queries: &Matrix, k: usize) -> Result<Vec<Vec<Scored>>>;
}

/// The share of the documents in `exact` that `found` holds too, over all queries: recall@k of lists cut
/// at k. 1 where there is nothing to find.
pub fn recall(found: &[Vec<Scored>], exact: &[Vec<Scored>]) -> f64 {
    let (mut hits, mut all) = (0, 0);
    for (found, exact) in found.iter().zip(exact) {
        let found: HashSet<usize> = found.iter().map(|(document, _)| *document).collect();
        hits += exact.iter().filter(|(d, _)| found.contains(d)).count();
        all += exact.len();
    }
    if all == 0 {
        return 1.0;
    }
    hits as f64 / all as f64
}

/// Refuses queries of another size, and a `k` of 0.
fn check(queries: &Matrix, dim: usize, k: usize) -> Result<()> {
    if queries.cols() != dim {
        let found = queries.cols();
        return Err(Error::Invalid(format!(
            "the documents have {dim} dimensions, the queries {found}"
        )));
    }
    if k == 0 {
        let what = "the number of documents to find must be at least 1, not 0";
        return Err(Error::Invalid(what.into()));
    }
    Ok(())
}

/// Best first, ties to the document that came first; at most `k`.
fn best(mut scored: Vec<Scored>, k: usize) -> Vec<Scored> {
    scored.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    scored.truncate(k);
    scored
}

#[cfg(test)]
mod tests;
