//! MS MARCO's files, whose fields are parted by tabs alone: `query<TAB>positive<TAB>negative` as texts or as ids,
//! and `qid<TAB>query`, whose known passages are in judgements.

use super::format::{ForeignQuery, ForeignRow, Passage};

/// One triple of texts.
pub(super) fn text_triple(line: &str) -> Result<ForeignRow, String> {
    let [query, positive, negative] = fields(line)?;
    Ok(ForeignRow {
        query: ForeignQuery::Text(query.to_owned()),
        positives: vec![Passage::text(positive)],
        others: vec![Passage::text(negative)],
        ..ForeignRow::default()
    })
}

/// One triple of ids; several may share a query.
pub(super) fn id_triple(line: &str) -> Result<ForeignRow, String> {
    let [query, positive, negative] = fields(line)?;
    Ok(ForeignRow {
        query: ForeignQuery::Id(query.to_owned()),
        positives: vec![Passage::Id(positive.to_owned())],
        others: vec![Passage::Id(negative.to_owned())],
        ..ForeignRow::default()
    })
}

/// One query; who reads it adds the judged documents.
pub(super) fn query(line: &str) -> Result<ForeignRow, String> {
    let (id, text) = pair(line)?;
    Ok(ForeignRow {
        id: Some(id.to_owned()),
        query: ForeignQuery::Text(text.to_owned()),
        ..ForeignRow::default()
    })
}

/// An id and a text.
pub(super) fn pair(line: &str) -> Result<(&str, &str), String> {
    let [id, text] = fields(line)?;
    if id.trim().is_empty() {
        return Err("wanted an id, got an empty field".to_owned());
    }
    Ok((id.trim(), text))
}

fn fields<const N: usize>(line: &str) -> Result<[&str; N], String> {
    let fields: Vec<&str> = line.split('\t').collect();
    let count = fields.len();
    fields
        .try_into()
        .map_err(|_| format!("wanted {N} fields between tabs, got {count}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn tabs_part_the_fields_and_quotes_mean_nothing() {
        let row = text_triple("\"q\tp \"x\"\tn").unwrap();
        assert_eq!(row.query, ForeignQuery::Text("\"q".into()));
        assert_eq!(row.positives, [Passage::text("p \"x\"")]);
        assert_eq!(
            id_triple("1\t2\t3").unwrap().others,
            [Passage::Id("3".into())]
        );
        assert_eq!(query("1\twhat").unwrap().id.as_deref(), Some("1"));
        assert_eq!(
            query("1").unwrap_err(),
            "wanted 2 fields between tabs, got 1"
        );
    }
}
