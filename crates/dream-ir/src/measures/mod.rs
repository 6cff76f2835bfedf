//! Effectiveness measures with the definitions of trec_eval, and of BEIR where trec_eval has none.
//!
//! The rules, all of them trec_eval's and found again by experiment with pytrec_eval 0.5.11
//! (`checks/pytrec_eval_random.py`):
//!
//! - Every judged query counts (option `-c`): one without results as 0, one without a relevant
//!   document as 0 too. Queries that nobody judged are left out.
//! - The order is by score, descending, ties by document id, descending, bytewise. Scores are compared
//!   as f32 or as f64 ([`crate::run::ScoreWidth`]).
//! - A document is relevant from grade 1 on, or from the relevance level that was asked for (`-l`);
//!   nDCG takes its gains from the grades whatever the level. A grade below 0 is not relevant and
//!   gains nothing.

mod evaluation;
mod measure;
mod ranking;

pub use evaluation::{Evaluation, EvaluationOptions, Scores, evaluate, evaluate_with};
pub use measure::{DEFAULT_MEASURES, Measure};

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
