//! Approximate search by a hierarchical navigable small world graph (Malkov and Yashunin 2018, "Efficient
//! and robust approximate nearest neighbor search using hierarchical navigable small world graphs"),
//! crate `instant-distance`.
//!
//! The graph is built in memory, 32 neighbours a document and 64 on the lowest layer, about 270 bytes a
//! document beside the vectors. The order in which documents are inserted is drawn from a fixed seed; on
//! one thread the graph is always the same, on several it depends on who comes first.

use super::{Scored, VectorIndex, Vectors, best, check};
use crate::{Error, Result};
use dream_nn::Matrix;
use dream_nn::ops::elementwise::dot;
use instant_distance::{Builder, Hnsw, Point, Search};
use rayon::prelude::*;

/// How a graph is built and walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraphSettings {
    /// Candidates kept while searching, the paper's ef: more find more and take longer.
    pub ef: usize,
    /// Candidates kept while a document is inserted: more make a better graph, more slowly.
    pub ef_construction: usize,
    /// Of the order of insertion.
    pub seed: u64,
}

impl Default for GraphSettings {
    fn default() -> Self {
        Self {
            ef: 100,
            ef_construction: 100,
            seed: 0,
        }
    }
}

/// A graph over documents that lie elsewhere.
pub struct Approximate<'a> {
    graph: Hnsw<Row<'a>>,
    /// Position of each document by its number in the graph.
    positions: Vec<u32>,
    dim: usize,
    ef: usize,
}

/// A document or a query of length 1: the nearest has the largest inner product.
#[derive(Clone, Copy)]
struct Row<'a>(&'a [f32]);

impl Point for Row<'_> {
    fn distance(&self, other: &Self) -> f32 {
        1.0 - dot(self.0, other.0)
    }
}

impl<'a> Approximate<'a> {
    /// Builds the graph, on all threads. The documents must be [`Vectors::widened`].
    ///
    /// # Errors
    /// More than 2^32 - 2 documents, numbers that are not finite, an `ef` of 0.
    pub fn build(vectors: &'a Vectors<'_>, settings: GraphSettings) -> Result<Self> {
        let GraphSettings {
            ef,
            ef_construction,
            seed,
        } = settings;
        if ef == 0 || ef_construction == 0 {
            let what = "ef must be at least 1, not 0, in building and in searching";
            return Err(Error::Invalid(what.into()));
        }
        let count = vectors.count();
        if u32::try_from(count).is_ok_and(|count| count < u32::MAX) {
            let dim = vectors.dim();
            let rows: Vec<Row<'_>> = vectors
                .shards()
                .flat_map(|shard| {
                    let numbers = shard.as_plain();
                    let numbers = numbers.expect("vectors that are widened. This is a bug.");
                    numbers.chunks_exact(dim).map(Row)
                })
                .collect();
            let is_bad = |row: &Row<'_>| row.0.iter().any(|x| !x.is_finite());
            if let Some(position) = rows.par_iter().position_first(is_bad) {
                return Err(Error::Invalid(format!(
                    "document {position} of the index holds numbers that are not finite"
                )));
            }
            let builder = Builder::default()
                .ef_search(ef)
                .ef_construction(ef_construction)
                .seed(seed);
            let (graph, numbers) = builder.build_hnsw(rows);
            let mut positions = vec![0; count];
            for (position, number) in (0..).zip(numbers) {
                positions[number.into_inner() as usize] = position;
            }
            return Ok(Self {
                graph,
                positions,
                dim,
                ef,
            });
        }
        Err(Error::Invalid(format!(
            "a graph holds up to 2^32 - 2 documents, got {count}"
        )))
    }
}

impl VectorIndex for Approximate<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn search(&self, queries: &Matrix, k: usize) -> Result<Vec<Vec<Scored>>> {
        check(queries, self.dim, k)?;
        if k > self.ef {
            let ef = self.ef;
            return Err(Error::Invalid(format!(
                "a graph made for ef {ef} finds at most {ef} documents, not {k}"
            )));
        }
        let search = |search: &mut Search, query: usize| {
            let query = queries.row(query);
            let found = self.graph.search(&Row(query), search);
            let scored = found.take(k).map(|item| {
                let position = self.positions[item.pid.into_inner() as usize];
                (position as usize, dot(query, item.point.0))
            });
            best(scored.collect(), k)
        };
        let all = 0..queries.rows();
        Ok(all
            .into_par_iter()
            .map_init(Search::default, search)
            .collect())
    }
}
