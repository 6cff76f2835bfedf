//! Tevatron with ids into a corpus: `{"query_id", "query_text", "positive_document_ids": [..],
//! "negative_document_ids": [..]}`.

use serde::Deserialize;

use super::format::{AnswersJson, ForeignQuery, ForeignRow, Passage, json_error};
use crate::document::Id;

#[derive(Deserialize)]
struct RowJson {
    query_id: Option<Id>,
    #[serde(alias = "query")]
    query_text: Option<String>,
    positive_document_ids: Vec<Id>,
    #[serde(default)]
    negative_document_ids: Vec<Id>,
    #[serde(flatten)]
    answers: AnswersJson,
}

/// One line.
pub(super) fn parse(line: &str) -> Result<ForeignRow, String> {
    let row: RowJson = serde_json::from_str(line).map_err(|error| json_error(&error))?;
    let Some(query) = row.query_text else {
        return Err(
            "the row has no `query_text`: queries that are images cannot be read".to_owned(),
        );
    };
    Ok(ForeignRow {
        id: row.query_id.map(|id| id.0),
        query: ForeignQuery::Text(query),
        answers: row.answers.into_answers(),
        positives: ids(row.positive_document_ids),
        others: ids(row.negative_document_ids),
        ..ForeignRow::default()
    })
}

/// Documents by their ids.
pub(super) fn ids(ids: Vec<Id>) -> Vec<Passage> {
    ids.into_iter().map(|id| Passage::Id(id.0)).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_row_names_its_documents_and_an_image_is_no_query() {
        let row = r#"{"query_id":"q1","query_text":"q","query_image":null,"positive_document_ids":[3],"negative_document_ids":["n"]}"#;
        let row = parse(row).unwrap();
        assert_eq!(row.positives, [Passage::Id("3".into())]);
        assert_eq!(row.others, [Passage::Id("n".into())]);
        let error = parse(r#"{"query_id":"q1","query_image":"x","positive_document_ids":[]}"#);
        assert!(error.unwrap_err().contains("images"));
    }
}
