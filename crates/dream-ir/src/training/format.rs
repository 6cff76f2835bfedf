//! The forms in which the field keeps training rows.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::delimited::Delimiter;
use crate::error::{Error, Result};
use crate::lines::LineReader;

/// A form of training rows; each has a module of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowFormat {
    /// This program's own.
    Native,
    /// Tevatron with texts in the row.
    Tevatron,
    /// Tevatron with ids into a corpus.
    TevatronIds,
    /// FlagEmbedding: `pos` and `neg`.
    FlagEmbedding,
    /// sentence-transformers: columns by their order, as JSON Lines, CSV or TSV.
    SentenceTransformers,
    /// Distillation: documents with a teacher's scores.
    Kd,
    /// MS MARCO's triples, of texts or of ids.
    MsMarcoTriples,
    /// MS MARCO's queries with judgements.
    MsMarco,
}

const NAMES: [(&str, RowFormat); 8] = [
    ("native", RowFormat::Native),
    ("tevatron", RowFormat::Tevatron),
    ("tevatron-ids", RowFormat::TevatronIds),
    ("flagembedding", RowFormat::FlagEmbedding),
    ("sentence-transformers", RowFormat::SentenceTransformers),
    ("kd", RowFormat::Kd),
    ("msmarco-triples", RowFormat::MsMarcoTriples),
    ("msmarco", RowFormat::MsMarco),
];

impl RowFormat {
    /// What the first row of a file looks like.
    ///
    /// # Errors
    /// It looks like none of the forms.
    pub fn detect(mut lines: LineReader, has_qrels: bool) -> Result<Self> {
        let delimiter = Delimiter::of(lines.path());
        let first = loop {
            match lines.next_line()? {
                None => {
                    let path = lines.path().display();
                    return Err(Error::Invalid(format!("{path}: no row in it")));
                }
                Some(line) if line.trim().is_empty() => {}
                Some(line) => break line.to_owned(),
            }
        };
        let fields = first.split('\t').count();
        match delimiter {
            Some(Delimiter::Tab) if has_qrels => return Ok(Self::MsMarco),
            Some(Delimiter::Tab) if fields == 3 => return Ok(Self::MsMarcoTriples),
            Some(_) => return Ok(Self::SentenceTransformers),
            None => {}
        }
        let Ok(row) = serde_json::from_str::<Map<String, Value>>(&first) else {
            return Err(lines.error("wanted a JSON object, or a file called .tsv or .csv"));
        };
        let has = |names: &[&str]| names.iter().any(|name| row.contains_key(*name));
        Ok(if has(&["positive_passages", "negative_passages"]) {
            Self::Tevatron
        } else if has(&[
            "positive_document_ids",
            "negative_document_ids",
            "query_text",
        ]) {
            Self::TevatronIds
        } else if has(&["pos", "neg"]) {
            Self::FlagEmbedding
        } else if has(&["document_ids"]) {
            Self::Kd
        } else if has(&["positives", "negatives"]) {
            return Err(lines.error(
                "these rows are token ids of some other model: convert the rows that they were made of",
            ));
        } else if has(&["candidates", "candidate_ids", "context_id", "positive_ids"])
            || has(&["query"]) && has(&["target", "answers"])
        {
            Self::Native
        } else if row.len() >= 2 {
            Self::SentenceTransformers
        } else {
            return Err(lines.error("rows of no form that is known: --format says which it is"));
        })
    }
}

impl fmt::Display for RowFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMES.iter().find(|(_, format)| format == self);
        f.write_str(named.map_or("", |(name, _)| name))
    }
}

impl FromStr for RowFormat {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let named = NAMES.iter().find(|(name, _)| *name == text);
        named.map(|(_, format)| *format).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            Error::Invalid(format!("wanted auto, {}, got {text:?}", names.join(", ")))
        })
    }
}

/// A row of any form, before its target is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ForeignRow {
    /// Its name; without one, its line is.
    pub(super) id: Option<String>,
    pub(super) query: ForeignQuery,
    /// Written answers, best first.
    pub(super) answers: Vec<String>,
    /// Known passages.
    pub(super) positives: Vec<Passage>,
    /// Other candidates, in their order.
    pub(super) others: Vec<Passage>,
    /// Whether candidates are `others` alone; else `positives` come before them.
    pub(super) others_are_all_candidates: bool,
}

/// A query, or its id.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ForeignQuery {
    Text(String),
    Id(String),
}

impl Default for ForeignQuery {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// A document, or its id.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Passage {
    Id(String),
    Text {
        id: Option<String>,
        title: String,
        text: String,
    },
}

impl Passage {
    /// A text without a name.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text {
            id: None,
            title: String::new(),
            text: text.into(),
        }
    }
}

/// What a form may say beside its own fields: written answers.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct AnswersJson {
    target: Option<String>,
    answer: Option<String>,
    answers: Option<Vec<String>>,
}

impl AnswersJson {
    /// All that are not blank; `target` first.
    pub(super) fn into_answers(self) -> Vec<String> {
        let all = self.target.into_iter().chain(self.answer);
        all.chain(self.answers.unwrap_or_default())
            .filter(|text| !text.trim().is_empty())
            .collect()
    }
}

/// An error of a line of JSON, which is the whole document for the parser.
pub(super) fn json_error(error: &serde_json::Error) -> String {
    error
        .to_string()
        .replace(" at line 1 column ", " at column ")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn detect(name: &str, line: &str) -> Result<RowFormat> {
        let text = format!("\n{line}\n");
        RowFormat::detect(LineReader::new(name, Box::new(Cursor::new(text))), false)
    }

    #[test]
    fn every_name_is_read_back() {
        for (name, format) in NAMES {
            assert_eq!(name.parse::<RowFormat>().unwrap(), format);
            assert_eq!(format.to_string(), name);
        }
        assert!(
            "beir"
                .parse::<RowFormat>()
                .unwrap_err()
                .to_string()
                .contains("kd")
        );
    }

    #[test]
    fn the_first_row_tells_the_form() {
        let of = |name, line| detect(name, line).unwrap().to_string();
        assert_eq!(of("a.jsonl", r#"{"query":"q","target":"t"}"#), "native");
        assert_eq!(
            of("a", r#"{"query":"q","positive_passages":[],"answers":[]}"#),
            "tevatron"
        );
        assert_eq!(
            of("a", r#"{"query_text":"q","positive_document_ids":[]}"#),
            "tevatron-ids"
        );
        assert_eq!(of("a", r#"{"query":"q","pos":[]}"#), "flagembedding");
        assert_eq!(
            of("a", r#"{"anchor":"q","positive":"p"}"#),
            "sentence-transformers"
        );
        assert_eq!(
            of("a", r#"{"query_id":1,"document_ids":[],"scores":[]}"#),
            "kd"
        );
        assert_eq!(of("a.csv.gz", "anchor,positive"), "sentence-transformers");
        assert_eq!(of("a.tsv", "q\tp\tn"), "msmarco-triples");
        let error = |line| detect("a", line).unwrap_err().to_string();
        assert!(error(r#"{"query":[1],"positives":[[2]],"negatives":[]}"#).contains("token ids"));
        assert!(error("q p n").starts_with("a:2: wanted a JSON object"));
    }
}
