//! Questions with answers, from JSON Lines, CSV or TSV.

use serde::Deserialize;

use crate::delimited::{Delimiter, Records};
use crate::document::Id;
use crate::error::Result;
use crate::jsonl::JsonLines;
use crate::lines::LineReader;

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QaPair {
    /// Name of the row; its line number if the file gives none.
    pub id: String,
    /// Never blank.
    pub question: String,
    /// Never blank.
    pub answer: String,
    /// The file the answer stands in, as a relative path, if the pair says so.
    pub source: Option<String>,
}

#[derive(Deserialize)]
struct PairJson {
    #[serde(rename = "_id")]
    underscore_id: Option<Id>,
    id: Option<Id>,
    #[serde(alias = "query")]
    question: String,
    #[serde(alias = "target")]
    answer: Option<String>,
    answers: Option<Vec<String>>,
    source: Option<String>,
}

/// Reads a file by its name: `.csv`, `.tsv`, anything else as JSON Lines, each also `.gz` or `.zst`.
///
/// JSON Lines: `{"question", "answer", "_id"?, "source"?}`; also `query` for `question`, `target` or the first of
/// `answers` for `answer`, `id` for `_id`. CSV and TSV: the same names in a first line, or two columns without one.
pub fn read_pairs(lines: LineReader) -> Result<Vec<QaPair>> {
    match Delimiter::of(lines.path()) {
        Some(delimiter) => delimited(lines, delimiter),
        None => json_lines(lines),
    }
}

fn json_lines(lines: LineReader) -> Result<Vec<QaPair>> {
    let mut pairs = Vec::new();
    let mut values = JsonLines::<PairJson>::new(lines);
    while let Some(json) = values.next() {
        let json = json?;
        let answers = json.answers.unwrap_or_default();
        let pair = QaPair {
            id: json
                .underscore_id
                .or(json.id)
                .map_or_else(|| values.line().to_string(), |id| id.0),
            question: json.question,
            answer: json
                .answer
                .or(answers.into_iter().next())
                .unwrap_or_default(),
            source: json.source,
        };
        pairs.push(pair.checked().map_err(|what| values.error(what))?);
    }
    Ok(pairs)
}

fn delimited(lines: LineReader, delimiter: Delimiter) -> Result<Vec<QaPair>> {
    let mut records = Records::new(lines, delimiter);
    let mut pairs = Vec::new();
    let mut columns: Option<Columns> = None;
    while let Some(fields) = records.next_record()? {
        let known = match &columns {
            Some(known) => known,
            None => match Columns::named(&fields) {
                Some(named) => {
                    columns = Some(named);
                    continue;
                }
                None => columns.insert(Columns::two()),
            },
        };
        let line = records.line();
        let pair = known.pair(&fields, line).and_then(QaPair::checked);
        pairs.push(pair.map_err(|what| records.error(what))?);
    }
    Ok(pairs)
}

/// Places of the fields.
struct Columns {
    count: usize,
    question: usize,
    answer: usize,
    id: Option<usize>,
    source: Option<usize>,
}

impl Columns {
    fn two() -> Self {
        Self {
            count: 2,
            question: 0,
            answer: 1,
            id: None,
            source: None,
        }
    }

    /// Of a first line that names its fields.
    fn named(fields: &[String]) -> Option<Self> {
        let place = |names: &[&str]| {
            let is_it = |field: &String| names.contains(&field.trim().to_lowercase().as_str());
            fields.iter().position(is_it)
        };
        Some(Self {
            count: fields.len(),
            question: place(&["question", "query"])?,
            answer: place(&["answer", "target"])?,
            id: place(&["_id", "id"]),
            source: place(&["source"]),
        })
    }

    fn pair(&self, fields: &[String], line: u64) -> Result<QaPair, String> {
        if fields.len() != self.count {
            return Err(format!(
                "wanted {} fields, got {}; a first line may name them: question, answer, _id, source",
                self.count,
                fields.len()
            ));
        }
        let named = |place: Option<usize>| {
            let field = fields[place?].trim();
            (!field.is_empty()).then(|| field.to_owned())
        };
        Ok(QaPair {
            id: named(self.id).unwrap_or_else(|| line.to_string()),
            question: fields[self.question].clone(),
            answer: fields[self.answer].clone(),
            source: named(self.source),
        })
    }
}

impl QaPair {
    fn checked(self) -> Result<Self, String> {
        for (name, text) in [("question", &self.question), ("answer", &self.answer)] {
            if text.trim().is_empty() {
                return Err(format!("pair {:?} has no {name}", self.id));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(name: &str, text: &'static str) -> Result<Vec<QaPair>> {
        read_pairs(LineReader::new(name, Box::new(Cursor::new(text))))
    }

    #[test]
    fn every_form_gives_the_same_pairs() {
        let json = "{\"question\":\"q, 1\",\"answer\":\"a\",\"source\":\"x.md\"}\n\n{\"query\":\"q2\",\"answers\":[\"b\",\"c\"]}\n";
        let csv = "question,answer,source\n\"q, 1\",a,x.md\n\nq2,b,\n";
        let tsv = "source\tanswer\tquestion\nx.md\ta\tq, 1\n\n\tb\tq2\n";
        let fields = |pairs: Vec<QaPair>| -> Vec<_> {
            pairs
                .into_iter()
                .map(|pair| (pair.question, pair.answer, pair.source))
                .collect()
        };
        let wanted = [
            ("q, 1".to_owned(), "a".to_owned(), Some("x.md".to_owned())),
            ("q2".to_owned(), "b".to_owned(), None),
        ];
        assert_eq!(fields(read("p.jsonl", json).unwrap()), wanted);
        assert_eq!(fields(read("p.csv", csv).unwrap()), wanted);
        assert_eq!(fields(read("p.tsv", tsv).unwrap()), wanted);
        let bare = read("p.tsv.gz", "q\ta\n").unwrap();
        assert_eq!((bare[0].id.as_str(), bare[0].answer.as_str()), ("1", "a"));
    }

    #[test]
    fn pairs_without_answer_are_errors_with_their_line() {
        let error = |name, text| read(name, text).unwrap_err().to_string();
        assert!(
            error("p.jsonl", "\n{\"question\":\"q\"}")
                .starts_with("p.jsonl:2: pair \"2\" has no answer")
        );
        assert!(error("p.csv", "q,a\nq,\n").starts_with("p.csv:2: pair \"2\" has no answer"));
        assert!(error("p.csv", "q,a,b\n").contains("wanted 2 fields, got 3"));
    }
}
