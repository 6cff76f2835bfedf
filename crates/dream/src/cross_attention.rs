//! Cross-document attention as in Revela (arXiv 2506.16552, method section 5.4): beside its ordinary
//! attention a row reads every document, each for itself, and adds what it reads, weighted.
//!
//! The documents were read alone and stand in the prefix. With `a` the softmax over one document's keys and `u_j = ||v_j||`,
//!
//! ```text
//! p_j = softmax over the row's own keys                        own keys: ordinary causal attention
//! p_j = w_k a_j / n_k,   n_k = sum_i a_i u_i + 1e-6            keys of document k; n_k = 1 without value norms
//! ```
//!
//! so a row's attention does not sum to 1. The way back, with `G = sum_j a_j dL/dp_j` of a document:
//!
//! ```text
//! dL/dw_k = G / n_k
//! dL/dz_j = (w_k a_j / n_k) (dL/dp_j - G u_j / n_k - 1e-6 G / n_k)      without value norms: w_k a_j (dL/dp_j - G)
//! dL/du_j = -w_k a_j G / n_k^2                                          where values have a gradient
//! ```
//!
//! Every row of every layer and head reads so. A document of weight 0 is not read at all.

use dream_nn::Matrix;
use dream_nn::ops::attention::{KeyReader, PlainReader, Read, RowAt};
use dream_nn::ops::elementwise::{axpy, dot, scale, softmax};
use std::ops::Range;

/// Keeps the division by a document's mean value length finite.
const NORM_FLOOR: f32 = 1e-6;

/// The attention reader that adds documents.
#[derive(Clone, Debug)]
pub struct CrossAttention<'a> {
    /// Token ranges of the documents among the prefix's keys.
    pub doc_spans: &'a [Range<usize>],
    /// Keys of the prefix.
    pub prefix_len: usize,
    /// Document weights of each segment, `[segments][documents]`.
    pub weights: &'a [Vec<f32>],
    /// Lengths of the prefix's values, layer by layer, `[n_kv_heads, tokens]`, if readouts are divided by them.
    pub value_norms: Option<&'a [Matrix]>,
    /// Query heads that read one key head.
    pub heads_a_key: usize,
    /// Whether the lengths of values have a gradient too.
    pub norm_gradient: bool,
}

/// What one head of one segment gathers on the way back.
#[derive(Clone, Debug, Default)]
pub struct CrossRecord {
    /// `dL/dw`, `[documents]`.
    pub d_weights: Vec<f32>,
    /// `dL/d ||v||`, `[prefix tokens]`, if asked for.
    pub d_norms: Vec<f32>,
}

impl KeyReader for CrossAttention<'_> {
    type Record = CrossRecord;

    fn probabilities(&self, at: RowAt, logits: &mut [f32], _: &mut CrossRecord) {
        let (prefix, own) = logits.split_at_mut(self.prefix_len);
        softmax(own);
        let mut end = 0;
        for (k, span) in self.doc_spans.iter().enumerate() {
            prefix[end..span.start].fill(0.0);
            end = span.end;
            let keys = &mut prefix[span.clone()];
            let weight = self.weights[at.segment][k];
            if weight == 0.0 {
                keys.fill(0.0);
                continue;
            }
            softmax(keys);
            let length = self.length(at, span, keys);
            scale(keys, weight / length);
        }
        prefix[end..].fill(0.0);
    }

    fn d_logits(&self, at: RowAt, read: &Read<'_>, d_p: &mut [f32], record: &mut CrossRecord) {
        let (d_prefix, d_own) = d_p.split_at_mut(self.prefix_len);
        let own = Read {
            logits: &read.logits[self.prefix_len..],
            p: &read.p[self.prefix_len..],
        };
        PlainReader.d_logits(at, &own, d_own, &mut ());
        record.d_weights.resize(self.doc_spans.len(), 0.0);
        let norms = self.norms(at);
        let mut end = 0;
        for (k, span) in self.doc_spans.iter().enumerate() {
            d_prefix[end..span.start].fill(0.0);
            end = span.end;
            let d = &mut d_prefix[span.clone()];
            let weight = self.weights[at.segment][k];
            if weight == 0.0 {
                d.fill(0.0);
                continue;
            }
            let mut a = read.logits[span.clone()].to_vec();
            softmax(&mut a);
            let length = self.length(at, span, &a);
            let readout = dot(&a, d);
            record.d_weights[k] += readout / length;
            match norms {
                None => {
                    for (d, a) in d.iter_mut().zip(&a) {
                        *d = weight * a * (*d - readout);
                    }
                }
                Some(norms) => {
                    let pull = readout / length;
                    for ((d, a), u) in d.iter_mut().zip(&a).zip(&norms[span.clone()]) {
                        *d = weight / length * a * (*d - pull * u - pull * NORM_FLOOR);
                    }
                    if self.norm_gradient {
                        record.d_norms.resize(self.prefix_len, 0.0);
                        let d_norms = &mut record.d_norms[span.clone()];
                        axpy(d_norms, -weight * readout / (length * length), &a);
                    }
                }
            }
        }
        d_prefix[end..].fill(0.0);
    }
}

impl CrossAttention<'_> {
    /// Lengths of the values that a row reads, `[prefix tokens]`.
    fn norms(&self, at: RowAt) -> Option<&[f32]> {
        let norms = self.value_norms?;
        Some(norms[at.layer].row(at.head / self.heads_a_key))
    }

    /// What a document's readout is divided by, given attention within the document.
    fn length(&self, at: RowAt, span: &Range<usize>, a: &[f32]) -> f32 {
        let norms = self.norms(at);
        norms.map_or(1.0, |norms| dot(a, &norms[span.clone()]) + NORM_FLOOR)
    }
}

#[cfg(test)]
mod tests;
