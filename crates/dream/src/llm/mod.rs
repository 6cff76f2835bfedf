//! The language model as a judge of documents: its loss on a target under given document weights, and
//! the gradient of that loss. It is frozen, or has an adapter that is trained too ([`Tuning`]).

mod documents;
mod targets;

pub use documents::ReadDocuments;
pub(crate) use targets::Targets;

use crate::heads::HeadSet;
use crate::injection::{Budget, Injection, InjectionRecord, Rows};
use crate::model::decoder::{Batch, Decoder, Ends, Output, Pass, Tape};
use crate::model::lora::{LoraAdapter, LoraGradients};
use crate::prompt::{Prefix, Suffix};
use crate::{Error, Result};
use dream_nn::ops::attention::{KeyReader, KeyValues, PlainReader, Recorded};
use serde::{Deserialize, Serialize};

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

/// A language model that is trained too, by an adapter of its own.
#[derive(Debug)]
pub struct Tuning<'a> {
    /// What is trained.
    pub adapter: &'a LoraAdapter,
    /// Its gradients, to which those of the sum of the queries' losses are added.
    pub gradients: &'a mut LoraGradients,
    /// Seed of its dropout.
    pub dropout_seed: Option<u64>,
}

/// Questions about documents, and how the documents are weighed for each.
#[derive(Clone, Copy, Debug)]
pub struct Trial<'a> {
    /// Questions and targets.
    pub suffixes: &'a [Suffix],
    /// Document weights, `[suffixes][documents]`; 0 where a document is hidden.
    pub weights: &'a [Vec<f32>],
    /// Documents hidden from each suffix, `[suffixes]`, or nothing where none is.
    pub hidden: &'a [Vec<usize>],
}

/// The plain model's loss on each suffix's target, nats a token.
pub fn ordinary_losses(
    decoder: &Decoder,
    documents: &ReadDocuments,
    suffixes: &[Suffix],
) -> Vec<f32> {
    let batch = suffix_batch(documents, suffixes);
    let back = Back::Nowhere;
    run(decoder, documents, &batch, suffixes, &PlainReader, back).losses
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
    let trial = Trial {
        suffixes,
        weights,
        hidden: &[],
    };
    judge_trial(decoder, config, documents, trial, gradient)
}

/// [`judge`] where some documents are hidden from some questions.
pub fn judge_trial(
    decoder: &Decoder,
    config: &InjectionConfig,
    documents: &ReadDocuments,
    trial: Trial<'_>,
    gradient: bool,
) -> Result<Vec<Judgement>> {
    let back = if gradient {
        Back::ToLayer(config.heads.lowest_layer())
    } else {
        Back::Nowhere
    };
    Ok(inject(decoder, config, documents, trial, back)?.0)
}

/// [`judge_trial`] with a model that is tuned too: its adapter changes what it makes of the documents, so the
/// whole prompt has a gradient.
pub fn judge_tuned(
    decoder: &Decoder,
    config: &InjectionConfig,
    prefix: &Prefix,
    trial: Trial<'_>,
    mut tuning: Tuning<'_>,
) -> Result<Vec<Judgement>> {
    let prefixes = std::slice::from_ref(prefix);
    let documents = ReadDocuments::tuned(decoder, prefixes, Some(&tuning));
    let back = Back::Tuned(&mut tuning);
    let (judgements, d_prefix) = inject(decoder, config, &documents, trial, back)?;
    documents.backward(decoder, &d_prefix, &mut tuning);
    Ok(judgements)
}

fn inject(
    decoder: &Decoder,
    config: &InjectionConfig,
    documents: &ReadDocuments,
    trial: Trial<'_>,
    back: Back<'_, '_>,
) -> Result<(Vec<Judgement>, Vec<KeyValues>)> {
    let n_documents = documents.doc_spans().len();
    trial.check(n_documents)?;
    let batch = suffix_batch(documents, trial.suffixes);
    let rows: Vec<_> = trial
        .suffixes
        .iter()
        .map(|s| config.rows.range(s.target_start, s.ids.len()))
        .collect();
    let injection = Injection {
        heads: &config.heads,
        doc_spans: documents.doc_spans(),
        weights: trial.weights,
        hidden: trial.hidden,
        rows: &rows,
        budget: config.budget,
        gate: config.gate,
    };
    let gradient = !matches!(back, Back::Nowhere);
    let ran = run(decoder, documents, &batch, trial.suffixes, &injection, back);
    let mut judgements: Vec<Judgement> = ran
        .losses
        .into_iter()
        .map(|loss| Judgement {
            loss,
            d_weights: Vec::new(),
            d_weights_by_head: Vec::new(),
            own_distribution: vec![0.0; n_documents],
            document_budget: 0.0,
        })
        .collect();
    add_own_distributions(&mut judgements, &ran.records);
    if gradient {
        add_gradients(&mut judgements, &ran.back, &config.heads, n_documents);
    }
    Ok((judgements, ran.d_prefix))
}

impl Trial<'_> {
    /// Refuses weights that do not match the documents.
    pub fn check(&self, n_documents: usize) -> Result<()> {
        let Self {
            suffixes,
            weights,
            hidden,
        } = self;
        let unlike = |w: &Vec<f32>| w.len() != n_documents;
        if weights.len() != suffixes.len() || weights.iter().any(unlike) {
            return Err(Error::Invalid(format!(
                "wanted {} weight vectors of {n_documents} documents",
                suffixes.len()
            )));
        }
        if hidden.iter().flatten().any(|k| *k >= n_documents) {
            return Err(Error::Invalid(format!(
                "wanted hidden documents from 0 to {}",
                n_documents.saturating_sub(1)
            )));
        }
        Ok(())
    }
}

/// Where a run goes back to.
pub(crate) enum Back<'a, 't> {
    /// The loss is all that is wanted.
    Nowhere,
    /// To the reader, in no layer below this one.
    ToLayer(usize),
    /// To the reader, the adapter and the documents.
    Tuned(&'a mut Tuning<'t>),
}

/// What a run over read documents gives.
pub(crate) struct Ran<T> {
    /// Mean loss of each suffix.
    pub losses: Vec<f32>,
    /// What the reader gathered on the way forward.
    pub records: Vec<Recorded<T>>,
    /// What it gathered on the way back.
    pub back: Vec<Recorded<T>>,
    /// Gradients of the documents' keys and values, if the model is tuned.
    pub d_prefix: Vec<KeyValues>,
}

/// Runs suffixes, the ends of the batch's segments, over documents: losses on the targets, and the way
/// back of their sum.
pub(crate) fn run<R: KeyReader>(
    decoder: &Decoder,
    documents: &ReadDocuments,
    batch: &Batch,
    suffixes: &[Suffix],
    reader: &R,
    back: Back<'_, '_>,
) -> Ran<R::Record> {
    let (mut tape, tuning) = match back {
        Back::Nowhere => (None, None),
        Back::ToLayer(layer) => (Some(Tape::from_layer(layer)), None),
        Back::Tuned(tuning) => (Some(Tape::from_layer(0)), Some(tuning)),
    };
    let pass = Pass {
        batch,
        prefix: Some(documents.cache()),
        lora: tuning.as_ref().map(|tuning| tuning.adapter),
        dropout_seed: tuning.as_ref().and_then(|tuning| tuning.dropout_seed),
        reader,
        wanted: None,
    };
    let Output { hidden, records } = decoder.forward(&pass, tape.as_mut());
    let (losses, d_hidden) = Targets::new(batch, suffixes).losses(decoder, &hidden);
    let found = tape.map(|tape| {
        let ends = Ends {
            prefix: tuning.is_some(),
            gradients: tuning.map(|tuning| &mut *tuning.gradients),
            d_own: None,
        };
        decoder.backward_between(&pass, tape, &d_hidden, ends)
    });
    let (back, d_prefix) = found.map_or_else(Default::default, |f| (f.records, f.d_prefix));
    Ran {
        losses,
        records,
        back,
        d_prefix,
    }
}

fn suffix_batch(documents: &ReadDocuments, suffixes: &[Suffix]) -> Batch {
    Batch::new(
        suffixes.iter().map(|s| s.ids.as_slice()),
        documents.cache().len,
    )
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
