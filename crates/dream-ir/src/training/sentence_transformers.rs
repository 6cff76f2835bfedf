//! sentence-transformers: columns by their order, whatever their names. The first is the query, the second the
//! positive, those after it are negatives. A column called `label`, `score` or `scores` is none of these: with a number
//! that is not above 0, the second column is no positive, only a candidate. This program's own
//! columns may stand anywhere: `_id`, `id` or `query_id`; `target`, `answer` or `answers`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::format::{ForeignQuery, ForeignRow, Passage, json_error};

/// One line of JSON.
pub(super) fn parse(line: &str) -> Result<ForeignRow, String> {
    let columns: Columns = serde_json::from_str(line).map_err(|error| json_error(&error))?;
    row(columns.0)
}

/// One record of CSV or TSV under its names.
pub(super) fn record(names: &[String], fields: Vec<String>) -> Result<ForeignRow, String> {
    if names.len() != fields.len() {
        return Err(format!(
            "wanted {} fields, as the first line names, got {}",
            names.len(),
            fields.len()
        ));
    }
    let value = |name: &str, field: String| match name.trim().to_lowercase().as_str() {
        "label" | "score" | "scores" => field
            .trim()
            .parse()
            .ok()
            .and_then(serde_json::Number::from_f64)
            .map_or(Value::String(field), Value::Number),
        _ => Value::String(field),
    };
    let columns = names.iter().zip(fields);
    row(columns
        .map(|(name, field)| (name.clone(), value(name, field)))
        .collect())
}

fn row(columns: Vec<(String, Value)>) -> Result<ForeignRow, String> {
    let mut row = ForeignRow::default();
    let mut texts: Vec<Vec<String>> = Vec::new();
    let mut is_positive = true;
    for (name, value) in columns {
        match name.trim().to_lowercase().as_str() {
            "label" | "score" | "scores" => {
                let first = match &value {
                    Value::Array(values) => values.first().and_then(Value::as_f64),
                    value => value.as_f64(),
                };
                is_positive = first.is_none_or(|number| number > 0.0);
            }
            "_id" | "id" | "query_id" => match value {
                Value::String(id) if !id.is_empty() => row.id = Some(id),
                Value::Number(id) => row.id = Some(id.to_string()),
                _ => return Err(format!("column {name:?}: wanted a string or a number")),
            },
            "target" | "answer" | "answers" => {
                let answers = strings(&name, value)?;
                row.answers
                    .extend(answers.into_iter().filter(|text| !text.trim().is_empty()));
            }
            _ => texts.push(strings(&name, value)?),
        }
    }
    let mut texts = texts.into_iter();
    let (Some(query), Some(positives)) = (texts.next(), texts.next()) else {
        return Err("wanted at least two columns of text: a query and a positive".to_owned());
    };
    let [query] = <[String; 1]>::try_from(query)
        .map_err(|_| "the first column is the query: wanted one text".to_owned())?;
    row.query = ForeignQuery::Text(query);
    let passages = |texts: Vec<String>| {
        let texts = texts.into_iter().filter(|text| !text.trim().is_empty());
        texts.map(Passage::text).collect::<Vec<_>>()
    };
    let negatives = texts.flat_map(passages);
    if is_positive {
        row.positives = passages(positives);
        row.others = negatives.collect();
    } else {
        row.others = passages(positives).into_iter().chain(negatives).collect();
    }
    Ok(row)
}

fn strings(name: &str, value: Value) -> Result<Vec<String>, String> {
    let text = |value: Value| match value {
        Value::String(text) => Ok(text),
        _ => Err(format!("column {name:?}: wanted a text or a list of texts")),
    };
    match value {
        Value::Array(values) => values.into_iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

/// An object whose keys keep their order.
struct Columns(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Columns;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of columns")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
                let mut columns = Vec::new();
                while let Some(column) = map.next_entry()? {
                    columns.push(column);
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn text(passage: &Passage) -> &str {
        match passage {
            Passage::Text { text, .. } => text,
            Passage::Id(id) => id,
        }
    }

    fn texts(passages: &[Passage]) -> Vec<&str> {
        passages.iter().map(text).collect()
    }

    #[test]
    fn columns_count_by_their_order_and_not_by_their_names() {
        let row =
            parse(r#"{"z":"q","b":"p","a":["n1",""],"negative_2":"n2","score":0.5,"answer":"t"}"#);
        let row = row.unwrap();
        assert_eq!(row.query, ForeignQuery::Text("q".into()));
        assert_eq!(texts(&row.positives), ["p"]);
        assert_eq!(texts(&row.others), ["n1", "n2"]);
        assert_eq!(row.answers, ["t"]);
    }

    #[test]
    fn a_label_of_zero_makes_a_candidate_and_no_positive() {
        let row = parse(r#"{"sentence1":"q","sentence2":"p","label":0}"#).unwrap();
        assert!(row.positives.is_empty());
        assert_eq!(texts(&row.others), ["p"]);
        let names = ["q", "p", "label"].map(str::to_owned);
        let fields = ["a", "b", "0"].map(str::to_owned).to_vec();
        assert!(record(&names, fields).unwrap().positives.is_empty());
    }

    #[test]
    fn too_few_columns_and_columns_without_text_are_errors() {
        assert!(
            parse(r#"{"q":"x","label":1}"#)
                .unwrap_err()
                .contains("two columns")
        );
        assert!(
            parse(r#"{"q":"x","p":3}"#)
                .unwrap_err()
                .contains("column \"p\"")
        );
        assert!(
            parse(r#"{"q":["x","y"],"p":"z"}"#)
                .unwrap_err()
                .contains("one text")
        );
        assert!(parse("[]").unwrap_err().contains("columns"));
        assert!(
            record(&["q".to_owned()], vec![])
                .unwrap_err()
                .contains("wanted 1 fields")
        );
    }
}
