//! How much each head looks from a question to each document (method section 4.2).
//!
//! Attention of the question's rows on every document token, averaged over rows, minus the same for
//! the question "N/A"; tokens at or below `mean - 2 std` of their document are dropped, the rest
//! summed. One pass over the documents, one over both questions, for all heads of all layers.

use crate::llm::ReadDocuments;
use crate::model::decoder::{Batch, Decoder, Output, Pass};
use dream_nn::ops::attention::{KeyReader, PlainReader, Read, RowAt};
use dream_nn::ops::elementwise::axpy;
use std::ops::Range;

/// The question that calibrates: its attention is what a head does whatever is asked.
pub const NULL_QUESTION: &str = "N/A";

/// Calibrated scores of one prompt: `[layers][heads][documents]`.
pub type DocumentScores = Vec<Vec<Vec<f32>>>;

/// Scores the documents of one prompt with every head. A score is NaN where the model's attention is.
///
/// `question` and `null_question` are the tokens after the documents, without a target.
pub fn document_scores(
    decoder: &Decoder,
    documents: &ReadDocuments,
    question: &[u32],
    null_question: &[u32],
) -> DocumentScores {
    let prefix_len = documents.cache().len;
    let batch = Batch::new([question, null_question], prefix_len);
    let reader = AttentionSum { prefix_len };
    let pass = Pass {
        batch: &batch,
        prefix: Some(documents.cache()),
        lora: None,
        dropout_seed: None,
        reader: &reader,
        wanted: None,
    };
    let Output { records, .. } = decoder.forward(&pass, None);
    let (layers, heads) = (
        decoder.config.num_hidden_layers,
        decoder.config.num_attention_heads,
    );
    let mut calibrated = vec![vec![vec![0.0f32; prefix_len]; heads]; layers];
    for recorded in records {
        let rows = batch.segments[recorded.segment].len() as f32;
        let share = if recorded.segment == 0 {
            1.0 / rows
        } else {
            -1.0 / rows
        };
        axpy(
            &mut calibrated[recorded.layer][recorded.head],
            share,
            &recorded.record,
        );
    }
    let score = |tokens: &Vec<f32>| {
        documents
            .doc_spans()
            .iter()
            .map(|span| span_score(tokens, span))
            .collect()
    };
    calibrated
        .iter()
        .map(|layer| layer.iter().map(score).collect())
        .collect()
}

/// Sum of a span's values above `mean - 2 std` (`n - 1`); a single value counts as it is not above
/// its own mean: 0.
fn span_score(tokens: &[f32], span: &Range<usize>) -> f32 {
    let values = &tokens[span.clone()];
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum();
    let std = (squares / (n - 1.0).max(1.0)).sqrt();
    if !std.is_finite() {
        return f32::NAN;
    }
    let threshold = (mean - 2.0 * std) as f32;
    values.iter().filter(|v| **v > threshold).sum()
}

/// Plain attention that sums what the rows gave to each token of the prefix.
struct AttentionSum {
    prefix_len: usize,
}

impl KeyReader for AttentionSum {
    type Record = Vec<f32>;

    fn probabilities(&self, at: RowAt, logits: &mut [f32], record: &mut Vec<f32>) {
        PlainReader.probabilities(at, logits, &mut ());
        record.resize(self.prefix_len, 0.0);
        axpy(record, 1.0, &logits[..self.prefix_len]);
    }

    fn d_logits(&self, at: RowAt, read: &Read<'_>, d_p: &mut [f32], _: &mut Vec<f32>) {
        PlainReader.d_logits(at, read, d_p, &mut ());
    }
}

#[cfg(test)]
mod tests {
    use super::span_score;

    #[test]
    fn constant_scores_pass_no_token_because_none_is_above_the_threshold() {
        // Method section 11, test vector 9.
        assert_eq!(span_score(&[0.25, 0.25, 0.25], &(0..3)), 0.0);
    }

    #[test]
    fn a_score_of_what_is_no_number_is_none() {
        assert!(span_score(&[0.25, f32::NAN, 0.25], &(0..3)).is_nan());
    }

    #[test]
    fn an_outlier_far_below_the_mean_is_dropped() {
        let mut tokens = vec![1.0f32; 20];
        tokens[7] = -10.0;
        for (i, v) in tokens.iter_mut().enumerate() {
            *v += i as f32 * 1e-3;
        }
        let kept: f32 = tokens.iter().filter(|v| **v > 0.0).sum();
        assert!((span_score(&tokens, &(0..20)) - kept).abs() < 1e-5);
    }
}
