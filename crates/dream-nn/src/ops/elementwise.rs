//! Vectorised row operations: exponential, softmax, log-sum-exp, dot product, L2 normalisation.
//!
//! Each is compiled for AVX-512, AVX2 and the baseline and chosen at run time: with `f32::exp` from
//! the system's library the softmax of a long prompt costs as much as its matrix products.

use multiversion::multiversion;

/// Sixteen partial sums: one AVX-512 register, four of the baseline's.
const LANES: usize = 16;

/// `exp(x)`: Cody-Waite reduction to `|r| <= ln 2 / 2` and a degree-6 polynomial, relative error
/// below 3e-7; 0 below -87.3, saturating at `exp(88.3)` above.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Adding 1.5 * 2^23 leaves the rounded integer in the low bits of the mantissa.
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let shifted = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = clamped - n * 0.693_359_4 - n * -2.121_944_4e-4;
    let p = 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.3 { 0.0 } else { p * power }
}

/// The largest value; negative infinity of an empty slice.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (m, v) in lanes.iter_mut().zip(chunk) {
            *m = if *v > *m { *v } else { *m };
        }
    }
    let whole = lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    rest.iter().copied().fold(whole, f32::max)
}

/// Whether `x` is greater than `border`, or one of the two is no number.
#[expect(
    clippy::neg_cmp_op_on_partial_ord,
    reason = "what cannot be compared must not pass unseen"
)]
#[inline]
pub fn above(x: f32, border: f32) -> bool {
    !(x <= border)
}

/// Whether any value is [`above`] `border`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn any_above(x: &[f32], border: f32) -> bool {
    x.iter().fold(false, |any, v| any | above(*v, border))
}

/// `x = exp(x - shift)`; returns the sum.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn exp_sum(x: &mut [f32], shift: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, rest) = x.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (sum, v) in lanes.iter_mut().zip(chunk) {
            *v = exp(*v - shift);
            *sum += *v;
        }
    }
    let mut sum: f32 = lanes.iter().sum();
    for v in rest {
        *v = exp(*v - shift);
        sum += *v;
    }
    sum
}

/// `sum(a * b)`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let mut lanes = [0.0f32; LANES];
    let (chunks_a, rest_a) = a.as_chunks::<LANES>();
    let (chunks_b, rest_b) = b.as_chunks::<LANES>();
    for (a, b) in chunks_a.iter().zip(chunks_b) {
        for i in 0..LANES {
            lanes[i] += a[i] * b[i];
        }
    }
    lanes.iter().sum::<f32>() + rest_a.iter().zip(rest_b).map(|(a, b)| a * b).sum::<f32>()
}

/// `x *= factor`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn scale(x: &mut [f32], factor: f32) {
    for v in x {
        *v *= factor;
    }
}

/// `y += factor * x`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn axpy(y: &mut [f32], factor: f32, x: &[f32]) {
    assert_eq!(y.len(), x.len());
    for (y, x) in y.iter_mut().zip(x) {
        *y += factor * x;
    }
}

/// Softmax in place; returns the log-sum-exp of the logits.
pub fn softmax(x: &mut [f32]) -> f32 {
    let shift = max(x);
    let sum = exp_sum(x, shift);
    scale(x, 1.0 / sum);
    shift + sum.ln()
}

/// Softmax backward: `d_logits = p * (d_p - sum(p * d_p))`, written over `d_p`.
#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
pub fn softmax_backward(p: &[f32], d_p: &mut [f32]) {
    let inner = dot(p, d_p);
    for (d, p) in d_p.iter_mut().zip(p) {
        *d = p * (*d - inner);
    }
}

/// Scales `x` to length one; returns the length it had (floored at 1e-12).
pub fn l2_normalise(x: &mut [f32]) -> f32 {
    let norm = dot(x, x).sqrt().max(1e-12);
    scale(x, 1.0 / norm);
    norm
}

/// Backward of [`l2_normalise`]: `d_x = (d_y - y <y, d_y>) / norm`, written over `d_y`.
pub fn l2_normalise_backward(y: &[f32], norm: f32, d_y: &mut [f32]) {
    let inner = dot(y, d_y);
    for (d, y) in d_y.iter_mut().zip(y) {
        *d = (*d - y * inner) / norm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, check_gradient, random_vec, rng};

    #[test]
    fn exp_is_within_three_ulps_or_so_of_the_system_library() {
        for i in -8730..8830 {
            let x = i as f32 / 100.0;
            let want = f64::from(x).exp();
            let error = (f64::from(exp(x)) - want).abs() / want;
            assert!(error < 3e-7, "{x}: {error}");
        }
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn a_value_above_the_border_is_seen_wherever_it_stands_and_so_is_none_at_all() {
        for i in 0..37 {
            let mut x = [1.0; 37];
            assert!(!any_above(&x, 1.0));
            assert!(any_above(&x, f32::NAN));
            for value in [1.5, f32::NAN] {
                x[i] = value;
                assert!(any_above(&x, 1.0), "{value} at {i}");
            }
        }
        assert!(!any_above(&[], f32::NAN));
    }

    #[test]
    fn softmax_sums_to_one_and_its_backward_equals_differences() {
        let mut rng = rng(2);
        let x = random_vec(&mut rng, 37);
        let r = random_vec(&mut rng, 37);
        let mut p = x.clone();
        softmax(&mut p);
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let mut gradient = r.clone();
        softmax_backward(&p, &mut gradient);
        check_gradient(&x, &gradient, |x| {
            let mut p = x.to_vec();
            softmax(&mut p);
            testing::dot(&p, &r)
        });
    }

    #[test]
    fn normalisation_backward_equals_differences() {
        let mut rng = rng(3);
        let x = random_vec(&mut rng, 21);
        let r = random_vec(&mut rng, 21);
        let mut y = x.clone();
        let norm = l2_normalise(&mut y);
        let mut gradient = r.clone();
        l2_normalise_backward(&y, norm, &mut gradient);
        check_gradient(&x, &gradient, |x| {
            let mut y = x.to_vec();
            l2_normalise(&mut y);
            testing::dot(&y, &r)
        });
    }
}
