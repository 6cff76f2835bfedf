//! Reading a run from a file.

use std::path::Path;

use super::form::{RunForm, split};
use super::rows::Rows;
use super::{Run, ScoreWidth};
use crate::error::{Error, Result};
use crate::ids::{MAX_ENTRY_BYTES, check_id};
use crate::lines::LineReader;
use crate::nested_json::{self, Entries};

/// How a run is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// The file's form; `None`: what the file looks like, see [`Run::read_with`].
    pub form: Option<RunForm>,
    /// How scores are compared.
    pub score_width: ScoreWidth,
}

impl Run {
    /// Reads a file of any form, scores as f32: [`Self::read_with`] and the default options.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_with(path, RunOptions::default())
    }

    /// Reads a file, plain, `.gz` or `.zst`.
    ///
    /// How its form is recognised, unless it is given:
    /// 1. The first character that is no blank is `{`: JSON.
    /// 2. The first line has three fields between tabs: TSV. All third fields are then looked at. If
    ///    they are whole numbers that rise from line to line within every query, the file is MS
    ///    MARCO's and they are ranks. If they rise in some queries only, or are the numbers 1 to n of
    ///    a query in no order, they may be either, and that is an error: give the form. Otherwise they
    ///    are scores.
    /// 3. Anything else is TREC's form.
    ///
    /// A line of another form than the first, a number that is not finite, a document that comes twice
    /// for a query, and an id with control characters are errors that name the line.
    pub fn read_with(path: impl AsRef<Path>, options: RunOptions) -> Result<Self> {
        Self::read_from(LineReader::open(path)?, options)
    }

    /// Reads what is no file, such as the standard input; see [`Self::read_with`].
    pub fn read_from(lines: LineReader, options: RunOptions) -> Result<Self> {
        let mut lines = lines.with_max_line_bytes(MAX_ENTRY_BYTES);
        let mut form = options.form;
        if form == Some(RunForm::Json) || form.is_none() && lines.begins_with_brace()? {
            let (path, mut rows) = (lines.path().to_owned(), Rows::default());
            nested_json::read(lines, &mut rows)?;
            return rows.into_run(&path, RunForm::Json, options.score_width);
        }
        let mut rows = Rows::default();
        loop {
            let number = lines.line() + 1;
            let Some(line) = lines.next_line()? else {
                break;
            };
            if line.trim().is_empty() {
                continue;
            }
            let row = match split(line, &mut form) {
                Ok(Some(fields)) => rows.push(&fields, number),
                Ok(None) => Ok(()),
                Err(what) => Err(what),
            };
            row.map_err(|what| lines.error(what))?;
        }
        let explicit = options.form.is_some();
        let form = match form.unwrap_or(RunForm::Trec) {
            RunForm::Tsv if !explicit => rows.scores_or_ranks().map_err(|what| {
                let path = lines.path().display();
                Error::Invalid(format!("{path}: {what}"))
            })?,
            form => form,
        };
        rows.into_run(lines.path(), form, options.score_width)
    }
}

impl Entries for Rows {
    type Value = f64;

    fn begin(&mut self, query: &str) -> Result<(), String> {
        check_id(query)?;
        self.begin_query(query)
    }

    fn add(&mut self, query: &str, document: String, score: f64) -> Result<(), String> {
        check_id(&document)?;
        self.push_score(query, document, score, 0)
    }
}
