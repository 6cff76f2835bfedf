//! Words too common to look up.
//!
//! English keeps Lucene's short list. The other languages have NLTK's, which are Snowball's with
//! additions (crate `stop-words`); there are longer lists, but those hold words that people search for.

use std::collections::HashSet;

use super::Language;

/// Lucene's English stop words.
const ENGLISH: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

/// The stop words of a language, in lower case; none where nobody listed any.
pub(super) fn of(language: Language) -> HashSet<&'static str> {
    match language {
        Language::None => HashSet::new(),
        Language::English => HashSet::from(ENGLISH),
        other => stop_words::lookup(other.code())
            .unwrap_or_default()
            .iter()
            .copied()
            .collect(),
    }
}
