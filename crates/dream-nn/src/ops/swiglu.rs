//! SwiGLU: `y = silu(gate) * up`, `silu(x) = x / (1 + exp(-x))`, element by element.

use super::elementwise::exp;
use crate::matrix::{Matrix, Unwritten};
use multiversion::multiversion;
use rayon::prelude::*;
use std::mem::MaybeUninit;

/// Values a thread takes at a time.
const CHUNK: usize = 1 << 14;

/// Forward: `y = silu(gate) * up`; all of one shape.
pub fn forward(gate: &Matrix, up: &Matrix) -> Matrix {
    assert_eq!((gate.rows(), gate.cols()), (up.rows(), up.cols()));
    let mut y = Unwritten::new(gate.rows(), gate.cols());
    let (gate, up) = (gate.data().par_chunks(CHUNK), up.data().par_chunks(CHUNK));
    let slots = y.slots().par_chunks_mut(CHUNK);
    slots
        .zip(gate.zip(up))
        .for_each(|(y, (gate, up))| forward_chunk(gate, up, y));
    // SAFETY: all chunks have been written.
    unsafe { y.written() }
}

/// Backward: overwrites `gate` and `up` with their gradients, given `d_y`.
pub fn backward(gate: &mut [f32], up: &mut [f32], d_y: &[f32]) {
    assert!(gate.len() == up.len() && gate.len() == d_y.len());
    gate.par_chunks_mut(CHUNK)
        .zip(up.par_chunks_mut(CHUNK).zip(d_y.par_chunks(CHUNK)))
        .for_each(|(gate, (up, d_y))| backward_chunk(gate, up, d_y));
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn forward_chunk(gate: &[f32], up: &[f32], y: &mut [MaybeUninit<f32>]) {
    for ((y, g), u) in y.iter_mut().zip(gate).zip(up) {
        y.write(g / (1.0 + exp(-g)) * u);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2+fma"))]
fn backward_chunk(gate: &mut [f32], up: &mut [f32], d_y: &[f32]) {
    for ((g, u), d) in gate.iter_mut().zip(up.iter_mut()).zip(d_y) {
        let sigmoid = 1.0 / (1.0 + exp(-*g));
        let silu = *g * sigmoid;
        let d_silu = sigmoid * (1.0 + *g * (1.0 - sigmoid));
        let d_gate = d * *u * d_silu;
        *u = d * silu;
        *g = d_gate;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, check_gradient, random_vec, rng};

    #[test]
    fn backward_equals_differences() {
        let mut rng = rng(6);
        let (gate, up, r) = (
            random_vec(&mut rng, 19),
            random_vec(&mut rng, 19),
            random_vec(&mut rng, 19),
        );
        let (mut d_gate, mut d_up) = (gate.clone(), up.clone());
        backward(&mut d_gate, &mut d_up, &r);
        let loss = |gate: &[f32], up: &[f32]| {
            let row = |x: &[f32]| Matrix::from_vec(1, x.len(), x.to_vec());
            testing::dot(forward(&row(gate), &row(up)).data(), &r)
        };
        check_gradient(&gate, &d_gate, |x| loss(x, &up));
        check_gradient(&up, &d_up, |x| loss(&gate, x));
    }
}
