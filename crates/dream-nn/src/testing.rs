//! What the tests of this crate share: random matrices and the finite-difference check.

use crate::dtype::Dtype;
use crate::matrix::Matrix;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Largest accepted difference between a backward pass and central differences, relative to the
/// largest gradient. Central differences of `f32` forwards carry about this much rounding.
pub const FINITE_DIFFERENCE: f64 = 5e-3;

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn random_vec(rng: &mut impl Rng, len: usize) -> Vec<f32> {
    (0..len).map(|_| rng.random_range(-1.0f32..1.0)).collect()
}

pub fn random_matrix(rng: &mut impl Rng, rows: usize, cols: usize) -> Matrix {
    Matrix::from_vec(rows, cols, random_vec(rng, rows * cols))
}

/// `sum(a * b)` in `f64`: the scalar loss of the gradient tests.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

/// Compares `gradient` with central differences of `loss` in every coordinate of `x`.
pub fn check_gradient(x: &[f32], gradient: &[f32], loss: impl Fn(&[f32]) -> f64) {
    assert_eq!(x.len(), gradient.len());
    let step = 1e-2f32;
    let largest = gradient
        .iter()
        .fold(1e-3f64, |m, g| m.max(f64::from(g.abs())));
    for i in 0..x.len() {
        let mut moved = x.to_vec();
        moved[i] = x[i] + step;
        let up = loss(&moved);
        let high = moved[i];
        moved[i] = x[i] - step;
        let down = loss(&moved);
        let want = (up - down) / f64::from(high - moved[i]);
        let got = f64::from(gradient[i]);
        assert!(
            (want - got).abs() <= FINITE_DIFFERENCE * largest,
            "coordinate {i}: differences give {want}, backward gives {got} (largest {largest})"
        );
    }
}

/// The values as `dtype` holds them.
pub fn rounded(matrix: &Matrix, dtype: Dtype) -> Matrix {
    let round = |v: &f32| match dtype {
        Dtype::F32 => *v,
        Dtype::Bf16 => half::bf16::from_f32(*v).to_f32(),
    };
    let data = matrix.data().iter().map(round).collect();
    Matrix::from_vec(matrix.rows(), matrix.cols(), data)
}
