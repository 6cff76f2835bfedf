//! EMDR2 (arXiv 2106.05346), as in Atlas: the likelihood of the target with the document as a latent
//! variable (method section 5.3).
//!
//! `L = -mean_t log sum_k w_k p(y_t | y_<t, q, d_k)`, each document alone with the query, `p` without gradient. With the
//! responsibilities `r_tk = w_k p_tk / sum_m w_m p_tm`, the gradient of the logits is `w_k - mean_t r_tk`.
//! Worked: one token, `w = (.5, .5)`, `p = (.6, .2)`: loss `-ln .4 = .916`, `r = (.75, .25)`, gradient `(-.25, .25)`.

use super::likelihood::likelihoods;
use super::{LanguageModel, Objective, QueryLoss, Request, Tokens};
use crate::Result;

/// The objective.
#[derive(Debug)]
pub struct Emdr2<'a> {
    llm: LanguageModel<'a>,
    tokens: Tokens,
}

impl<'a> Emdr2<'a> {
    /// Takes the language model that writes the target.
    pub fn new(llm: LanguageModel<'a>) -> Self {
        Self {
            llm,
            tokens: Tokens::default(),
        }
    }
}

impl Objective for Emdr2<'_> {
    fn evaluate(&self, request: Request<'_, '_>) -> Result<Vec<QueryLoss>> {
        let said = likelihoods(&self.llm, request.group)?;
        self.tokens.add(said.tokens);
        let pairs = said.log_probabilities.iter().zip(request.weights);
        Ok(pairs.map(|(p, w)| marginal_loss(p, w)).collect())
    }

    fn llm_tokens(&self) -> u64 {
        self.tokens.total()
    }
}

/// Loss and gradient of one query, given `[documents][target tokens]` log-probabilities; hidden documents
/// have no tokens.
fn marginal_loss(log_probabilities: &[Vec<f32>], weights: &[f32]) -> QueryLoss {
    let n_tokens = log_probabilities.iter().map(Vec::len).max().unwrap_or(0);
    let seen: Vec<usize> = (0..weights.len())
        .filter(|k| !log_probabilities[*k].is_empty())
        .collect();
    let mut loss = 0.0;
    let mut d_logits: Vec<f64> = weights.iter().map(|w| f64::from(*w)).collect();
    let joint_of = |t: usize| {
        let joint = |k: &usize| {
            let weight = f64::from(weights[*k].max(f32::MIN_POSITIVE));
            weight.ln() + f64::from(log_probabilities[*k][t])
        };
        seen.iter().map(joint).collect::<Vec<f64>>()
    };
    for t in 0..n_tokens {
        let joint = joint_of(t);
        let largest = joint.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = joint.iter().map(|z| (z - largest).exp()).sum();
        loss -= (largest + sum.ln()) / n_tokens as f64;
        for (k, z) in seen.iter().zip(&joint) {
            d_logits[*k] -= (z - largest).exp() / sum / n_tokens as f64;
        }
    }
    QueryLoss {
        loss: loss as f32,
        d_logits: d_logits.iter().map(|d| *d as f32).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::objective::document_weights;

    #[test]
    fn the_worked_example_holds() {
        let p = [vec![0.6f32.ln()], vec![0.2f32.ln()]];
        let got = marginal_loss(&p, &[0.5, 0.5]);
        assert!((got.loss - 0.9163).abs() < 1e-4, "{got:?}");
        assert!((got.d_logits[0] + 0.25).abs() < 1e-6, "{got:?}");
        assert!((got.d_logits[1] - 0.25).abs() < 1e-6, "{got:?}");
    }

    #[test]
    fn vector_11_one_document_is_plain_cross_entropy_without_gradient() {
        let got = marginal_loss(&[vec![-0.5, -2.5]], &[1.0]);
        assert!((got.loss - 1.5).abs() < 1e-6, "{got:?}");
        assert!(got.d_logits[0].abs() < 1e-6, "{got:?}");
    }

    #[test]
    fn gradients_equal_differences_with_a_hidden_document() -> Result<()> {
        let p = [vec![-0.5, -2.5], vec![], vec![-1.5, -0.1], vec![-0.9, -0.9]];
        let logits = [0.2f32, 3.0, 0.7, -0.9];
        let loss = |logits: &[f32]| -> Result<QueryLoss> {
            Ok(marginal_loss(&p, &document_weights(logits, &[1])?))
        };
        let got = loss(&logits)?;
        assert_eq!(got.d_logits[1], 0.0);
        for i in 0..4 {
            let moved = |by: f32| {
                let mut logits = logits;
                logits[i] += by;
                loss(&logits)
            };
            let want = (moved(1e-2)?.loss - moved(-1e-2)?.loss) / 2e-2;
            assert!((got.d_logits[i] - want).abs() < 1e-4, "{i}: {got:?} {want}");
        }
        Ok(())
    }
}
