//! How close is equal: each tolerance once, by name.

/// What a model computes against an independent `f32` or `f64` implementation.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Losses, relative.
    pub loss: f64,
    /// Gradients, relative to the largest of the vector.
    pub gradient: f64,
    /// Hidden states and embeddings, relative to the largest of the vector.
    pub state: f64,
}

/// Weights in `f32`.
pub const F32: Tolerance = Tolerance {
    loss: LOSS,
    gradient: GRADIENT,
    state: STATE,
};
/// Weights in `bf16`: eight bits of mantissa, rounded anew at every product of thirty layers.
pub const BF16: Tolerance = Tolerance {
    loss: 2e-2,
    gradient: 1e-1,
    state: 5e-2,
};

/// [`F32`]'s, by name.
pub const LOSS: f64 = 1e-4;
/// Likewise.
pub const GRADIENT: f64 = 1e-3;
/// Likewise.
pub const STATE: f64 = 1e-4;

/// Compares vectors; a failure names the place of the largest difference.
pub fn assert_close(what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}: lengths");
    let largest = want.iter().fold(1e-6f64, |m, v| m.max(v.abs()));
    let (at, worst) = got
        .iter()
        .zip(want)
        .map(|(g, w)| (f64::from(*g) - w).abs() / largest)
        .enumerate()
        .fold((0, 0.0), |best, (i, d)| {
            if d > best.1 || d.is_nan() {
                (i, d)
            } else {
                best
            }
        });
    assert!(
        worst <= tolerance,
        "{what}: difference {worst:.3e} of the largest value at {at}: got {}, want {}",
        got[at],
        want[at]
    );
}

/// Compares two numbers, relative.
pub fn assert_number(what: &str, got: f32, want: f64, tolerance: f64) {
    assert_close(what, &[got], &[want], tolerance);
}
