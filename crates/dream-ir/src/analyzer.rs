//! From text to index terms, after Lucene's English analyser: words, possessives cut, lower case,
//! stop words dropped, stemmed.
//!
//! Departures: `.` and `_` always end a word, so `np.sum` and `min_cost` are two words each (on
//! MBPP's programs nDCG@10 .467, against .123 with UAX #29's joining rules; on SciFact, NFCorpus
//! and Cranfield neither rule moves it by more than .003); the stemmer is Snowball's English
//! (Porter 2), where Lucene's default is Porter's first; scripts that need a dictionary (Thai,
//! Lao, Khmer) stay one run of letters.

use std::borrow::Cow;

use rust_stemmers::{Algorithm, Stemmer};

/// Longest term, in characters; longer runs are cut into pieces (as in Lucene).
const MAX_TERM_CHARS: usize = 255;

/// Lucene's English stop words.
const STOP_WORDS: [&str; 33] = [
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

/// Turns English text into index terms.
pub struct EnglishAnalyzer {
    stemmer: Stemmer,
}

impl Default for EnglishAnalyzer {
    fn default() -> Self {
        Self {
            stemmer: Stemmer::create(Algorithm::English),
        }
    }
}

impl EnglishAnalyzer {
    /// The terms of a text, in order, repetitions kept.
    pub fn terms(&self, text: &str) -> Vec<String> {
        words(text).filter_map(|word| self.term(word)).collect()
    }

    /// The term of one word of [`words`]; `None` for a stop word.
    pub fn term(&self, word: &str) -> Option<String> {
        let lower = word.to_lowercase();
        let stem = without_possessive(&lower);
        if STOP_WORDS.binary_search(&stem).is_ok() {
            return None;
        }
        // The stemmer knows English letters only; anything else passes as it is.
        if !stem.is_ascii() {
            return Some(stem.to_owned());
        }
        match self.stemmer.stem(stem) {
            Cow::Borrowed(stem) => Some(stem.to_owned()),
            Cow::Owned(stem) => Some(stem),
        }
    }
}

fn without_possessive(word: &str) -> &str {
    let cut = |mark: char| word.strip_suffix('s').and_then(|w| w.strip_suffix(mark));
    let stem = cut('\'').or_else(|| cut('\u{2019}')).unwrap_or(word);
    if stem.is_empty() { word } else { stem }
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
    matches!(c, '\u{300}'..='\u{36f}' | '\u{93c}' | '\u{94d}' | '\u{1ab0}'..='\u{1aff}' | '\u{200d}')
}

/// Han and Hiragana.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3041}'..='\u{309f}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};

    fn terms(text: &str) -> Vec<String> {
        EnglishAnalyzer::default().terms(text)
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        let cut = |text| words(text).collect::<Vec<_>>();
        assert_eq!(
            cut("I don't pay 'it' $3.5."),
            ["I", "don't", "pay", "it", "3", "5"]
        );
        assert_eq!(
            cut("min_cost(a,b); T-cell U.S. __"),
            ["min", "cost", "a", "b", "T", "cell", "U", "S"]
        );
        assert_eq!(
            cut("naïve\u{a0}日本語 です"),
            ["naïve", "日", "本", "語", "で", "す"]
        );
        assert_eq!(cut("e\u{301}t e\u{301}"), ["e\u{301}t", "e\u{301}"]);
        assert_eq!(cut("... '' "), Vec::<&str>::new());
    }

    #[test]
    fn terms_are_lower_case_stemmed_and_without_stop_words_and_possessives() {
        // Stems by Snowball's published English vocabulary.
        assert_eq!(
            terms("The Generous dogs' and the dog's running"),
            ["generous", "dog", "dog", "run"]
        );
        assert_eq!(terms("Einstein\u{2019}s theories"), ["einstein", "theori"]);
        assert_eq!(terms("it's"), Vec::<&str>::new());
    }

    #[test]
    fn a_run_without_end_is_cut_into_pieces() {
        let pieces: Vec<usize> = words(&"x".repeat(600)).map(str::len).collect();
        assert_eq!(pieces, [255, 255, 90]);
    }

    #[test]
    fn random_text_never_panics_and_words_come_in_order() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let analyzer = EnglishAnalyzer::default();
        let alphabet: Vec<char> = "aeysingldt'’.,:_3 \u{301}日ßİ\u{200d}\0\u{fffd}🦀"
            .chars()
            .collect();
        for _ in 0..2000 {
            let pick = |_| alphabet[rng.random_range(0..alphabet.len())];
            let text: String = (0..40).map(pick).collect();
            let mut from = 0;
            for word in words(&text) {
                from += text[from..].find(word).expect("a word is part of the text") + word.len();
                analyzer.term(word);
            }
        }
    }
}
