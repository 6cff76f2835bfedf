//! A reader that leaves attention as it is and remembers what some rows gave to each document.

use crate::injection::hide;
use crate::llm::ReadDocuments;
use dream_nn::Matrix;
use dream_nn::ops::attention::{KeyReader, PlainReader, Read, RowAt};
use dream_nn::ops::elementwise::dot;
use std::ops::Range;

/// Sums `sum over a document's tokens of attention (times the value's length)` over rows.
pub(super) struct AttentionMass<'a> {
    pub documents: &'a ReadDocuments,
    /// Rows looked at, of each segment.
    pub rows: Vec<Range<usize>>,
    /// Documents hidden from each segment.
    pub hidden: &'a [Vec<usize>],
    /// Lengths of the values, layer by layer, `[n_kv_heads, tokens]`, if they count.
    pub value_norms: Option<Vec<Matrix>>,
    /// Query heads that read one key head.
    pub heads_a_key: usize,
}

impl KeyReader for AttentionMass<'_> {
    /// `[documents]`
    type Record = Vec<f32>;

    fn probabilities(&self, at: RowAt, logits: &mut [f32], record: &mut Vec<f32>) {
        let doc_spans = self.documents.doc_spans();
        hide(logits, doc_spans, &self.hidden[at.segment]);
        PlainReader.probabilities(at, logits, &mut ());
        if !self.rows[at.segment].contains(&at.row) {
            return;
        }
        let norms = self.value_norms.as_ref();
        let norms = norms.map(|norms| norms[at.layer].row(at.head / self.heads_a_key));
        record.resize(doc_spans.len(), 0.0);
        for (sum, span) in record.iter_mut().zip(doc_spans) {
            let given = &logits[span.clone()];
            *sum += match norms {
                Some(norms) => dot(given, &norms[span.clone()]),
                None => given.iter().sum(),
            };
        }
    }

    fn d_logits(&self, at: RowAt, read: &Read<'_>, d_p: &mut [f32], _: &mut Vec<f32>) {
        PlainReader.d_logits(at, read, d_p, &mut ());
    }
}
