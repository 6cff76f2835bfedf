//! DREAM (arXiv 2606.24667): next-token loss of a language model in whose selected heads the document
//! weights decide how attention is shared among documents.
//!
//! `L = -mean_t log p(y_t | y_<t, q, d_1..d_K; w)` (method section 2.4), and with
//! `dL/dw_k = sum over heads and rows of B <dL/d(head output), o_k>`, the gradient of the logits is
//! `w_k (dL/dw_k - sum_m w_m dL/dw_m)`. Worked: `w = (.5, .5)`, `dL/dw = (-1, 1)`: the inner sum is 0 and
//! the gradient `(-.5, .5)`: a step down raises the first document's score.

use super::{LanguageModel, Objective, QueryLoss, Request, Tokens, query_losses};
use crate::Result;
use crate::llm::{InjectionConfig, ReadDocuments, Trial, judge_trial, judge_tuned};
use crate::model::Model;
use crate::prompt::Packer;

/// The objective.
#[derive(Debug)]
pub struct Dream<'a> {
    llm: LanguageModel<'a>,
    injection: InjectionConfig,
    tokens: Tokens,
}

impl<'a> Dream<'a> {
    /// Takes the language model, how prompts are packed, and where weights enter.
    pub fn new(model: &'a Model, packer: Packer<'a>, injection: InjectionConfig) -> Self {
        Self {
            llm: LanguageModel { model, packer },
            injection,
            tokens: Tokens::default(),
        }
    }
}

impl Objective for Dream<'_> {
    fn evaluate(&self, request: Request<'_, '_>) -> Result<Vec<QueryLoss>> {
        let prompt = self.llm.joint_prompt(request.group)?;
        self.tokens.add(prompt.tokens());
        let decoder = &self.llm.model.decoder;
        let trial = Trial {
            suffixes: &prompt.suffixes,
            weights: request.weights,
            hidden: &prompt.hidden,
        };
        let judged = match request.tuning {
            None => {
                let documents = ReadDocuments::new(decoder, &prompt.prefix);
                judge_trial(decoder, &self.injection, &documents, trial, true)?
            }
            Some(tuning) => judge_tuned(decoder, &self.injection, &prompt.prefix, trial, tuning)?,
        };
        Ok(query_losses(&judged, request.weights))
    }

    fn llm_tokens(&self) -> u64 {
        self.tokens.total()
    }
}
