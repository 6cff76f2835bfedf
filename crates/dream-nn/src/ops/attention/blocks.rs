//! Blocks of rows: what a thread computes at a time.

use super::{BLOCK, Input, Recorded, RowAt};
use crate::matrix::{Matrix, View, ViewMut};
use crate::ops::elementwise::scale;
use crate::packed::product_here;
use std::ops::Range;

/// Some rows of one head of one segment.
#[derive(Clone)]
pub(super) struct Block {
    pub segment: usize,
    pub head: usize,
    /// First row of the segment in the batch.
    pub start: usize,
    /// Rows in the batch.
    pub rows: Range<usize>,
}

pub(super) fn segment_blocks(
    segment: usize,
    head: usize,
    rows: &Range<usize>,
) -> impl Iterator<Item = Block> {
    let Range { start, end } = *rows;
    (start..end).step_by(BLOCK).map(move |first| Block {
        segment,
        head,
        start,
        rows: first..(first + BLOCK).min(end),
    })
}

impl Block {
    pub fn at(&self, input: &Input<'_>, row: usize) -> RowAt {
        let row = self.rows.start - self.start + row;
        RowAt {
            layer: input.layer,
            head: self.head,
            segment: self.segment,
            row,
        }
    }

    /// Keys that row number `row` of the block sees.
    pub fn visible(&self, input: &Input<'_>, row: usize) -> usize {
        input.prefix_len() + self.rows.start - self.start + row + 1
    }

    pub fn recorded<T>(&self, input: &Input<'_>, record: T) -> Recorded<T> {
        Recorded {
            layer: input.layer,
            head: self.head,
            segment: self.segment,
            record,
        }
    }

    pub fn keys<'a>(&self, input: &Input<'a>) -> impl Iterator<Item = (Range<usize>, View<'a>)> {
        input.parts(self.head, self.start..self.rows.end, |kv| &kv.k)
    }

    pub fn values<'a>(&self, input: &Input<'a>) -> impl Iterator<Item = (Range<usize>, View<'a>)> {
        input.parts(self.head, self.start..self.rows.end, |kv| &kv.v)
    }

    /// Scaled logits against the prefix and the segment up to the block's end,
    /// `[block rows, keys]`; not yet masked.
    pub fn logits(&self, input: &Input<'_>) -> Matrix {
        let keys = input.prefix_len() + self.rows.end - self.start;
        let mut logits = Matrix::zeros(self.rows.len(), keys);
        let q = input
            .q
            .view()
            .rows(self.rows.clone())
            .cols(input.heads.query(self.head));
        for (columns, keys) in self.keys(input) {
            let target = columns_mut(&mut logits, columns);
            product_here(target, q, keys.t(), false, input.dtype);
        }
        scale(logits.data_mut(), input.heads.logit_scale());
        logits
    }
}

pub(super) fn columns_mut(matrix: &mut Matrix, columns: Range<usize>) -> ViewMut<'_> {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let start = columns.start.min(matrix.data().len());
    ViewMut::new(&mut matrix.data_mut()[start..], rows, columns.len(), cols)
}

impl Input<'_> {
    /// All blocks: segment by segment, rows by rows, head by head.
    pub(super) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        for (segment, rows) in self.segments.iter().enumerate() {
            for block in segment_blocks(segment, 0, rows) {
                let of_head = |head| Block {
                    head,
                    ..block.clone()
                };
                blocks.extend((0..self.heads.n_heads).map(of_head));
            }
        }
        blocks
    }
}
