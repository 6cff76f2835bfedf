//! Exact search: every inner product.

use super::super::reader::Index;
use super::super::search::{Scored, TopK};
use super::vectors::{check_dim, cut};
use super::{VectorIndex, check};
use crate::Result;
use dream_nn::{Matrix, Rows};

/// Documents that are cut to fewer dimensions together.
const CUT_DOCUMENTS: usize = 1 << 16;

/// All documents of an index, whole or cut, scored one shard after the other: memory is that of a block.
#[derive(Debug)]
pub struct Exact<'a> {
    index: &'a Index,
    dim: usize,
}

impl<'a> Exact<'a> {
    /// Over the first `dim` numbers of every document, normalised again.
    ///
    /// # Errors
    /// `dim` is 0 or more than there are.
    pub fn new(index: &'a Index, dim: usize) -> Result<Self> {
        check_dim(index, dim)?;
        Ok(Self { index, dim })
    }
}

impl VectorIndex for Exact<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn search(&self, queries: &Matrix, k: usize) -> Result<Vec<Vec<Scored>>> {
        check(queries, self.dim, k)?;
        if self.dim == self.index.manifest.dim {
            return self.index.search(queries, k);
        }
        let mut top = TopK::new(queries, k)?;
        for rows in self.index.rows() {
            for start in (0..rows.count()).step_by(CUT_DOCUMENTS) {
                let end = rows.count().min(start + CUT_DOCUMENTS);
                top.add(Rows::plain(
                    cut(rows, start..end, self.dim).data(),
                    self.dim,
                ));
            }
        }
        Ok(top.finish())
    }
}
