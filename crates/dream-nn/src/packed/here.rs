//! Products of two activations on the calling thread, with the tile of the packed products: attention.
//!
//! Both sides are packed on the way, into memory that each thread keeps.

use super::kernel::{Tile, has_instructions};
use super::pack::{Lanes, depth, round_pair, transpose, write_words};
use super::{PANEL, TILE_ROWS};
use crate::dtype::Dtype;
use crate::gemm::{Threads, gemm};
use crate::matrix::{View, ViewMut};
use multiversion::multiversion;
use std::cell::RefCell;

thread_local! {
    static SIDES: RefCell<Sides> = RefCell::default();
}

#[derive(Default)]
struct Sides {
    /// Rows of words, one after the other.
    left: Vec<u32>,
    /// Panels of 32 columns.
    right: Vec<Lanes>,
    sixteen: Vec<f32>,
}

/// `c = a b`, or `c += a b` where `accumulate` is set; `a [m, k]` and `b [k, n]` are rounded to
/// `dtype`, sums are `f32`.
///
/// Either may be a transposed view. Where the processor has no instructions for `dtype`, nothing is
/// rounded and the `gemm` crate multiplies.
pub fn product_here(c: ViewMut<'_>, a: View<'_>, b: View<'_>, accumulate: bool, dtype: Dtype) {
    if !has_instructions(dtype) || a.cols == 0 {
        return gemm(c, a, b, 1.0, accumulate, Threads::One);
    }
    assert_eq!(
        (c.rows, c.cols, a.cols),
        (a.rows, b.cols, b.rows),
        "shapes of a product"
    );
    if c.rows == 0 || c.cols == 0 {
        return;
    }
    assert!(c.data.len() >= (c.rows - 1) * c.row_stride + c.cols);
    a.check();
    b.check();
    SIDES.with_borrow_mut(|sides| {
        let depth = depth(a.cols, dtype);
        sides.pack_left(a, dtype);
        sides.pack_right(b, dtype);
        for (panel, lanes) in sides.right.chunks_exact(2 * depth).enumerate() {
            let first_col = panel * PANEL;
            for first_row in (0..c.rows).step_by(TILE_ROWS) {
                let rows = TILE_ROWS.min(c.rows - first_row);
                let tile = Tile {
                    dtype,
                    a: &sides.left[first_row * depth..(first_row + rows) * depth],
                    b: lanes,
                    rows,
                    cols: PANEL.min(c.cols - first_col),
                    row_stride: c.row_stride,
                    low_rank: None,
                };
                let at = first_row * c.row_stride + first_col;
                // SAFETY: the tile lies inside `c`, as asserted.
                unsafe {
                    let c = c.data.as_mut_ptr().add(at);
                    let base = accumulate.then_some((c.cast_const(), tile.row_stride));
                    tile.multiply(c, base);
                }
            }
        }
    });
}

impl Sides {
    fn pack_left(&mut self, a: View<'_>, dtype: Dtype) {
        let depth = depth(a.cols, dtype);
        self.left.resize(a.rows * depth, 0);
        for first in (0..a.rows).step_by(16) {
            let n = 16.min(a.rows - first);
            let a = a.rows(first..first + n);
            let words = self.left[first * depth..].chunks_exact_mut(depth);
            if a.col_stride == 1 {
                for (i, words) in words.enumerate().take(n) {
                    let start = i * a.row_stride;
                    write_words(&a.data[start..start + a.cols], dtype, words);
                }
            } else {
                self.sixteen.resize(16 * a.cols, 0.0);
                turn(a, &mut self.sixteen);
                let rows = self.sixteen.chunks_exact(a.cols);
                for (row, words) in rows.zip(words).take(n) {
                    write_words(row, dtype, words);
                }
            }
        }
    }

    fn pack_right(&mut self, b: View<'_>, dtype: Dtype) {
        let depth = depth(b.rows, dtype);
        let n_panels = b.cols.div_ceil(PANEL);
        self.right.resize(n_panels * 2 * depth, Lanes([0; 16]));
        for (panel, lanes) in self.right.chunks_exact_mut(2 * depth).enumerate() {
            let columns = panel * PANEL..((panel + 1) * PANEL).min(b.cols);
            let b = b.cols(columns);
            if b.col_stride == 1 {
                match dtype {
                    Dtype::F32 => pack_values(b, lanes),
                    Dtype::Bf16 => pack_pairs(b, lanes),
                }
            } else {
                pack_turned(b.t(), dtype, lanes);
            }
        }
    }
}

/// Up to sixteen rows of a view whose columns are contiguous, row by row: `rows [16, a.cols]`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
fn turn(a: View<'_>, rows: &mut [f32]) {
    for first in (0..a.cols).step_by(16) {
        let n = 16.min(a.cols - first);
        let mut block = [[0; 16]; 16];
        for (k, words) in block.iter_mut().enumerate().take(n) {
            let start = (first + k) * a.col_stride;
            for (word, value) in words.iter_mut().zip(&a.data[start..start + a.rows]) {
                *word = value.to_bits();
            }
        }
        let turned = transpose(&block);
        for (row, words) in rows.chunks_exact_mut(a.cols).zip(turned) {
            for (value, word) in row[first..].iter_mut().zip(words).take(n) {
                *value = f32::from_bits(word);
            }
        }
    }
}

/// A panel from up to 32 columns that are contiguous in each row: values.
fn pack_values(b: View<'_>, lanes: &mut [Lanes]) {
    for (k, [low, high]) in lanes.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let row = &b.data[k * b.row_stride..][..b.cols];
        let (first, second) = row.split_at(b.cols.min(16));
        for (half, values) in [(low, first), (high, second)] {
            let mut words = [0; 16];
            words[..values.len()].copy_from_slice(bytemuck::cast_slice(values));
            half.0 = words;
        }
    }
}

/// The same for pairs: of neighbouring rows.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
fn pack_pairs(b: View<'_>, lanes: &mut [Lanes]) {
    for (pair, [low, high]) in lanes.as_chunks_mut::<2>().0.iter_mut().enumerate() {
        let mut values = [[0.0; PANEL]; 2];
        for (i, values) in values.iter_mut().enumerate().take(b.rows - 2 * pair) {
            let row = &b.data[(2 * pair + i) * b.row_stride..][..b.cols];
            values[..b.cols].copy_from_slice(row);
        }
        let word = |i: usize| round_pair(values[0][i], values[1][i]);
        low.0 = std::array::from_fn(word);
        high.0 = std::array::from_fn(|i| word(16 + i));
    }
}

/// A panel from up to 32 rows, which are its columns.
fn pack_turned(rows: View<'_>, dtype: Dtype, lanes: &mut [Lanes]) {
    let mut words = [[0u32; 16]; 16];
    let step = match dtype {
        Dtype::F32 => 16,
        Dtype::Bf16 => 32,
    };
    for (block, first) in (0..rows.cols).step_by(step).enumerate() {
        let n = step.min(rows.cols - first);
        for half in 0..2 {
            words.fill([0; 16]);
            let present = rows.rows.saturating_sub(16 * half).min(16);
            for (i, words) in words.iter_mut().enumerate().take(present) {
                let start = (16 * half + i) * rows.row_stride + first;
                let words = &mut words[..depth(n, dtype)];
                write_words(&rows.data[start..start + n], dtype, words);
            }
            let turned = turned(&words);
            for (k, words) in turned.into_iter().enumerate().take(depth(n, dtype)) {
                lanes[2 * (16 * block + k) + half].0 = words;
            }
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
fn turned(block: &[[u32; 16]; 16]) -> [[u32; 16]; 16] {
    transpose(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random_matrix, rng, rounded};

    #[test]
    fn equals_the_product_of_rounded_values_in_every_order_of_both_sides() {
        let mut rng = rng(41);
        for dtype in [Dtype::F32, Dtype::Bf16] {
            if !has_instructions(dtype) {
                continue;
            }
            for (m, n, k) in [
                (1, 1, 1),
                (5, 33, 3),
                (64, 40, 64),
                (30, 64, 17),
                (13, 7, 96),
            ] {
                let a = random_matrix(&mut rng, m, k);
                let b = random_matrix(&mut rng, k, n);
                let (a_turned, b_turned) = (a.transposed(), b.transposed());
                let want = {
                    let (a, b) = (rounded(&a, dtype), rounded(&b, dtype));
                    crate::gemm::product(a.view(), b.view())
                };
                for a in [a.view(), a_turned.view().t()] {
                    for b in [b.view(), b_turned.view().t()] {
                        let mut c = want.clone();
                        product_here(c.view_mut(), a, b, true, dtype);
                        product_here(c.view_mut(), a, b, true, dtype);
                        for (c, want) in c.data().iter().zip(want.data()) {
                            let error = (c - 3.0 * want).abs();
                            assert!(error < 1e-4, "{dtype} {m} {n} {k}: {c} {want}");
                        }
                    }
                }
            }
        }
    }
}
