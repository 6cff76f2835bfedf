//! One generator for each row and purpose, so that what is drawn for a row does not depend on what was
//! drawn before.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What is drawn.
#[derive(Clone, Copy)]
pub enum Purpose {
    Shuffle = 1,
    Fill = 2,
    Draw = 3,
    Ring = 4,
}

/// A generator for one row and purpose: the 32 bytes of the seed are the four numbers.
pub fn row_rng(purpose: Purpose, seed: u64, epoch: u64, row: usize) -> ChaCha8Rng {
    let mut bytes = [0u8; 32];
    let numbers = [seed, epoch, row as u64, purpose as u64];
    for (part, number) in bytes.chunks_exact_mut(8).zip(numbers) {
        part.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(bytes)
}
