//! Products with a narrow result, as low-rank adapters need them: `[m, k] x [k, r]`, `r` about 16.
//!
//! General kernels are made for wide results and spend most of such a product on packing. Here the
//! few columns of the result are one register, and a tile is 24 rows of them.

use crate::matrix::{Matrix, Unwritten, View};
use rayon::prelude::*;

/// Columns of the result that are computed together: one register.
const LANES: usize = 16;
/// Rows of the result that a task computes: a multiple of every tile.
const TASK_ROWS: usize = 48;

/// `a b` on all threads: `a [m, k]` of any strides, `b [k, r]`, gives `[m, r]`.
///
/// The order of additions depends on `k` alone.
pub fn narrow_product(a: View<'_>, b: &Matrix) -> Matrix {
    assert_eq!(a.cols, b.rows(), "shapes of a product");
    let r = b.cols();
    let mut c = Unwritten::new(a.rows, r);
    let slots = c.slots().par_chunks_mut((TASK_ROWS * r).max(1));
    slots.enumerate().for_each(|(task, c)| {
        let first = task * TASK_ROWS;
        let mut row = 0;
        let rows = c.len() / r;
        while row < rows {
            let a = a.rows(first + row..first + rows);
            let c = &mut c[row * r..];
            row += fill(a, b, c.as_mut_ptr().cast());
        }
    });
    // SAFETY: `fill` has written all rows.
    unsafe { c.written() }
}

/// Computes a tile of the first rows of `a b` and says how many rows it has.
fn fill(a: View<'_>, b: &Matrix, c: *mut f32) -> usize {
    a.check();
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has the instructions; `a` was checked; `c` has room for all its rows.
        unsafe {
            return match a.rows {
                24.. => x86::tile::<24>(a, b, c),
                8.. => x86::tile::<8>(a, b, c),
                _ => x86::tile::<1>(a, b, c),
            };
        }
    }
    // SAFETY: `c` has room for a row.
    unsafe { portable_row(a, b, c) }
}

/// One row, on any processor.
///
/// # Safety
/// `c` points to room for a row.
unsafe fn portable_row(a: View<'_>, b: &Matrix, c: *mut f32) -> usize {
    for first in (0..b.cols()).step_by(LANES) {
        let n = LANES.min(b.cols() - first);
        let mut sums = [0.0; LANES];
        for k in 0..a.cols {
            let x = a.data[k * a.col_stride];
            for (sum, b) in sums.iter_mut().zip(&b.row(k)[first..first + n]) {
                *sum += x * b;
            }
        }
        for (i, sum) in sums.iter().enumerate().take(n) {
            // SAFETY: `first + i` lies in the row.
            unsafe { c.add(first + i).write(*sum) };
        }
    }
    1
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Matrix, View};
    use std::arch::x86_64::{
        __m512, _mm512_fmadd_ps, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_set1_ps,
        _mm512_setzero_ps,
    };

    /// The first `ROWS` rows of `a b`; returns `ROWS`.
    ///
    /// # Safety
    /// The processor has AVX-512; `a` has as many rows and lies within its data; `c` has room for them.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn tile<const ROWS: usize>(a: View<'_>, b: &Matrix, c: *mut f32) -> usize {
        let r = b.cols();
        let rows: [*const f32; ROWS] =
            std::array::from_fn(|i| a.data.as_ptr().wrapping_add(i * a.row_stride));
        for first in (0..r).step_by(LANES) {
            let n = LANES.min(r - first);
            let mask = u16::MAX >> (LANES - n);
            let mut sums: [__m512; ROWS] = [_mm512_setzero_ps(); ROWS];
            let mut right = b.data()[first..].as_ptr();
            for k in 0..a.cols {
                // SAFETY: row `k` of `b` has `n` values from `first` on; each row of `a` has `a.cols`.
                unsafe {
                    let b = _mm512_maskz_loadu_ps(mask, right);
                    for (sum, row) in sums.iter_mut().zip(&rows) {
                        *sum = _mm512_fmadd_ps(_mm512_set1_ps(*row.add(k * a.col_stride)), b, *sum);
                    }
                }
                right = right.wrapping_add(r);
            }
            for (i, sum) in sums.iter().enumerate() {
                // SAFETY: the mask lets only the row's own columns through.
                unsafe { _mm512_mask_storeu_ps(c.add(i * r + first), mask, *sum) };
            }
        }
        ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::product;
    use crate::testing::{random_matrix, rng};

    fn assert_close(got: &[f32], want: &[f32]) {
        assert_eq!(got.len(), want.len());
        for (i, (got, want)) in got.iter().zip(want).enumerate() {
            assert!((got - want).abs() < 1e-4, "at {i}: {got} instead of {want}");
        }
    }

    #[test]
    fn equals_the_general_product_on_both_orders_of_the_left_side() {
        let mut rng = rng(31);
        for (m, k, r) in [
            (1, 1, 1),
            (7, 3, 4),
            (24, 40, 16),
            (83, 17, 16),
            (100, 33, 40),
        ] {
            let b = random_matrix(&mut rng, k, r);
            let a = random_matrix(&mut rng, m, k);
            let want = product(a.view(), b.view());
            assert_close(narrow_product(a.view(), &b).data(), want.data());
            let turned = a.transposed();
            assert_close(narrow_product(turned.view().t(), &b).data(), want.data());
        }
        assert_eq!(
            narrow_product(Matrix::zeros(0, 3).view(), &Matrix::zeros(3, 2)).rows(),
            0
        );
    }

    #[test]
    fn the_portable_row_equals_the_processors() {
        let mut rng = rng(32);
        let (a, b) = (
            random_matrix(&mut rng, 1, 9),
            random_matrix(&mut rng, 9, 21),
        );
        let mut c = [0.0; 21];
        // SAFETY: `c` is a row.
        unsafe { portable_row(a.view(), &b, c.as_mut_ptr()) };
        assert_close(&c, narrow_product(a.view(), &b).data());
    }
}
