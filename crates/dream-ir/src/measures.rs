//! Effectiveness measures with trec_eval's definitions (`ndcg_cut`, `recall`, `recip_rank`) and
//! its option `-c`: every judged query counts, one without results as 0.
//!
//! nDCG@k: linear gain over log2(rank + 1), the ideal over all documents judged above 0
//! (Järvelin & Kekäläinen 2002). R@k: the share of relevant documents among the first k.
//! RR@k: 1 / rank of the first relevant document, 0 beyond k.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::qrels::Qrels;
use crate::run::{Hit, Run};

/// A measure with its cut-off; its text form (`nDCG@10`, `R@100`, `RR@10`) is read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Measure {
    /// Normalised discounted cumulative gain of the first k.
    Ndcg(usize),
    /// Recall of the first k.
    Recall(usize),
    /// Reciprocal rank of the first relevant document, if among the first k.
    Rr(usize),
}

/// What is reported unless something else is asked for.
pub const DEFAULT_MEASURES: [Measure; 3] =
    [Measure::Ndcg(10), Measure::Recall(100), Measure::Rr(10)];

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ndcg(k) => write!(f, "nDCG@{k}"),
            Self::Recall(k) => write!(f, "R@{k}"),
            Self::Rr(k) => write!(f, "RR@{k}"),
        }
    }
}

impl FromStr for Measure {
    type Err = Error;

    /// Reads the text form and the spellings of other tools: `ndcg_cut_10`, `ndcg_at_10`,
    /// `recall_100`, `mrr@10`, `recip_rank_10`, in any case.
    fn from_str(text: &str) -> Result<Self> {
        let unknown = || {
            Error::Invalid(format!(
                "wanted a measure such as nDCG@10, R@100 or RR@10, got {text:?}"
            ))
        };
        let lower = text.trim().to_ascii_lowercase();
        let (name, k) = lower.rsplit_once(['@', '_', '.']).ok_or_else(unknown)?;
        if k.is_empty() || !k.bytes().all(|b| b.is_ascii_digit()) {
            return Err(unknown());
        }
        let k: usize = k.parse().ok().filter(|k| *k > 0).ok_or_else(unknown)?;
        match name.trim_end_matches("_cut").trim_end_matches("_at") {
            "ndcg" => Ok(Self::Ndcg(k)),
            "r" | "recall" => Ok(Self::Recall(k)),
            "rr" | "mrr" | "recip_rank" => Ok(Self::Rr(k)),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Measure {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Measure> for String {
    fn from(measure: Measure) -> Self {
        measure.to_string()
    }
}

impl Measure {
    /// The value for one query: documents best first, judgements by document id.
    pub fn of(self, hits: &[Hit], judged: &BTreeMap<String, i32>) -> f64 {
        let gain = |hit: &Hit| f64::from(judged.get(&hit.document).copied().unwrap_or(0).max(0));
        match self {
            Self::Ndcg(k) => {
                let mut ideal: Vec<f64> = judged.values().map(|&g| f64::from(g.max(0))).collect();
                ideal.sort_unstable_by(|a, b| b.total_cmp(a));
                let ideal = discounted(ideal.into_iter().take(k));
                let found = discounted(hits.iter().take(k).map(gain));
                if ideal > 0.0 { found / ideal } else { 0.0 }
            }
            Self::Recall(k) => {
                let relevant = judged.values().filter(|&&grade| grade > 0).count();
                let found = hits.iter().take(k).filter(|hit| gain(hit) > 0.0).count();
                if relevant > 0 {
                    found as f64 / relevant as f64
                } else {
                    0.0
                }
            }
            Self::Rr(k) => {
                let first = hits.iter().take(k).position(|hit| gain(hit) > 0.0);
                first.map_or(0.0, |position| 1.0 / (position + 1) as f64)
            }
        }
    }
}

/// Sum of gains over log2(rank + 1), ranks from 1.
fn discounted(gains: impl Iterator<Item = f64>) -> f64 {
    gains
        .zip(1u32..)
        .map(|(gain, rank)| gain / f64::from(rank + 1).log2())
        .fold(0.0, |sum, gain| sum + gain) // sum() of nothing is -0
}

/// What a run is worth against judgements.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// Judged queries, all of which count.
    pub n_queries: usize,
    /// Judged queries without any result, counted as 0.
    pub n_missing: usize,
    /// Queries of the run that nobody judged, left out.
    pub n_unjudged: usize,
    /// One entry a measure, in the order asked for.
    pub scores: Vec<Scores>,
}

/// One measure of an [`Evaluation`].
#[derive(Debug, Clone)]
pub struct Scores {
    /// What was measured.
    pub measure: Measure,
    /// Mean over all judged queries.
    pub mean: f64,
    /// Value by query id, every judged query in it.
    pub per_query: BTreeMap<String, f64>,
}

impl Evaluation {
    /// The mean of a measure, if it was asked for.
    pub fn mean(&self, measure: Measure) -> Option<f64> {
        self.scores
            .iter()
            .find(|s| s.measure == measure)
            .map(|s| s.mean)
    }
}

/// Evaluates a run. Judgements without a query are an error.
pub fn evaluate(qrels: &Qrels, run: &Run, measures: &[Measure]) -> Result<Evaluation> {
    if qrels.is_empty() {
        return Err(Error::Invalid(
            "nothing to evaluate: no query is judged".to_owned(),
        ));
    }
    let hits_of = |query: &str| run.get(query).unwrap_or_default();
    let scores = measures.iter().map(|&measure| {
        let values = qrels.iter().map(|(query, judged)| {
            let value = measure.of(hits_of(query), judged);
            (query.to_owned(), value)
        });
        let per_query: BTreeMap<String, f64> = values.collect();
        Scores {
            measure,
            mean: per_query.values().sum::<f64>() / per_query.len() as f64,
            per_query,
        }
    });
    Ok(Evaluation {
        n_queries: qrels.len(),
        n_missing: qrels
            .iter()
            .filter(|(query, _)| hits_of(query).is_empty())
            .count(),
        n_unjudged: run
            .iter()
            .filter(|(query, _)| qrels.get(query).is_none())
            .count(),
        scores: scores.collect(),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn qrels(judgements: &[(&str, &str, i32)]) -> Qrels {
        let mut qrels = Qrels::default();
        for &(query, document, grade) in judgements {
            qrels.add(query, document, grade).unwrap();
        }
        qrels
    }

    fn run(query: &str, documents: &[&str]) -> Run {
        let hits = documents.iter().zip(0u8..).map(|(&document, rank)| Hit {
            document: document.into(),
            score: -f32::from(rank),
        });
        let mut run = Run::default();
        run.insert(query, hits.collect()).unwrap();
        run
    }

    #[test]
    fn the_text_form_and_every_other_spelling_are_read() {
        for (text, measure) in [
            ("nDCG@10", Measure::Ndcg(10)),
            ("ndcg@10", Measure::Ndcg(10)),
            ("ndcg_cut_10", Measure::Ndcg(10)),
            ("ndcg_cut.10", Measure::Ndcg(10)),
            ("ndcg_at_10", Measure::Ndcg(10)),
            ("R@100", Measure::Recall(100)),
            ("recall_100", Measure::Recall(100)),
            ("Recall@100", Measure::Recall(100)),
            ("recall_at_100", Measure::Recall(100)),
            ("RR@10", Measure::Rr(10)),
            ("mrr@10", Measure::Rr(10)),
            ("mrr_at_10", Measure::Rr(10)),
        ] {
            assert_eq!(text.parse::<Measure>().unwrap(), measure, "{text}");
            assert_eq!(measure.to_string().parse::<Measure>().unwrap(), measure);
        }
        for text in [
            "", "nDCG", "nDCG@", "nDCG@0", "nDCG@-1", "nDCG@+1", "map@10", "@10", "R@1e9",
        ] {
            assert!(text.parse::<Measure>().is_err(), "{text}");
        }
        assert!("R@99999999999999999999".parse::<Measure>().is_err());
        let json = serde_json::to_string(&Measure::Rr(10)).unwrap();
        assert_eq!(
            serde_json::from_str::<Measure>(&json).unwrap(),
            Measure::Rr(10)
        );
    }

    #[test]
    fn graded_gains_are_linear_and_the_ideal_is_over_all_judged_documents() {
        // By hand: DCG = 1/log2(2) + 2/log2(4) = 2; ideal of (2, 1, 1) = 2 + 1/log2(3) + 1/2.
        let qrels = qrels(&[("q", "a", 1), ("q", "b", 2), ("q", "c", 1), ("q", "n", -3)]);
        let run = run("q", &["a", "n", "b", "x"]);
        let result = evaluate(&qrels, &run, &[Measure::Ndcg(10), Measure::Ndcg(1)]).unwrap();
        let ideal = 2.0 + 1.0 / 3f64.log2() + 0.5;
        assert!((result.scores[0].mean - 2.0 / ideal).abs() < 1e-12);
        assert!((result.scores[1].mean - 0.5).abs() < 1e-12);
    }

    #[test]
    fn recall_and_reciprocal_rank_stop_at_the_cut_off() {
        let qrels = qrels(&[("q", "a", 1), ("q", "b", 1), ("q", "z", 0)]);
        let run = run("q", &["z", "x", "a", "b"]);
        let measures = [2, 3, 4].map(Measure::Recall);
        let result = evaluate(&qrels, &run, &measures).unwrap();
        assert_eq!(
            result.scores.iter().map(|s| s.mean).collect::<Vec<_>>(),
            [0.0, 0.5, 1.0]
        );
        let result = evaluate(&qrels, &run, &[Measure::Rr(2), Measure::Rr(3)]).unwrap();
        assert_eq!(result.mean(Measure::Rr(2)), Some(0.0));
        assert_eq!(result.mean(Measure::Rr(3)), Some(1.0 / 3.0));
    }

    #[test]
    fn every_judged_query_counts_found_or_not() {
        let qrels = qrels(&[("q", "a", 1), ("lost", "a", 1), ("none", "a", 0)]);
        let mut run = run("q", &["a"]);
        run.insert("stranger", vec![]).unwrap();
        run.insert("none", vec![]).unwrap();
        let result = evaluate(&qrels, &run, &DEFAULT_MEASURES).unwrap();
        assert_eq!(
            (result.n_queries, result.n_missing, result.n_unjudged),
            (3, 2, 1)
        );
        for scores in &result.scores {
            assert!((scores.mean - 1.0 / 3.0).abs() < 1e-12);
            assert_eq!(scores.per_query.len(), 3);
        }
        assert!(evaluate(&Qrels::default(), &run, &DEFAULT_MEASURES).is_err());
    }
}
