//! A weighted sum of objectives: losses and gradients add up, each times its weight.
//!
//! `L = sum_i c_i L_i`. Worked: losses 2 and 3 with weights 1 and 0.1 are 2.3. Terms know nothing of each other: where two
//! of them ask the language model about the same prompt, it is read twice.

use super::{Objective, QueryLoss, Request, Scope};
use crate::Result;
use crate::llm::Tuning;

/// The objective.
#[derive(Default)]
pub struct WeightedSum<'a> {
    terms: Vec<(f32, Box<dyn Objective + 'a>)>,
}

impl<'a> WeightedSum<'a> {
    /// A sum of these, each with its weight.
    pub fn new(terms: Vec<(f32, Box<dyn Objective + 'a>)>) -> Self {
        Self { terms }
    }
}

impl Objective for WeightedSum<'_> {
    fn evaluate(&self, request: Request<'_, '_>) -> Result<Vec<QueryLoss>> {
        let Request {
            scope,
            group,
            weights,
            mut tuning,
        } = request;
        let zero = |weights: &Vec<f32>| QueryLoss {
            loss: 0.0,
            d_logits: vec![0.0; weights.len()],
        };
        let mut sum: Vec<QueryLoss> = weights.iter().map(zero).collect();
        for (factor, term) in self.terms.iter().filter(|(_, term)| term.wants(scope)) {
            let mut own = tuning.as_ref().map(|tuning| tuning.gradients.zeros());
            let own_tuning = tuning.as_ref().zip(own.as_mut());
            let losses = term.evaluate(Request {
                scope,
                group,
                weights,
                tuning: own_tuning.map(|(tuning, gradients)| Tuning {
                    adapter: tuning.adapter,
                    gradients,
                    dropout_seed: tuning.dropout_seed,
                }),
            })?;
            for (sum, QueryLoss { loss, d_logits }) in sum.iter_mut().zip(losses) {
                sum.loss += factor * loss;
                for (sum, d) in sum.d_logits.iter_mut().zip(d_logits) {
                    *sum += factor * d;
                }
            }
            if let (Some(tuning), Some(mut own)) = (&mut tuning, own) {
                own.scale(*factor);
                tuning.gradients.add_assign(&own);
            }
        }
        Ok(sum)
    }

    fn wants(&self, scope: Scope) -> bool {
        self.terms.iter().any(|(_, term)| term.wants(scope))
    }

    fn llm_tokens(&self) -> u64 {
        self.terms.iter().map(|(_, term)| term.llm_tokens()).sum()
    }
}
