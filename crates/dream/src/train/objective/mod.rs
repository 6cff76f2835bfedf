//! Objectives: from document weights to a loss and its gradient.
//!
//! An objective sees documents, questions and weights, and gives back the gradient of the *logits*
//! (scores over temperature). It never sees an encoder (architecture, invariant 5). Which one a run
//! minimises is a line of its configuration ([`ObjectiveSum`]); [`catalogue`] describes them all.

pub mod adist;
mod attention_mass;
mod build;
pub mod catalogue;
pub mod distill;
pub mod dream;
pub mod emdr2;
pub mod infonce;
mod language_model;
pub mod likelihood;
mod name;
pub mod qr_distill;
pub mod replug;
pub mod revela;
pub mod settings;
mod sum;

pub use adist::ADist;
pub use build::build;
pub use distill::Divergence;
pub use dream::Dream;
pub use emdr2::Emdr2;
pub use infonce::InfoNce;
pub use language_model::LanguageModel;
pub use likelihood::Likelihood;
pub use name::{ObjectiveKind, ObjectiveSum, Term};
pub use qr_distill::QrDistill;
pub use replug::RePlug;
pub use revela::Revela;
pub use sum::WeightedSum;

use crate::llm::{Judgement, Tuning};
use crate::{Error, Result};
use dream_ir::Document;
use dream_nn::ops::elementwise::softmax;
use std::cell::Cell;

/// Queries that share one list of candidate documents.
#[derive(Debug)]
pub struct Group<'a> {
    /// Candidates, in prompt order.
    pub documents: Vec<&'a Document>,
    /// The queries.
    pub queries: Vec<GroupQuery<'a>>,
}

/// One query of a group.
#[derive(Debug)]
pub struct GroupQuery<'a> {
    /// What is asked.
    pub question: &'a str,
    /// What the language model shall write.
    pub target: &'a str,
    /// Places of known passages among the group's documents: for controls and reports.
    pub positives: Vec<usize>,
    /// Places of documents that this query must not see: weight 0, gradient 0.
    pub hidden: Vec<usize>,
}

/// What an objective says about one query.
#[derive(Clone, Debug, PartialEq)]
pub struct QueryLoss {
    /// The loss, nats.
    pub loss: f32,
    /// `d loss / d (score / temperature)`, `[documents]`; sums to zero, 0 where a document is hidden.
    pub d_logits: Vec<f32>,
}

/// Over which documents of a step a query's weights are a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of its prompt.
    Prompt,
    /// All of the step.
    Batch,
}

/// What an objective is asked.
#[derive(Debug)]
pub struct Request<'r, 'd> {
    /// Whether the group is one prompt's, or the whole step's.
    pub scope: Scope,
    /// Documents and queries.
    pub group: &'r Group<'d>,
    /// Document weights, `[queries][documents]`.
    pub weights: &'r [Vec<f32>],
    /// The language model's own adapter, if it is trained too.
    pub tuning: Option<Tuning<'r>>,
}

impl<'r, 'd> Request<'r, 'd> {
    /// A prompt before a frozen language model.
    pub fn of_prompt(group: &'r Group<'d>, weights: &'r [Vec<f32>]) -> Self {
        Self {
            scope: Scope::Prompt,
            group,
            weights,
            tuning: None,
        }
    }
}

/// Something that can be minimised by changing document weights; a training step calls it once for each
/// of its groups in every scope that it wants.
pub trait Objective {
    /// Loss and gradient of each query.
    fn evaluate(&self, request: Request<'_, '_>) -> Result<Vec<QueryLoss>>;

    /// Whether it has something to say about groups of this scope. A query's loss is the sum over scopes.
    fn wants(&self, scope: Scope) -> bool {
        scope == Scope::Prompt
    }

    /// Tokens of the language model that the last steps read, in all.
    fn llm_tokens(&self) -> u64 {
        0
    }
}

/// Softmax of a query's logits over the documents that it may see; hidden ones get exactly 0.
///
/// # Errors
/// There is no document left.
pub fn document_weights(logits: &[f32], hidden: &[usize]) -> Result<Vec<f32>> {
    let mut weights = logits.to_vec();
    for k in hidden {
        weights[*k] = f32::NEG_INFINITY;
    }
    if weights.iter().all(|logit| *logit == f32::NEG_INFINITY) {
        return Err(Error::Invalid(format!(
            "a query sees none of its {} candidate documents",
            logits.len()
        )));
    }
    softmax(&mut weights);
    Ok(weights)
}

/// `d loss / d logits` of `weights = softmax(logits)`, given `d loss / d weights` (method 2.5):
/// `w_k (d_k - sum(w d))`.
pub fn d_logits(weights: &[f32], d_weights: &[f32]) -> Vec<f32> {
    let inner: f64 = weights
        .iter()
        .zip(d_weights)
        .map(|(w, d)| f64::from(*w) * f64::from(*d))
        .sum();
    weights
        .iter()
        .zip(d_weights)
        .map(|(w, d)| (f64::from(*w) * (f64::from(*d) - inner)) as f32)
        .collect()
}

/// What [`crate::llm::judge`] says of some queries, as an objective says it.
pub fn query_losses(judged: &[Judgement], weights: &[Vec<f32>]) -> Vec<QueryLoss> {
    let pairs = judged.iter().zip(weights);
    let losses = pairs.map(|(judgement, weights)| QueryLoss {
        loss: judgement.loss,
        d_logits: d_logits(weights, &judgement.d_weights),
    });
    losses.collect()
}

/// Tokens read so far.
#[derive(Debug, Default)]
struct Tokens(Cell<u64>);

impl Tokens {
    fn add(&self, tokens: usize) {
        self.0.set(self.0.get() + tokens as u64);
    }

    fn total(&self) -> u64 {
        self.0.get()
    }
}

#[cfg(test)]
mod tests;
