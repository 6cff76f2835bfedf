//! Matrix products: a thin, checked face over the `gemm` crate (AVX-512 where the processor has it).

use crate::matrix::{Matrix, Unwritten, View, ViewMut};

/// Who computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread alone: inside a parallel loop.
    One,
    /// All threads of the current rayon pool.
    All,
}

/// `c = scale * a b`, or `c += scale * a b` when `accumulate` is set.
///
/// Shapes: `a [m, k]`, `b [k, n]`, `c [m, n]`; any strides for `a` and `b`.
/// The order of additions depends on the shapes alone, so equal calls give equal bits.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a view to write to is used up like a `&mut`"
)]
pub fn gemm(
    c: ViewMut<'_>,
    a: View<'_>,
    b: View<'_>,
    scale: f32,
    accumulate: bool,
    threads: Threads,
) {
    assert_eq!(
        (c.rows, c.cols, a.cols),
        (a.rows, b.cols, b.rows),
        "shapes of a product"
    );
    assert!(c.rows == 0 || c.cols == 0 || c.data.len() >= (c.rows - 1) * c.row_stride + c.cols);
    // SAFETY: as asserted.
    unsafe {
        multiply(
            c.data.as_mut_ptr(),
            c.row_stride,
            a,
            b,
            scale,
            accumulate,
            threads,
        );
    }
}

/// `a b` as a new matrix, on all threads.
pub fn product(a: View<'_>, b: View<'_>) -> Matrix {
    assert_eq!(a.cols, b.rows, "shapes of a product");
    let mut c = Unwritten::new(a.rows, b.cols);
    // SAFETY: there is room for all values, and the product writes each, reading none.
    unsafe {
        multiply(c.as_mut_ptr(), b.cols, a, b, 1.0, false, Threads::All);
        c.written()
    }
}

/// [`gemm`] to wherever `c` points.
///
/// # Safety
/// `c` points to `a.rows` rows of `b.cols` values, `row_stride` apart, that nobody else uses; they hold values if
/// `accumulate` is set; `a.cols` is `b.rows`.
unsafe fn multiply(
    c: *mut f32,
    row_stride: usize,
    a: View<'_>,
    b: View<'_>,
    scale: f32,
    accumulate: bool,
    threads: Threads,
) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    if m == 0 || n == 0 {
        return;
    }
    a.check();
    b.check();
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: every element of `a` and `b` lies inside its slice, as checked; `c` is as the caller promises.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            c,
            1,
            row_stride as isize,
            accumulate,
            a.data.as_ptr(),
            a.col_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.col_stride as isize,
            b.row_stride as isize,
            1.0f32,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random_matrix, rng};

    #[test]
    fn products_of_strided_views_equal_three_loops() {
        let mut rng = rng(1);
        for (m, n, k) in [(1, 1, 1), (3, 5, 7), (17, 33, 9), (64, 48, 31)] {
            let a = random_matrix(&mut rng, m, k + 2);
            let b = random_matrix(&mut rng, n, k);
            let mut c = Matrix::zeros(m, n);
            gemm(
                c.view_mut(),
                a.view().cols(1..k + 1),
                b.view().t(),
                0.5,
                false,
                Threads::One,
            );
            for i in 0..m {
                for j in 0..n {
                    let want: f32 =
                        (0..k).map(|x| a.row(i)[x + 1] * b.row(j)[x]).sum::<f32>() * 0.5;
                    assert!((c.row(i)[j] - want).abs() < 1e-4, "{m} {n} {k}: {i} {j}");
                }
            }
        }
    }
}
