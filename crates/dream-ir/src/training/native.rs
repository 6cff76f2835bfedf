//! The native row, which training reads.
//!
//! `{"id", "query", "target", "candidates": [{"id", "title"?, "text"}], "positive_ids"?: [..]}`. Also
//! read: `_id` or `query_id` for `id`; `answers[0]` for a missing `target`; `context_id` (a passage of
//! the corpus) for `positive_ids`; `candidate_ids` into the corpus. Other fields are ignored, a
//! `context` without `context_id` too.

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;

use super::TrainingRow;
use super::format::{ForeignQuery, ForeignRow, json_error};
use super::tevatron::passage;
use super::tevatron_ids::ids;
use crate::document::{Document, DocumentJson, Id};
use crate::error::Result;
use crate::jsonl::JsonLines;
use crate::lines::LineReader;

#[derive(Deserialize)]
struct RowJson {
    #[serde(rename = "_id")]
    underscore_id: Option<Id>,
    id: Option<Id>,
    query_id: Option<Id>,
    query: String,
    target: Option<String>,
    answers: Option<Vec<String>>,
    positive_ids: Option<Vec<Id>>,
    context_id: Option<Id>,
    candidate_ids: Option<Vec<Id>>,
    candidates: Option<Vec<DocumentJson>>,
}

impl RowJson {
    fn into_row(self, line: u64) -> Result<TrainingRow, String> {
        let id = self.underscore_id.or(self.id).or(self.query_id);
        let id = id.map_or_else(|| line.to_string(), |id| id.0);
        let answer = || self.answers.and_then(|answers| answers.into_iter().next());
        let target = self.target.or_else(answer).unwrap_or_default();
        if target.trim().is_empty() {
            return Err(format!(
                "row {id:?} has no target: wanted a non-empty `target` or `answers`"
            ));
        }
        if self.query.trim().is_empty() {
            return Err(format!("row {id:?} has an empty query"));
        }
        let strings = |ids: Vec<Id>| ids.into_iter().map(|id| id.0).collect::<Vec<_>>();
        let mut positive_ids = self.positive_ids.map(strings).unwrap_or_default();
        if positive_ids.is_empty() {
            positive_ids.extend(self.context_id.map(|id| id.0));
        }
        let named = |(n, json): (usize, DocumentJson)| json.or_id(|| format!("{id}/{n}"));
        let candidates = self.candidates.unwrap_or_default().into_iter().enumerate();
        let candidates: Vec<Document> = candidates.map(named).collect();
        let mut candidate_ids = self.candidate_ids.map(strings).unwrap_or_default();
        let mut seen: HashSet<String> = candidate_ids.iter().cloned().collect();
        for document in &candidates {
            if seen.insert(document.id.clone()) {
                candidate_ids.push(document.id.clone());
            }
        }
        Ok(TrainingRow {
            id,
            query: self.query,
            target,
            positive_ids,
            candidate_ids,
            candidates,
        })
    }
}

/// One line as a row whose target is still to be chosen.
pub(super) fn parse(line: &str) -> Result<ForeignRow, String> {
    let row: RowJson = serde_json::from_str(line).map_err(|error| json_error(&error))?;
    let id = row.underscore_id.or(row.id).or(row.query_id);
    let named = row.positive_ids.unwrap_or_default();
    let known = if named.is_empty() {
        row.context_id.into_iter().collect()
    } else {
        named
    };
    let texts = row.candidates.unwrap_or_default().into_iter().map(passage);
    let answers = row
        .target
        .into_iter()
        .chain(row.answers.unwrap_or_default());
    Ok(ForeignRow {
        id: id.map(|id| id.0),
        query: ForeignQuery::Text(row.query),
        answers: answers.filter(|text| !text.trim().is_empty()).collect(),
        positives: ids(known),
        others: ids(row.candidate_ids.unwrap_or_default())
            .into_iter()
            .chain(texts)
            .collect(),
        others_are_all_candidates: true,
    })
}

/// Reads a `train.jsonl`. A row without a target is an error with file and line.
pub fn read_training_rows(path: impl AsRef<Path>) -> Result<Vec<TrainingRow>> {
    read_training_rows_from(LineReader::open(path)?)
}

/// The same of lines that do not come from a file.
pub fn read_training_rows_from(lines: LineReader) -> Result<Vec<TrainingRow>> {
    let mut rows = Vec::new();
    let mut values = JsonLines::<RowJson>::new(lines);
    while let Some(json) = values.next() {
        let row = json?.into_row(values.line());
        rows.push(row.map_err(|what| values.error(what))?);
    }
    Ok(rows)
}
