//! The loss on target tokens: mean negative log-likelihood, nats a token (method section 2.4).

use crate::model::decoder::{Batch, Decoder};
use crate::prompt::Suffix;
use dream_nn::Matrix;
use dream_nn::ops::cross_entropy;
use std::ops::Range;

/// The rows that predict target tokens, all suffixes' together.
pub(crate) struct Targets {
    rows: Vec<usize>,
    ids: Vec<u32>,
    /// The part of `rows` that belongs to each suffix.
    parts: Vec<Range<usize>>,
}

impl Targets {
    /// Each segment of the batch ends with its suffix.
    pub fn new<'a>(batch: &Batch, suffixes: impl IntoIterator<Item = &'a Suffix>) -> Self {
        let (mut rows, mut ids, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for (segment, suffix) in batch.segments.iter().zip(suffixes) {
            let first = rows.len();
            rows.extend(segment.end - suffix.target_ids().len() - 1..segment.end - 1);
            ids.extend_from_slice(suffix.target_ids());
            parts.push(first..rows.len());
        }
        Self { rows, ids, parts }
    }

    /// Losses of each suffix's target tokens, nats.
    pub fn token_losses(&self, decoder: &Decoder, hidden: &Matrix) -> Vec<Vec<f32>> {
        let (losses, _) = self.tokens(decoder, hidden);
        let of_part = |part: &Range<usize>| losses[part.clone()].to_vec();
        self.parts.iter().map(of_part).collect()
    }

    /// Mean loss of each suffix, and the gradient of their sum on the hidden states.
    pub fn losses(&self, decoder: &Decoder, hidden: &Matrix) -> (Vec<f32>, Matrix) {
        let (token_losses, d_logits) = self.tokens(decoder, hidden);
        let d_wanted = decoder.logits_backward(&d_logits);
        let mut d_hidden = Matrix::zeros(hidden.rows(), hidden.cols());
        let mut losses = Vec::new();
        for part in &self.parts {
            let n = part.len() as f32;
            losses.push(token_losses[part.clone()].iter().sum::<f32>() / n);
            for i in part.clone() {
                let row = d_hidden.row_mut(self.rows[i]);
                for (d, g) in row.iter_mut().zip(d_wanted.row(i)) {
                    *d = g / n;
                }
            }
        }
        (losses, d_hidden)
    }

    /// Losses of all target tokens, and the gradients of their logits.
    fn tokens(&self, decoder: &Decoder, hidden: &Matrix) -> (Vec<f32>, Matrix) {
        let mut logits = decoder.logits(&hidden.gathered(&self.rows));
        let losses = cross_entropy::forward_backward(&mut logits, &self.ids);
        (losses, logits)
    }
}
