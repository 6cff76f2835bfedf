//! Choosing a fusion's free numbers on judged queries, by trying a grid.
//!
//! A run that was tuned on judgements is too good on those same judgements: they are a development
//! split, and the fused run is measured on other queries.

use super::{Contributions, DEFAULT_K, Method};
use crate::error::{Error, Result};
use crate::measures::{Measure, evaluate};
use crate::qrels::Qrels;
use crate::run::Run;

/// Values of k that are tried, the paper's first: it stays where nothing is better.
const KS: [f64; 10] = [
    DEFAULT_K, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 100.0, 200.0, 500.0,
];

/// The most runs whose weights are tried: their number of grids grows fast.
const MAX_RUNS: usize = 6;

/// The best of a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Tuned {
    /// The method, with the best k where it has one.
    pub method: Method,
    /// One for each run.
    pub weights: Vec<f64>,
    /// The measure's mean on the development split.
    pub value: f64,
    /// Combinations tried.
    pub tried: usize,
}

/// Tries every k of a grid under reciprocal ranks (weights stay as they are), every set of weights that
/// adds up to 1 under scores: in steps of a tenth for two or three runs, of a fifth for up to six.
///
/// # Errors
/// See [`super::fuse`]; more than six runs; no judged query.
pub fn tune(
    runs: &[Run],
    method: Method,
    weights: &[f64],
    qrels: &Qrels,
    measure: Measure,
    depth: usize,
) -> Result<Tuned> {
    let candidates: Vec<(Method, Vec<f64>)> = match method {
        Method::ReciprocalRank { .. } => KS
            .map(|k| (Method::ReciprocalRank { k }, weights.to_vec()))
            .into(),
        Method::Scores(_) if runs.len() > MAX_RUNS => {
            let count = runs.len();
            return Err(Error::Invalid(format!(
                "weights are tuned for at most {MAX_RUNS} runs, got {count}"
            )));
        }
        Method::Scores(_) => grid(runs.len(), if runs.len() <= 3 { 10 } else { 5 })
            .into_iter()
            .map(|weights| (method, weights))
            .collect(),
    };
    let mut best: Option<Tuned> = None;
    let mut known: Option<(Method, Contributions)> = None;
    let tried = candidates.len();
    for (method, weights) in candidates {
        let contributions = match known.take() {
            Some((of, contributions)) if of == method => contributions,
            _ => Contributions::new(runs, method)?,
        };
        let fused = contributions.weigh(&weights, depth)?;
        known = Some((method, contributions));
        let evaluation = evaluate(qrels, &fused, &[measure])?;
        let Some(value) = evaluation.mean(measure) else {
            continue;
        };
        if best.as_ref().is_none_or(|best| value > best.value) {
            best = Some(Tuned {
                method,
                weights,
                value,
                tried,
            });
        }
    }
    best.ok_or_else(|| Error::Invalid("tuning needs judged queries, got none".into()))
}

/// All weights in steps of `1 / steps` that add up to 1, the most even ones first.
fn grid(n_runs: usize, steps: u32) -> Vec<Vec<f64>> {
    let mut parts: Vec<Vec<u32>> = vec![Vec::new()];
    for number in 0..n_runs {
        let is_last = number + 1 == n_runs;
        parts = parts
            .into_iter()
            .flat_map(|part| {
                let left = steps - part.iter().sum::<u32>();
                let from = if is_last { left } else { 0 };
                (from..=left).map(move |next| [part.as_slice(), &[next]].concat())
            })
            .collect();
    }
    parts.sort_by_key(|part| part.iter().map(|p| p * p).sum::<u32>());
    let weights = |part: Vec<u32>| {
        part.iter()
            .map(|p| f64::from(*p) / f64::from(steps))
            .collect()
    };
    parts.into_iter().map(weights).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_hold_every_split_once_and_begin_with_the_most_even_one() {
        let two = grid(2, 10);
        assert_eq!((two.len(), &two[0]), (11, &vec![0.5, 0.5]));
        let three = grid(3, 10);
        assert_eq!(three.len(), 66); // (12 choose 2)
        assert!(
            three
                .iter()
                .all(|w| (w.iter().sum::<f64>() - 1.0).abs() < 1e-12)
        );
        assert_eq!(grid(6, 5).len(), 252); // (10 choose 5)
    }
}
