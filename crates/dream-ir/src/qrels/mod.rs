//! Relevance judgements by query.

mod read;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use crate::atomic_write::write_atomically;
use crate::error::Result;

/// Highest grade that is taken for a judgement. trec_eval counts judgements in a table as long as the
/// highest grade, so anything larger is a damaged file there too.
pub const MAX_GRADE: i32 = 1_000_000;

/// Judgements by query: document id to grade. Grades above 0 are relevant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Qrels {
    queries: BTreeMap<String, BTreeMap<String, i32>>,
}

impl Qrels {
    /// Adds one judgement; a second one of the same pair, or a grade beyond [`MAX_GRADE`] on either
    /// side of 0, is an error.
    pub fn add(&mut self, query: &str, document: &str, grade: i32) -> Result<(), String> {
        if !(-MAX_GRADE..=MAX_GRADE).contains(&grade) {
            return Err(format!(
                "wanted a grade from -{MAX_GRADE} to {MAX_GRADE}, got {grade}"
            ));
        }
        let judged = self.queries.entry(query.to_owned()).or_default();
        if judged.insert(document.to_owned(), grade).is_some() {
            return Err(format!(
                "document {document:?} is judged twice for query {query:?}"
            ));
        }
        Ok(())
    }

    /// The judgements of one query.
    pub fn get(&self, query: &str) -> Option<&BTreeMap<String, i32>> {
        self.queries.get(query)
    }

    /// Queries with their judgements, ordered by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &BTreeMap<String, i32>)> {
        self.queries
            .iter()
            .map(|(id, judged)| (id.as_str(), judged))
    }

    /// Number of judged queries.
    pub fn len(&self) -> usize {
        self.queries.len()
    }

    /// Whether nothing is judged.
    pub fn is_empty(&self) -> bool {
        self.queries.is_empty()
    }

    /// Writes the BEIR form, header included, atomically.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        write_atomically(path.as_ref(), |writer| {
            writeln!(writer, "query-id\tcorpus-id\tscore")?;
            for (query, judged) in &self.queries {
                for (document, grade) in judged {
                    writeln!(writer, "{}\t{}\t{grade}", quoted(query)?, quoted(document)?)?;
                }
            }
            Ok(())
        })
    }
}

fn quoted(id: &str) -> std::io::Result<String> {
    if id.contains(['\n', '\r']) {
        let what = format!("the id {id:?} holds a line end: no qrels file can");
        return Err(std::io::Error::other(what));
    }
    if id.contains(['\t', '"']) {
        return Ok(format!("\"{}\"", id.replace('"', "\"\"")));
    }
    Ok(id.to_owned())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
