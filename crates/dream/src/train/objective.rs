//! Objectives: from document weights to a loss and its gradient.
//!
//! An objective sees documents, questions and weights, and gives back the gradient of the *logits*
//! (scores over temperature). It never sees an encoder (architecture, invariant 5).

use crate::Result;
use crate::llm::{InjectionConfig, Judgement, ReadDocuments, judge};
use crate::model::Model;
use crate::prompt::Packer;
use dream_ir::Document;
use serde::{Deserialize, Serialize};

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
}

/// What an objective says about one query.
#[derive(Clone, Debug)]
pub struct QueryLoss {
    /// The loss, nats.
    pub loss: f32,
    /// `d loss / d (score / temperature)`, `[documents]`; sums to zero.
    pub d_logits: Vec<f32>,
}

/// Which objective; `[objective] name`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectiveKind {
    /// The frozen model's loss on the target, through injected attention. No label is used.
    #[default]
    Dream,
    /// Cross entropy of the known passage against the pool: the labelled control.
    InfoNce,
}

/// Something that can be minimised by changing document weights; the trainer calls it once a group.
pub trait Objective {
    /// Loss and gradient of each query under `weights [queries][documents]`.
    fn evaluate(&self, group: &Group<'_>, weights: &[Vec<f32>]) -> Result<Vec<QueryLoss>>;

    /// Tokens of the language model that the last steps read, in all.
    fn llm_tokens(&self) -> u64 {
        0
    }
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

/// What [`judge`] says of some queries, as an objective says it.
pub fn query_losses(judged: &[Judgement], weights: &[Vec<f32>]) -> Vec<QueryLoss> {
    let pairs = judged.iter().zip(weights);
    let losses = pairs.map(|(judgement, weights)| QueryLoss {
        loss: judgement.loss,
        d_logits: d_logits(weights, &judgement.d_weights),
    });
    losses.collect()
}

/// DREAM (arXiv 2606.24667): next-token loss of a frozen language model.
#[derive(Debug)]
pub struct Dream<'a> {
    model: &'a Model,
    packer: Packer<'a>,
    injection: InjectionConfig,
    llm_tokens: std::cell::Cell<u64>,
}

impl<'a> Dream<'a> {
    /// Takes the frozen model, how prompts are packed, and where weights enter.
    pub fn new(model: &'a Model, packer: Packer<'a>, injection: InjectionConfig) -> Self {
        Self {
            model,
            packer,
            injection,
            llm_tokens: 0.into(),
        }
    }
}

impl Objective for Dream<'_> {
    fn evaluate(&self, group: &Group<'_>, weights: &[Vec<f32>]) -> Result<Vec<QueryLoss>> {
        let prefix = self.packer.prefix(group.documents.iter().copied())?;
        let suffixes = group
            .queries
            .iter()
            .map(|query| {
                let suffix = self.packer.suffix(query.question, query.target)?;
                self.packer.fits(prefix.ids.len(), suffix.ids.len())?;
                Ok(suffix)
            })
            .collect::<Result<Vec<_>>>()?;
        let tokens = prefix.ids.len() + suffixes.iter().map(|s| s.ids.len()).sum::<usize>();
        self.llm_tokens.set(self.llm_tokens.get() + tokens as u64);
        let decoder = &self.model.decoder;
        let documents = ReadDocuments::new(decoder, &prefix);
        let judged = judge(
            decoder,
            &self.injection,
            &documents,
            &suffixes,
            weights,
            true,
        )?;
        Ok(query_losses(&judged, weights))
    }

    fn llm_tokens(&self) -> u64 {
        self.llm_tokens.get()
    }
}

/// InfoNCE on the pool (method section 5.1): `-log w_positive`, averaged over known passages.
#[derive(Clone, Copy, Debug, Default)]
pub struct InfoNce;

impl Objective for InfoNce {
    fn evaluate(&self, group: &Group<'_>, weights: &[Vec<f32>]) -> Result<Vec<QueryLoss>> {
        group
            .queries
            .iter()
            .zip(weights)
            .map(|(query, weights)| {
                if query.positives.is_empty() {
                    return Err(crate::Error::Invalid(format!(
                        "infonce needs a known passage in every pool, but that of {:?} has none; \
                         set known_passage = \"include\"",
                        query.question
                    )));
                }
                let share = 1.0 / query.positives.len() as f32;
                let mut d_logits = weights.clone();
                let mut loss = 0.0;
                for positive in &query.positives {
                    d_logits[*positive] -= share;
                    loss -= share * weights[*positive].max(f32::MIN_POSITIVE).ln();
                }
                Ok(QueryLoss { loss, d_logits })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_of_logits_sum_to_zero_and_equal_differences() {
        let logits = [0.3f64, -0.2, 0.9];
        let d_weights = [0.5f32, -1.0, 0.25];
        let softmax = |z: &[f64; 3]| {
            let sum: f64 = z.iter().map(|v| v.exp()).sum();
            z.map(|v| v.exp() / sum)
        };
        let loss = |z: &[f64; 3]| -> f64 {
            softmax(z)
                .iter()
                .zip(d_weights)
                .map(|(w, d)| w * f64::from(d))
                .sum()
        };
        let weights = softmax(&logits).map(|w| w as f32);
        let got = d_logits(&weights, &d_weights);
        assert!(got.iter().sum::<f32>().abs() < 1e-6);
        for i in 0..3 {
            let (mut up, mut down) = (logits, logits);
            up[i] += 1e-5;
            down[i] -= 1e-5;
            let want = (loss(&up) - loss(&down)) / 2e-5;
            assert!((f64::from(got[i]) - want).abs() < 1e-6, "{i}");
        }
    }
}
