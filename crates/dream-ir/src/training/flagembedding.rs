//! FlagEmbedding: `{"query", "pos": [..], "neg": [..]}`; `pos_scores`, `neg_scores`, `prompt` and `type` are not
//! looked at.

use serde::Deserialize;

use super::format::{AnswersJson, ForeignQuery, ForeignRow, Passage, json_error};
use crate::document::Id;

#[derive(Deserialize)]
struct RowJson {
    #[serde(alias = "_id", alias = "query_id")]
    id: Option<Id>,
    query: String,
    pos: Vec<String>,
    #[serde(default)]
    neg: Vec<String>,
    #[serde(flatten)]
    answers: AnswersJson,
}

/// One line.
pub(super) fn parse(line: &str) -> Result<ForeignRow, String> {
    let row: RowJson = serde_json::from_str(line).map_err(|error| json_error(&error))?;
    let passages = |texts: Vec<String>| texts.into_iter().map(Passage::text).collect();
    Ok(ForeignRow {
        id: row.id.map(|id| id.0),
        query: ForeignQuery::Text(row.query),
        answers: row.answers.into_answers(),
        positives: passages(row.pos),
        others: passages(row.neg),
        ..ForeignRow::default()
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn texts_are_passages_without_names() {
        let row = r#"{"query":"q","pos":["p"],"neg":["n","m"],"pos_scores":[0.5],"prompt":"x","type":"normal"}"#;
        let row = parse(row).unwrap();
        assert_eq!(row.positives, [Passage::text("p")]);
        assert_eq!(row.others, [Passage::text("n"), Passage::text("m")]);
        assert!(parse(r#"{"query":"q","pos":"p"}"#).is_err());
        assert!(parse(r#"{"query":"q"}"#).unwrap_err().contains("pos"));
    }
}
