//! QR-distill: the document weights imitate the language model's own distribution over documents in its
//! query-focused heads (method section 5.3).
//!
//! `pi` is, for each injected row and selected head of the *plain* model, the share of each document in the attention
//! that documents get, averaged over rows and heads; `q = pi^(1 / teacher_temperature)`, renormalised; the loss is a
//! divergence of `q` and `w`. Nothing goes back through the language model, so beside `dream` it shows what the gradient
//! through attention adds. Worked: `pi = (.8, .2)`, temperature 1, `w = (.5, .5)`: gradient of the logits `(-.3, .3)`.

use super::distill::{Divergence, log_teacher};
use super::{LanguageModel, Objective, QueryLoss, Request, Tokens};
use crate::Result;
use crate::llm::{InjectionConfig, ReadDocuments, Trial, judge_trial};

/// The objective.
#[derive(Debug)]
pub struct QrDistill<'a> {
    llm: LanguageModel<'a>,
    plain: InjectionConfig,
    teacher_temperature: f32,
    divergence: Divergence,
    tokens: Tokens,
}

impl<'a> QrDistill<'a> {
    /// Takes the teacher, its heads and rows, and how it is turned into a distribution.
    pub fn new(
        llm: LanguageModel<'a>,
        injection: InjectionConfig,
        teacher_temperature: f32,
        divergence: Divergence,
    ) -> Self {
        Self {
            llm,
            // A gate of 0 leaves attention alone and still looks at it.
            plain: InjectionConfig {
                gate: 0.0,
                ..injection
            },
            teacher_temperature,
            divergence,
            tokens: Tokens::default(),
        }
    }
}

impl Objective for QrDistill<'_> {
    fn evaluate(&self, request: Request<'_, '_>) -> Result<Vec<QueryLoss>> {
        let prompt = self.llm.joint_prompt(request.group)?;
        self.tokens.add(prompt.tokens());
        let decoder = &self.llm.model.decoder;
        let documents = ReadDocuments::new(decoder, &prompt.prefix);
        let trial = Trial {
            suffixes: &prompt.suffixes,
            weights: request.weights,
            hidden: &prompt.hidden,
        };
        let looked = judge_trial(decoder, &self.plain, &documents, trial, false)?;
        let pairs = looked.iter().zip(&prompt.hidden);
        let losses = pairs
            .zip(request.weights)
            .map(|((judged, hidden), weights)| {
                let own = judged.own_distribution.iter();
                let scores: Vec<f64> = own
                    .map(|share| f64::from(share.max(f32::MIN_POSITIVE)).ln())
                    .collect();
                let teacher = log_teacher(&scores, self.teacher_temperature, hidden);
                self.divergence.loss(&teacher, weights)
            });
        Ok(losses.collect())
    }

    fn llm_tokens(&self) -> u64 {
        self.tokens.total()
    }
}
