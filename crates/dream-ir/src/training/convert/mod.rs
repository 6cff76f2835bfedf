//! Rows of the field's forms into native rows and one corpus.
//!
//! Rows are read and written one by one. What is kept is two hashes of each document, the texts of the corpus where
//! targets are taken from it, and the files of queries and judgements.

mod documents;
mod reader;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use super::format::{ForeignQuery, ForeignRow, Passage, RowFormat};
use super::{TrainingRow, msmarco};
use crate::atomic_write::AtomicFile;
use crate::delimited::Delimiter;
use crate::document::Query;
use crate::error::{Error, Result};
use crate::jsonl::JsonLines;
use crate::lines::LineReader;
use crate::qrels::Qrels;
use documents::Documents;
use reader::RowReader;

/// What the language model shall write, where a row may offer several things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetFrom {
    /// The first written answer.
    #[default]
    Answers,
    /// The text of the first known passage. Dangerous (method section 7): where that passage is a candidate, the target
    /// can be copied from it, and the loss measures copying.
    Positive,
    /// The query itself, which stands in the prompt: for templates of one's own.
    Query,
}

/// What is converted.
#[derive(Clone, Debug)]
pub struct Conversion {
    /// The rows.
    pub input: PathBuf,
    /// Their form; told by the first row if it is not given.
    pub format: Option<RowFormat>,
    /// Documents that rows name by id: JSON Lines, or `id<TAB>text` in a `.tsv`. Further ones come along.
    pub corpus: Option<PathBuf>,
    /// Queries that rows name by id, in the same two forms.
    pub queries: Option<PathBuf>,
    /// Judgements, for MS MARCO's queries.
    pub qrels: Option<PathBuf>,
    /// Where targets come from.
    pub target: TargetFrom,
}

/// What was converted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Converted {
    /// The form of the rows.
    pub format: String,
    /// Rows written.
    pub rows: usize,
    /// Documents written.
    pub documents: usize,
    /// Rows with a known passage.
    pub rows_with_known_passage: usize,
    /// Queries without a judgement, which are left out (MS MARCO's queries only).
    pub queries_without_judgement: usize,
}

impl Conversion {
    /// Writes `corpus.jsonl` and `train.jsonl` into `out`, both whole or neither. `progress` hears how many rows are done.
    ///
    /// # Errors
    /// With file and line: a row is not of the form, has no target, repeats an id, or names what is not there. Also if
    /// a file is missing that the form needs, or one is given that it does not look at.
    pub fn write(&self, out: &Path, progress: &mut dyn FnMut(u64)) -> Result<Converted> {
        let format = match self.format {
            Some(format) => format,
            None => RowFormat::detect(LineReader::open(&self.input)?, self.qrels.is_some())?,
        };
        self.check(format)?;
        let queries = self.queries.as_deref().map(read_queries).transpose()?;
        let qrels = self.qrels.as_ref().map(Qrels::read).transpose()?;
        std::fs::create_dir_all(out).map_err(|source| Error::Io {
            path: out.to_owned(),
            source,
        })?;
        let mut reader = RowReader::open(&self.input, format, queries.is_some())?;
        let mut documents = Documents::create(&out.join("corpus.jsonl"), self.target)?;
        if let Some(corpus) = &self.corpus {
            documents.add_corpus(corpus)?;
        }
        let mut rows = AtomicFile::create(&out.join("train.jsonl"))?;
        let mut seen = HashSet::new();
        let mut converted = Converted {
            format: format.to_string(),
            rows: 0,
            documents: 0,
            rows_with_known_passage: 0,
            queries_without_judgement: 0,
        };
        while let Some(mut row) = reader.next_row()? {
            if let Some(qrels) = &qrels {
                row.positives = judged(&row, qrels);
                if row.positives.is_empty() {
                    converted.queries_without_judgement += 1;
                    continue;
                }
            }
            let id = row.id.take().unwrap_or_else(|| reader.line().to_string());
            let native = self.native(id, row, queries.as_ref(), &mut documents);
            let native = native.map_err(|error| error.at(&reader))?;
            if !seen.insert(native.id.clone()) {
                return Err(reader.error(format!("row id {:?} was given before", native.id)));
            }
            converted.rows += 1;
            converted.rows_with_known_passage += usize::from(!native.positive_ids.is_empty());
            rows.json_line(&native)?;
            progress(converted.rows as u64);
        }
        converted.documents = documents.len();
        if converted.rows == 0 || converted.documents == 0 {
            return Err(Error::Invalid(format!(
                "{}: {} rows and {} documents: nothing to train on",
                self.input.display(),
                converted.rows,
                converted.documents
            )));
        }
        documents.commit()?;
        rows.commit()?;
        Ok(converted)
    }

    fn check(&self, format: RowFormat) -> Result<()> {
        use RowFormat::{Kd, MsMarco, MsMarcoTriples, TevatronIds};
        let by_id = format == MsMarcoTriples && (self.queries.is_some() || self.corpus.is_some());
        let (corpus, queries) = (
            matches!(format, TevatronIds | Kd | MsMarco) || by_id,
            format == Kd || by_id,
        );
        let wanted = [
            ("corpus", self.corpus.is_some(), corpus, true),
            ("queries", self.queries.is_some(), queries, queries),
            (
                "qrels",
                self.qrels.is_some(),
                format == MsMarco,
                format == MsMarco,
            ),
        ];
        for (name, is_given, is_needed, is_used) in wanted {
            if is_needed && !is_given {
                let what = format!("rows of the form {format} need a file of {name} (--{name})");
                return Err(Error::Invalid(what));
            }
            if is_given && !is_used {
                let what = format!("rows of the form {format} have no use for --{name}");
                return Err(Error::Invalid(what));
            }
        }
        Ok(())
    }

    fn native(
        &self,
        id: String,
        row: ForeignRow,
        queries: Option<&HashMap<String, String>>,
        documents: &mut Documents,
    ) -> Result<TrainingRow, RowError> {
        let query = match row.query {
            ForeignQuery::Text(text) => text,
            ForeignQuery::Id(query) => {
                let found = queries.and_then(|queries| queries.get(&query));
                let lost = || format!("query {query:?} is not in the file of queries");
                found.ok_or_else(lost)?.clone()
            }
        };
        if query.trim().is_empty() {
            return Err(format!("row {id:?} has an empty query").into());
        }
        let (known, others) = if row.others_are_all_candidates {
            let others = documents.add_all(row.others)?;
            (documents.add_all(row.positives)?, others)
        } else {
            let known = documents.add_all(row.positives)?;
            (known, documents.add_all(row.others)?)
        };
        let known_text = known.iter().find_map(|(_, text)| text.clone());
        let mut positive_ids = Vec::new();
        let mut candidate_ids = Vec::new();
        for (id, _) in known {
            if !row.others_are_all_candidates && !candidate_ids.contains(&id) {
                candidate_ids.push(id.clone());
            }
            if !positive_ids.contains(&id) {
                positive_ids.push(id);
            }
        }
        for (id, _) in others {
            if !candidate_ids.contains(&id) {
                candidate_ids.push(id);
            }
        }
        let target = match self.target {
            TargetFrom::Answers => row.answers.into_iter().next(),
            TargetFrom::Positive => known_text,
            TargetFrom::Query => Some(query.clone()),
        };
        let Some(target) = target.filter(|target| !target.trim().is_empty()) else {
            return Err(match self.target {
                TargetFrom::Answers => format!(
                    "row {id:?} has no answer: DREAM needs a target output; --target positive takes the known \
                     passage's text (which can be copied: read its help)"
                ),
                _ => format!("row {id:?} has no known passage with a text to be its target"),
            }
            .into());
        };
        Ok(TrainingRow {
            id,
            query,
            target,
            positive_ids,
            candidate_ids,
            candidate_scores: Vec::new(),
            candidates: Vec::new(),
        })
    }
}

/// A row is at fault, or the corpus could not be written.
enum RowError {
    Row(String),
    Other(Error),
}

impl RowError {
    fn at(self, reader: &RowReader) -> Error {
        match self {
            Self::Row(what) => reader.error(what),
            Self::Other(error) => error,
        }
    }
}

impl From<String> for RowError {
    fn from(what: String) -> Self {
        Self::Row(what)
    }
}

impl From<Error> for RowError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// The documents that are judged relevant for a query, the best first.
fn judged(row: &ForeignRow, qrels: &Qrels) -> Vec<Passage> {
    let judged = row.id.as_deref().and_then(|id| qrels.get(id));
    let mut judged: Vec<(&String, i32)> = judged
        .into_iter()
        .flatten()
        .map(|(document, grade)| (document, *grade))
        .filter(|(_, grade)| *grade > 0)
        .collect();
    judged.sort_by_key(|(_, grade)| -grade);
    judged
        .into_iter()
        .map(|(document, _)| Passage::Id(document.clone()))
        .collect()
}

/// Queries by id: `id<TAB>text` in a `.tsv`, else JSON Lines.
fn read_queries(path: &Path) -> Result<HashMap<String, String>> {
    let mut queries = HashMap::new();
    let twice = |id: &str| format!("query id {id:?} was given before");
    let mut lines = LineReader::open(path)?;
    if Delimiter::of(lines.path()) == Some(Delimiter::Tab) {
        while let Some(line) = lines.next_line()? {
            if line.trim().is_empty() {
                continue;
            }
            let added = msmarco::pair(line).and_then(|(id, text)| {
                match queries.insert(id.to_owned(), text.to_owned()) {
                    None => Ok(()),
                    Some(_) => Err(twice(id)),
                }
            });
            added.map_err(|what| lines.error(what))?;
        }
        return Ok(queries);
    }
    let mut values = JsonLines::<Query>::new(lines);
    while let Some(query) = values.next() {
        let query = query?;
        if queries.insert(query.id.clone(), query.text).is_some() {
            return Err(values.error(twice(&query.id)));
        }
    }
    Ok(queries)
}

impl fmt::Display for TargetFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answers => "answers",
            Self::Positive => "positive",
            Self::Query => "query",
        })
    }
}

impl FromStr for TargetFrom {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Answers, Self::Positive, Self::Query];
        let named = all.into_iter().find(|from| from.to_string() == text);
        named.ok_or_else(|| {
            Error::Invalid(format!("wanted answers, positive or query, got {text:?}"))
        })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
