//! Search in two stages: the documents as one bit or one byte a number, then the best of them by their
//! inner products with what the index stores.
//!
//! The first stage takes 1/32 or 1/4 of the memory of `f32` and is read whole; of the index itself only
//! `factor * k` documents a query are.

use super::super::best::Best;
use super::super::search::TopK;
use super::{Scored, VectorIndex, Vectors, best, check};
use crate::{Error, Result};
use dream_nn::ops::elementwise::dot;
use dream_nn::{Matrix, Rows, Signs, Storage};
use rayon::prelude::*;
use std::fmt;
use std::str::FromStr;

/// Documents that are read together while the first stage is made.
const BLOCK: usize = 4096;

/// How the first stage holds documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstStage {
    /// One bit a number, compared by counting bits ([`Signs`]).
    Binary,
    /// One byte a number and one scale a document ([`Storage::I8`]).
    I8,
}

/// A first stage over documents that lie elsewhere.
#[derive(Debug)]
pub struct TwoStage<'a> {
    vectors: &'a Vectors<'a>,
    first: First,
    factor: usize,
}

#[derive(Debug)]
enum First {
    Signs(Signs),
    Integers { bytes: Vec<u8>, scales: Vec<f32> },
}

impl<'a> TwoStage<'a> {
    /// Makes the first stage; `factor * k` of its best documents are scored again.
    ///
    /// # Errors
    /// `factor` is 0.
    pub fn build(vectors: &'a Vectors<'a>, first: FirstStage, factor: usize) -> Result<Self> {
        if factor == 0 {
            let what = "the factor of rescoring must be at least 1, not 0";
            return Err(Error::Invalid(what.into()));
        }
        let first = match first {
            FirstStage::Binary => First::Signs(signs(vectors)),
            FirstStage::I8 => integers(vectors),
        };
        Ok(Self {
            vectors,
            first,
            factor,
        })
    }

    /// Bytes of the first stage.
    pub fn first_bytes(&self) -> usize {
        match &self.first {
            First::Signs(signs) => signs.bytes(),
            First::Integers { bytes, scales } => bytes.len() + size_of_val(scales.as_slice()),
        }
    }

    fn candidates(&self, queries: &Matrix, n: usize) -> Result<Vec<Vec<Scored>>> {
        match &self.first {
            First::Signs(signs) => Ok(nearest_signs(signs, queries, n)),
            First::Integers { bytes, scales } => {
                let mut top = TopK::new(queries, n)?;
                top.add(Rows::stored(Storage::I8, bytes, scales, self.vectors.dim()));
                Ok(top.finish())
            }
        }
    }
}

impl VectorIndex for TwoStage<'_> {
    fn dim(&self) -> usize {
        self.vectors.dim()
    }

    fn search(&self, queries: &Matrix, k: usize) -> Result<Vec<Vec<Scored>>> {
        check(queries, self.dim(), k)?;
        let n = self.factor.saturating_mul(k).min(self.vectors.count());
        let candidates = self.candidates(queries, n.max(1))?;
        let rescore = |scratch: &mut Vec<f32>, (query, candidates): (usize, Vec<Scored>)| {
            let query = queries.row(query);
            let score = |(position, _)| {
                let document = self.vectors.row(position, scratch);
                (position, dot(query, document))
            };
            best(candidates.into_iter().map(score).collect(), k)
        };
        let candidates = candidates.into_par_iter().enumerate();
        Ok(candidates.map_init(Vec::new, rescore).collect())
    }
}

/// Mean of each dimension, then the bits.
fn signs(vectors: &Vectors<'_>) -> Signs {
    let mut sums = vec![0f64; vectors.dim()];
    for_each_block(vectors, |block| {
        for row in block.chunks_exact(sums.len()) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += f64::from(*x);
            }
        }
    });
    let count = vectors.count() as f64;
    let means = sums.into_iter().map(|sum| (sum / count) as f32).collect();
    let mut signs = Signs::new(means);
    for_each_block(vectors, |block| signs.extend(block));
    signs
}

fn integers(vectors: &Vectors<'_>) -> First {
    let mut bytes = Vec::with_capacity(vectors.count() * vectors.dim());
    let mut scales = Vec::with_capacity(vectors.count());
    for_each_block(vectors, |block| {
        for row in block.chunks_exact(vectors.dim()) {
            scales.extend(Storage::I8.narrow(row, &mut bytes));
        }
    });
    First::Integers { bytes, scales }
}

fn for_each_block(vectors: &Vectors<'_>, mut work: impl FnMut(&[f32])) {
    let mut scratch = Vec::new();
    for rows in vectors.shards() {
        for start in (0..rows.count()).step_by(BLOCK) {
            let end = rows.count().min(start + BLOCK);
            work(rows.block(start..end, &mut scratch));
        }
    }
}

/// The `n` rows nearest to each query by their bits.
fn nearest_signs(signs: &Signs, queries: &Matrix, n: usize) -> Vec<Vec<Scored>> {
    let bits: Vec<Vec<u64>> = (0..queries.rows())
        .map(|query| signs.of(queries.row(query)))
        .collect();
    // As few lists as there are threads, each over blocks in the order of their positions.
    let a_list = signs.blocks().div_ceil(rayon::current_num_threads()).max(1);
    let lists: Vec<Vec<Best>> = (0..signs.blocks())
        .into_par_iter()
        .with_min_len(a_list)
        .fold(
            || vec![Best::new(n); bits.len()],
            |mut lists, block| {
                let mut out = [0.0; Signs::BLOCK];
                for (best, bits) in lists.iter_mut().zip(&bits) {
                    best.add(block * Signs::BLOCK, signs.agreement(block, bits, &mut out));
                }
                lists
            },
        )
        .collect();
    (0..bits.len())
        .map(|query| Best::merge(lists.iter().map(|list| &list[query]), n))
        .collect()
}

impl fmt::Display for FirstStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary => "binary",
            Self::I8 => "i8",
        })
    }
}

impl FromStr for FirstStage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "binary" => Ok(Self::Binary),
            "i8" => Ok(Self::I8),
            _ => Err(format!(
                "the first stage must be binary or i8, not {text:?}"
            )),
        }
    }
}
