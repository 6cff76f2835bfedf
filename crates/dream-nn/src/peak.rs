//! What the processor can do at best, measured: chains of multiply-adds that never leave the registers.
//!
//! Efficiencies are shares of this figure, taken in the same run, so that they mean the same on any machine.

use crate::Dtype;
use crate::packed::has_instructions;
use rayon::prelude::*;
use std::time::{Duration, Instant};

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
    if has_instructions(dtype) {
        // SAFETY: the processor has the instructions.
        unsafe {
            return match dtype {
                Dtype::F32 => x86::f32(),
                Dtype::Bf16 => x86::bf16(),
            };
        }
    }
    let _ = dtype;
    let mut sums = [[1.0f32; 8]; 12];
    for _ in 0..ROUNDS {
        for sum in sums.iter_mut().flatten() {
            *sum = *sum * 0.5 + 0.5;
        }
    }
    std::hint::black_box(sums);
    (12 * 8 * 2 * ROUNDS) as u64
}

/// In assembly, because the compiler moves sums between registers and memory, which hid a quarter of
/// the peak.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::ROUNDS;
    use std::arch::asm;

    /// Twelve chains, enough to hide the latency; what they add up does not matter.
    macro_rules! chains {
        ($instruction:literal) => {
            asm!(
                "2:",
                concat!($instruction, " zmm0, zmm12, zmm13"),
                concat!($instruction, " zmm1, zmm12, zmm13"),
                concat!($instruction, " zmm2, zmm12, zmm13"),
                concat!($instruction, " zmm3, zmm12, zmm13"),
                concat!($instruction, " zmm4, zmm12, zmm13"),
                concat!($instruction, " zmm5, zmm12, zmm13"),
                concat!($instruction, " zmm6, zmm12, zmm13"),
                concat!($instruction, " zmm7, zmm12, zmm13"),
                concat!($instruction, " zmm8, zmm12, zmm13"),
                concat!($instruction, " zmm9, zmm12, zmm13"),
                concat!($instruction, " zmm10, zmm12, zmm13"),
                concat!($instruction, " zmm11, zmm12, zmm13"),
                "dec {rounds}",
                "jnz 2b",
                rounds = inout(reg) ROUNDS => _,
                out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _,
                out("zmm4") _, out("zmm5") _, out("zmm6") _, out("zmm7") _,
                out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _,
                in("zmm12") _mm512_setzero_ps(), in("zmm13") _mm512_setzero_ps(),
                options(nomem, nostack),
            )
        };
    }

    use std::arch::x86_64::_mm512_setzero_ps;

    /// # Safety
    /// The processor has AVX-512.
    #[target_feature(enable = "avx512f")]
    pub unsafe fn f32() -> u64 {
        // SAFETY: registers only.
        unsafe { chains!("vfmadd231ps") };
        (12 * 32 * ROUNDS) as u64
    }

    /// # Safety
    /// The processor has AVX512-BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub unsafe fn bf16() -> u64 {
        // SAFETY: registers only.
        unsafe { chains!("vdpbf16ps") };
        (12 * 64 * ROUNDS) as u64
    }
}
