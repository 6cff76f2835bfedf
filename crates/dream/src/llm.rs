//! The frozen language model as a judge of documents: its loss on a target under given document
//! weights, and the gradient of that loss.

use crate::heads::HeadSet;
use crate::injection::{Budget, Injection, InjectionRecord, Rows};
use crate::model::decoder::{Batch, Decoder, Output, Pass, PrefixCache, Tape};
use crate::prompt::Suffix;
use crate::{Error, Result};
use dream_nn::Matrix;
use dream_nn::ops::attention::{PlainReader, Recorded};
use dream_nn::ops::cross_entropy;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Where and how document weights enter the language model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InjectionConfig {
    /// Selected heads.
    pub heads: HeadSet,
    /// Injected rows.
    pub rows: Rows,
    /// Document budget.
    pub budget: Budget,
    /// Share of injection against the model's own attention.
    pub gate: f32,
}

/// What the model says about one query.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Mean negative log-likelihood of the target's tokens, nats.
    pub loss: f32,
    /// `d loss / d document weight`, `[documents]`; empty if no gradient was asked for.
    pub d_weights: Vec<f32>,
    /// `d loss / d document weight` of each selected head, in the order of the head list; as above.
    pub d_weights_by_head: Vec<Vec<f32>>,
    /// The model's own distribution over documents, mean over injected rows and heads, `[documents]`.
    pub own_distribution: Vec<f32>,
    /// Share of attention that documents get in injected rows and heads of the model's own accord.
    pub document_budget: f32,
}

/// Documents that have been read once, for any number of questions.
#[derive(Debug)]
pub struct ReadDocuments {
    cache: PrefixCache,
    doc_spans: Vec<Range<usize>>,
}

impl ReadDocuments {
    /// Runs the documents through the model, without gradient.
    pub fn new(decoder: &Decoder, prefix: &crate::prompt::Prefix) -> Self {
        Self {
            cache: decoder.prefill(&prefix.ids),
            doc_spans: prefix.doc_spans.clone(),
        }
    }

    /// Keys and values.
    pub fn cache(&self) -> &PrefixCache {
        &self.cache
    }

    /// Token ranges of the documents.
    pub fn doc_spans(&self) -> &[Range<usize>] {
        &self.doc_spans
    }
}

/// The plain model's loss on each suffix's target, nats a token.
pub fn ordinary_losses(
    decoder: &Decoder,
    documents: &ReadDocuments,
    suffixes: &[Suffix],
) -> Vec<f32> {
    let batch = suffix_batch(documents, suffixes);
    let pass = Pass {
        prefix: Some(&documents.cache),
        ..Pass::plain(&batch)
    };
    let output = decoder.forward(&pass, None);
    Targets::new(&batch, suffixes)
        .losses(decoder, &output.hidden)
        .0
}

/// The plain model's loss on a suffix's target after `opening` alone (the tokens before a prompt's first document), nats a
/// token: what the model knows without any document.
pub fn loss_without_documents(decoder: &Decoder, opening: &[u32], suffix: &Suffix) -> f32 {
    let whole = Suffix {
        ids: opening.iter().chain(&suffix.ids).copied().collect(),
        target_start: opening.len() + suffix.target_start,
    };
    let batch = Batch::new([whole.ids.as_slice()], 0);
    let output = decoder.forward(&Pass::plain(&batch), None);
    Targets::new(&batch, &[whole])
        .losses(decoder, &output.hidden)
        .0[0]
}

/// The loss on each suffix's target with `weights [suffixes][documents]` injected, and, if `gradient`
/// is set, its gradient.
///
/// # Errors
/// A weight vector does not match the documents.
pub fn judge(
    decoder: &Decoder,
    config: &InjectionConfig,
    documents: &ReadDocuments,
    suffixes: &[Suffix],
    weights: &[Vec<f32>],
    gradient: bool,
) -> Result<Vec<Judgement>> {
    let n_documents = documents.doc_spans.len();
    if weights.len() != suffixes.len() || weights.iter().any(|w| w.len() != n_documents) {
        return Err(Error::Invalid(format!(
            "wanted {} weight vectors of {n_documents} documents",
            suffixes.len()
        )));
    }
    let batch = suffix_batch(documents, suffixes);
    let rows: Vec<_> = suffixes
        .iter()
        .map(|s| config.rows.range(s.target_start, s.ids.len()))
        .collect();
    let injection = Injection {
        heads: &config.heads,
        doc_spans: &documents.doc_spans,
        weights,
        rows: &rows,
        budget: config.budget,
        gate: config.gate,
    };
    let pass = Pass {
        batch: &batch,
        prefix: Some(&documents.cache),
        lora: None,
        dropout_seed: None,
        reader: &injection,
        wanted: None,
    };
    let mut tape = gradient.then(|| Tape::from_layer(config.heads.lowest_layer()));
    let Output { hidden, records } = decoder.forward(&pass, tape.as_mut());
    let targets = Targets::new(&batch, suffixes);
    let (losses, d_hidden) = targets.losses(decoder, &hidden);
    let mut judgements: Vec<Judgement> = losses
        .into_iter()
        .map(|loss| Judgement {
            loss,
            d_weights: Vec::new(),
            d_weights_by_head: Vec::new(),
            own_distribution: vec![0.0; n_documents],
            document_budget: 0.0,
        })
        .collect();
    add_own_distributions(&mut judgements, &records);
    if let Some(tape) = tape {
        let records = decoder.backward(&pass, tape, &d_hidden, None);
        add_gradients(&mut judgements, &records, &config.heads, n_documents);
    }
    Ok(judgements)
}

fn suffix_batch(documents: &ReadDocuments, suffixes: &[Suffix]) -> Batch {
    Batch::new(
        suffixes.iter().map(|s| s.ids.as_slice()),
        documents.cache.len,
    )
}

/// The rows that predict target tokens, all suffixes' together.
struct Targets {
    rows: Vec<usize>,
    ids: Vec<u32>,
    /// The part of `rows` that belongs to each suffix.
    parts: Vec<Range<usize>>,
}

impl Targets {
    fn new(batch: &Batch, suffixes: &[Suffix]) -> Self {
        let (mut rows, mut ids, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for (segment, suffix) in batch.segments.iter().zip(suffixes) {
            let first = rows.len();
            rows.extend(segment.start + suffix.target_start - 1..segment.end - 1);
            ids.extend_from_slice(suffix.target_ids());
            parts.push(first..rows.len());
        }
        Self { rows, ids, parts }
    }

    /// Mean loss of each suffix, and the gradient of their sum on the hidden states.
    fn losses(&self, decoder: &Decoder, hidden: &Matrix) -> (Vec<f32>, Matrix) {
        let mut wanted = Matrix::zeros(self.rows.len(), hidden.cols());
        for (i, row) in self.rows.iter().enumerate() {
            wanted.row_mut(i).copy_from_slice(hidden.row(*row));
        }
        let mut logits = decoder.logits(&wanted);
        let token_losses = cross_entropy::forward_backward(&mut logits, &self.ids);
        let d_wanted = decoder.logits_backward(&logits);
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
}

fn add_own_distributions(judgements: &mut [Judgement], records: &[Recorded<InjectionRecord>]) {
    let mut rows = vec![0usize; judgements.len()];
    for Recorded {
        segment, record, ..
    } in records
    {
        let judgement = &mut judgements[*segment];
        rows[*segment] += record.rows;
        judgement.document_budget += record.budget;
        for (sum, own) in judgement
            .own_distribution
            .iter_mut()
            .zip(&record.own_distribution)
        {
            *sum += own;
        }
    }
    for (judgement, rows) in judgements.iter_mut().zip(rows) {
        let share = 1.0 / rows.max(1) as f32;
        judgement.document_budget *= share;
        judgement
            .own_distribution
            .iter_mut()
            .for_each(|own| *own *= share);
    }
}

fn add_gradients(
    judgements: &mut [Judgement],
    records: &[Recorded<InjectionRecord>],
    heads: &HeadSet,
    n_documents: usize,
) {
    for judgement in judgements.iter_mut() {
        judgement.d_weights = vec![0.0; n_documents];
        judgement.d_weights_by_head = vec![vec![0.0; n_documents]; heads.heads().len()];
    }
    for Recorded {
        layer,
        head,
        segment,
        record,
    } in records
    {
        let place = heads
            .heads()
            .iter()
            .position(|id| (id.layer, id.head) == (*layer, *head));
        let Some(place) = place else { continue };
        let judgement = &mut judgements[*segment];
        for (k, d) in record.d_weights.iter().enumerate() {
            judgement.d_weights[k] += d;
            judgement.d_weights_by_head[place][k] += d;
        }
    }
}

/// Mean next-token loss of a whole text under the plain model, nats a token.
///
/// # Errors
/// The text has fewer than two tokens.
pub fn text_loss(decoder: &Decoder, ids: &[u32]) -> Result<f32> {
    if ids.len() < 2 {
        return Err(Error::Invalid(format!(
            "a loss needs two tokens, not {}",
            ids.len()
        )));
    }
    let batch = Batch::new([ids], 0);
    let pass = Pass {
        reader: &PlainReader,
        ..Pass::plain(&batch)
    };
    let output = decoder.forward(&pass, None);
    let suffix = Suffix {
        ids: ids.to_vec(),
        target_start: 1,
    };
    Ok(Targets::new(&batch, &[suffix])
        .losses(decoder, &output.hidden)
        .0[0])
}
