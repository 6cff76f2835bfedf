//! Rows of a table file, Parquet or JSON Lines: named columns in, one value a column out.

use std::path::Path;

use serde_json::Value as Json;

use super::parquet;
use crate::error::{Error, Result};
use crate::jsonl::read_jsonl;

/// What stands in one column of a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// The file, or this row of JSON Lines, has no such column.
    Absent,
    /// Nothing.
    Null,
    /// A string.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A list.
    List(Vec<Value>),
    /// Something that no column of a retrieval set holds; its name.
    Other(&'static str),
}

impl Value {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Absent => "no such column",
            Self::Null => "null",
            Self::Text(_) => "a text",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::List(_) => "a list",
            Self::Other(name) => name,
        }
    }
}

/// What is done with a row; its values stand in the order of the columns asked for.
pub(super) type OnRow<'a> = dyn FnMut(Vec<Value>) -> Result<(), String> + 'a;

/// Gives `on_row` the rows of a file in order, with the values of `columns`. Errors name the row, from 1.
pub(super) fn for_each_row(path: &Path, columns: &[&str], on_row: &mut OnRow) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("parquet") => parquet::for_each_row(path, columns, on_row),
        Some("jsonl" | "json") => for_each_line(path, columns, on_row),
        _ => Err(Error::Invalid(format!(
            "{}: wanted Parquet (.parquet) or JSON Lines (.jsonl)",
            path.display()
        ))),
    }
}

fn for_each_line(path: &Path, columns: &[&str], on_row: &mut OnRow) -> Result<()> {
    let mut lines = read_jsonl::<serde_json::Map<String, Json>>(path)?;
    while let Some(object) = lines.next() {
        let mut object = object?;
        let values = columns
            .iter()
            .map(|column| object.remove(*column).map_or(Value::Absent, of_json));
        on_row(values.collect()).map_err(|what| lines.error(what))?;
    }
    Ok(())
}

fn of_json(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::String(text) => Value::Text(text),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(float)) => Value::Float(float),
            _ => Value::Other("a number out of range"),
        },
        Json::Array(values) => Value::List(values.into_iter().map(of_json).collect()),
        Json::Bool(_) => Value::Other("true or false"),
        Json::Object(_) => Value::Other("an object"),
    }
}
