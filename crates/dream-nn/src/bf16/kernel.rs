//! The innermost product: a tile of up to 12 rows and 32 columns, all its sums in registers.

use super::pack::{Lanes, round_pair, widen_pair};
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
    /// Pairs of activations, `[rows, pairs]`.
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
        for (sums, a) in sums.iter_mut().zip(self.a.chunks_exact(self.b.len() / 2)) {
            for (a, b) in a.iter().zip(self.b.chunks_exact(2)) {
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

/// Rounds a row to bfloat16 pairs, an odd last value with zero; `out` is half as long, rounded up.
///
/// The processor's own rounding turns numbers below 1e-38 into zero, as its products do.
pub(super) fn round_row(x: &[f32], out: &mut [u32]) {
    assert_eq!(out.len(), x.len().div_ceil(2));
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if has_instructions() {
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
mod x86 {
    use super::{Lanes, Tile};
    use std::arch::x86_64::{
        __m512, __m512bh, __m512i, __mmask16, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps,
        _mm512_load_si512, _mm512_loadu_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
        _mm512_set1_epi32, _mm512_setzero_ps, _mm512_storeu_si512,
    };

    /// [`Tile::multiply`] for `ROWS` rows.
    ///
    /// # Safety
    /// The processor has AVX512-BF16, `tile.rows` is `ROWS`, `a` and `b` have equally many pairs, `c`
    /// is as [`Tile::multiply`] wants it.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn multiply<const ROWS: usize>(tile: &Tile<'_>, c: *mut f32) {
        let mut sums: [[__m512; 2]; ROWS] = [[_mm512_setzero_ps(); 2]; ROWS];
        let n = tile.b.len() / 2;
        let rows: [*const u32; ROWS] = std::array::from_fn(|i| tile.a[i * n..].as_ptr());
        let b = tile.b.as_ptr();
        for pair in 0..n {
            // SAFETY: each row has `n` pairs, and `b` two registers a pair.
            unsafe {
                let (b0, b1) = (load(b.add(2 * pair)), load(b.add(2 * pair + 1)));
                for (row, [s0, s1]) in rows.iter().zip(&mut sums) {
                    let x = pairs(_mm512_set1_epi32((*row.add(pair)).cast_signed()));
                    *s0 = _mm512_dpbf16_ps(*s0, b0, x);
                    *s1 = _mm512_dpbf16_ps(*s1, b1, x);
                }
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

    /// Rounds 32 values to bfloat16, into sixteen pairs.
    ///
    /// # Safety
    /// The processor has AVX512-BF16; `x` and `out` point to 32 values and 16 pairs.
    #[target_feature(enable = "avx512f,avx512bf16")]
    #[expect(clippy::cast_ptr_alignment, reason = "the store is an unaligned one")]
    pub unsafe fn round_32(x: *const f32, out: *mut u32) {
        // SAFETY: as the caller promises; neither needs to be aligned.
        unsafe {
            let (low, high) = (_mm512_loadu_ps(x), _mm512_loadu_ps(x.add(16)));
            let rounded: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(high, low));
            _mm512_storeu_si512(out.cast::<__m512i>(), rounded);
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
