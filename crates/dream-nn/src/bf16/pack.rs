//! Orders of values in memory: what is packed once (weights), on the fly (activations) and on the way
//! back (weights, transposed).

use super::kernel::round_row;
use super::{PANEL, PackedBf16, TILE_ROWS};
use crate::matrix::Matrix;
use multiversion::multiversion;
use rayon::prelude::*;
use std::ops::Range;

/// One register: sixteen pairs of bfloat16, the first of a pair in the low half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub [u32; 16]);

const ZERO: Lanes = Lanes([0; 16]);

/// Rounds to the nearest bfloat16, ties to even; what is not a number stays so.
#[inline]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    if x.is_nan() {
        (bits >> 16) | 0x40
    } else {
        rounded
    }
}

#[inline]
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

/// Packs `matrix [rows, cols]` into panels of rows; missing rows and an odd last column are zero.
pub(super) fn pack_weight(matrix: &Matrix) -> Vec<Lanes> {
    let pairs = matrix.cols().div_ceil(2);
    let n_panels = matrix.rows().div_ceil(PANEL);
    let mut lanes = vec![ZERO; n_panels * 2 * pairs];
    lanes
        .par_chunks_mut((2 * pairs).max(1))
        .enumerate()
        .for_each(|(panel, lanes)| {
            let first = panel * PANEL;
            for i in 0..PANEL.min(matrix.rows() - first) {
                let (half, lane) = (i / 16, i % 16);
                for (pair, values) in matrix.row(first + i).chunks(2).enumerate() {
                    let high = values.get(1).copied().unwrap_or(0.0);
                    lanes[2 * pair + half].0[lane] = round_pair(values[0], high);
                }
            }
        });
    lanes
}

/// Activations rounded to bfloat16, `[rows, pairs]`.
#[derive(Clone, Debug)]
pub(super) struct RoundedRows {
    rows: usize,
    pairs: usize,
    data: Vec<u32>,
}

impl RoundedRows {
    /// Rounds `x [rows, cols]`.
    pub fn new(x: &Matrix) -> Self {
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
        Self {
            rows: x.rows(),
            pairs,
            data,
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn pairs(&self) -> usize {
        self.pairs
    }

    pub fn n_blocks(&self) -> usize {
        self.rows.div_ceil(TILE_ROWS)
    }

    /// The rows of a tile, and their pairs.
    pub fn block(&self, block: usize) -> (Range<usize>, &[u32]) {
        let rows = block * TILE_ROWS..((block + 1) * TILE_ROWS).min(self.rows);
        let pairs = rows.start * self.pairs..rows.end * self.pairs;
        (rows, &self.data[pairs])
    }
}

/// Panels of columns of `weight`, as if its transpose had been packed: `transposed` begins with panel
/// `panels.start` and holds pairs of rows.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
pub(super) fn transpose_panels(
    weight: &PackedBf16,
    panels: Range<usize>,
    transposed: &mut Vec<Lanes>,
) {
    let row_pairs = weight.rows.div_ceil(2);
    transposed.clear();
    transposed.resize(panels.len() * 2 * row_pairs, ZERO);
    let column_pairs = weight.pairs();
    for (panel, out) in panels.zip(transposed.chunks_exact_mut(2 * row_pairs)) {
        // Sixteen column pairs (the panel's columns) of sixteen rows at a time.
        let first_pair = panel * PANEL / 2;
        let n_pairs = (column_pairs - first_pair).min(16);
        for half_panel in 0..weight.rows.div_ceil(16) {
            let source = &weight.lanes[weight.panel(half_panel / 2)];
            let mut block = [[0u32; 16]; 16];
            for (pair, words) in block.iter_mut().enumerate().take(n_pairs) {
                *words = source[2 * (first_pair + pair) + half_panel % 2].0;
            }
            let rows = transpose(&block);
            for (i, [even, odd]) in rows.as_chunks::<2>().0.iter().enumerate() {
                let row_pair = half_panel * 8 + i;
                if row_pair == row_pairs {
                    break;
                }
                let mut lanes = [0u32; PANEL];
                for ((even, odd), lanes) in even.iter().zip(odd).zip(lanes.as_chunks_mut::<2>().0) {
                    *lanes = [
                        (even & 0xffff) | (odd << 16),
                        (even >> 16) | (odd & 0xffff_0000),
                    ];
                }
                out[2 * row_pair].0.copy_from_slice(&lanes[..16]);
                out[2 * row_pair + 1].0.copy_from_slice(&lanes[16..]);
            }
        }
    }
}

#[inline]
fn transpose(block: &[[u32; 16]; 16]) -> [[u32; 16]; 16] {
    let mut transposed = [[0u32; 16]; 16];
    for (i, row) in block.iter().enumerate() {
        for (j, word) in row.iter().enumerate() {
            transposed[j][i] = *word;
        }
    }
    transposed
}
