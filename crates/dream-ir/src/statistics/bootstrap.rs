//! Bootstrap intervals of a mean (Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 14):
//! bias-corrected and accelerated (BCa), as scipy's `bootstrap` gives by default. Values of
//! measures lie between 0 and 1 and are often skewed, which the plain percentile interval ignores.

use rand::RngExt as _;
use rayon::prelude::*;
use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, Normal};

use super::{Resampling, mean};

/// An interval that holds the mean of the population of queries with a probability of `level`, if
/// the queries are a random sample of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Between 0 and 1, such as 0.95.
    pub level: f64,
}

/// The interval of the mean of `values`; for that of a difference, give the differences by query.
/// `None` where fewer than two values say nothing about their spread. `level` lies between 0 and 1.
pub fn bootstrap_mean(values: &[f64], level: f64, resampling: Resampling) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let draw = |number| {
        let mut rng = resampling.generator(number);
        let sum = (0..values.len()).fold(0.0, |sum, _| {
            sum + values[rng.random_range(0..values.len())]
        });
        sum / values.len() as f64
    };
    let mut means: Vec<f64> = (0..resampling.resamples())
        .into_par_iter()
        .map(draw)
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    Some(bca(values, &means, level))
}

/// The BCa interval of the mean of `values`, from the means of resamples in ascending order.
pub(super) fn bca(values: &[f64], means: &[f64], level: f64) -> Interval {
    let observed = mean(values);
    let normal = Normal::standard();
    let below = means.partition_point(|m| *m < observed);
    let up_to = means.partition_point(|m| *m <= observed);
    let bias = normal.inverse_cdf((below + up_to) as f64 / (2 * means.len()) as f64);
    // Differences to the jackknife means, but for a factor that cancels.
    let power = |n| {
        values
            .iter()
            .fold(0.0, |sum, v| sum + (v - observed).powi(n))
    };
    let acceleration = power(3) / (6.0 * power(2).powf(1.5));
    let share = |probability: f64| {
        let z = bias + normal.inverse_cdf(probability);
        let share = normal.cdf(bias + z / (1.0 - acceleration * z));
        // Values that are all equal, or an observed mean outside its resamples: no correction.
        if share.is_finite() {
            share
        } else {
            probability
        }
    };
    let tail = (1.0 - level) / 2.0;
    Interval {
        low: quantile(means, share(tail)),
        high: quantile(means, share(1.0 - tail)),
        level,
    }
}

/// The quantile of sorted values, linear between two of them (numpy's default).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    low + (high - low) * place.fract()
}
