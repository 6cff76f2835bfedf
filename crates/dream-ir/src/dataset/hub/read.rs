//! Documents, queries and judgements from the rows of a set's files.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::super::rows::{Value, for_each_row};
use crate::corpus::Corpus;
use crate::document::{Document, Query};
use crate::error::{Error, Result};
use crate::qrels::Qrels;

/// Documents of `_id` or `id`, `title` and `text`.
pub(super) fn corpus(files: &[PathBuf]) -> Result<Corpus> {
    let mut corpus = Corpus::default();
    for file in files {
        for_each_row(file, &["_id", "id", "title", "text"], &mut |row| {
            let [underscore_id, id, title, text] = columns(row);
            let title = match title {
                Value::Absent | Value::Null => String::new(),
                title => string("title", title)?,
            };
            corpus.push(Document {
                id: id_of(underscore_id, id)?,
                title,
                text: string("text", text)?,
            })
        })?;
    }
    if corpus.is_empty() {
        return Err(nothing("document", files));
    }
    Ok(corpus)
}

/// Queries of `_id` or `id` and `text`, in order.
pub(super) fn queries(files: &[PathBuf]) -> Result<Vec<Query>> {
    let mut queries: Vec<Query> = Vec::new();
    let mut seen = HashSet::new();
    for file in files {
        for_each_row(file, &["_id", "id", "text"], &mut |row| {
            let [underscore_id, id, text] = columns(row);
            let id = id_of(underscore_id, id)?;
            if !seen.insert(id.clone()) {
                return Err(format!("query id {id:?} was given before"));
            }
            let text = string("text", text)?;
            queries.push(Query { id, text });
            Ok(())
        })?;
    }
    Ok(queries)
}

/// Judgements of `query-id`, `corpus-id` (an id or a list of ids) and `score`; without a score the documents are
/// relevant. A pair may come twice with the same grade.
pub(super) fn qrels(files: &[PathBuf]) -> Result<Qrels> {
    let mut qrels = Qrels::default();
    let mut grades: HashMap<String, HashMap<String, i32>> = HashMap::new();
    for file in files {
        for_each_row(file, &["query-id", "corpus-id", "score"], &mut |row| {
            let [query, documents, score] = columns(row);
            let query = id("query-id", query)?;
            let grade = grade(score)?;
            let documents = match documents {
                Value::List(documents) => documents,
                one => vec![one],
            };
            for document in documents {
                let document = id("corpus-id", document)?;
                let known = grades.entry(query.clone()).or_default();
                match known.insert(document.clone(), grade) {
                    None => qrels.add(&query, &document, grade)?,
                    Some(before) if before == grade => {}
                    Some(before) => {
                        return Err(format!(
                            "document {document:?} is judged {before} and {grade} for query {query:?}"
                        ));
                    }
                }
            }
            Ok(())
        })?;
    }
    if qrels.is_empty() {
        return Err(nothing("judgement", files));
    }
    Ok(qrels)
}

fn columns<const N: usize>(row: Vec<Value>) -> [Value; N] {
    let row: Result<[Value; N], _> = row.try_into();
    row.expect("a row has a value for each column asked for. This is a bug.")
}

fn nothing(what: &str, files: &[PathBuf]) -> Error {
    let files: Vec<String> = files.iter().map(|f| f.display().to_string()).collect();
    Error::Invalid(format!("{}: no {what} in it", files.join(", ")))
}

fn id_of(underscore_id: Value, id: Value) -> Result<String, String> {
    match underscore_id {
        Value::Absent => self::id("_id or id", id),
        underscore_id => self::id("_id", underscore_id),
    }
}

/// An id: a string that is not empty, or a whole number that becomes its digits.
fn id(column: &str, value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) if !text.is_empty() => Ok(text),
        Value::Int(number) => Ok(number.to_string()),
        other => Err(format!(
            "wanted an id in {column}, got {}",
            if other == Value::Text(String::new()) {
                "an empty text"
            } else {
                other.kind()
            }
        )),
    }
}

fn string(column: &str, value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        other => Err(format!("wanted a text in {column}, got {}", other.kind())),
    }
}

fn grade(value: Value) -> Result<i32, String> {
    let whole = match &value {
        Value::Absent => Some(1),
        Value::Int(grade) => i32::try_from(*grade).ok(),
        Value::Float(grade) if grade.fract() == 0.0 && grade.abs() < 1e9 => Some(*grade as i32),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    whole.ok_or_else(|| match value {
        Value::Int(grade) => format!("wanted a whole number as score, got {grade}"),
        Value::Float(grade) => format!("wanted a whole number as score, got {grade}"),
        Value::Text(text) => format!("wanted a whole number as score, got {text:?}"),
        other => format!("wanted a whole number as score, got {}", other.kind()),
    })
}
