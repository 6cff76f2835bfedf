//! RePlug LSR (arXiv 2301.12652): the document weights imitate how much each document alone helps the
//! frozen language model to write the target (method section 5.2; Atlas calls it PDist).
//!
//! `q = softmax(score / teacher_temperature)`, the score a mean log-probability of a target token (or its
//! exponential, [`super::Likelihood`]); the loss is a divergence of `q` and `w` ([`super::distill`]). No gradient passes
//! through the language model. Worked: mean log-probabilities `(-1, -1.2)` at temperature .1 are `q = (.881, .119)`; with
//! `w = (.5, .5)` the gradient of the logits is `(-.381, .381)`.

use super::distill::{Divergence, log_teacher};
use super::likelihood::{Likelihood, likelihoods};
use super::{LanguageModel, Objective, QueryLoss, Request, Tokens};
use crate::Result;

/// The objective.
#[derive(Debug)]
pub struct RePlug<'a> {
    llm: LanguageModel<'a>,
    teacher_temperature: f32,
    likelihood: Likelihood,
    divergence: Divergence,
    tokens: Tokens,
}

impl<'a> RePlug<'a> {
    /// Takes the teacher and how it is turned into a distribution.
    pub fn new(
        llm: LanguageModel<'a>,
        teacher_temperature: f32,
        likelihood: Likelihood,
        divergence: Divergence,
    ) -> Self {
        Self {
            llm,
            teacher_temperature,
            likelihood,
            divergence,
            tokens: Tokens::default(),
        }
    }
}

impl Objective for RePlug<'_> {
    fn evaluate(&self, request: Request<'_, '_>) -> Result<Vec<QueryLoss>> {
        let said = likelihoods(&self.llm, request.group)?;
        self.tokens.add(said.tokens);
        let queries = request.group.queries.iter().zip(request.weights);
        let losses = queries
            .zip(&said.log_probabilities)
            .map(|((query, weights), documents)| {
                let scores = documents.iter().map(|tokens| self.likelihood.score(tokens));
                let scores: Vec<f64> = scores.collect();
                let teacher = log_teacher(&scores, self.teacher_temperature, &query.hidden);
                self.divergence.loss(&teacher, weights)
            });
        Ok(losses.collect())
    }

    fn llm_tokens(&self) -> u64 {
        self.tokens.total()
    }
}
