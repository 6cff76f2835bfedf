//! What one run came to: `result.json` of its folder, and a line of `results.jsonl`.

use crate::geometry::Geometry;
use crate::report::metrics::Record;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Measures of the untrained start and of the trained retriever, and what was spent between them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Name of the variant.
    pub variant: String,
    /// Seed of everything drawn.
    pub seed: u64,
    /// Digest of configuration and budget.
    pub digest: String,
    /// Name of the untrained start's folder.
    pub start: String,
    /// Name of the held-out rows: which data, seed and number.
    pub heldout: String,
    /// What training took.
    #[serde(flatten)]
    pub spent: Spent,
    /// Most memory of the process since the run began, bytes; models that other runs share are in it.
    pub peak_memory_bytes: Option<u64>,
    /// Heads that carried the weights.
    pub heads: Option<String>,
    /// nDCG@10 of BM25 on the held-out rows.
    pub bm25: Option<f64>,
    /// The sets, held-out rows first.
    pub sets: Vec<SetResult>,
    /// Geometry of the untrained start.
    pub geometry_before: Geometry,
    /// Geometry after training.
    pub geometry_after: Geometry,
    /// Version of this program.
    pub version: String,
}

/// Means on one set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetResult {
    /// Name of the set.
    pub set: String,
    /// Judged queries.
    pub queries: usize,
    /// Measures of the untrained start.
    pub before: BTreeMap<String, f64>,
    /// Measures of the trained retriever.
    pub after: BTreeMap<String, f64>,
}

/// What training took, from its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Optimiser steps.
    pub steps: u64,
    /// Queries trained on, repetitions counted.
    pub queries_seen: u64,
    /// Tokens that the language model read.
    pub llm_tokens: u64,
    /// Tokens that the retriever read, each once however often it was computed.
    pub retriever_tokens: Option<u64>,
    /// Seconds of the steps, without evaluations.
    pub training_secs: f64,
    /// Seconds in all, evaluations while training included.
    pub wall_secs: f64,
}

impl Spent {
    /// Counts one more record; they come in the order of `metrics.jsonl`.
    pub fn add(&mut self, record: &Record) {
        match record {
            Record::Step(step) => {
                self.retriever_tokens = match (self.steps, self.retriever_tokens) {
                    (0, _) => step.retriever_tokens,
                    (_, sum) => sum.zip(step.retriever_tokens).map(|(a, b)| a + b),
                };
                self.steps = step.step;
                self.queries_seen = step.queries_seen;
                self.llm_tokens += step.llm_tokens;
                self.training_secs += (step.timing.wall_secs - self.wall_secs).max(0.0);
                self.wall_secs = step.timing.wall_secs;
            }
            // What lies between two steps and ends with an evaluation is its time.
            Record::Eval(eval) => self.wall_secs = self.wall_secs.max(eval.timing.wall_secs),
            // A search for candidates is training time: the next step counts it.
            Record::Refresh(_) => {}
        }
    }

    /// All of a run's records.
    pub fn of(records: &[Record]) -> Self {
        let mut spent = Self::default();
        for record in records {
            spent.add(record);
        }
        spent
    }
}

/// One evaluation while training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// What was spent until then.
    pub spent: Spent,
    /// nDCG@10.
    pub ndcg: f64,
}

/// The evaluations of a set in a run's records.
pub fn curve(records: &[Record], set: &str) -> Vec<CurvePoint> {
    let mut spent = Spent::default();
    let mut points = Vec::new();
    for record in records {
        spent.add(record);
        if let Record::Eval(eval) = record
            && eval.eval.name == set
            && let Some(ndcg) = eval.eval.measures.get("nDCG@10")
        {
            points.push(CurvePoint { spent, ndcg: *ndcg });
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::metrics::{EvalRecord, Evaluation, StepRecord, Timing};

    fn at(wall_secs: f64) -> Timing {
        Timing {
            wall_secs,
            ..Timing::default()
        }
    }

    fn records() -> Vec<Record> {
        let step = |step, wall_secs| {
            Record::Step(StepRecord {
                step,
                queries_seen: 8 * step,
                loss: 1.0,
                lr: 1e-3,
                grad_norm: 1.0,
                weight_entropy: 1.0,
                weight_on_positive: None,
                tau: 0.05,
                llm_tokens: 100,
                retriever_tokens: Some(40),
                timing: at(wall_secs),
            })
        };
        let eval = |step, wall_secs, value| {
            Record::Eval(EvalRecord {
                step,
                eval: Evaluation {
                    name: "heldout".into(),
                    measures: [("nDCG@10".to_owned(), value)].into(),
                },
                timing: at(wall_secs),
            })
        };
        vec![
            eval(0, 10.0, 0.1),
            step(1, 12.0),
            step(2, 15.0),
            eval(2, 30.0, 0.3),
            step(3, 31.0),
        ]
    }

    #[test]
    fn evaluations_are_no_training_time() {
        let spent = Spent::of(&records());
        // By hand: 2 + 3 + 1 seconds of steps of 31.
        let wanted = Spent {
            steps: 3,
            queries_seen: 24,
            llm_tokens: 300,
            retriever_tokens: Some(120),
            training_secs: 6.0,
            wall_secs: 31.0,
        };
        assert_eq!(spent, wanted);
    }

    #[test]
    fn a_curve_says_what_was_spent_at_each_evaluation() {
        let points = curve(&records(), "heldout");
        let figures: Vec<(u64, f64, f64)> = points
            .iter()
            .map(|p| (p.spent.queries_seen, p.spent.training_secs, p.ndcg))
            .collect();
        assert_eq!(figures, [(0, 0.0, 0.1), (16, 5.0, 0.3)]);
        assert!(curve(&records(), "other").is_empty());
    }
}
