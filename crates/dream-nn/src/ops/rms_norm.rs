//! RMSNorm: `y = w * x / sqrt(mean(x^2) + eps)` over rows of `w.len()` values.

use super::elementwise::dot;
use crate::matrix::{Matrix, Unwritten};
use rayon::prelude::*;

/// Forward. `x` and the result are `[rows, n * dim]`, `weight` is `[dim]`: each `dim` values are normed.
pub fn forward(x: &Matrix, weight: &[f32], eps: f32) -> Matrix {
    let dim = weight.len();
    assert!(x.cols().is_multiple_of(dim));
    let mut y = Unwritten::new(x.rows(), x.cols());
    let slots = y.slots().par_chunks_mut(dim);
    slots
        .zip(x.data().par_chunks(dim))
        .with_min_len(16)
        .for_each(|(y, x)| {
            let r = inverse_rms(x, eps);
            for ((y, x), w) in y.iter_mut().zip(x).zip(weight) {
                y.write(x * r * w);
            }
        });
    // SAFETY: all chunks have been written.
    unsafe { y.written() }
}

/// Backward to the input: `d_x += dL/dx`, given `d_y`. All `[rows, dim]`; the weight is frozen.
pub fn backward(x: &[f32], weight: &[f32], eps: f32, d_y: &[f32], d_x: &mut [f32]) {
    let dim = weight.len();
    assert!(x.len() == d_y.len() && x.len() == d_x.len() && x.len().is_multiple_of(dim));
    let rows = x.par_chunks(dim).zip(d_y.par_chunks(dim));
    d_x.par_chunks_mut(dim)
        .zip(rows)
        .with_min_len(16)
        .for_each(|(d_x, (x, d_y))| {
            let r = inverse_rms(x, eps);
            let inner: f32 = x
                .iter()
                .zip(d_y)
                .zip(weight)
                .map(|((x, d), w)| x * d * w)
                .sum();
            let c = r * r * r * inner / dim as f32;
            for (((d_x, x), d), w) in d_x.iter_mut().zip(x).zip(d_y).zip(weight) {
                *d_x += r * w * d - c * x;
            }
        });
}

fn inverse_rms(x: &[f32], eps: f32) -> f32 {
    1.0 / (dot(x, x) / x.len() as f32 + eps).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, check_gradient, random_vec, rng};

    #[test]
    fn backward_equals_differences() {
        let mut rng = rng(4);
        let (x, r) = (random_vec(&mut rng, 36), random_vec(&mut rng, 36));
        let weight = random_vec(&mut rng, 12);
        let mut gradient = vec![0.0; 36];
        backward(&x, &weight, 1e-5, &r, &mut gradient);
        check_gradient(&x, &gradient, |x| {
            let y = forward(&Matrix::from_vec(3, 12, x.to_vec()), &weight, 1e-5);
            testing::dot(y.data(), &r)
        });
    }
}
