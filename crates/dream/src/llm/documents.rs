//! Documents that a language model has read: keys and values for what comes after them.

use super::Tuning;
use crate::model::decoder::{Batch, Decoder, Ends, Pass, PrefixCache, Tape};
use crate::model::lora::LoraAdapter;
use crate::prompt::Prefix;
use dream_nn::Matrix;
use dream_nn::ops::attention::{KeyValues, PlainReader};
use dream_nn::ops::elementwise::dot;
use std::ops::Range;

/// Documents that have been read once, for any number of questions: all in one prompt, or each for
/// itself.
#[derive(Debug)]
pub struct ReadDocuments {
    batch: Batch,
    cache: PrefixCache,
    doc_spans: Vec<Range<usize>>,
    /// Activations, if there will be a way back through the reading.
    tape: Option<Tape>,
}

impl ReadDocuments {
    /// Runs the documents of a prompt through the model, without gradient.
    pub fn new(decoder: &Decoder, prefix: &Prefix) -> Self {
        Self::each(decoder, std::slice::from_ref(prefix))
    }

    /// Runs prompts through the model, none of which sees another, without gradient. Spans count the
    /// tokens of all prompts, one after the other.
    pub fn each(decoder: &Decoder, prefixes: &[Prefix]) -> Self {
        let batch = batch(prefixes);
        Self {
            cache: decoder.prefill(&batch),
            doc_spans: doc_spans(&batch, prefixes),
            batch,
            tape: None,
        }
    }

    /// As [`Self::each`], with what [`Self::backward`] needs, if the model is tuned.
    pub fn tuned(decoder: &Decoder, prefixes: &[Prefix], tuning: Option<&Tuning<'_>>) -> Self {
        let Some(tuning) = tuning else {
            return Self::each(decoder, prefixes);
        };
        let batch = batch(prefixes);
        let mut tape = Tape::from_layer(0);
        let pass = pass(&batch, tuning.adapter, tuning.dropout_seed);
        decoder.forward(&pass, Some(&mut tape));
        Self {
            cache: tape.keys_values(batch.rows()),
            doc_spans: doc_spans(&batch, prefixes),
            batch,
            tape: Some(tape),
        }
    }

    /// Adds to the adapter's gradients, given those of keys and values, layer by layer.
    pub fn backward(self, decoder: &Decoder, d_own: &[KeyValues], tuning: &mut Tuning<'_>) {
        let tape = self
            .tape
            .expect("only what was read with a tape has a way back. This is a bug.");
        let Tuning {
            adapter,
            gradients,
            dropout_seed,
        } = tuning;
        let pass = pass(&self.batch, adapter, *dropout_seed);
        let ends = Ends {
            gradients: Some(gradients),
            d_own: Some(d_own),
            prefix: false,
        };
        // Nobody reads the documents' own final states.
        let d_hidden = Matrix::zeros(0, decoder.config.hidden_size);
        decoder.backward_between(&pass, tape, &d_hidden, ends);
    }

    /// Keys and values.
    pub fn cache(&self) -> &PrefixCache {
        &self.cache
    }

    /// Token ranges of the documents.
    pub fn doc_spans(&self) -> &[Range<usize>] {
        &self.doc_spans
    }

    /// Token ranges of the prompts, with what stands around the documents.
    pub fn prompt_spans(&self) -> &[Range<usize>] {
        &self.batch.segments
    }

    /// Lengths of the values, layer by layer, `[n_kv_heads, tokens]`.
    pub fn value_norms(&self, decoder: &Decoder) -> Vec<Matrix> {
        let heads = decoder.config.num_key_value_heads;
        let dim = decoder.config.head_dim;
        let norms_of = |layer: &KeyValues| {
            let mut norms = Matrix::zeros(heads, layer.v.rows());
            for head in 0..heads {
                for (token, norm) in norms.row_mut(head).iter_mut().enumerate() {
                    let v = &layer.v.row(token)[head * dim..(head + 1) * dim];
                    *norm = dot(v, v).sqrt();
                }
            }
            norms
        };
        self.cache.layers.iter().map(norms_of).collect()
    }
}

fn batch(prefixes: &[Prefix]) -> Batch {
    Batch::new(prefixes.iter().map(|prefix| prefix.ids.as_slice()), 0)
}

fn doc_spans(batch: &Batch, prefixes: &[Prefix]) -> Vec<Range<usize>> {
    let pairs = batch.segments.iter().zip(prefixes);
    let spans = pairs.flat_map(|(segment, prefix)| {
        let moved = |span: &Range<usize>| segment.start + span.start..segment.start + span.end;
        prefix.doc_spans.iter().map(moved)
    });
    spans.collect()
}

/// Keys and values alone are wanted: the last layer ends with them.
fn pass<'a>(
    batch: &'a Batch,
    adapter: &'a LoraAdapter,
    dropout_seed: Option<u64>,
) -> Pass<'a, PlainReader> {
    Pass {
        lora: Some(adapter),
        dropout_seed,
        wanted: Some(&[]),
        ..Pass::plain(batch)
    }
}
