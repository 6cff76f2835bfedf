//! Explaining one prompt: which documents helped the language model, how much, in which heads.

use crate::heads::HeadId;
use crate::llm::{InjectionConfig, Judgement, ReadDocuments, judge};
use crate::model::decoder::Decoder;
use crate::prompt::{Prefix, Suffix};
use crate::train::objective::d_logits;
use crate::{Error, Result};
use dream_nn::ops::elementwise::{max, softmax};
use serde::Serialize;

/// What the language model says about the documents of one prompt. Vectors are `[documents]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// Loss on the target without injection, nats a token.
    pub ordinary_loss: f32,
    /// Loss with the weights injected.
    pub loss: f32,
    /// Document weights: softmax of scores over temperature.
    pub weights: Vec<f32>,
    /// Gradient of the loss for the scores: negative where a higher score would help.
    pub dloss_dscores: Vec<f32>,
    /// The model's own distribution over documents in its ordinary pass, mean over the injected rows
    /// and heads.
    pub own_distribution: Vec<f32>,
    /// Each head's part of `dloss_dscores`.
    pub by_head: Vec<HeadPart>,
}

impl Explained {
    fn is_finite(&self) -> bool {
        let vectors = [&self.weights, &self.dloss_dscores, &self.own_distribution];
        let heads = self.by_head.iter().map(|part| &part.dloss_dscores);
        let mut numbers = vectors.into_iter().chain(heads).flatten();
        self.loss.is_finite() && self.ordinary_loss.is_finite() && numbers.all(|x| x.is_finite())
    }
}

/// One head's part of the gradient.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HeadPart {
    /// The head.
    pub head: HeadId,
    /// `[documents]`
    pub dloss_dscores: Vec<f32>,
}

/// Judges `scores / tau` on one prompt.
///
/// # Errors
/// Scores or temperature are out of range, or do not match the documents; the model gives no numbers.
pub fn explain(
    decoder: &Decoder,
    injection: &InjectionConfig,
    prefix: &Prefix,
    suffix: &Suffix,
    scores: &[f32],
    tau: f32,
) -> Result<Explained> {
    let documents = prefix.doc_spans.len();
    if scores.len() != documents {
        let what = format!("{} scores for {documents} documents", scores.len());
        return Err(Error::Invalid(what));
    }
    if !(tau > 0.0 && tau.is_finite()) || scores.iter().any(|s| !s.is_finite()) {
        return Err(Error::Invalid(
            "scores must be finite, and tau finite and above 0".into(),
        ));
    }
    // Less the largest first: a large score over a small temperature would be infinite.
    let largest = max(scores);
    let mut weights: Vec<f32> = scores.iter().map(|s| (s - largest) / tau).collect();
    softmax(&mut weights);
    let read = ReadDocuments::new(decoder, prefix);
    let suffixes = std::slice::from_ref(suffix);
    let all = [weights];
    let injected = judge(decoder, injection, &read, suffixes, &all, true)?.remove(0);
    // A gate of 0 leaves attention alone, so this is the ordinary pass, looked at in the same rows.
    let plain = InjectionConfig {
        gate: 0.0,
        ..injection.clone()
    };
    let ordinary = judge(decoder, &plain, &read, suffixes, &all, false)?.remove(0);
    let [weights] = all;
    let to_scores = |d_weights: &[f32]| -> Vec<f32> {
        d_logits(&weights, d_weights)
            .iter()
            .map(|d| d / tau)
            .collect()
    };
    let Judgement {
        loss,
        d_weights,
        d_weights_by_head,
        ..
    } = injected;
    let by_head = injection
        .heads
        .heads()
        .iter()
        .zip(&d_weights_by_head)
        .map(|(head, d)| HeadPart {
            head: *head,
            dloss_dscores: to_scores(d),
        })
        .collect();
    let said = Explained {
        ordinary_loss: ordinary.loss,
        loss,
        dloss_dscores: to_scores(&d_weights),
        own_distribution: ordinary.own_distribution,
        by_head,
        weights,
    };
    if said.is_finite() {
        Ok(said)
    } else {
        let what = format!("the language model's loss ({loss}) or its gradient over tau ({tau})");
        Err(Error::NotFinite(what))
    }
}
