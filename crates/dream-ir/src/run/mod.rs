//! Runs: ranked documents by query, always ordered as trec_eval orders them: score descending, ties
//! by document id descending, bytewise.

mod form;
mod read;
mod rows;

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use crate::atomic_write::write_atomically;
use crate::error::{Error, Result};

pub use form::RunForm;
pub use read::RunOptions;

/// A document that was found, with its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// The document's id.
    pub document: String,
    /// Larger is better, always finite.
    pub score: f32,
}

/// In which number type scores are compared when documents are ordered. Its text form is `f32` or
/// `f64`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScoreWidth {
    /// As f32: scores that differ only beyond it are ties. trec_eval up to 9.0.7 (`float sim`), and
    /// pytrec_eval, and with it BEIR and MTEB.
    #[default]
    F32,
    /// As f64: trec_eval since it keeps `double sim` (its pull request 38, after 9.0.7; so in 10.0).
    F64,
}

impl fmt::Display for ScoreWidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

impl FromStr for ScoreWidth {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "f32" => Ok(Self::F32),
            "f64" => Ok(Self::F64),
            _ => Err(Error::Invalid(format!("wanted f32 or f64, got {text:?}"))),
        }
    }
}

/// Ranked documents by query, best first, no document twice in a query.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Run {
    queries: BTreeMap<String, Vec<Hit>>,
    score_width: ScoreWidth,
}

impl Run {
    /// Sets the documents found for a query, in any order. A score that is not finite, a document
    /// or a query given twice is an error.
    pub fn insert(&mut self, query: impl Into<String>, mut hits: Vec<Hit>) -> Result<()> {
        let query = query.into();
        let mut seen = HashSet::with_capacity(hits.len());
        for hit in &hits {
            if !hit.score.is_finite() {
                let (document, score) = (&hit.document, hit.score);
                return Err(Error::Invalid(format!(
                    "query {query:?}: the score of document {document:?} is {score}"
                )));
            }
            if !seen.insert(hit.document.as_str()) {
                return Err(Error::Invalid(given_twice(&query, &hit.document)));
            }
        }
        if self.queries.contains_key(&query) {
            return Err(Error::Invalid(format!("query {query:?} was given twice")));
        }
        hits.sort_unstable_by(trec_eval_order);
        self.queries.insert(query, hits);
        Ok(())
    }

    /// The documents found for a query, best first.
    pub fn get(&self, query: &str) -> Option<&[Hit]> {
        self.queries.get(query).map(Vec::as_slice)
    }

    /// Queries with their documents, ordered by query id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Hit])> {
        self.queries
            .iter()
            .map(|(id, hits)| (id.as_str(), hits.as_slice()))
    }

    /// Number type in which scores were compared.
    pub fn score_width(&self) -> ScoreWidth {
        self.score_width
    }

    /// Number of queries.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether no query is in it.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// Refuses ids that the TREC form cannot hold: for before long work.
    pub fn check_ids<'a>(ids: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let checked = ids.into_iter().try_for_each(check_field);
        checked.map_err(|error| Error::Invalid(error.to_string()))
    }

    /// Writes the TREC form, ranks from 1, atomically. Ids with blanks in them, which that form
    /// cannot hold, are an error, and so is an order that rests on more than f32 scores hold.
    pub fn write(&self, path: impl AsRef<Path>, run_id: &str) -> Result<()> {
        write_atomically(path.as_ref(), |writer| {
            check_field(run_id)?;
            for (query, hits) in &self.queries {
                check_field(query)?;
                if !hits.is_sorted_by(|a, b| trec_eval_order(a, b).is_le()) {
                    let what = format!("query {query:?}: f32 scores would not keep the order");
                    return Err(io::Error::other(what));
                }
                for (hit, rank) in hits.iter().zip(1..) {
                    let (document, score) = (&hit.document, nine_digits(hit.score));
                    check_field(document)?;
                    writeln!(writer, "{query} Q0 {document} {rank} {score} {run_id}")?;
                }
            }
            Ok(())
        })
    }
}

/// Score descending, ties by document id descending, bytewise.
fn trec_eval_order(a: &Hit, b: &Hit) -> Ordering {
    order(
        f64::from(a.score),
        &a.document,
        f64::from(b.score),
        &b.document,
    )
}

fn order(a_score: f64, a_document: &str, b_score: f64, b_document: &str) -> Ordering {
    // partial_cmp, not total_cmp: 0.0 and -0.0 tie in C; what is not finite was refused.
    let by_score = b_score.partial_cmp(&a_score).unwrap_or(Ordering::Equal);
    by_score.then_with(|| b_document.cmp(a_document))
}

fn given_twice(query: &str, document: &str) -> String {
    format!("document {document:?} was given twice for query {query:?}")
}

/// Refuses what would be read as several fields, as none, as a comment, or as the beginning of JSON.
fn check_field(text: &str) -> io::Result<()> {
    if text.is_empty() || text.contains(char::is_whitespace) || text.starts_with(['#', '{']) {
        let what = format!(
            "{text:?} cannot stand in a TREC run: empty, with a blank, or with # or {{ first"
        );
        return Err(io::Error::other(what));
    }
    Ok(())
}

/// The score in nine significant digits, enough to get the same f32 back (C's `%.9g`).
fn nine_digits(score: f32) -> String {
    let scientific = format!("{score:.8e}");
    let exponent = scientific
        .split_once('e')
        .and_then(|(_, e)| e.parse::<i32>().ok());
    match exponent {
        Some(e @ -5..=8) => format!("{score:.*}", (8 - e) as usize),
        _ => scientific,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
