//! The documents of an index, whole or cut to their first dimensions, for kinds that need them in memory.

use super::super::reader::Index;
use crate::{Error, Result};
use dream_nn::ops::elementwise::l2_normalise;
use dream_nn::{Matrix, Rows};
use rayon::prelude::*;
use std::ops::Range;

/// Documents that are widened or cut together.
const BLOCK: usize = 4096;

/// All documents, by position.
#[derive(Debug)]
pub struct Vectors<'a> {
    dim: usize,
    /// Position of each part's first document, and the number of all.
    starts: Vec<usize>,
    parts: Vec<Part<'a>>,
}

#[derive(Debug)]
enum Part<'a> {
    /// As they lie in the shard.
    Stored(Rows<'a>),
    /// Cut, or widened to `f32`.
    Own(Matrix),
}

impl<'a> Vectors<'a> {
    /// The first `dim` numbers of every document, normalised again; nothing is copied where that is all.
    ///
    /// # Errors
    /// `dim` is 0 or more than there are.
    pub fn new(index: &'a Index, dim: usize) -> Result<Self> {
        check_dim(index, dim)?;
        Ok(Self::of_rows(index.rows().collect(), dim))
    }

    pub(super) fn of_rows(shards: Vec<Rows<'a>>, dim: usize) -> Self {
        let part = |rows: Rows<'a>| {
            if rows.dim() == dim {
                Part::Stored(rows)
            } else {
                Part::Own(cut(rows, 0..rows.count(), dim))
            }
        };
        let mut starts = vec![0];
        for rows in &shards {
            starts.push(starts[starts.len() - 1] + rows.count());
        }
        Self {
            dim,
            starts,
            parts: shards.into_iter().map(part).collect(),
        }
    }

    /// The same with everything as `f32` in memory.
    #[must_use]
    pub fn widened(mut self) -> Self {
        let dim = self.dim;
        for part in &mut self.parts {
            if let Part::Stored(rows) = part
                && rows.as_plain().is_none()
            {
                *part = Part::Own(cut(*rows, 0..rows.count(), dim));
            }
        }
        self
    }

    /// Size of a document.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of documents.
    pub fn count(&self) -> usize {
        self.starts[self.parts.len()]
    }

    /// Bytes held beside the mapped files.
    pub fn own_bytes(&self) -> usize {
        let bytes = |part: &Part<'_>| match part {
            Part::Stored(_) => 0,
            Part::Own(matrix) => size_of_val(matrix.data()),
        };
        self.parts.iter().map(bytes).sum()
    }

    /// The shards, in order.
    pub(super) fn shards(&self) -> impl Iterator<Item = Rows<'_>> {
        self.parts.iter().map(Part::rows)
    }

    /// One document, by way of `scratch` where it is not stored as `f32`.
    pub(super) fn row<'s>(&'s self, position: usize, scratch: &'s mut Vec<f32>) -> &'s [f32] {
        // Of parts that begin at one place, the last holds the document: the others are empty.
        let part = self.starts.partition_point(|start| *start <= position) - 1;
        let place = position - self.starts[part];
        self.parts[part].rows().block(place..place + 1, scratch)
    }
}

impl Part<'_> {
    fn rows(&self) -> Rows<'_> {
        match self {
            Self::Stored(rows) => *rows,
            Self::Own(matrix) => Rows::plain(matrix.data(), matrix.cols()),
        }
    }
}

/// Refuses more dimensions than an index has.
pub(super) fn check_dim(index: &Index, dim: usize) -> Result<()> {
    let stored = index.manifest.dim;
    if dim == 0 || dim > stored {
        return Err(Error::Invalid(format!(
            "dim must be 1 to {stored}, what the index holds, not {dim}"
        )));
    }
    Ok(())
}

/// The first `dim` numbers of some rows, `[range.len(), dim]`, normalised again if something was cut off.
pub(super) fn cut(rows: Rows<'_>, range: Range<usize>, dim: usize) -> Matrix {
    let mut kept = Matrix::zeros(range.len(), dim);
    let blocks = kept.data_mut().par_chunks_mut(BLOCK * dim).enumerate();
    blocks.for_each_init(Vec::new, |scratch, (number, out)| {
        let start = range.start + number * BLOCK;
        let whole = rows.block(start..start + out.len() / dim, scratch);
        for (out, row) in out
            .chunks_exact_mut(dim)
            .zip(whole.chunks_exact(rows.dim()))
        {
            out.copy_from_slice(&row[..dim]);
            if dim < rows.dim() {
                l2_normalise(out);
            }
        }
    });
    kept
}
