//! The native row, which training reads.
//!
//! `{"id", "query", "target", "candidates": [{"id", "title"?, "text"?, "score"?}], "positive_ids"?: [..]}`. A
//! candidate without text names a document of the corpus. Also read: `_id` or `query_id` for `id`;
//! `answers[0]` for a missing `target`; `context_id` (a passage of the corpus) for `positive_ids`;
//! `candidate_ids` into the corpus. Other fields are ignored, a `context` without `context_id` too.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::TrainingRow;
use super::format::{ForeignQuery, ForeignRow, Passage, json_error};
use super::tevatron_ids::ids;
use crate::document::{Candidate, CandidateJson, Id};
use crate::error::{Error, Result};
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
    candidates: Option<Vec<CandidateJson>>,
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
        let mut candidate_ids = self.candidate_ids.map(strings).unwrap_or_default();
        let mut scores = vec![None; candidate_ids.len()];
        let mut places: HashMap<String, usize> = HashMap::new();
        for (place, name) in candidate_ids.iter().enumerate() {
            places.entry(name.clone()).or_insert(place);
        }
        let mut candidates = Vec::new();
        for (n, json) in self.candidates.unwrap_or_default().into_iter().enumerate() {
            let about = |what: String| format!("row {id:?}, candidate {}: {what}", n + 1);
            let score = json.score().map_err(about)?;
            let name = match json.or_id(|| format!("{id}/{n}")).map_err(about)? {
                Candidate::Text(document) => {
                    let name = document.id.clone();
                    candidates.push(document);
                    name
                }
                Candidate::Name(name) => name,
            };
            let place = *places.entry(name).or_insert_with_key(|name| {
                candidate_ids.push(name.clone());
                scores.push(None);
                scores.len() - 1
            });
            scores[place] = scores[place].or(score);
        }
        if scores.iter().all(Option::is_none) {
            scores.clear();
        }
        Ok(TrainingRow {
            id,
            query: self.query,
            target,
            positive_ids,
            candidate_ids,
            candidate_scores: scores,
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
    let candidates = row.candidates.unwrap_or_default().into_iter();
    let candidates = candidates.map(passage).collect::<Result<Vec<_>, _>>()?;
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
            .chain(candidates)
            .collect(),
        others_are_all_candidates: true,
    })
}

fn passage(json: CandidateJson) -> Result<Passage, String> {
    let (id, title, text) = json.into_parts()?;
    Ok(match (id, text) {
        (Some(id), None) => Passage::Id(id),
        (id, text) => Passage::Text {
            id,
            title,
            text: text.unwrap_or_default(),
        },
    })
}

/// Reads a `train.jsonl`. A row without a target is an error with file and line.
pub fn read_training_rows(path: impl AsRef<Path>) -> Result<Vec<TrainingRow>> {
    read_training_rows_from(LineReader::open(path)?)
}

/// The same of lines that do not come from a file.
pub fn read_training_rows_from(lines: LineReader) -> Result<Vec<TrainingRow>> {
    TrainingRows::of_lines(lines).collect()
}

/// The rows of a `train.jsonl` one by one; it ends after the first error.
pub struct TrainingRows {
    values: JsonLines<RowJson>,
    failed: bool,
}

impl TrainingRows {
    /// Opens a file (plain, `.gz` or `.zst`).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::of_lines(LineReader::open(path)?))
    }

    /// Rows that do not come from a file.
    pub fn of_lines(lines: LineReader) -> Self {
        Self {
            values: JsonLines::new(lines),
            failed: false,
        }
    }

    /// An error about the line of the last row.
    pub fn error(&self, what: impl Into<String>) -> Error {
        self.values.error(what)
    }
}

impl Iterator for TrainingRows {
    type Item = Result<TrainingRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let json = self.values.next()?;
        let line = self.values.line();
        let row = json.and_then(|json| json.into_row(line).map_err(|what| self.values.error(what)));
        self.failed = row.is_err();
        Some(row)
    }
}
