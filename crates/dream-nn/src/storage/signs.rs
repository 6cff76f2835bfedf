//! One bit a number: whether it is above the mean of its dimension.
//!
//! The distance of two such rows is the number of bits in which they differ (Hamming), by XOR and the
//! count of set bits. Means are taken off because embeddings of many models point the same way: with
//! plain signs most of their bits would be equal.

use multiversion::multiversion;

/// Rows that lie together: their bits are interleaved by words, so that vector code counts many rows at once.
const BLOCK: usize = 64;

/// Bits of rows, `dim / 8` bytes each.
#[derive(Clone, Debug)]
pub struct Signs {
    /// Mean of each dimension, `[dim]`.
    means: Vec<f32>,
    /// `[blocks, words, BLOCK]`; the last block is filled up with zeros.
    bits: Vec<u64>,
    count: usize,
}

impl Signs {
    /// No rows yet, of `means.len()` numbers each.
    pub fn new(means: Vec<f32>) -> Self {
        Self {
            means,
            bits: Vec::new(),
            count: 0,
        }
    }

    /// Adds rows, `[n, dim]`.
    pub fn extend(&mut self, rows: &[f32]) {
        let words = self.words();
        for row in rows.chunks_exact(self.means.len()) {
            let (block, place) = (self.count / BLOCK, self.count % BLOCK);
            if place == 0 {
                self.bits.resize((block + 1) * words * BLOCK, 0);
            }
            for (word, bits) in self.of(row).into_iter().enumerate() {
                self.bits[(block * words + word) * BLOCK + place] = bits;
            }
            self.count += 1;
        }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Bytes of the bits.
    pub fn bytes(&self) -> usize {
        size_of_val(self.bits.as_slice())
    }

    /// The bits of one row, `[words]`.
    pub fn of(&self, row: &[f32]) -> Vec<u64> {
        let pairs = row.chunks(64).zip(self.means.chunks(64));
        pairs
            .map(|(row, means)| {
                let bits = row.iter().zip(means).enumerate();
                bits.fold(0, |word, (i, (x, mean))| word | u64::from(x > mean) << i)
            })
            .collect()
    }

    /// Number of blocks, for [`Self::agreement`].
    pub fn blocks(&self) -> usize {
        self.count.div_ceil(BLOCK)
    }

    /// For each row of a block, minus the number of bits in which it differs from `query [words]`: more is
    /// nearer. The first row of a block has position `Signs::BLOCK * block`.
    pub fn agreement<'a>(&self, block: usize, query: &[u64], out: &'a mut [f32]) -> &'a [f32] {
        let bits = self.words() * BLOCK;
        let rows = BLOCK.min(self.count - block * BLOCK);
        let out: &mut [f32; BLOCK] = out
            .first_chunk_mut()
            .expect("room for a block. This is a bug.");
        agreement(query, &self.bits[block * bits..(block + 1) * bits], out);
        &out[..rows]
    }

    /// Rows a block.
    pub const BLOCK: usize = BLOCK;

    fn words(&self) -> usize {
        self.means.len().div_ceil(64)
    }
}

/// `bits [words, BLOCK]`.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512vpopcntdq",
    "x86_64+avx2+popcnt"
))]
fn agreement(query: &[u64], bits: &[u64], out: &mut [f32; BLOCK]) {
    let mut different = [0u64; BLOCK];
    for (query, row) in query.iter().zip(bits.as_chunks::<BLOCK>().0) {
        for (sum, bits) in different.iter_mut().zip(row) {
            *sum += u64::from((query ^ bits).count_ones());
        }
    }
    for (out, different) in out.iter_mut().zip(different) {
        *out = -(different as f32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{random_vec, rng};

    #[test]
    fn agreement_counts_the_bits_that_differ_whatever_the_sizes() {
        let mut rng = rng(5);
        for (dim, count) in [(1, 1), (63, 64), (64, 65), (130, 200)] {
            let means = random_vec(&mut rng, dim);
            let rows = random_vec(&mut rng, dim * count);
            let query = random_vec(&mut rng, dim);
            let mut signs = Signs::new(means.clone());
            for some in rows.chunks(7 * dim) {
                signs.extend(some);
            }
            assert_eq!(signs.count(), count);
            assert_eq!(
                signs.bytes(),
                count.div_ceil(64) * 64 * dim.div_ceil(64) * 8
            );
            let bits = signs.of(&query);
            let (mut out, mut all) = ([0.0; Signs::BLOCK], Vec::new());
            for block in 0..signs.blocks() {
                all.extend_from_slice(signs.agreement(block, &bits, &mut out));
            }
            let above = |row: &[f32]| -> Vec<bool> {
                row.iter().zip(&means).map(|(x, mean)| x > mean).collect()
            };
            let want = rows.chunks(dim).map(|row| {
                let differ = above(row).into_iter().zip(above(&query));
                -(differ.filter(|(a, b)| a != b).count() as f32)
            });
            assert_eq!(all, want.collect::<Vec<f32>>(), "{dim} {count}");
        }
    }
}
