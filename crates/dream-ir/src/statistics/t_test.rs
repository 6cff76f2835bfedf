//! Student's t test for pairs.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF as _, StudentsT};

use super::mean;

/// Outcome of [`paired_t`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PairedT {
    /// Mean difference over its standard error.
    pub t: f64,
    /// Number of pairs less one.
    pub degrees_of_freedom: usize,
    /// Two-sided p value.
    pub p: f64,
}

/// Tests whether the mean of the differences by query is 0. `None` where fewer than two pairs have
/// no variance. Differences that are all 0 give p = 1, all equal and not 0 give p = 0.
pub fn paired_t(differences: &[f64]) -> Option<PairedT> {
    let degrees_of_freedom = differences.len().checked_sub(1).filter(|n| *n > 0)?;
    let centre = mean(differences);
    let squares = differences
        .iter()
        .fold(0.0, |sum, d| sum + (d - centre).powi(2));
    let variance = squares / degrees_of_freedom as f64;
    let error = (variance / differences.len() as f64).sqrt();
    let t = if centre == 0.0 { 0.0 } else { centre / error };
    let p = if t.is_finite() {
        let distribution = StudentsT::new(0.0, 1.0, degrees_of_freedom as f64).ok()?;
        (2.0 * distribution.sf(t.abs())).min(1.0)
    } else {
        0.0
    };
    Some(PairedT {
        t,
        degrees_of_freedom,
        p,
    })
}
