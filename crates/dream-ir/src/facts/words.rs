//! Whole-word search in short texts: `Niger` is not found in `Nigeria`.

/// Whether `needle` stands in `text` with no letter or digit directly before or after it. Case
/// counts; an empty needle is nowhere.
pub(super) fn contains_words(text: &str, needle: &str) -> bool {
    if needle.is_empty() {
        return false;
    }
    text.match_indices(needle).any(|(start, found)| {
        let before = text[..start].chars().next_back();
        let after = text[start + found.len()..].chars().next();
        ![before, after]
            .into_iter()
            .flatten()
            .any(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_are_found() {
        assert!(contains_words("the Niger River", "Niger"));
        assert!(contains_words("Nigeria and Niger.", "Niger"));
        assert!(!contains_words("Nigeria", "Niger"));
        assert!(!contains_words("of 1643a", "1643"));
        assert!(!contains_words("any", ""));
    }
}
