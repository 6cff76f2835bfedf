//! The innermost product: a tile of up to 12 rows and 32 columns, all its sums in registers.

use super::pack::{Lanes, round_pair, widen_pair};
use super::{PANEL, TILE_ROWS};
use crate::dtype::Dtype;

/// Whether this processor has the kernel's instructions: AVX-512, and AVX512-BF16 for bfloat16.
/// Without, products are correct and slow.
pub fn has_instructions(dtype: Dtype) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f")
            && (dtype == Dtype::F32 || is_x86_feature_detected!("avx512bf16"))
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = dtype;
        false
    }
}

/// One tile of a product.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// What words are.
    pub dtype: Dtype,
    /// Words of activations, `[rows, depth]`.
    pub a: &'a [u32],
    /// Words of weights, `[depth][2]` registers.
    pub b: &'a [Lanes],
    /// Rows, 1 to [`TILE_ROWS`].
    pub rows: usize,
    /// Columns, 1 to [`PANEL`].
    pub cols: usize,
    /// Distance of the output's rows.
    pub row_stride: usize,
    /// Added in `f32`.
    pub low_rank: Option<TileLowRank<'a>>,
}

/// A tile's part of a low-rank product.
#[derive(Clone, Copy)]
pub(super) struct TileLowRank<'a> {
    /// The tile's rows of the left factor, `[rows, rank]`.
    pub left: &'a [f32],
    /// The right factor from the tile's first column on, `[rank]` rows `stride` apart.
    pub right: &'a [f32],
    /// Inner dimension.
    pub rank: usize,
    /// Distance of the right factor's rows.
    pub stride: usize,
}

impl TileLowRank<'_> {
    fn check(&self, rows: usize, cols: usize) {
        let last = self.rank.saturating_sub(1) * self.stride + cols;
        assert!(self.left.len() >= rows * self.rank);
        assert!(self.rank == 0 || self.right.len() >= last);
    }
}

impl Tile<'_> {
    /// Writes the tile, added to `base` (the first value, and the distance of rows) if there is one.
    ///
    /// # Safety
    /// `c` points to room for `rows` rows of `cols` values, `row_stride` apart, that nobody else uses;
    /// `base` to as many values, or to these very ones.
    pub unsafe fn multiply(&self, c: *mut f32, base: Option<(*const f32, usize)>) {
        assert!(self.rows * (self.b.len() / 2) == self.a.len() && self.cols <= PANEL);
        if let Some(low_rank) = &self.low_rank {
            low_rank.check(self.rows, self.cols);
        }
        #[cfg(target_arch = "x86_64")]
        if has_instructions(self.dtype) {
            // SAFETY: the processor has the instructions; `c` is as the caller promises, `a` and `b`
            // are as long as asserted.
            unsafe {
                return match self.dtype {
                    Dtype::F32 => x86::f32::multiply(self, c, base),
                    Dtype::Bf16 => x86::bf16::multiply(self, c, base),
                };
            }
        }
        // SAFETY: as the caller promises.
        unsafe { self.multiply_portably(c, base) }
    }

    /// The same on any processor.
    ///
    /// # Safety
    /// As [`Self::multiply`].
    pub unsafe fn multiply_portably(&self, c: *mut f32, base: Option<(*const f32, usize)>) {
        let mut sums = [[0.0f32; PANEL]; TILE_ROWS];
        for (sums, a) in sums.iter_mut().zip(self.a.chunks_exact(self.b.len() / 2)) {
            for (a, b) in a.iter().zip(self.b.chunks_exact(2)) {
                for (sum, b) in sums.iter_mut().zip(b.iter().flat_map(|lanes| lanes.0)) {
                    *sum += match self.dtype {
                        Dtype::F32 => f32::from_bits(*a) * f32::from_bits(b),
                        Dtype::Bf16 => {
                            let ((a0, a1), (b0, b1)) = (widen_pair(*a), widen_pair(b));
                            a0 * b0 + a1 * b1
                        }
                    };
                }
            }
        }
        if let Some(TileLowRank {
            left,
            right,
            rank,
            stride,
        }) = self.low_rank
        {
            for (sums, left) in sums
                .iter_mut()
                .zip(left.chunks_exact(rank.max(1)))
                .take(self.rows)
            {
                for (left, right) in left.iter().zip(right.chunks(stride)) {
                    sums.iter_mut()
                        .zip(right)
                        .for_each(|(sum, right)| *sum += left * right);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate().take(self.rows) {
            for (j, sum) in sums.iter().enumerate().take(self.cols) {
                // SAFETY: row and column lie in the tile that the caller promises.
                unsafe {
                    let base = base.map_or(0.0, |(base, stride)| *base.add(i * stride + j));
                    c.add(i * self.row_stride + j).write(base + sum);
                }
            }
        }
    }
}

/// Rounds a row to bfloat16 pairs, an odd last value with zero; `out` is half as long, rounded up.
///
/// The processor's own rounding turns numbers below 1e-38 into zero, as its products do.
pub(super) fn round_row(x: &[f32], out: &mut [u32]) {
    assert_eq!(out.len(), x.len().div_ceil(2));
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if has_instructions(Dtype::Bf16) {
        while done + 32 <= x.len() {
            // SAFETY: the processor has the instructions, and 32 values and 16 pairs are left.
            unsafe { x86::round_32(x.as_ptr().add(done), out.as_mut_ptr().add(done / 2)) };
            done += 32;
        }
    }
    for (values, out) in x[done..].chunks(2).zip(&mut out[done / 2..]) {
        *out = round_pair(values[0], values.get(1).copied().unwrap_or(0.0));
    }
}

#[cfg(target_arch = "x86_64")]
mod x86;
