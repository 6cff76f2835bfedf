//! Tevatron with texts in the row: `{"query_id", "query", "positive_passages": [{"docid", "title"?, "text"}],
//! "negative_passages": [..], "answers"?: [..]}`.

use serde::Deserialize;

use super::format::{AnswersJson, ForeignQuery, ForeignRow, Passage, json_error};
use crate::document::{DocumentJson, Id};

#[derive(Deserialize)]
struct RowJson {
    query_id: Option<Id>,
    query: String,
    positive_passages: Vec<DocumentJson>,
    #[serde(default)]
    negative_passages: Vec<DocumentJson>,
    #[serde(flatten)]
    answers: AnswersJson,
}

/// One line.
pub(super) fn parse(line: &str) -> Result<ForeignRow, String> {
    let row: RowJson = serde_json::from_str(line).map_err(|error| json_error(&error))?;
    let passages = |all: Vec<DocumentJson>| all.into_iter().map(passage).collect();
    Ok(ForeignRow {
        id: row.query_id.map(|id| id.0),
        query: ForeignQuery::Text(row.query),
        answers: row.answers.into_answers(),
        positives: passages(row.positive_passages),
        others: passages(row.negative_passages),
        ..ForeignRow::default()
    })
}

/// A document as JSON, which may have no id.
fn passage(json: DocumentJson) -> Passage {
    let (id, title, text) = json.into_parts();
    Passage::Text { id, title, text }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_row_carries_its_passages_and_answers() {
        let row = parse(
            r#"{"query_id":7,"query":"q","answers":["a"," "],"positive_passages":[{"docid":"p","title":"T","text":"x"}],
               "negative_passages":[{"docid":"n","text":"y"}],"more":1}"#,
        );
        let row = row.unwrap();
        assert_eq!(
            (row.id.as_deref(), row.answers),
            (Some("7"), vec!["a".to_owned()])
        );
        let passage = |id: &str, title: &str, text: &str| Passage::Text {
            id: Some(id.into()),
            title: title.into(),
            text: text.into(),
        };
        assert_eq!(row.positives, [passage("p", "T", "x")]);
        assert_eq!(row.others, [passage("n", "", "y")]);
        let error = parse(r#"{"query":"q","positive_passages":["x"]}"#).unwrap_err();
        assert!(error.contains("at column"), "{error}");
    }
}
