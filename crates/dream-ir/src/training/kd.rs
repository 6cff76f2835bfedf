//! Distillation rows, as PyLate has them: `{"query_id", "document_ids": [..], "scores": [..]}` with files of queries
//! and documents. The document that the teacher scored highest counts as the known passage.

use serde::Deserialize;

use super::format::{AnswersJson, ForeignQuery, ForeignRow, json_error};
use super::tevatron_ids::ids;
use crate::document::Id;

#[derive(Deserialize)]
struct RowJson {
    query_id: Id,
    document_ids: Vec<Id>,
    #[serde(default)]
    scores: Vec<f64>,
    #[serde(flatten)]
    answers: AnswersJson,
}

/// One line.
pub(super) fn parse(line: &str) -> Result<ForeignRow, String> {
    let row: RowJson = serde_json::from_str(line).map_err(|error| json_error(&error))?;
    let (documents, scores) = (row.document_ids.len(), row.scores.len());
    if scores != 0 && scores != documents {
        return Err(format!("{documents} documents, but {scores} scores"));
    }
    let best = (0..scores).reduce(|best, other| {
        if row.scores[other] > row.scores[best] {
            other
        } else {
            best
        }
    });
    let mut others = row.document_ids;
    let positives = best.map(|best| others.remove(best));
    Ok(ForeignRow {
        id: Some(row.query_id.0.clone()),
        query: ForeignQuery::Id(row.query_id.0),
        answers: row.answers.into_answers(),
        positives: ids(positives.into_iter().collect()),
        others: ids(others),
        ..ForeignRow::default()
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::format::Passage;
    use super::*;

    #[test]
    fn the_best_scored_document_is_the_known_one() {
        let row =
            parse(r#"{"query_id":1,"document_ids":[5,"6",7],"scores":[0.1,0.9,0.9]}"#).unwrap();
        assert_eq!(row.query, ForeignQuery::Id("1".into()));
        assert_eq!(row.positives, [Passage::Id("6".into())]);
        assert_eq!(
            row.others,
            [Passage::Id("5".into()), Passage::Id("7".into())]
        );
        let error = parse(r#"{"query_id":1,"document_ids":[5],"scores":[1,2]}"#).unwrap_err();
        assert_eq!(error, "1 documents, but 2 scores");
        assert!(
            parse(r#"{"query_id":1,"document_ids":[5]}"#)
                .unwrap()
                .positives
                .is_empty()
        );
    }
}
