//! From text to index terms, after Lucene's analysers: words, lower case, what a language joins to a
//! word cut off, stop words dropped, stemmed. [`Language`] says by which rules.
//!
//! Departures: `.` and `_` always end a word, so `np.sum` and `min_cost` are two words each (on
//! MBPP's programs nDCG@10 .467, against .123 with UAX #29's joining rules; on SciFact, NFCorpus
//! and Cranfield neither rule moves it by more than .003); stemmers are Snowball's, for English
//! Porter 2, where Lucene's default is Porter's first; scripts that need a dictionary (Thai,
//! Lao, Khmer) stay one run of letters.

mod language;
mod stop_words;

pub use language::Language;

use std::borrow::Cow;
use std::collections::HashSet;

use rust_stemmers::Stemmer;

/// Longest term, in characters; longer runs are cut into pieces (as in Lucene).
const MAX_TERM_CHARS: usize = 255;

/// Turns text of one language into index terms.
pub struct Analyzer {
    language: Language,
    stop_words: HashSet<&'static str>,
    stemmer: Option<Stemmer>,
}

impl Analyzer {
    /// The rules of a language.
    pub fn new(language: Language) -> Self {
        Self {
            language,
            stop_words: stop_words::of(language),
            stemmer: language.algorithm().map(Stemmer::create),
        }
    }

    /// The terms of a text, in order, repetitions kept.
    pub fn terms(&self, text: &str) -> Vec<String> {
        words(text).filter_map(|word| self.term(word)).collect()
    }

    /// The term of one word of [`words`]; `None` for a stop word.
    pub fn term(&self, word: &str) -> Option<String> {
        let lower = self.language.to_lowercase(word);
        let stem = self.language.without_joined(&lower);
        if self.stop_words.contains(stem) {
            return None;
        }
        // English's stemmer knows its letters only; anything else passes as it is.
        let is_foreign = self.language == Language::English && !stem.is_ascii();
        match &self.stemmer {
            Some(stemmer) if !is_foreign => match stemmer.stem(stem) {
                Cow::Borrowed(stem) => Some(stem.to_owned()),
                Cow::Owned(stem) => Some(stem),
            },
            _ => Some(stem.to_owned()),
        }
    }
}

/// The words of a text, unchanged: runs of letters and digits, joined by an apostrophe between two
/// letters (`don't`); each Han character and Hiragana is a word of its own.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = &rest[rest.find(char::is_alphanumeric)?..];
        let (word, after) = rest.split_at(word_end(rest));
        rest = after;
        Some(word)
    })
}

/// Length in bytes of the word that `text` begins with; its first character is alphanumeric.
fn word_end(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    let mut previous = None;
    let mut count = 0;
    while let Some((at, c)) = chars.next() {
        let inside = c.is_alphanumeric()
            || is_combining_mark(c)
            || previous
                .zip(chars.peek())
                .is_some_and(|(p, &(_, next))| joins(p, c, next));
        let alone = is_ideograph(c) || previous.is_some_and(is_ideograph);
        if !inside || count == MAX_TERM_CHARS || (alone && at > 0) {
            return at;
        }
        previous = Some(c);
        count += 1;
    }
    text.len()
}

/// UAX #29 WB6 and WB7, for the apostrophe.
fn joins(before: char, mark: char, after: char) -> bool {
    matches!(mark, '\'' | '\u{2019}') && before.is_alphabetic() && after.is_alphabetic()
}

/// The common blocks of marks that belong to the letter before them.
fn is_combining_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{93c}' | '\u{94d}' | '\u{bcd}' | '\u{1ab0}'..='\u{1aff}' | '\u{200d}')
}

/// Han and Hiragana.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309f}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests;
