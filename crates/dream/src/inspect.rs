//! What a language model would get to read of some training data, and what it makes of them without any training.

use crate::llm::{ReadDocuments, loss_without_documents, ordinary_losses};
use crate::model::Model;
use crate::prompt::Packer;
use crate::{Error, Result};
use dream_ir::{Pool, TrainingRow, TrainingSet};
use rayon::prelude::*;
use serde::Serialize;

/// Lengths of prompts in tokens.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PromptInspection {
    /// Prompts looked at: one a row.
    pub prompts: usize,
    /// Tokens of a prompt with its target, mean.
    pub mean_tokens: f64,
    /// The longest.
    pub max_tokens: usize,
    /// Tokens that the model can take, if known.
    pub context_tokens: Option<usize>,
    /// Prompts that are longer; training refuses them.
    pub larger_than_context: usize,
    /// Ids of rows whose target has no tokens.
    pub targets_without_tokens: Vec<String>,
    /// Targets that are cut.
    pub targets_cut: usize,
    /// Documents that are cut.
    pub documents_cut: usize,
}

/// Packs every row's prompt; a `context_tokens` of `usize::MAX` in the packer is one that is not known.
///
/// # Errors
/// A document of the corpus has no tokens, or a question none.
pub fn inspect_prompts(
    set: &TrainingSet,
    pools: &[Pool],
    packer: &Packer<'_>,
) -> Result<PromptInspection> {
    let limits = packer.limits;
    let tokens = |text: &str| packer.tokenizer.encode(text).map(|ids| ids.len());
    let documents: Vec<(usize, bool)> = set
        .corpus
        .documents()
        .par_iter()
        .map(|document| {
            let packed = packer.prefix([document])?.doc_spans[0].len();
            Ok((
                packed,
                tokens(&document.full_text())? > limits.document_tokens,
            ))
        })
        .collect::<Result<_>>()?;
    let (opening, separator) = (packer.opening()?.len(), tokens(&packer.template.separator)?);
    let suffixes: Vec<(Option<usize>, bool)> = set
        .rows
        .par_iter()
        .map(|row| {
            let suffix = match packer.suffix(&row.query, &row.target) {
                Ok(suffix) => Some(suffix.ids.len()),
                Err(Error::Invalid(_)) => None,
                Err(other) => return Err(other),
            };
            Ok((suffix, tokens(&row.target)? > limits.target_tokens))
        })
        .collect::<Result<_>>()?;
    let known_context = (packer.context_tokens != usize::MAX).then_some(packer.context_tokens);
    let mut found = PromptInspection {
        context_tokens: known_context,
        documents_cut: documents.iter().filter(|(_, is_cut)| *is_cut).count(),
        targets_cut: suffixes.iter().filter(|(_, is_cut)| *is_cut).count(),
        ..PromptInspection::default()
    };
    let mut total = 0;
    for ((row, pool), (suffix, _)) in set.rows.iter().zip(pools).zip(&suffixes) {
        let Some(suffix) = suffix else {
            found.targets_without_tokens.push(row.id.clone());
            continue;
        };
        let of_document = |document: &usize| separator + documents[*document].0;
        let prompt = opening + pool.documents.iter().map(of_document).sum::<usize>() + suffix;
        total += prompt;
        found.prompts += 1;
        found.max_tokens = found.max_tokens.max(prompt);
        found.larger_than_context += usize::from(prompt > packer.context_tokens);
    }
    found.mean_tokens = total as f64 / found.prompts.max(1) as f64;
    Ok(found)
}

/// The prompt of a row as the language model reads it, target included.
///
/// # Errors
/// As [`Packer::prefix`] and [`Packer::suffix`].
pub fn decoded_prompt(
    set: &TrainingSet,
    pools: &[Pool],
    row: usize,
    packer: &Packer<'_>,
) -> Result<String> {
    let documents = set.corpus.documents();
    let pool = pools[row]
        .documents
        .iter()
        .map(|document| &documents[*document]);
    let mut ids = packer.prefix(pool)?.ids;
    let TrainingRow { query, target, .. } = &set.rows[row];
    ids.extend(packer.suffix(query, target)?.ids);
    packer.tokenizer.decode(&ids)
}

/// What documents are worth to the plain language model, nats a target token, means over rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct DocumentWorth {
    /// Rows measured.
    pub rows: usize,
    /// Loss without documents.
    pub without_documents: f64,
    /// Loss after the row's pool, with the model's own attention.
    pub with_pool: f64,
    /// Rows that know a passage, which the two figures below are about.
    pub rows_with_known_passage: usize,
    /// Loss after the known passage alone.
    pub with_known_passage: Option<f64>,
    /// Mean of the loss without documents minus that after the known passage.
    pub headroom: Option<f64>,
    /// Rows whose documents (the known passage, else the pool) do not lower the loss: the model answers as well without.
    pub answerable_without_documents: usize,
}

/// Measures the rows with these numbers. `progress` hears how many are done and may stop by returning `false`.
///
/// # Errors
/// A prompt does not fit the model, the model gives no numbers, or the caller stopped.
pub fn document_worth(
    model: &Model,
    packer: &Packer<'_>,
    set: &TrainingSet,
    pools: &[Pool],
    rows: &[usize],
    mut progress: impl FnMut(usize) -> bool,
) -> Result<DocumentWorth> {
    let decoder = &model.decoder;
    let opening = packer.opening()?;
    let mut worth = DocumentWorth::default();
    let (mut known_sum, mut headroom_sum) = (0.0, 0.0);
    for &row in rows {
        let TrainingRow {
            query,
            target,
            positive_ids,
            ..
        } = &set.rows[row];
        let suffix = packer.suffix(query, target)?;
        let documents = set.corpus.documents();
        let pool = pools[row].shuffled(0, 0, row).documents;
        let after = |documents: &[&dream_ir::Document]| -> Result<f64> {
            let prefix = packer.prefix(documents.iter().copied())?;
            packer.fits(prefix.ids.len(), suffix.ids.len())?;
            let read = ReadDocuments::new(decoder, &prefix);
            let losses = ordinary_losses(decoder, &read, std::slice::from_ref(&suffix));
            finite(losses[0], model)
        };
        let pool: Vec<_> = pool.iter().map(|document| &documents[*document]).collect();
        let with_pool = after(&pool)?;
        let without = finite(loss_without_documents(decoder, &opening, &suffix), model)?;
        let known = positive_ids.iter().find_map(|id| set.corpus.get(id));
        let known = known.map(|document| after(&[document])).transpose()?;
        worth.rows += 1;
        worth.without_documents += without;
        worth.with_pool += with_pool;
        if let Some(known) = known {
            worth.rows_with_known_passage += 1;
            known_sum += known;
            headroom_sum += without - known;
        }
        let best = known.unwrap_or(with_pool);
        worth.answerable_without_documents += usize::from(without <= best);
        if !progress(worth.rows) {
            return Err(Error::Stopped);
        }
    }
    let n = worth.rows.max(1) as f64;
    worth.without_documents /= n;
    worth.with_pool /= n;
    let n_known = worth.rows_with_known_passage;
    let mean = |sum: f64| (n_known > 0).then_some(sum / n_known as f64);
    worth.with_known_passage = mean(known_sum);
    worth.headroom = mean(headroom_sum);
    Ok(worth)
}

fn finite(loss: f32, model: &Model) -> Result<f64> {
    if loss.is_finite() {
        return Ok(f64::from(loss));
    }
    let path = model.path.display();
    Err(Error::NotFinite(format!("those of the model {path}")))
}
