//! Tensor types of GGUF and their conversion to f32.
//!
//! A quantised row is a run of blocks, each with its own scale. The old types (`Q4_0` to `Q8_0`, 32 values a block) are
//! here, the super-block types (`Q4_K` to `Q6_K`, 256 values) in [`super::k_quants`]. In a block of 32 the low halves
//! of the bytes are values 0 to 15, the high halves values 16 to 31.

use rayon::prelude::*;

use super::k_quants;
use crate::weights::{VALUES_PER_TASK, widen_bf16, widen_f16, widen_f32};

/// How a tensor's values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorType {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an f32.
    Bf16,
    /// 4 bits, symmetric.
    Q4_0,
    /// 4 bits with a minimum.
    Q4_1,
    /// 5 bits, symmetric.
    Q5_0,
    /// 5 bits with a minimum.
    Q5_1,
    /// 8 bits, symmetric.
    Q8_0,
    /// 4 bits, 6-bit scales and minima.
    Q4K,
    /// 5 bits, 6-bit scales and minima.
    Q5K,
    /// 6 bits, 8-bit scales.
    Q6K,
}

impl TensorType {
    /// The accepted types and their ids, for error messages.
    pub(super) const ACCEPTED: &str = "F32 (0), F16 (1), Q4_0 (2), Q4_1 (3), Q5_0 (6), Q5_1 (7), Q8_0 (8), \
         Q4_K (12), Q5_K (13), Q6_K (14), BF16 (30)";

    /// By the number in the file.
    pub(super) fn from_id(id: u32) -> Option<Self> {
        Some(match id {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            _ => return None,
        })
    }

    /// Values in one block.
    pub fn block_values(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 2 + 16,
            Self::Q4_1 => 2 + 2 + 16,
            Self::Q5_0 => 2 + 4 + 16,
            Self::Q5_1 => 2 + 2 + 4 + 16,
            Self::Q8_0 => 2 + 32,
            Self::Q4K => 2 + 2 + 12 + 128,
            Self::Q5K => 2 + 2 + 12 + 32 + 128,
            Self::Q6K => 128 + 64 + 16 + 2,
        }
    }

    /// Converts whole blocks; `out` has `bytes.len() / block_bytes * block_values` values.
    pub(super) fn dequantise(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F32 => widen_f32(bytes, out),
            Self::F16 => widen_f16(bytes, out),
            Self::Bf16 => widen_bf16(bytes, out),
            Self::Q4_0 => each_block(bytes, out, q4_0),
            Self::Q4_1 => each_block(bytes, out, q4_1),
            Self::Q5_0 => each_block(bytes, out, q5_0),
            Self::Q5_1 => each_block(bytes, out, q5_1),
            Self::Q8_0 => each_block(bytes, out, q8_0),
            Self::Q4K => each_block(bytes, out, k_quants::q4_k),
            Self::Q5K => each_block(bytes, out, k_quants::q5_k),
            Self::Q6K => each_block(bytes, out, k_quants::q6_k),
        }
    }
}

/// Runs `one` over blocks of `N` bytes and `V` values, in parallel.
fn each_block<const N: usize, const V: usize>(
    bytes: &[u8],
    out: &mut [f32],
    one: impl Fn(&[u8; N], &mut [f32; V]) + Sync,
) {
    let (blocks, rest) = bytes.as_chunks::<N>();
    let (outs, out_rest) = out.as_chunks_mut::<V>();
    assert!(
        rest.is_empty() && out_rest.is_empty() && blocks.len() == outs.len(),
        "caller checks the size"
    );
    let per_task = VALUES_PER_TASK / V;
    outs.par_chunks_mut(per_task)
        .zip(blocks.par_chunks(per_task))
        .for_each(|(outs, blocks)| {
            for (out, block) in outs.iter_mut().zip(blocks) {
                one(block, out);
            }
        });
}

/// The f16 at byte `at` of a block.
pub(super) fn f16_at(block: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// d, 16 bytes of nibbles: `d * (q - 8)`.
fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = f16_at(block, 0);
    for j in 0..16 {
        let q = block[2 + j];
        out[j] = d * ((q & 15) as f32 - 8.0);
        out[j + 16] = d * ((q >> 4) as f32 - 8.0);
    }
}

/// d, m, 16 bytes of nibbles: `d * q + m`.
fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (f16_at(block, 0), f16_at(block, 2));
    for j in 0..16 {
        let q = block[4 + j];
        out[j] = d * (q & 15) as f32 + m;
        out[j + 16] = d * (q >> 4) as f32 + m;
    }
}

/// d, 32 high bits, 16 bytes of nibbles: `d * (q - 16)`.
fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = f16_at(block, 0);
    five_bits(&block[2..], |j, q| out[j] = d * (q as f32 - 16.0));
}

/// d, m, 32 high bits, 16 bytes of nibbles: `d * q + m`.
fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (f16_at(block, 0), f16_at(block, 2));
    five_bits(&block[4..], |j, q| out[j] = d * q as f32 + m);
}

/// Joins 32 high bits (bit j belongs to value j) with the nibbles that follow them.
fn five_bits(packed: &[u8], mut put: impl FnMut(usize, u8)) {
    let high = u32::from_le_bytes([packed[0], packed[1], packed[2], packed[3]]);
    for j in 0..16 {
        let q = packed[4 + j];
        put(j, (q & 15) | (((high >> j) & 1) as u8) << 4);
        put(j + 16, (q >> 4) | (((high >> (j + 16)) & 1) as u8) << 4);
    }
}

/// d, 32 signed bytes: `d * q`.
fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = f16_at(block, 0);
    for (o, &q) in out.iter_mut().zip(&block[2..]) {
        *o = d * q.cast_signed() as f32;
    }
}
