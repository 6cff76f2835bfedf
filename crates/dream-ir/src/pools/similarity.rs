//! When two texts are nearly the same, and when one stands in the other: by their words, without
//! upper case, punctuation and spaces.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::analyzer::words;

/// Words of a shingle.
const SHINGLE_WORDS: usize = 3;

/// The set of all runs of three words of a text, as hashes; of a shorter text, its words as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shingles(Vec<u64>);

impl Shingles {
    /// Of a text.
    pub fn of(text: &str) -> Self {
        let words = lower_words(text);
        let hash = |run: &[String]| {
            let mut hasher = DefaultHasher::new();
            run.hash(&mut hasher);
            hasher.finish()
        };
        let mut hashes: Vec<u64> = if words.is_empty() {
            Vec::new()
        } else if words.len() < SHINGLE_WORDS {
            vec![hash(&words)]
        } else {
            words.windows(SHINGLE_WORDS).map(hash).collect()
        };
        hashes.sort_unstable();
        hashes.dedup();
        Self(hashes)
    }

    /// Jaccard's similarity: shingles of both over shingles of either, 0 to 1; 0 if one has none.
    pub fn jaccard(&self, other: &Self) -> f32 {
        let (a, b) = (&self.0, &other.0);
        let (mut i, mut j, mut both) = (0, 0, 0);
        while i < a.len() && j < b.len() {
            both += usize::from(a[i] == b[j]);
            let (a, b) = (a[i], b[j]);
            i += usize::from(a <= b);
            j += usize::from(b <= a);
        }
        let either = a.len() + b.len() - both;
        if either == 0 {
            return 0.0;
        }
        both as f32 / either as f32
    }
}

/// The words of a text in a form in which they are looked for and looked through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordText(String);

impl WordText {
    /// Of a text.
    pub fn of(text: &str) -> Self {
        let mut joined = String::with_capacity(text.len() + 2);
        for word in lower_words(text) {
            joined.push(' ');
            joined.push_str(&word);
        }
        joined.push(' ');
        Self(joined)
    }

    /// Whether the words of `part` stand here, one after the other; never if it has none.
    pub fn contains(&self, part: &Self) -> bool {
        part.0.len() > 1 && self.0.contains(&part.0)
    }
}

fn lower_words(text: &str) -> Vec<String> {
    words(text).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jaccard_counts_runs_of_three_words() {
        let similarity = |a: &str, b: &str| Shingles::of(a).jaccard(&Shingles::of(b));
        assert_eq!(
            similarity("Iron rusts in rain.", "iron, rusts in RAIN"),
            1.0
        );
        // abc bcd cde against abc bcd cdx: two of four.
        assert_eq!(similarity("a b c d e", "a b c d x"), 0.5);
        assert_eq!(similarity("a b c", "c b a"), 0.0);
        // Shorter texts are one shingle.
        assert_eq!(similarity("1899", "1899"), 1.0);
        assert_eq!(similarity("1899", "in 1899"), 0.0);
        assert_eq!(similarity("", "!?"), 0.0);
        // A repetition is one shingle.
        assert_eq!(similarity("a b c a b c", "a b c a b c a b c"), 1.0);
    }

    #[test]
    fn a_text_stands_in_another_word_by_word() {
        let contains = |text: &str, part: &str| WordText::of(text).contains(&WordText::of(part));
        assert!(contains("It was founded in 1899.", "1899"));
        assert!(contains("the RED-brown   iron ore", "Red brown iron"));
        assert!(contains("1899", "1899!"));
        assert!(!contains("It was founded in 18990.", "1899"));
        assert!(!contains("red iron brown", "red brown"));
        assert!(!contains("any text", "?!"));
        assert!(!contains("", "x"));
    }
}
