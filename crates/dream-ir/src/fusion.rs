//! One run out of several: reciprocal ranks (Cormack, Clarke and Büttcher 2009, "Reciprocal rank fusion
//! outperforms Condorcet and individual rank learning methods") or a weighted sum of normalised scores.
//!
//! A document that a run did not find gets what that run's last document got under normalised scores,
//! and nothing under reciprocal ranks.

mod tune;

pub use tune::{Tuned, tune};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};
use crate::run::{Hit, Run};

/// What a run's hit adds to a document's score, before the run's weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Method {
    /// `1 / (k + rank)`, ranks from 1.
    ReciprocalRank {
        /// How soon ranks stop mattering: 60 in the paper.
        k: f64,
    },
    /// The score, normalised within the query's list.
    Scores(Normalisation),
}

/// How scores of different runs are made comparable, list by list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Normalisation {
    /// The best document gets 1, the last one 0; all get 1 where all are equal.
    #[default]
    MinMax,
    /// Distance from the mean in standard deviations; 0 where all are equal.
    ZScore,
}

/// The k of [`Method::ReciprocalRank`] unless something else is said: the paper's.
pub const DEFAULT_K: f64 = 60.0;

/// What each run gives to each document, so that weights can be tried without doing it again.
#[derive(Debug)]
pub struct Contributions {
    n_runs: usize,
    /// By query: documents with one number for each run.
    queries: BTreeMap<String, BTreeMap<String, Vec<f64>>>,
}

/// Fuses runs: every query of any of them, at most `depth` documents each. There is one weight for each
/// run, finite and at least 0, not all 0.
pub fn fuse(runs: &[Run], method: Method, weights: &[f64], depth: usize) -> Result<Run> {
    Contributions::new(runs, method)?.weigh(weights, depth)
}

impl Contributions {
    /// Of each run by a method.
    ///
    /// # Errors
    /// Fewer than two runs, or a `k` that is not a finite number of at least 0.
    pub fn new(runs: &[Run], method: Method) -> Result<Self> {
        if runs.len() < 2 {
            let count = runs.len();
            return Err(Error::Invalid(format!(
                "fusion needs at least two runs, got {count}"
            )));
        }
        if let Method::ReciprocalRank { k } = method
            && !(k.is_finite() && k >= 0.0)
        {
            return Err(Error::Invalid(format!(
                "reciprocal rank fusion wants a k of at least 0, got {k}"
            )));
        }
        let ids: BTreeSet<&str> = runs.iter().flat_map(Run::iter).map(|(id, _)| id).collect();
        let queries = ids.into_iter().map(|query| {
            let lists: Vec<&[Hit]> = runs
                .iter()
                .map(|run| run.get(query).unwrap_or_default())
                .collect();
            (query.to_owned(), contributions(&lists, method))
        });
        Ok(Self {
            n_runs: runs.len(),
            queries: queries.collect(),
        })
    }

    /// The sum over runs, each times its weight.
    ///
    /// # Errors
    /// See [`fuse`].
    pub fn weigh(&self, weights: &[f64], depth: usize) -> Result<Run> {
        check_weights(weights, self.n_runs)?;
        let mut fused = Run::default();
        for (query, documents) in &self.queries {
            let hit = |(document, parts): (&String, &Vec<f64>)| Hit {
                document: document.clone(),
                score: parts.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>() as f32,
            };
            let mut hits: Vec<Hit> = documents.iter().map(hit).collect();
            hits.sort_by(|a, b| {
                let by_score = b.score.total_cmp(&a.score);
                by_score.then_with(|| b.document.cmp(&a.document))
            });
            hits.truncate(depth);
            fused.insert(query, hits)?;
        }
        Ok(fused)
    }
}

fn contributions(lists: &[&[Hit]], method: Method) -> BTreeMap<String, Vec<f64>> {
    let mut documents: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let lists: Vec<(HashMap<&str, f64>, f64)> =
        lists.iter().map(|hits| of_list(hits, method)).collect();
    for (number, (parts, _)) in lists.iter().enumerate() {
        for (document, part) in parts {
            let absent = || lists.iter().map(|(_, absent)| *absent).collect();
            documents
                .entry((*document).to_owned())
                .or_insert_with(absent)[number] = *part;
        }
    }
    documents
}

/// What each document of a list gets, and what a document that is missing in it gets.
fn of_list(hits: &[Hit], method: Method) -> (HashMap<&str, f64>, f64) {
    let parts: Vec<f64> = match method {
        Method::ReciprocalRank { k } => (1..=hits.len())
            .map(|rank| 1.0 / (k + rank as f64))
            .collect(),
        Method::Scores(normalisation) => {
            let scores: Vec<f64> = hits.iter().map(|hit| f64::from(hit.score)).collect();
            normalisation.apply(&scores)
        }
    };
    let absent = match method {
        Method::Scores(Normalisation::ZScore) => parts.last().copied().unwrap_or(0.0),
        // Of min-max the last one's, too, but where all scores are equal and the last is the best.
        Method::ReciprocalRank { .. } | Method::Scores(Normalisation::MinMax) => 0.0,
    };
    let documents = hits.iter().map(|hit| hit.document.as_str());
    (documents.zip(parts).collect(), absent)
}

impl Normalisation {
    /// Of scores, best first.
    fn apply(self, scores: &[f64]) -> Vec<f64> {
        let (Some(best), Some(last)) = (scores.first(), scores.last()) else {
            return Vec::new();
        };
        let n = scores.len() as f64;
        match self {
            Self::MinMax if best == last => vec![1.0; scores.len()],
            Self::MinMax => scores.iter().map(|s| (s - last) / (best - last)).collect(),
            Self::ZScore => {
                let mean = scores.iter().sum::<f64>() / n;
                let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
                let deviation = variance.sqrt();
                let z = |s: &f64| {
                    if deviation > 0.0 {
                        (s - mean) / deviation
                    } else {
                        0.0
                    }
                };
                scores.iter().map(z).collect()
            }
        }
    }
}

fn check_weights(weights: &[f64], n_runs: usize) -> Result<()> {
    if weights.len() != n_runs {
        return Err(Error::Invalid(format!(
            "wanted one weight for each of {n_runs} runs, got {}",
            weights.len()
        )));
    }
    let are_good = weights.iter().all(|w| w.is_finite() && *w >= 0.0);
    if !are_good || weights.iter().all(|w| *w == 0.0) {
        return Err(Error::Invalid(format!(
            "weights must be finite, at least 0 and not all 0, got {weights:?}"
        )));
    }
    Ok(())
}

impl fmt::Display for Normalisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MinMax => "min-max",
            Self::ZScore => "z-score",
        })
    }
}

impl FromStr for Normalisation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "min-max" => Ok(Self::MinMax),
            "z-score" => Ok(Self::ZScore),
            _ => Err(format!(
                "normalisation must be min-max or z-score, not {text:?}"
            )),
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
