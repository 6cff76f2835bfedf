//! Orders of values in memory: what is packed once (weights), on the fly (activations) and on the way
//! back (weights, transposed).

use super::kernel::round_row;
use super::{PANEL, Packed, TILE_ROWS};
use crate::dtype::Dtype;
use crate::matrix::Matrix;
use multiversion::multiversion;
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// One register: sixteen words; of a pair of bfloat16, the first is in the low half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub [u32; 16]);

const ZERO: Lanes = Lanes([0; 16]);

/// Rounds to the nearest bfloat16, ties to even; what is not a number stays so.
#[expect(
    clippy::inline_always,
    reason = "compiled for its caller's instructions"
)]
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    if x.is_nan() {
        (bits >> 16) | 0x40
    } else {
        rounded
    }
}

#[expect(
    clippy::inline_always,
    reason = "compiled for its caller's instructions"
)]
#[inline(always)]
pub(super) fn round_pair(low: f32, high: f32) -> u32 {
    round(low) | (round(high) << 16)
}

/// Both numbers of a pair.
#[inline]
pub(super) fn widen_pair(pair: u32) -> (f32, f32) {
    (
        f32::from_bits(pair << 16),
        f32::from_bits(pair & 0xffff_0000),
    )
}

/// Words that hold `n` neighbouring values.
pub(super) fn depth(n: usize, dtype: Dtype) -> usize {
    match dtype {
        Dtype::F32 => n,
        Dtype::Bf16 => n.div_ceil(2),
    }
}

/// Writes a row as words, an odd last value with zero; `out` is [`depth`] long.
pub(super) fn write_words(row: &[f32], dtype: Dtype, out: &mut [u32]) {
    match dtype {
        Dtype::F32 => out.copy_from_slice(bytemuck::cast_slice(row)),
        Dtype::Bf16 => round_row(row, out),
    }
}

/// Packs `matrix [rows, cols]` into panels of rows; missing rows are zero.
pub(super) fn pack_weight(matrix: &Matrix, dtype: Dtype) -> Vec<Lanes> {
    let depth = depth(matrix.cols(), dtype);
    let n_panels = matrix.rows().div_ceil(PANEL);
    let mut lanes = vec![ZERO; n_panels * 2 * depth];
    lanes
        .par_chunks_mut((2 * depth).max(1))
        .enumerate()
        .for_each(|(panel, lanes)| {
            let first = panel * PANEL;
            let mut words = vec![0; depth];
            for i in 0..PANEL.min(matrix.rows() - first) {
                let (half, lane) = (i / 16, i % 16);
                write_words(matrix.row(first + i), dtype, &mut words);
                for (k, word) in words.iter().enumerate() {
                    lanes[2 * k + half].0[lane] = *word;
                }
            }
        });
    lanes
}

/// Activations as words, `[rows, depth]`: once for all products that read them.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    pub(super) dtype: Dtype,
    pub(super) rows: usize,
    pub(super) cols: usize,
    data: Cow<'a, [u32]>,
}

impl<'a> Words<'a> {
    /// `x [rows, cols]` as it lies, or rounded.
    pub fn new(x: &'a Matrix, dtype: Dtype) -> Self {
        let data = match dtype {
            Dtype::F32 => Cow::Borrowed(bytemuck::cast_slice(x.data())),
            Dtype::Bf16 => Cow::Owned(rounded(x)),
        };
        Self {
            dtype,
            rows: x.rows(),
            cols: x.cols(),
            data,
        }
    }

    /// Words a row.
    pub(super) fn depth(&self) -> usize {
        depth(self.cols, self.dtype)
    }

    pub(super) fn n_blocks(&self) -> usize {
        self.rows.div_ceil(TILE_ROWS)
    }

    /// The rows of a tile, and their words.
    pub(super) fn block(&self, block: usize) -> (Range<usize>, &[u32]) {
        let rows = block * TILE_ROWS..((block + 1) * TILE_ROWS).min(self.rows);
        let words = rows.start * self.depth()..rows.end * self.depth();
        (rows, &self.data[words])
    }
}

fn rounded(x: &Matrix) -> Vec<u32> {
    let pairs = x.cols().div_ceil(2);
    let mut data = vec![0; x.rows() * pairs];
    data.par_chunks_mut((TILE_ROWS * pairs).max(1))
        .zip(x.data().par_chunks((TILE_ROWS * x.cols()).max(1)))
        .for_each(|(rounded, rows)| {
            let rounded = rounded.chunks_exact_mut(pairs);
            for (row, rounded) in rows.chunks_exact(x.cols()).zip(rounded) {
                round_row(row, rounded);
            }
        });
    data
}

/// Panels of columns of `weight`, as if its transpose had been packed: `transposed` begins with panel
/// `panels.start`.
pub(super) fn transpose_panels(weight: &Packed, panels: Range<usize>, transposed: &mut Vec<Lanes>) {
    let depth = depth(weight.rows, weight.dtype);
    transposed.resize(panels.len() * 2 * depth, ZERO);
    match weight.dtype {
        Dtype::F32 => transpose_values(weight, panels, transposed),
        Dtype::Bf16 => transpose_pairs(weight, panels, transposed),
    }
}

/// [`transpose_panels`] for words that are values.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
fn transpose_values(weight: &Packed, panels: Range<usize>, transposed: &mut [Lanes]) {
    let panel_len = 2 * weight.rows;
    // Panel by panel of the source, so that it is read nearly in order.
    for sixteen in 0..weight.rows.div_ceil(16) {
        let source = &weight.lanes[weight.panel(sixteen / 2)];
        let first_row = 16 * sixteen;
        let n_rows = (weight.rows - first_row).min(16);
        for (panel, out) in panels.clone().zip(transposed.chunks_exact_mut(panel_len)) {
            for half in 0..2 {
                let first = panel * PANEL + 16 * half;
                let n = weight.cols.saturating_sub(first).min(16);
                let rows = transpose(&gather(source, first, n, sixteen % 2));
                for (row, words) in rows.into_iter().enumerate().take(n_rows) {
                    out[2 * (first_row + row) + half].0 = words;
                }
            }
        }
    }
}

/// [`transpose_panels`] for pairs: of columns before, of rows after.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
fn transpose_pairs(weight: &Packed, panels: Range<usize>, transposed: &mut [Lanes]) {
    let row_pairs = weight.rows.div_ceil(2);
    for sixteen in 0..weight.rows.div_ceil(16) {
        let source = &weight.lanes[weight.panel(sixteen / 2)];
        let first_pair = 8 * sixteen;
        let n_pairs = (row_pairs - first_pair).min(8);
        for (panel, out) in panels
            .clone()
            .zip(transposed.chunks_exact_mut(2 * row_pairs))
        {
            let first = panel * PANEL / 2;
            let n = (weight.depth() - first).min(16);
            let rows = transpose(&gather(source, first, n, sixteen % 2));
            let pairs = rows.as_chunks::<2>().0.iter();
            for (i, [even, odd]) in pairs.enumerate().take(n_pairs) {
                let low = std::array::from_fn(|i| (even[i] & 0xffff) | (odd[i] << 16));
                let high = std::array::from_fn(|i| (even[i] >> 16) | (odd[i] & 0xffff_0000));
                let (low, high) = interleave(&low, &high);
                out[2 * (first_pair + i)].0 = low;
                out[2 * (first_pair + i) + 1].0 = high;
            }
        }
    }
}

/// `n` words from the first on, of sixteen rows of a panel; what is missing is zero.
#[expect(
    clippy::inline_always,
    reason = "compiled for its caller's instructions"
)]
#[inline(always)]
fn gather(panel: &[Lanes], first: usize, n: usize, half: usize) -> [[u32; 16]; 16] {
    let mut block = [[0; 16]; 16];
    for (k, words) in block.iter_mut().enumerate().take(n) {
        *words = panel[2 * (first + k) + half].0;
    }
    block
}

/// Transposes by shuffling 256 words perfectly, four times: each shuffle turns the bits of a word's
/// number by one place, so that after four of them row and column have changed places.
#[expect(
    clippy::inline_always,
    reason = "compiled for its caller's instructions"
)]
#[inline(always)]
pub(super) fn transpose(block: &[[u32; 16]; 16]) -> [[u32; 16]; 16] {
    let mut rows = *block;
    for _ in 0..4 {
        let mut shuffled = [[0; 16]; 16];
        for i in 0..8 {
            let (low, high) = interleave(&rows[i], &rows[i + 8]);
            shuffled[2 * i] = low;
            shuffled[2 * i + 1] = high;
        }
        rows = shuffled;
    }
    rows
}

/// `a0 b0 a1 b1 ...`, in two registers.
#[expect(
    clippy::inline_always,
    reason = "compiled for its caller's instructions"
)]
#[inline(always)]
fn interleave(a: &[u32; 16], b: &[u32; 16]) -> ([u32; 16], [u32; 16]) {
    let of = |first: usize| {
        std::array::from_fn(|i| {
            let source = if i % 2 == 0 { a } else { b };
            source[first + i / 2]
        })
    };
    (of(0), of(8))
}
