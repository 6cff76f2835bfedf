//! The tile with AVX-512, once for each type of word.

use super::Lanes;
use std::arch::x86_64::{
    __m512, __m512bh, __m512i, __mmask16, _mm512_castsi512_ps, _mm512_cvtne2ps_pbh,
    _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_load_si512, _mm512_loadu_ps, _mm512_storeu_si512,
};

/// A module with the kernel whose innermost step, compiled for `$features`, is `$dot`.
macro_rules! kernel {
    ($name:ident, $features:literal, $dot:path) => {
        pub mod $name {
            use super::{load, mask};
            use crate::packed::kernel::Tile;
            use std::arch::x86_64::{
                __m512, _mm512_add_ps, _mm512_fmadd_ps, _mm512_mask_storeu_ps,
                _mm512_maskz_loadu_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
            };

            /// [`Tile::multiply`].
            ///
            /// # Safety
            /// The processor has the instructions, `a` and `b` are equally deep, the low-rank factors are
            /// checked, `c` and `base` are as [`Tile::multiply`] wants them.
            pub unsafe fn multiply(
                tile: &Tile<'_>,
                c: *mut f32,
                base: Option<(*const f32, usize)>,
            ) {
                // SAFETY: as the caller promises.
                unsafe {
                    match tile.rows {
                        1 => rows::<1>(tile, c, base),
                        2 => rows::<2>(tile, c, base),
                        3 => rows::<3>(tile, c, base),
                        4 => rows::<4>(tile, c, base),
                        5 => rows::<5>(tile, c, base),
                        6 => rows::<6>(tile, c, base),
                        7 => rows::<7>(tile, c, base),
                        8 => rows::<8>(tile, c, base),
                        9 => rows::<9>(tile, c, base),
                        10 => rows::<10>(tile, c, base),
                        11 => rows::<11>(tile, c, base),
                        12 => rows::<12>(tile, c, base),
                        rows => unreachable!("a tile of {rows} rows. This is a bug."),
                    }
                }
            }

            #[target_feature(enable = $features)]
            unsafe fn rows<const ROWS: usize>(
                tile: &Tile<'_>,
                c: *mut f32,
                base: Option<(*const f32, usize)>,
            ) {
                let mut sums: [[__m512; 2]; ROWS] = [[_mm512_setzero_ps(); 2]; ROWS];
                let depth = tile.b.len() / 2;
                let rows: [*const u32; ROWS] =
                    std::array::from_fn(|i| tile.a[i * depth..].as_ptr());
                let b = tile.b.as_ptr();
                for k in 0..depth {
                    // SAFETY: each row has `depth` words, and `b` two registers a word.
                    unsafe {
                        let (b0, b1) = (load(b.add(2 * k)), load(b.add(2 * k + 1)));
                        for (row, [s0, s1]) in rows.iter().zip(&mut sums) {
                            let x = _mm512_set1_epi32((*row.add(k)).cast_signed());
                            *s0 = $dot(*s0, x, b0);
                            *s1 = $dot(*s1, x, b1);
                        }
                    }
                }
                let masks = [mask(tile.cols), mask(tile.cols.saturating_sub(16))];
                if let Some(low_rank) = &tile.low_rank {
                    let mut right = low_rank.right.as_ptr();
                    let left = low_rank.left.as_ptr();
                    for j in 0..low_rank.rank {
                        // SAFETY: both factors are as large as `TileLowRank::check` found; the masks let
                        // only the tile's columns through.
                        unsafe {
                            let r0 = _mm512_maskz_loadu_ps(masks[0], right);
                            let r1 = _mm512_maskz_loadu_ps(masks[1], right.wrapping_add(16));
                            for (i, [s0, s1]) in sums.iter_mut().enumerate() {
                                let x = _mm512_set1_ps(*left.add(i * low_rank.rank + j));
                                *s0 = _mm512_fmadd_ps(x, r0, *s0);
                                *s1 = _mm512_fmadd_ps(x, r1, *s1);
                            }
                        }
                        right = right.wrapping_add(low_rank.stride);
                    }
                }
                for (i, row) in sums.iter().enumerate() {
                    for (half, sum) in row.iter().enumerate() {
                        // SAFETY: the masks let only the tile's columns through.
                        unsafe {
                            let mut sum = *sum;
                            if let Some((base, stride)) = base {
                                let base = base.add(i * stride).wrapping_add(16 * half);
                                sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(masks[half], base));
                            }
                            let c = c.add(i * tile.row_stride).wrapping_add(16 * half);
                            _mm512_mask_storeu_ps(c, masks[half], sum);
                        }
                    }
                }
            }
        }
    };
}

kernel!(f32, "avx512f", super::multiply_add);
kernel!(bf16, "avx512f,avx512bf16", super::multiply_add_pairs);

#[inline]
#[target_feature(enable = "avx512f")]
fn multiply_add(sum: __m512, x: __m512i, b: __m512i) -> __m512 {
    _mm512_fmadd_ps(_mm512_castsi512_ps(x), _mm512_castsi512_ps(b), sum)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn multiply_add_pairs(sum: __m512, x: __m512i, b: __m512i) -> __m512 {
    _mm512_dpbf16_ps(sum, pairs(b), pairs(x))
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

#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn load(lanes: *const Lanes) -> __m512i {
    // SAFETY: `Lanes` is 64 bytes, aligned to 64.
    unsafe { _mm512_load_si512(lanes.cast::<__m512i>()) }
}

fn pairs(register: __m512i) -> __m512bh {
    // SAFETY: both are 512 plain bits.
    unsafe { std::mem::transmute(register) }
}

/// The lowest `n` of sixteen.
fn mask(n: usize) -> __mmask16 {
    if n >= 16 { u16::MAX } else { (1 << n) - 1 }
}
