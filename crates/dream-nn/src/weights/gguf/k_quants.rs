//! The super-block types of GGUF: 256 values share an f16 scale, and each group of 32 (16 for `Q6_K`) has a small
//! integer scale of its own.

use super::dequantise::f16_at;

/// d, dmin, 12 bytes of packed scales and minima, 128 bytes of nibbles: `d * scale * q - dmin * min`.
/// Each 32 bytes of nibbles are two groups: low halves first, then high halves.
pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    let scales = scales_and_minima(block);
    for (g, group) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let nibbles = &block[16 + g / 2 * 32..][..32];
        let (scale, min) = scales[g];
        for (o, &q) in group.iter_mut().zip(nibbles) {
            *o = scale * (q >> (g % 2 * 4) & 15) as f32 - min;
        }
    }
}

/// As [`q4_k`] with 32 bytes of fifth bits before the nibbles: bit `g` of byte `j` belongs to value `j` of group `g`.
pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let scales = scales_and_minima(block);
    let fifth = &block[16..48];
    for (g, group) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let nibbles = &block[48 + g / 2 * 32..][..32];
        let (scale, min) = scales[g];
        for ((o, &q), &high) in group.iter_mut().zip(nibbles).zip(fifth) {
            let q = (q >> (g % 2 * 4) & 15) | (high >> g & 1) << 4;
            *o = scale * q as f32 - min;
        }
    }
}

/// 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, d: `d * scale * (q - 32)`.
/// Each half of the block (128 values) is four runs of 32: two by the low halves of 64 nibble bytes, two by the high
/// halves; the four bit pairs of one byte belong to the same place in the four runs.
pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = f16_at(block, 208);
    for (r, run) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (half, quarter) = (r / 4, r % 4);
        let nibbles = &block[half * 64 + quarter % 2 * 32..][..32];
        let pairs = &block[128 + half * 32..][..32];
        for (j, o) in run.iter_mut().enumerate() {
            let low = nibbles[j] >> (quarter / 2 * 4) & 15;
            let high = pairs[j] >> (quarter * 2) & 3;
            let scale = block[192 + r * 2 + j / 16].cast_signed();
            *o = d * scale as f32 * ((low | high << 4) as f32 - 32.0);
        }
    }
}

/// `(d * scale, dmin * min)` of the eight groups. Six bits each, packed in bytes 4 to 16: the first four scales and
/// minima in the low six bits of bytes 0 to 8; the others' low four bits in bytes 8 to 12, their upper two bits on
/// top of the first eight bytes.
fn scales_and_minima(block: &[u8]) -> [(f32, f32); 8] {
    let (d, dmin) = (f16_at(block, 0), f16_at(block, 2));
    let packed = &block[4..16];
    std::array::from_fn(|g| {
        let (scale, min) = if g < 4 {
            (packed[g] & 63, packed[g + 4] & 63)
        } else {
            (
                (packed[g + 4] & 15) | (packed[g - 4] >> 6) << 4,
                (packed[g + 4] >> 4) | (packed[g] >> 6) << 4,
            )
        };
        (d * scale as f32, dmin * min as f32)
    })
}
