//! Statistics over the values that queries have under a measure: intervals of a mean, tests of two
//! runs on the same queries, and the correction for several comparisons.
//!
//! Everything that draws is seeded: the same values, seed and number of resamples give the same
//! result on every machine and with any number of threads. The numbers are checked against scipy
//! (`checks/statistics.py`, and its fixture in the tests).

mod bootstrap;
mod holm;
mod paired;
mod randomization;
mod t_test;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::error::{Error, Result};

pub use bootstrap::{Interval, bootstrap_mean};
pub use holm::holm;
pub use paired::{Change, PairedComparison};
pub use randomization::{RandomizationTest, paired_randomization};
pub use t_test::{PairedT, paired_t};

/// Most resamples that may be asked for: the bootstrap keeps 8 bytes for each.
pub const MAX_RESAMPLES: usize = 1_000_000;

/// How often and from which seed a test or an interval draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Resampling {
    resamples: usize,
    seed: u64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self {
            resamples: 10_000,
            seed: 0,
        }
    }
}

impl Resampling {
    /// From 1 to [`MAX_RESAMPLES`] resamples; the smallest p value that can come out is
    /// `1 / (resamples + 1)`.
    pub fn new(resamples: usize, seed: u64) -> Result<Self> {
        if !(1..=MAX_RESAMPLES).contains(&resamples) {
            return Err(Error::Invalid(format!(
                "wanted from 1 to {MAX_RESAMPLES} resamples, got {resamples}"
            )));
        }
        Ok(Self { resamples, seed })
    }

    /// How many draws.
    pub fn resamples(self) -> usize {
        self.resamples
    }

    /// Where they start.
    pub fn seed(self) -> u64 {
        self.seed
    }

    /// The generator of one draw: a stream of its own, so that draws may run in any order.
    fn generator(self, draw: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(draw as u64);
        rng
    }
}

/// The mean; 0 of nothing.
fn mean(values: &[f64]) -> f64 {
    let sum = values.iter().fold(0.0, |sum, value| sum + value);
    sum / values.len().max(1) as f64
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
