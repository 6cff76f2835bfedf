//! Choosing heads by their document scores over many prompts (method sections 4.2 to 4.5).

use super::scoring::DocumentScores;
use super::{HeadId, HeadSet};
use crate::{Error, Result};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Temperature of the CoRe score, as in the released score files (arXiv 2510.02219).
const CORE_TEMPERATURE: f32 = 0.001;

/// What makes a head a good one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selector {
    /// nDCG@10 of the ranking by the head's scores, mean over prompts (QRHead's for NQ).
    #[default]
    Ndcg,
    /// The score of the known documents, mean over prompts (QRHead, equation 4).
    Mass,
    /// Softmax share of the known document against the others (CoRe).
    Core,
    /// Seeded random order: a control.
    Random,
    /// The worst by nDCG@10 first: a control.
    Bottom,
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ndcg => "ndcg",
            Self::Mass => "mass",
            Self::Core => "core",
            Self::Random => "random",
            Self::Bottom => "bottom",
        })
    }
}

impl Selector {
    /// The score in words, for pictures and tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ndcg | Self::Random | Self::Bottom => "nDCG@10",
            Self::Mass => "calibrated attention",
            Self::Core => "CoRe score",
        }
    }
}

impl FromStr for Selector {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        [
            Self::Ndcg,
            Self::Mass,
            Self::Core,
            Self::Random,
            Self::Bottom,
        ]
        .into_iter()
        .find(|s| s.to_string() == text)
        .ok_or_else(|| {
            Error::Invalid(format!(
                "selector must be ndcg, mass, core, random or bottom, not {text:?}"
            ))
        })
    }
}

/// A head and its score under the selector.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredHead {
    /// The head.
    pub head: HeadId,
    /// Higher is better; NaN, and absent in files, where nothing was scored.
    #[serde(default = "unscored", skip_serializing_if = "is_unscored")]
    pub score: f32,
}

fn unscored() -> f32 {
    f32::NAN
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_unscored(score: &f32) -> bool {
    score.is_nan()
}

/// Ranks all heads, best first.
#[derive(Clone, Debug)]
pub struct Ranking {
    selector: Selector,
    seed: u64,
    sums: Vec<Vec<f64>>,
    prompts: usize,
}

impl Ranking {
    /// Starts with no prompt seen.
    pub fn new(selector: Selector, seed: u64, layers: usize, heads: usize) -> Self {
        Self {
            selector,
            seed,
            sums: vec![vec![0.0; heads]; layers],
            prompts: 0,
        }
    }

    /// Takes in one prompt, whose known documents are `positives`.
    pub fn add(&mut self, scores: &DocumentScores, positives: &[usize]) {
        for (sums, layer) in self.sums.iter_mut().zip(scores) {
            for (sum, documents) in sums.iter_mut().zip(layer) {
                *sum += f64::from(score(self.selector, documents, positives));
            }
        }
        self.prompts += 1;
    }

    /// All heads, best first; equal scores by layer and head.
    pub fn ranked(&self) -> Vec<ScoredHead> {
        let n = self.prompts.max(1) as f64;
        let mut all: Vec<ScoredHead> = self
            .sums
            .iter()
            .enumerate()
            .flat_map(|(layer, heads)| {
                heads.iter().enumerate().map(move |(head, sum)| ScoredHead {
                    head: HeadId { layer, head },
                    score: (sum / n) as f32,
                })
            })
            .collect();
        match self.selector {
            Selector::Random => all.shuffle(&mut ChaCha8Rng::seed_from_u64(self.seed)),
            Selector::Bottom => all.sort_by(|a, b| a.score.total_cmp(&b.score)),
            Selector::Ndcg | Selector::Mass | Selector::Core => {
                all.sort_by(|a, b| b.score.total_cmp(&a.score));
            }
        }
        all
    }
}

/// The first `count` heads of a ranking.
pub fn top(ranked: &[ScoredHead], count: usize) -> Result<HeadSet> {
    HeadSet::new(
        ranked
            .iter()
            .take(count)
            .map(|scored| scored.head)
            .collect(),
    )
}

fn score(selector: Selector, documents: &[f32], positives: &[usize]) -> f32 {
    match selector {
        Selector::Ndcg | Selector::Random | Selector::Bottom => ndcg_at_10(documents, positives),
        Selector::Mass => positives.iter().map(|p| documents[*p]).sum(),
        Selector::Core => {
            let largest = documents.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let power = |s: f32| ((s - largest) / CORE_TEMPERATURE).exp();
            let all: f32 = documents.iter().map(|s| power(*s)).sum();
            positives.iter().map(|p| power(documents[*p])).sum::<f32>() / all
        }
    }
}

/// nDCG@10 with gain 1 for `positives`; equal scores rank the later document first, as trec_eval would
/// with ascending ids.
fn ndcg_at_10(scores: &[f32], positives: &[usize]) -> f32 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(b.cmp(a)));
    let discount = |rank: usize| 1.0 / ((rank + 2) as f32).log2();
    let top = order.iter().take(10).enumerate();
    let gain: f32 = top
        .filter(|(_, d)| positives.contains(d))
        .map(|(rank, _)| discount(rank))
        .sum();
    let ideal: f32 = (0..positives.len().min(10)).map(discount).sum();
    if ideal > 0.0 { gain / ideal } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(selector: Selector) -> Vec<String> {
        let mut ranking = Ranking::new(selector, 1, 1, 3);
        // Head 0 ranks the known document 1 last, head 1 first by little, head 2 first by much.
        let scores = vec![vec![
            vec![0.3, 0.1, 0.2],
            vec![0.1, 0.11, 0.1],
            vec![0.1, 0.9, 0.2],
        ]];
        ranking.add(&scores, &[1]);
        ranking
            .ranked()
            .iter()
            .map(|s| s.head.to_string())
            .collect()
    }

    #[test]
    fn selectors_order_heads_as_their_formulas_say() {
        assert_eq!(ranking(Selector::Mass), ["0-2", "0-1", "0-0"]);
        assert_eq!(ranking(Selector::Core), ["0-2", "0-1", "0-0"]);
        assert_eq!(ranking(Selector::Ndcg)[2], "0-0");
        assert_eq!(ranking(Selector::Bottom)[0], "0-0");
    }

    #[test]
    fn ndcg_of_one_known_document_is_its_discount() {
        // Rank 2: 1 / log2(3).
        assert!((ndcg_at_10(&[0.9, 0.5, 0.1], &[1]) - 0.630_93).abs() < 1e-5);
        assert_eq!(ndcg_at_10(&[0.1, 0.5], &[1]), 1.0);
    }
}
