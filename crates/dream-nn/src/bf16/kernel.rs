//! The innermost product: a tile of up to 12 rows and 32 columns, all its sums in registers.

use super::pack::{Lanes, widen_pair};
use super::{PANEL, TILE_ROWS};

/// Whether this processor multiplies bfloat16 itself (AVX512-BF16). Without, products are correct and slow.
pub fn has_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        false
    }
}

/// One tile of a product.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    /// Pairs of activations, `[pairs][rows]`.
    pub a: &'a [u32],
    /// Pairs of weights, `[pairs][2]` registers.
    pub b: &'a [Lanes],
    /// Rows, 1 to [`TILE_ROWS`].
    pub rows: usize,
    /// Columns, 1 to [`PANEL`].
    pub cols: usize,
    /// Distance of the output's rows.
    pub row_stride: usize,
    /// Adds to what is there.
    pub accumulate: bool,
}

impl Tile<'_> {
    /// Writes the tile.
    ///
    /// # Safety
    /// `c` points to `rows` rows of `cols` values, `row_stride` apart, that nobody else uses.
    pub unsafe fn multiply(&self, c: *mut f32) {
        assert!(self.rows * (self.b.len() / 2) == self.a.len() && self.cols <= PANEL);
        #[cfg(target_arch = "x86_64")]
        if has_instructions() {
            // SAFETY: the processor has the instructions; `c` is as the caller promises, `a` and `b`
            // are as long as asserted.
            unsafe {
                return match self.rows {
                    1 => x86::multiply::<1>(self, c),
                    2 => x86::multiply::<2>(self, c),
                    3 => x86::multiply::<3>(self, c),
                    4 => x86::multiply::<4>(self, c),
                    5 => x86::multiply::<5>(self, c),
                    6 => x86::multiply::<6>(self, c),
                    7 => x86::multiply::<7>(self, c),
                    8 => x86::multiply::<8>(self, c),
                    9 => x86::multiply::<9>(self, c),
                    10 => x86::multiply::<10>(self, c),
                    11 => x86::multiply::<11>(self, c),
                    12 => x86::multiply::<12>(self, c),
                    rows => unreachable!("a tile of {rows} rows. This is a bug."),
                };
            }
        }
        // SAFETY: as the caller promises.
        unsafe { self.multiply_portably(c) }
    }

    /// The same on any processor.
    ///
    /// # Safety
    /// As [`Self::multiply`].
    pub unsafe fn multiply_portably(&self, c: *mut f32) {
        let mut sums = [[0.0f32; PANEL]; TILE_ROWS];
        for (a, b) in self.a.chunks_exact(self.rows).zip(self.b.chunks_exact(2)) {
            for (sums, a) in sums.iter_mut().zip(a) {
                let (a0, a1) = widen_pair(*a);
                for (sum, b) in sums.iter_mut().zip(b.iter().flat_map(|lanes| lanes.0)) {
                    let (b0, b1) = widen_pair(b);
                    *sum += a0 * b0 + a1 * b1;
                }
            }
        }
        for (i, sums) in sums.iter().enumerate().take(self.rows) {
            for (j, sum) in sums.iter().enumerate().take(self.cols) {
                // SAFETY: row and column lie in the tile that the caller promises.
                unsafe {
                    let c = c.add(i * self.row_stride + j);
                    *c = if self.accumulate { *c + sum } else { *sum };
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Lanes, Tile};
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, __mmask16, _mm512_add_ps, _mm512_dpbf16_ps, _mm512_load_si512,
        _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_epi32, _mm512_setzero_ps,
    };

    /// [`Tile::multiply`] for `ROWS` rows.
    ///
    /// # Safety
    /// The processor has AVX512-BF16, `tile.rows` is `ROWS`, `a` and `b` have equally many pairs, `c`
    /// is as [`Tile::multiply`] wants it.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn multiply<const ROWS: usize>(tile: &Tile<'_>, c: *mut f32) {
        let mut sums: [[__m512; 2]; ROWS] = [[_mm512_setzero_ps(); 2]; ROWS];
        let mut a = tile.a.as_ptr();
        let mut b = tile.b.as_ptr();
        for _ in 0..tile.b.len() / 2 {
            // SAFETY: `a` has ROWS pairs and `b` two registers for each round of this loop.
            unsafe {
                let (b0, b1) = (load(b), load(b.add(1)));
                for (i, [s0, s1]) in sums.iter_mut().enumerate() {
                    let x = pairs(_mm512_set1_epi32((*a.add(i)).cast_signed()));
                    *s0 = _mm512_dpbf16_ps(*s0, b0, x);
                    *s1 = _mm512_dpbf16_ps(*s1, b1, x);
                }
                a = a.add(ROWS);
                b = b.add(2);
            }
        }
        let masks = [mask(tile.cols), mask(tile.cols.saturating_sub(16))];
        for (i, row) in sums.iter().enumerate() {
            for (half, sum) in row.iter().enumerate() {
                // SAFETY: the masks let only the tile's columns through.
                unsafe {
                    let c = c.add(i * tile.row_stride).wrapping_add(16 * half);
                    let mut sum = *sum;
                    if tile.accumulate {
                        sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(masks[half], c));
                    }
                    _mm512_mask_storeu_ps(c, masks[half], sum);
                }
            }
        }
    }

    #[target_feature(enable = "avx512f")]
    unsafe fn load(lanes: *const Lanes) -> __m512bh {
        // SAFETY: `Lanes` is 64 bytes, aligned to 64.
        pairs(unsafe { _mm512_load_si512(lanes.cast::<__m512i>()) })
    }

    fn pairs(register: __m512i) -> __m512bh {
        // SAFETY: both are 512 plain bits.
        unsafe { std::mem::transmute(register) }
    }

    /// The lowest `n` of sixteen.
    fn mask(n: usize) -> __mmask16 {
        if n >= 16 { u16::MAX } else { (1 << n) - 1 }
    }
}
