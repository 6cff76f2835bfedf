//! Grouped-query causal attention: the one place where queries read keys and values.
//!
//! Sequences of a batch stand one after the other as row ranges (*segments*). All segments may also
//! read a shared *prefix* of keys and values, as a rule a constant. Logits are computed in blocks of rows and
//! dropped again: nothing of size `[heads, rows, keys]` is ever stored, and the backward pass
//! computes them anew.
//!
//! What a row makes of its logits is a [`KeyReader`]: plain softmax, softmax that also records what
//! it saw (head scoring), or attention whose document shares come from outside (injection).

mod blocks;

use blocks::{columns_mut, segment_blocks};

use super::elementwise::{axpy, scale, softmax, softmax_backward};
use crate::dtype::Dtype;
use crate::matrix::{Matrix, View, ViewMut};
use crate::packed::product_here;
use rayon::prelude::*;
use std::ops::Range;

/// Rows of logits a thread holds at a time.
const BLOCK: usize = 64;

/// Sizes of the heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; query head `h` reads number `h * n_kv_heads / n_heads`.
    pub n_kv_heads: usize,
    /// Values a head.
    pub head_dim: usize,
}

impl Heads {
    fn query(&self, head: usize) -> Range<usize> {
        head * self.head_dim..(head + 1) * self.head_dim
    }

    fn key(&self, head: usize) -> Range<usize> {
        self.query(head * self.n_kv_heads / self.n_heads)
    }

    fn logit_scale(&self) -> f32 {
        1.0 / (self.head_dim as f32).sqrt()
    }
}

/// Keys and values of some tokens, after RoPE; both `[tokens, n_kv_heads * head_dim]`.
#[derive(Clone, Debug, Default)]
pub struct KeyValues {
    /// Keys.
    pub k: Matrix,
    /// Values.
    pub v: Matrix,
}

/// Queries, keys and values of a batch of segments.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Sizes.
    pub heads: Heads,
    /// What queries, keys, values and attention weights are rounded to as they enter a product.
    pub dtype: Dtype,
    /// Number of the layer, handed on to the reader.
    pub layer: usize,
    /// Row ranges of the sequences, in order, covering all rows.
    pub segments: &'a [Range<usize>],
    /// Keys and values that every row sees before its own segment's.
    pub prefix: Option<&'a KeyValues>,
    /// Whether the prefix has a gradient; otherwise it is a constant.
    pub prefix_gradient: bool,
    /// `[rows, n_heads * head_dim]`, after RoPE.
    pub q: &'a Matrix,
    /// Own keys and values, `[rows, n_kv_heads * head_dim]`.
    pub own: &'a KeyValues,
}

/// One row of one head of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowAt {
    /// Layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// Segment of the batch.
    pub segment: usize,
    /// Row within the segment, from 0.
    pub row: usize,
}

/// What a row makes of its logits.
///
/// Logits are scaled, and cover the visible keys only: first the prefix, then the row's own segment
/// up to and including itself. Called from several threads, in no order.
pub trait KeyReader: Sync {
    /// What a block of rows of one head gathers; `()` for nothing.
    type Record: Default + Send;

    /// Turns logits into attention weights, in place.
    fn probabilities(&self, at: RowAt, logits: &mut [f32], record: &mut Self::Record);

    /// Turns `d_p`, the gradient of the attention weights, into the gradient of the logits, in place.
    fn d_logits(&self, at: RowAt, read: &Read<'_>, d_p: &mut [f32], record: &mut Self::Record);
}

/// What [`KeyReader::d_logits`] may look at.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// The row's logits.
    pub logits: &'a [f32],
    /// The weights that [`KeyReader::probabilities`] made of them.
    pub p: &'a [f32],
}

/// A record and the head and segment it belongs to.
#[derive(Clone, Debug)]
pub struct Recorded<T> {
    /// Layer.
    pub layer: usize,
    /// Query head.
    pub head: usize,
    /// Segment of the batch.
    pub segment: usize,
    /// What the reader gathered.
    pub record: T,
}

/// Ordinary attention: the softmax of the logits.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainReader;

impl KeyReader for PlainReader {
    type Record = ();

    fn probabilities(&self, _: RowAt, logits: &mut [f32], (): &mut ()) {
        softmax(logits);
    }

    fn d_logits(&self, _: RowAt, read: &Read<'_>, d_p: &mut [f32], (): &mut ()) {
        softmax_backward(read.p, d_p);
    }
}

/// Gradients of a batch's own queries, keys and values, and of the prefix's.
#[derive(Clone, Debug)]
pub struct Gradients {
    /// `[rows, n_heads * head_dim]`
    pub d_q: Matrix,
    /// `[rows, n_kv_heads * head_dim]`
    pub d_k: Matrix,
    /// `[rows, n_kv_heads * head_dim]`
    pub d_v: Matrix,
    /// Of the prefix, `[prefix, n_kv_heads * head_dim]` both, where the input asks for it.
    pub d_prefix: Option<KeyValues>,
}

/// Forward: the heads' outputs side by side, `[rows, n_heads * head_dim]`, and what the reader
/// recorded, in an order that depends on the shapes alone.
pub fn forward<R: KeyReader>(input: &Input<'_>, reader: &R) -> (Matrix, Vec<Recorded<R::Record>>) {
    let Heads {
        n_heads, head_dim, ..
    } = input.heads;
    let blocks = input.blocks();
    let (computed, records): (Vec<Matrix>, Vec<R::Record>) = blocks
        .par_iter()
        .with_max_len(1)
        .map(|block| {
            let mut record = R::Record::default();
            let mut p = block.logits(input);
            for row in 0..block.rows.len() {
                let visible = block.visible(input, row);
                let logits = &mut p.row_mut(row)[..];
                reader.probabilities(block.at(input, row), &mut logits[..visible], &mut record);
                logits[visible..].fill(0.0);
            }
            let mut y = Matrix::zeros(block.rows.len(), head_dim);
            for (columns, values) in block.values(input) {
                product_here(
                    y.view_mut(),
                    p.view().cols(columns),
                    values,
                    true,
                    input.dtype,
                );
            }
            (y, record)
        })
        .unzip();
    // The heads of a block of rows stand one after the other.
    let mut out = Matrix::zeros(input.q.rows(), n_heads * head_dim);
    let width = out.cols();
    let heights = blocks.iter().step_by(n_heads).map(|block| block.rows.len());
    let stripes = stripes(out.data_mut(), heights, width);
    stripes
        .into_par_iter()
        .zip(computed.par_chunks(n_heads))
        .for_each(|(stripe, heads)| {
            for (i, row) in stripe.chunks_exact_mut(width).enumerate() {
                for (part, y) in row.chunks_exact_mut(head_dim).zip(heads) {
                    part.copy_from_slice(y.row(i));
                }
            }
        });
    let records = blocks.iter().zip(records);
    let records = records.map(|(block, record)| block.recorded(input, record));
    (out, records.collect())
}

/// Cuts rows of `width` values into stripes of the given heights.
fn stripes(
    mut data: &mut [f32],
    heights: impl Iterator<Item = usize>,
    width: usize,
) -> Vec<&mut [f32]> {
    let mut stripes = Vec::new();
    for height in heights {
        let (stripe, rest) = data.split_at_mut(height * width);
        stripes.push(stripe);
        data = rest;
    }
    stripes
}

/// Backward, given `d_out [rows, n_heads * head_dim]`.
pub fn backward<R: KeyReader>(
    input: &Input<'_>,
    reader: &R,
    d_out: &Matrix,
) -> (Gradients, Vec<Recorded<R::Record>>) {
    let Heads {
        n_heads,
        n_kv_heads,
        head_dim,
    } = input.heads;
    let rows = input.q.rows();
    let mut gradients = Gradients {
        d_q: Matrix::zeros(rows, n_heads * head_dim),
        d_k: Matrix::zeros(rows, n_kv_heads * head_dim),
        d_v: Matrix::zeros(rows, n_kv_heads * head_dim),
        d_prefix: None,
    };
    let tasks: Vec<(usize, usize)> = (0..input.segments.len())
        .flat_map(|segment| (0..n_heads).map(move |head| (segment, head)))
        .collect();
    let (results, records): (Vec<Gradients>, Vec<R::Record>) = tasks
        .par_iter()
        .with_max_len(1)
        .map(|(segment, head)| backward_head(input, reader, d_out, *segment, *head))
        .unzip();
    // The heads of a segment stand one after the other.
    let heights = || input.segments.iter().map(Range::len);
    let d_q = stripes(gradients.d_q.data_mut(), heights(), n_heads * head_dim);
    let d_k = stripes(gradients.d_k.data_mut(), heights(), n_kv_heads * head_dim);
    let d_v = stripes(gradients.d_v.data_mut(), heights(), n_kv_heads * head_dim);
    let stripes = d_q.into_par_iter().zip(d_k).zip(d_v);
    stripes
        .zip(results.par_chunks(n_heads))
        .for_each(|(((d_q, d_k), d_v), heads)| {
            for (head, result) in heads.iter().enumerate() {
                let (query, key) = (input.heads.query(head), input.heads.key(head));
                let own = n_kv_heads * head_dim;
                for (i, row) in d_q.chunks_exact_mut(n_heads * head_dim).enumerate() {
                    row[query.clone()].copy_from_slice(result.d_q.row(i));
                }
                for (i, row) in d_k.chunks_exact_mut(own).enumerate() {
                    axpy(&mut row[key.clone()], 1.0, result.d_k.row(i));
                }
                for (i, row) in d_v.chunks_exact_mut(own).enumerate() {
                    axpy(&mut row[key.clone()], 1.0, result.d_v.row(i));
                }
            }
        });
    if input.prefix_gradient {
        gradients.d_prefix = Some(prefix_gradient(input, &results));
    }
    let recorded = |((segment, head), record): (&(usize, usize), _)| Recorded {
        layer: input.layer,
        head: *head,
        segment: *segment,
        record,
    };
    (gradients, tasks.iter().zip(records).map(recorded).collect())
}

/// Adds up what the heads of all segments, segment by segment, say about the prefix.
fn prefix_gradient(input: &Input<'_>, results: &[Gradients]) -> KeyValues {
    let width = input.heads.n_kv_heads * input.heads.head_dim;
    let zeros = || Matrix::zeros(input.prefix_len(), width);
    let mut sum = KeyValues {
        k: zeros(),
        v: zeros(),
    };
    for (i, result) in results.iter().enumerate() {
        let key = input.heads.key(i % input.heads.n_heads);
        let Some(part) = &result.d_prefix else {
            continue;
        };
        for row in 0..sum.k.rows() {
            axpy(&mut sum.k.row_mut(row)[key.clone()], 1.0, part.k.row(row));
            axpy(&mut sum.v.row_mut(row)[key.clone()], 1.0, part.v.row(row));
        }
    }
    sum
}

/// Gradients of one head of one segment, each `[segment rows, head_dim]`, `[prefix, head_dim]` of the
/// prefix.
fn backward_head<R: KeyReader>(
    input: &Input<'_>,
    reader: &R,
    d_out: &Matrix,
    segment: usize,
    head: usize,
) -> (Gradients, R::Record) {
    let dim = input.heads.head_dim;
    let rows = input.segments[segment].clone();
    let zeros = || Matrix::zeros(rows.len(), dim);
    let (mut d_q, mut d_k, mut d_v) = (zeros(), zeros(), zeros());
    let mut record = R::Record::default();
    let prefix_len = input.prefix_len();
    let mut d_prefix = input.prefix_gradient.then(|| KeyValues {
        k: Matrix::zeros(prefix_len, dim),
        v: Matrix::zeros(prefix_len, dim),
    });
    let mut forward_record = R::Record::default();
    for block in segment_blocks(segment, head, &rows) {
        let logits = block.logits(input);
        let mut p = logits.clone();
        let d_y = d_out
            .view()
            .rows(block.rows.clone())
            .cols(input.heads.query(head));
        let mut d_p = Matrix::zeros(p.rows(), p.cols());
        for (columns, values) in block.values(input) {
            let target = columns_mut(&mut d_p, columns);
            product_here(target, d_y, values.t(), false, input.dtype);
        }
        for row in 0..block.rows.len() {
            let visible = block.visible(input, row);
            let at = block.at(input, row);
            let weights = &mut p.row_mut(row)[..visible];
            reader.probabilities(at, weights, &mut forward_record);
            let read = Read {
                logits: &logits.row(row)[..visible],
                p: weights,
            };
            reader.d_logits(at, &read, &mut d_p.row_mut(row)[..visible], &mut record);
            p.row_mut(row)[visible..].fill(0.0);
            d_p.row_mut(row)[visible..].fill(0.0);
        }
        scale(d_p.data_mut(), input.heads.logit_scale());
        let start = block.rows.start - rows.start;
        for (columns, keys) in block.keys(input) {
            let target = &mut d_q.data_mut()[start * dim..];
            let target = ViewMut::new(target, block.rows.len(), dim, dim);
            product_here(target, d_p.view().cols(columns), keys, true, input.dtype);
        }
        let own = prefix_len..p.cols();
        let seen = own.len();
        let q = input
            .q
            .view()
            .rows(block.rows.clone())
            .cols(input.heads.query(head));
        let d_k_seen = ViewMut::new(d_k.data_mut(), seen, dim, dim);
        let d_logits = d_p.view().cols(own.clone());
        product_here(d_k_seen, d_logits.t(), q, true, input.dtype);
        let d_v_seen = ViewMut::new(d_v.data_mut(), seen, dim, dim);
        product_here(d_v_seen, p.view().cols(own).t(), d_y, true, input.dtype);
        if let Some(KeyValues { k, v }) = &mut d_prefix {
            let d_logits = d_p.view().cols(0..prefix_len);
            product_here(k.view_mut(), d_logits.t(), q, true, input.dtype);
            let p = p.view().cols(0..prefix_len);
            product_here(v.view_mut(), p.t(), d_y, true, input.dtype);
        }
    }
    let gradients = Gradients {
        d_q,
        d_k,
        d_v,
        d_prefix,
    };
    (gradients, record)
}

impl<'a> Input<'a> {
    fn prefix_len(&self) -> usize {
        self.prefix.map_or(0, |p| p.k.rows())
    }

    /// Prefix and own part of keys or values, with the columns of the logits they belong to.
    fn parts(
        &self,
        head: usize,
        own: Range<usize>,
        pick: impl Fn(&'a KeyValues) -> &'a Matrix,
    ) -> impl Iterator<Item = (Range<usize>, View<'a>)> {
        let columns = self.heads.key(head);
        let prefix_len = self.prefix_len();
        let prefix = self
            .prefix
            .map(|p| (0..prefix_len, pick(p).view().cols(columns.clone())));
        let own_columns = prefix_len..prefix_len + own.len();
        let own = (own_columns, pick(self.own).view().rows(own).cols(columns));
        prefix.into_iter().chain(std::iter::once(own))
    }
}

#[cfg(test)]
mod tests;
