//! Approximate search by a hierarchical navigable small world graph (Malkov and Yashunin 2018, "Efficient
//! and robust approximate nearest neighbor search using hierarchical navigable small world graphs"),
//! crate `hnsw_rs`.
//!
//! The graph is built in memory beside the vectors, 24 neighbours a document and 48 on the lowest layer.
//! On several threads it depends on who comes first, so two graphs of the same documents may differ in what
//! they miss. What it finds, how fast and in how much memory: docs/performance.md.

use super::{Scored, VectorIndex, Vectors, best, check};
use crate::{Error, Result};
use dream_nn::Matrix;
use dream_nn::ops::elementwise::dot;
use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;
use rayon::prelude::*;

/// Neighbours of a document in each layer above the lowest, which has twice as many.
const NEIGHBOURS: usize = 24;
/// Layers, at most.
const LAYERS: usize = 16;

/// How a graph is built and walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphSettings {
    /// Candidates kept while searching, the paper's ef: more find more and take longer.
    pub ef: usize,
    /// Candidates kept while a document is inserted: more make a better graph, more slowly.
    pub ef_construction: usize,
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self {
            ef: 128,
            ef_construction: 100,
        }
    }
}

/// A graph over documents that lie elsewhere.
pub struct Approximate<'a> {
    graph: Hnsw<'a, Point, InnerProduct<'a>>,
    dim: usize,
    ef: usize,
}

/// A document by its position, or a query.
#[derive(Clone)]
enum Point {
    Document(u32),
    Query(Box<[f32]>),
}

/// Of vectors of length 1: the nearest has the largest inner product.
struct InnerProduct<'a> {
    documents: Vec<&'a [f32]>,
}

impl InnerProduct<'_> {
    fn of(&self, a: &Point, b: &Point) -> f32 {
        let [a, b] = [a, b].map(|point| match point {
            Point::Document(position) => self.documents[*position as usize],
            Point::Query(query) => query,
        });
        dot(a, b)
    }
}

/// Points are slices of one.
impl Distance<Point> for InnerProduct<'_> {
    fn eval(&self, a: &[Point], b: &[Point]) -> f32 {
        (1.0 - self.of(&a[0], &b[0])).max(0.0)
    }
}

impl<'a> Approximate<'a> {
    /// Builds the graph, on all threads. The documents must be [`Vectors::widened`].
    ///
    /// # Errors
    /// More than 2^31 - 1 documents, numbers that are not finite, an `ef` of 0.
    pub fn build(vectors: &'a Vectors<'_>, settings: GraphSettings) -> Result<Self> {
        let GraphSettings {
            ef,
            ef_construction,
        } = settings;
        if ef == 0 || ef_construction == 0 {
            let what = "ef must be at least 1, not 0, in building and in searching";
            return Err(Error::Invalid(what.into()));
        }
        let count = vectors.count();
        if i32::try_from(count).is_err() {
            let what = format!("a graph holds up to 2^31 - 1 documents, got {count}");
            return Err(Error::Invalid(what));
        }
        let dim = vectors.dim();
        let documents: Vec<&[f32]> = vectors
            .shards()
            .flat_map(|shard| {
                let numbers = shard.as_plain();
                let numbers = numbers.expect("vectors that are widened. This is a bug.");
                numbers.chunks_exact(dim)
            })
            .collect();
        let is_bad = |document: &&[f32]| document.iter().any(|x| !x.is_finite());
        if let Some(position) = documents.par_iter().position_first(is_bad) {
            return Err(Error::Invalid(format!(
                "document {position} of the index holds numbers that are not finite"
            )));
        }
        let points: Vec<Point> = (0..count as u32).map(Point::Document).collect();
        let numbered: Vec<_> = points.chunks_exact(1).zip(0..).collect();
        let distance = InnerProduct { documents };
        let graph = Hnsw::new(NEIGHBOURS, count, LAYERS, ef_construction, distance);
        graph.parallel_insert_slice(&numbered);
        Ok(Self { graph, dim, ef })
    }
}

impl VectorIndex for Approximate<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn search(&self, queries: &Matrix, k: usize) -> Result<Vec<Vec<Scored>>> {
        check(queries, self.dim, k)?;
        let search = |query: usize| {
            let query = Point::Query(queries.row(query).into());
            let found = self
                .graph
                .search(std::slice::from_ref(&query), k, self.ef.max(k));
            let scored = found.into_iter().map(|found| {
                let position = found.get_origin_id();
                let document = Point::Document(position as u32);
                (position, self.graph.get_distance().of(&query, &document))
            });
            best(scored.collect(), k)
        };
        Ok((0..queries.rows()).into_par_iter().map(search).collect())
    }
}
