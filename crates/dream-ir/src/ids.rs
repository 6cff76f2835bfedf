//! What may be the id of a query or a document in runs and judgements.

/// Longest line of a run or of judgements, and longest string of their JSON form, in bytes: far
/// beyond any id, and a bound on what a file without line ends can make us hold.
pub(crate) const MAX_ENTRY_BYTES: usize = 1 << 20;

/// Refuses an empty id and one with control characters: those are a damaged or binary file, or one
/// in UTF-16, and no two programs agree on them. A tab may stand in a quoted TSV field. A byte-order
/// mark stands inside a file where files were joined.
pub(crate) fn check_id(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("wanted an id, got nothing".to_owned());
    }
    if id.contains(|c: char| (c.is_control() && c != '\t') || c == '\u{feff}') {
        return Err(format!(
            "wanted an id without control characters and byte-order marks, got {:?}",
            beginning(id)
        ));
    }
    Ok(())
}

/// The first characters of a text, for messages.
pub(crate) fn beginning(text: &str) -> &str {
    let end = text.char_indices().nth(80).map_or(text.len(), |(at, _)| at);
    &text[..end]
}
