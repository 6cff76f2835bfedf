//! Which documents hold a part of a text word for word, so that a language model could copy it from them.
//!
//! A document holds a text if it has a run of [`RUN_WORDS`] of its words, or all of them where it has fewer.
//! Words are those of [`crate::analyzer::words`] in lower case, so that blanks and punctuation make no difference.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use rayon::prelude::*;

use crate::analyzer::words;

/// Words in a row that make a copy.
pub const RUN_WORDS: usize = 8;

/// A run that more documents have tells none of them from another: it is a licence, a footer, a "yes".
pub const MAX_HOLDERS: usize = 64;

/// The words of a text, as hashes that are the same in every run of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words(Vec<u64>);

impl Words {
    /// Of this text.
    pub fn of(text: &str) -> Self {
        Self(words(text).map(|word| hash(&word.to_lowercase())).collect())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this document holds a part of `text`.
    pub fn holds(&self, text: &Self) -> bool {
        let length = text.len().min(RUN_WORDS);
        if length == 0 {
            return false;
        }
        let wanted: HashSet<&[u64]> = text.0.windows(length).collect();
        self.0.windows(length).any(|run| wanted.contains(run))
    }
}

/// For each of `texts`, the documents (by position, ascending) that hold a part of it; runs that more than
/// [`MAX_HOLDERS`] documents have do not count.
pub fn holders<T: AsRef<str>, D: AsRef<str> + Sync>(
    texts: &[T],
    documents: &[D],
) -> Vec<Vec<usize>> {
    let mut wanted = Wanted::default();
    for (number, text) in texts.iter().enumerate() {
        wanted.add(number, &Words::of(text.as_ref()));
    }
    let held: Vec<HashSet<usize>> = documents
        .par_iter()
        .map(|document| wanted.runs_in(&Words::of(document.as_ref())))
        .collect();
    let mut in_documents = vec![0usize; wanted.texts_of_run.len()];
    for run in held.iter().flatten() {
        in_documents[*run] += 1;
    }
    let mut holders = vec![Vec::new(); texts.len()];
    for (document, runs) in held.iter().enumerate() {
        for run in runs.iter().filter(|run| in_documents[**run] <= MAX_HOLDERS) {
            for text in &wanted.texts_of_run[*run] {
                if holders[*text].last() != Some(&document) {
                    holders[*text].push(document);
                }
            }
        }
    }
    holders
}

/// Runs of words that are looked for.
#[derive(Default)]
struct Wanted {
    /// `[length of the run]`: hash of a run to its number.
    by_length: Vec<HashMap<u64, usize>>,
    /// `[number of the run]`: the texts that have it.
    texts_of_run: Vec<Vec<usize>>,
}

impl Wanted {
    fn add(&mut self, text_number: usize, text: &Words) {
        let length = text.len().min(RUN_WORDS);
        if length == 0 {
            return;
        }
        if self.by_length.len() <= length {
            self.by_length.resize_with(length + 1, HashMap::new);
        }
        for run in text.0.windows(length) {
            let next = self.texts_of_run.len();
            let number = *self.by_length[length].entry(hash(&run)).or_insert(next);
            if number == next {
                self.texts_of_run.push(Vec::new());
            }
            let texts = &mut self.texts_of_run[number];
            if texts.last() != Some(&text_number) {
                texts.push(text_number);
            }
        }
    }

    fn runs_in(&self, document: &Words) -> HashSet<usize> {
        let mut held = HashSet::new();
        for (length, runs) in self.by_length.iter().enumerate() {
            if runs.is_empty() || length > document.len() {
                continue;
            }
            let found = document
                .0
                .windows(length)
                .filter_map(|run| runs.get(&hash(&run)));
            held.extend(found);
        }
        held
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_eight_words_is_held_and_seven_are_not() {
        let target = "one two three four five six seven eight nine ten";
        let documents = [
            "Two, three -- four FIVE six\nseven eight nine.", // 8
            "one two three four five six seven, then eight",  // 7
            "",
        ];
        assert_eq!(holders(&[target], &documents), [[0]]);
        let held = documents.map(|document| Words::of(document).holds(&Words::of(target)));
        assert_eq!(held, [true, false, false]);
    }

    #[test]
    fn a_short_text_is_held_where_all_of_it_stands_and_an_empty_one_nowhere() {
        let documents = ["in Oslo, Norway", "Norway has Oslo", "oslo norway"];
        let found = holders(&["Oslo Norway", "?!"], &documents);
        assert_eq!(found, [vec![0, 2], vec![]]);
        assert!(!Words::of("a").holds(&Words::of("?!")));
    }

    #[test]
    fn what_stands_in_very_many_documents_is_held_by_none() {
        let footer = "all of this is given away under the licence below";
        let mut documents = vec![footer.to_owned(); MAX_HOLDERS];
        assert_eq!(holders(&[footer], &documents)[0].len(), MAX_HOLDERS);
        documents.push(footer.to_owned());
        assert!(holders(&[footer], &documents)[0].is_empty());
    }
}
