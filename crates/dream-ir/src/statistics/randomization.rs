//! The paired randomisation test (Fisher 1935; for retrieval Smucker, Allan & Carterette 2007).

use rand::Rng as _;
use rayon::prelude::*;
use serde::Serialize;

use super::Resampling;

/// Outcome of [`paired_randomization`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RandomizationTest {
    /// Two-sided p value.
    pub p: f64,
    /// Whether every assignment of signs was looked at; if not, some were drawn.
    pub exact: bool,
}

/// Tests whether two runs are equally good, given their differences by query: if they are, each
/// difference might as well have the other sign. p is the share of sign assignments whose sum is at
/// least as far from 0 as the one observed, both sides counted.
///
/// Exact where there are no more assignments than resamples (13 differences other than 0 for 10,000).
/// Otherwise signs are drawn and `p = (1 + hits) / (1 + resamples)`: the observed assignment counts as
/// one of the draws, so p is never 0 and the test keeps its level (Phipson & Smyth 2010).
pub fn paired_randomization(differences: &[f64], resampling: Resampling) -> RandomizationTest {
    let moved: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let sum_of = |signs: &mut dyn FnMut() -> u64| {
        let mut sum = 0.0;
        for chunk in moved.chunks(64) {
            let mut bits = signs();
            for difference in chunk {
                sum += if bits & 1 == 0 {
                    *difference
                } else {
                    -difference
                };
                bits >>= 1;
            }
        }
        sum
    };
    // Sums that are equal on paper differ by rounding.
    let size = moved.iter().fold(0.0, |sum, d| sum + d.abs());
    let threshold = sum_of(&mut || 0).abs() - 1e-12 * size;
    let assignments = 1usize.checked_shl(moved.len() as u32);
    let exact = assignments.filter(|count| *count <= resampling.resamples());
    if let Some(count) = exact {
        let hits = (0..count as u64).filter(|signs| sum_of(&mut || *signs).abs() >= threshold);
        return RandomizationTest {
            p: hits.count() as f64 / count as f64,
            exact: true,
        };
    }
    let hits = (0..resampling.resamples()).into_par_iter().filter(|draw| {
        let mut rng = resampling.generator(*draw);
        sum_of(&mut || rng.next_u64()).abs() >= threshold
    });
    RandomizationTest {
        p: (1 + hits.count()) as f64 / (1 + resampling.resamples()) as f64,
        exact: false,
    }
}
