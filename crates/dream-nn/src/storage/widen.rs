//! Stored numbers to `f32`, as vector code.

use multiversion::multiversion;

/// Little-endian `f32`; `bytes.len()` is `4 * out.len()`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
pub(crate) fn widen_f32(bytes: &[u8], out: &mut [f32]) {
    assert_eq!(bytes.len(), 4 * out.len());
    for (o, b) in out.iter_mut().zip(bytes.as_chunks().0) {
        *o = f32::from_le_bytes(*b);
    }
}

/// Little-endian IEEE half precision; `bytes.len()` is `2 * out.len()`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
pub(crate) fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    assert_eq!(bytes.len(), 2 * out.len());
    for (o, b) in out.iter_mut().zip(bytes.as_chunks().0) {
        *o = f16_to_f32(u16::from_le_bytes(*b));
    }
}

/// Little-endian bfloat16; `bytes.len()` is `2 * out.len()`.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
pub(crate) fn widen_bf16(bytes: &[u8], out: &mut [f32]) {
    assert_eq!(bytes.len(), 2 * out.len());
    for (o, b) in out.iter_mut().zip(bytes.as_chunks().0) {
        *o = f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16);
    }
}

/// One row of 8-bit integers, multiplied by its scale.
#[multiversion(targets("x86_64+avx512f+avx512vl+avx512bw", "x86_64+avx2+fma"))]
pub(super) fn widen_i8(bytes: &[u8], scale: f32, out: &mut [f32]) {
    assert_eq!(bytes.len(), out.len());
    for (o, b) in out.iter_mut().zip(bytes) {
        *o = f32::from(b.cast_signed()) * scale;
    }
}

/// Exact, and without branches or questions to the processor, so that a loop of it becomes vector code.
#[inline]
fn f16_to_f32(half: u16) -> f32 {
    /// What the exponents' biases differ by, as a factor: exact for subnormal numbers too.
    const BIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);
    const INFINITE: u32 = 0x7c00 << 13;
    let sign = u32::from(half & 0x8000) << 16;
    let rest = u32::from(half & 0x7fff) << 13;
    let finite = (f32::from_bits(rest) * BIAS).to_bits();
    let infinite = rest | 0x7f80_0000;
    f32::from_bits(sign | if rest < INFINITE { finite } else { infinite })
}
