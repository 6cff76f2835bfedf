//! The rows of a run as they stand in its file, and how they become a [`Run`].

use std::collections::BTreeMap;
use std::path::Path;

use super::form::{Fields, RunForm};
use super::{Hit, Run, ScoreWidth, given_twice, order};
use crate::error::{Error, Result};
use crate::ids::beginning;

/// Highest rank that a score of minus the rank keeps apart from the next, in f32.
const MAX_RANK: f64 = 16_777_216.0; // 2^24

/// Rows by query, in file order.
#[derive(Default)]
pub(super) struct Rows {
    queries: BTreeMap<String, Vec<Row>>,
    /// Whether some third field is no plain whole number from 1 on.
    fractions: bool,
}

struct Row {
    document: String,
    /// Score, or rank in MS MARCO's form.
    number: f64,
    /// Line number from 1; 0 in JSON.
    line: u64,
}

impl Rows {
    /// Adds what a line says.
    pub(super) fn push(&mut self, fields: &Fields<'_>, line: u64) -> Result<(), String> {
        let text = fields.number;
        let number = text.parse().map_err(|_| not_finite(text))?;
        self.fractions |= !(text.bytes().all(|b| b.is_ascii_digit()) && number >= 1.0);
        self.push_score(fields.query, fields.document.to_owned(), number, line)
    }

    /// Adds a document of a query; the score must be finite, as f32 too.
    pub(super) fn push_score(
        &mut self,
        query: &str,
        document: String,
        number: f64,
        line: u64,
    ) -> Result<(), String> {
        if !(number as f32).is_finite() {
            return Err(not_finite(&number.to_string()));
        }
        let row = Row {
            document,
            number,
            line,
        };
        match self.queries.get_mut(query) {
            Some(rows) => rows.push(row),
            None => drop(self.queries.insert(query.to_owned(), vec![row])),
        }
        Ok(())
    }

    /// Adds a query that may have no document; a second time is an error.
    pub(super) fn begin_query(&mut self, query: &str) -> Result<(), String> {
        if self.queries.insert(query.to_owned(), Vec::new()).is_some() {
            return Err(format!("query {query:?} was given twice"));
        }
        Ok(())
    }

    /// Whether the third fields of a TSV file are scores or ranks, see [`Run::read_with`].
    pub(super) fn scores_or_ranks(&self) -> Result<RunForm, String> {
        if self.fractions {
            return Ok(RunForm::Tsv);
        }
        let (mut scores, mut ranks) = (None, None);
        for (query, rows) in self.queries.iter().filter(|(_, rows)| rows.len() > 1) {
            if rows.is_sorted_by(|a, b| a.number < b.number) {
                ranks = Some(query);
            } else {
                scores = Some(query);
                if !rows.is_sorted_by(|a, b| a.number >= b.number) && is_one_to_n(rows) {
                    ranks = Some(query);
                }
            }
        }
        match (scores, ranks) {
            (_, None) => Ok(RunForm::Tsv),
            (None, Some(_)) => Ok(RunForm::MsMarco),
            (Some(scores), Some(ranks)) => Err(format!(
                "the third fields may be scores (as for query {scores:?}) or ranks (as for query \
                 {ranks:?}): give the form of the run, tsv or msmarco"
            )),
        }
    }

    /// The run; a document that comes twice for a query is an error.
    pub(super) fn into_run(self, path: &Path, form: RunForm, width: ScoreWidth) -> Result<Run> {
        let wrong = |line, what| match line {
            0 => Error::Invalid(format!("{}: {what}", path.display())),
            _ => Error::Line {
                path: path.to_owned(),
                line,
                what,
            },
        };
        let mut run = Run {
            score_width: width,
            ..Run::default()
        };
        for (query, mut rows) in self.queries {
            for row in &mut rows {
                if form == RunForm::MsMarco {
                    let rank = row.number;
                    if rank.fract() != 0.0 || !(1.0..=MAX_RANK).contains(&rank) {
                        let what = format!("wanted a rank from 1 to {MAX_RANK}, got {rank}");
                        return Err(wrong(row.line, what));
                    }
                    row.number = -rank;
                }
                if width == ScoreWidth::F32 {
                    row.number = f64::from(row.number as f32); // as trec_eval casts atof's result
                }
            }
            rows.sort_unstable_by(|a, b| (&a.document, a.line).cmp(&(&b.document, b.line)));
            if let Some(pair) = rows.windows(2).find(|w| w[0].document == w[1].document) {
                return Err(wrong(pair[1].line, given_twice(&query, &pair[1].document)));
            }
            rows.sort_unstable_by(|a, b| order(a.number, &a.document, b.number, &b.document));
            let hits = rows.into_iter().map(|row| Hit {
                document: row.document,
                score: row.number as f32,
            });
            run.queries.insert(query, hits.collect());
        }
        Ok(run)
    }
}

/// Whether the numbers are 1 to n, each once, in some order.
fn is_one_to_n(rows: &[Row]) -> bool {
    let mut numbers: Vec<f64> = rows.iter().map(|row| row.number).collect();
    numbers.sort_unstable_by(f64::total_cmp);
    numbers.iter().zip(1u32..).all(|(n, i)| *n == f64::from(i))
}

fn not_finite(text: &str) -> String {
    format!("wanted a finite number as score, got {:?}", beginning(text))
}
