//! What the processor can do at best, measured: chains of multiply-adds that never leave the registers.
//!
//! Efficiencies are shares of this figure, taken in the same run, so that they mean the same on any machine.

use crate::Dtype;
use rayon::prelude::*;
use std::time::{Duration, Instant};

/// Independent chains: enough to hide the latency of a multiply-add, few enough for 32 registers.
const CHAINS: usize = 24;
/// Multiply-adds of each chain between two looks at the clock.
const ROUNDS: usize = 1 << 16;

/// Multiplications and additions a second, in units of 10^9, on all threads of the current pool; the
/// best of several trials.
///
/// Without AVX-512 the figure is that of plain `f32` arithmetic as the compiler makes it.
pub fn gflops(dtype: Dtype) -> f64 {
    let threads = rayon::current_num_threads();
    let trial = || {
        let operations: Vec<f64> = (0..threads)
            .into_par_iter()
            .with_max_len(1)
            .map(|_| operations_a_second(dtype))
            .collect();
        operations.iter().sum::<f64>() / 1e9
    };
    (0..5).map(|_| trial()).fold(0.0, f64::max)
}

fn operations_a_second(dtype: Dtype) -> f64 {
    let start = Instant::now();
    let mut operations = 0;
    while start.elapsed() < Duration::from_millis(50) {
        operations += chains(dtype);
    }
    operations as f64 / start.elapsed().as_secs_f64()
}

/// Runs all chains; returns the operations that were.
fn chains(dtype: Dtype) -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        if dtype == Dtype::Bf16 && crate::bf16::has_instructions() {
            // SAFETY: the processor has the instructions.
            std::hint::black_box(unsafe { x86::bf16() });
            return (CHAINS * ROUNDS * 64) as u64;
        }
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions.
            std::hint::black_box(unsafe { x86::f32() });
            return (CHAINS * ROUNDS * 32) as u64;
        }
    }
    let mut sums = [[1.0f32; 8]; 12];
    for _ in 0..ROUNDS {
        for sum in sums.iter_mut().flatten() {
            *sum = *sum * 0.5 + 0.5;
        }
    }
    std::hint::black_box(sums);
    (12 * 8 * 2 * ROUNDS) as u64
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{CHAINS, ROUNDS};
    use std::arch::x86_64::{
        __m512, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_reduce_add_ps,
        _mm512_set1_ps,
    };

    /// # Safety
    /// The processor has AVX-512.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn f32() -> f32 {
        let x = std::hint::black_box(_mm512_set1_ps(0.5));
        let mut sums = [x; CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, x, x);
            }
        }
        total(&sums)
    }

    /// # Safety
    /// The processor has AVX512-BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn bf16() -> f32 {
        let half = std::hint::black_box(_mm512_set1_ps(0.5));
        let x = _mm512_cvtne2ps_pbh(half, half);
        let mut sums = [half; CHAINS];
        for _ in 0..ROUNDS {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, x, x);
            }
        }
        total(&sums)
    }

    #[target_feature(enable = "avx512f")]
    fn total(sums: &[__m512; CHAINS]) -> f32 {
        sums.iter().map(|sum| _mm512_reduce_add_ps(*sum)).sum()
    }
}
