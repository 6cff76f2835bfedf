//! Distillation: the Kullback-Leibler divergence between a teacher's distribution `q` over a query's
//! documents and the document weights `w`.
//!
//! ```text
//! teacher-student   KL(q || w) = sum q_k (ln q_k - ln w_k)      d/d logit_k = w_k - q_k
//! student-teacher   KL(w || q) = sum w_k (ln w_k - ln q_k)      d/d logit_k = w_k ((ln w_k - ln q_k) - KL)
//! ```
//!
//! Worked: `q = (.9, .1)`, `w = (.5, .5)`: `KL(q || w) = .9 ln 1.8 + .1 ln .2 = .368`, gradient
//! `(-.4, .4)`; `KL(w || q) = .5 ln (.5/.9) + .5 ln (.5/.1) = .511`, gradient `(-.549, .549)`.
//!
//! The teacher comes as logarithms, so that a document it all but rules out has a number and not `ln 0`.
//! The sum is over documents, not their mean: PyTorch's `KLDivLoss` divides by their number by default, which scales a
//! gradient that is clipped and normalised anyway.

use super::QueryLoss;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Which of the two distributions the expectation is under; `divergence` under `[objective]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// `KL(teacher || student)`: RePlug's released code, Atlas.
    #[default]
    TeacherStudent,
    /// `KL(student || teacher)`: RePlug's paper.
    StudentTeacher,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TeacherStudent => "teacher-student",
            Self::StudentTeacher => "student-teacher",
        })
    }
}

impl FromStr for Divergence {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "teacher-student" => Ok(Self::TeacherStudent),
            "student-teacher" => Ok(Self::StudentTeacher),
            _ => Err(Error::Invalid(format!(
                "divergence must be teacher-student or student-teacher, not {text:?}"
            ))),
        }
    }
}

impl Divergence {
    /// Loss and gradient of one query's logits. `log_teacher` is minus infinity where a document is hidden.
    pub fn loss(self, log_teacher: &[f64], weights: &[f32]) -> QueryLoss {
        let log_weight = |w: f32| f64::from(w.max(f32::MIN_POSITIVE)).ln();
        let seen = || {
            let pairs = log_teacher.iter().zip(weights);
            pairs.filter(|(log_q, _)| **log_q > f64::NEG_INFINITY)
        };
        let loss: f64 = match self {
            Self::TeacherStudent => seen()
                .map(|(log_q, w)| log_q.exp() * (log_q - log_weight(*w)))
                .sum(),
            Self::StudentTeacher => seen()
                .map(|(log_q, w)| f64::from(*w) * (log_weight(*w) - log_q))
                .sum(),
        };
        let d_logit = |(log_q, w): (&f64, &f32)| {
            let d = match self {
                _ if *log_q == f64::NEG_INFINITY => 0.0,
                Self::TeacherStudent => f64::from(*w) - log_q.exp(),
                Self::StudentTeacher => f64::from(*w) * (log_weight(*w) - log_q - loss),
            };
            d as f32
        };
        QueryLoss {
            loss: loss as f32,
            d_logits: log_teacher.iter().zip(weights).map(d_logit).collect(),
        }
    }
}

/// Logarithms of `softmax(scores / temperature)` over the documents that are not hidden, whose own is
/// minus infinity.
pub fn log_teacher(scores: &[f64], temperature: f32, hidden: &[usize]) -> Vec<f64> {
    let mut logits: Vec<f64> = scores.iter().map(|s| s / f64::from(temperature)).collect();
    for k in hidden {
        logits[*k] = f64::NEG_INFINITY;
    }
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|z| (z - largest).exp()).sum();
    let log_sum = largest + sum.ln();
    logits.iter().map(|z| z - log_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::objective::document_weights;

    const BOTH: [Divergence; 2] = [Divergence::TeacherStudent, Divergence::StudentTeacher];

    #[test]
    fn the_worked_example_holds() {
        let teacher = [0.9f64.ln(), 0.1f64.ln()];
        for (divergence, loss, gradient) in [(BOTH[0], 0.3681, 0.4), (BOTH[1], 0.5108, 0.5493)] {
            let got = divergence.loss(&teacher, &[0.5, 0.5]);
            assert!((got.loss - loss).abs() < 1e-4, "{divergence}: {got:?}");
            assert!((got.d_logits[0] + gradient).abs() < 1e-4, "{got:?}");
            assert!((got.d_logits[1] - gradient).abs() < 1e-4, "{got:?}");
        }
    }

    #[test]
    fn gradients_equal_differences_in_both_directions_with_a_hidden_document() -> Result<()> {
        let teacher = log_teacher(&[0.4, -0.3, 9.0, 0.1], 0.5, &[2]);
        let logits = [0.2f32, -0.5, 0.7, 0.9];
        for divergence in BOTH {
            let loss = |logits: &[f32]| -> Result<QueryLoss> {
                Ok(divergence.loss(&teacher, &document_weights(logits, &[2])?))
            };
            let got = loss(&logits)?;
            assert_eq!(got.d_logits[2], 0.0);
            for i in 0..4 {
                let moved = |by: f32| {
                    let mut logits = logits;
                    logits[i] += by;
                    loss(&logits)
                };
                let want = (moved(1e-2)?.loss - moved(-1e-2)?.loss) / 2e-2;
                assert!((got.d_logits[i] - want).abs() < 1e-4, "{divergence} {i}");
            }
        }
        Ok(())
    }

    #[test]
    fn vector_11_the_divergence_from_itself_is_zero_and_so_is_its_gradient() {
        let teacher = log_teacher(&[0.3, 0.1, -2.0], 0.1, &[]);
        let weights: Vec<f32> = teacher.iter().map(|q| q.exp() as f32).collect();
        for divergence in BOTH {
            let got = divergence.loss(&teacher, &weights);
            assert!(got.loss.abs() < 1e-6, "{got:?}");
            assert!(got.d_logits.iter().all(|d| d.abs() < 1e-6), "{got:?}");
        }
    }

    #[test]
    fn a_teacher_or_a_student_that_is_sure_has_finite_losses() {
        let teacher = log_teacher(&[0.0, -1e4], 1e-3, &[]);
        for weights in [[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]] {
            for divergence in BOTH {
                let got = divergence.loss(&teacher, &weights);
                let finite = got.d_logits.iter().all(|d| d.is_finite());
                assert!(got.loss.is_finite() && finite, "{divergence} {got:?}");
            }
        }
    }

    #[test]
    fn divergences_round_trip_through_their_text() -> Result<()> {
        for divergence in BOTH {
            assert_eq!(divergence.to_string().parse::<Divergence>()?, divergence);
        }
        assert!("kl".parse::<Divergence>().is_err());
        Ok(())
    }
}
