//! BM25 over an inverted index, in Lucene's variant (Kamphuis et al. 2020, "Which BM25 do you
//! mean?"): idf = ln(1 + (N - df + 0.5) / (df + 0.5)), no factor k1 + 1. Departure: document
//! lengths are exact, where Lucene keeps them in one byte.

use std::cmp::Ordering;
use std::collections::HashMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::analyzer::{Analyzer, Language, words};
use crate::corpus::Corpus;
use crate::document::Document;
use crate::error::{Error, Result};

/// The two constants of BM25, and the language of texts and queries.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bm25Params {
    /// How soon repetitions of a term stop counting, at least 0.
    pub k1: f32,
    /// How much long documents are held back, 0 to 1.
    pub b: f32,
    /// Whose stop words and stemmer.
    pub language: Language,
}

impl Default for Bm25Params {
    /// k1 0.9, b 0.4, English: the usual baseline of BEIR.
    fn default() -> Self {
        Self {
            k1: 0.9,
            b: 0.4,
            language: Language::English,
        }
    }
}

/// An inverted index with the score of each (term, document) pair computed beforehand.
pub struct Bm25 {
    analyzer: Analyzer,
    terms: HashMap<String, u32>,
    /// Postings of term t: `offsets[t]..offsets[t + 1]`.
    offsets: Vec<usize>,
    /// Document of each posting, ascending within a term.
    documents: Vec<u32>,
    /// Score of each posting.
    weights: Vec<f32>,
    n_documents: usize,
}

/// Scores of one search, reused by the next; all zero in between.
struct Scratch {
    /// `[n_documents]`
    scores: Vec<f32>,
    touched: Vec<u32>,
}

impl Bm25 {
    /// Indexes title and text of a corpus.
    pub fn of_corpus(corpus: &Corpus, params: Bm25Params) -> Result<Self> {
        let texts: Vec<String> = corpus
            .documents()
            .par_iter()
            .map(Document::full_text)
            .collect();
        Self::of_texts(&texts, params)
    }

    /// Indexes texts; a document is known by its position.
    pub fn of_texts<T: AsRef<str> + Sync>(texts: &[T], params: Bm25Params) -> Result<Self> {
        let Bm25Params { k1, b, language } = params;
        if !(k1.is_finite() && k1 >= 0.0 && (0.0..=1.0).contains(&b)) {
            return Err(Error::Invalid(format!(
                "BM25 wants k1 of at least 0 and b from 0 to 1, got k1 = {k1}, b = {b}"
            )));
        }
        if u32::try_from(texts.len()).is_err() {
            let count = texts.len();
            return Err(Error::Invalid(format!(
                "BM25 holds up to 2^32 - 1 documents, got {count}"
            )));
        }
        let counted: Vec<CountedChunk> = texts
            .par_chunks(CHUNK_DOCUMENTS)
            .map(|texts| count_terms(texts, language))
            .collect();
        let (terms, counted) = one_vocabulary(counted);
        Ok(Self::from_counts(terms, &counted, params))
    }

    fn from_counts(terms: HashMap<String, u32>, counted: &[Counts], params: Bm25Params) -> Self {
        let Bm25Params { k1, b, language } = params;
        let mut offsets = vec![0usize; terms.len() + 1];
        for &(term, _) in counted.iter().flatten() {
            offsets[term as usize + 1] += 1;
        }
        for term in 0..terms.len() {
            offsets[term + 1] += offsets[term];
        }
        let n_documents = counted.len();
        let length = |counts: &Counts| counts.iter().map(|&(_, tf)| u64::from(tf)).sum::<u64>();
        let total: u64 = counted.iter().map(length).sum();
        let mean_length = total as f32 / n_documents.max(1) as f32;
        let mut next = offsets.clone();
        let mut documents = vec![0u32; offsets[terms.len()]];
        let mut weights = vec![0f32; documents.len()];
        for (document, counts) in counted.iter().enumerate() {
            let norm = k1 * (1.0 - b + b * length(counts) as f32 / mean_length);
            for &(term, tf) in counts {
                let term = term as usize;
                let df = (offsets[term + 1] - offsets[term]) as f32;
                let idf = ((n_documents as f32 - df + 0.5) / (df + 0.5)).ln_1p();
                documents[next[term]] = document as u32;
                weights[next[term]] = idf * tf as f32 / (tf as f32 + norm);
                next[term] += 1;
            }
        }
        Self {
            analyzer: Analyzer::new(language),
            terms,
            offsets,
            documents,
            weights,
            n_documents,
        }
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.n_documents
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.n_documents == 0
    }

    /// The `k` best documents that share a term with `text`, as (position, score), best first,
    /// ties by position.
    pub fn search(&self, text: &str, k: usize) -> Vec<(usize, f32)> {
        self.search_with(&mut self.scratch(), text, k)
    }

    /// [`Bm25::search`] for many texts at once, on all threads.
    pub fn search_all<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        k: usize,
    ) -> Vec<Vec<(usize, f32)>> {
        let search = |scratch: &mut Scratch, text: &T| self.search_with(scratch, text.as_ref(), k);
        texts
            .par_iter()
            .map_init(|| self.scratch(), search)
            .collect()
    }

    fn scratch(&self) -> Scratch {
        Scratch {
            scores: vec![0.0; self.n_documents],
            touched: Vec::new(),
        }
    }

    fn search_with(&self, scratch: &mut Scratch, text: &str, k: usize) -> Vec<(usize, f32)> {
        let Scratch { scores, touched } = scratch;
        for term in self.analyzer.terms(text) {
            let Some(&term) = self.terms.get(&term) else {
                continue;
            };
            let postings = self.offsets[term as usize]..self.offsets[term as usize + 1];
            let (documents, weights) = (&self.documents[postings.clone()], &self.weights[postings]);
            for (&document, &weight) in documents.iter().zip(weights) {
                let score = &mut scores[document as usize];
                // A weight of 0 (k1 without bound) must not list a document twice.
                if *score == 0.0 && weight > 0.0 {
                    touched.push(document);
                }
                *score += weight;
            }
        }
        let mut hits: Vec<(usize, f32)> = touched
            .drain(..)
            .map(|document| {
                (
                    document as usize,
                    std::mem::take(&mut scores[document as usize]),
                )
            })
            .collect();
        if k < hits.len() {
            hits.select_nth_unstable_by(k, best_first);
            hits.truncate(k);
        }
        hits.sort_unstable_by(best_first);
        hits
    }
}

fn best_first(a: &(usize, f32), b: &(usize, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

/// Documents that one thread counts with a vocabulary of its own.
const CHUNK_DOCUMENTS: usize = 512;

/// (term, how often) of one document, by term.
type Counts = Vec<(u32, u32)>;

/// Counts with the numbers of a local vocabulary.
struct CountedChunk {
    terms: Vec<String>,
    documents: Vec<Counts>,
}

fn count_terms<T: AsRef<str>>(texts: &[T], language: Language) -> CountedChunk {
    let analyzer = Analyzer::new(language);
    // Each different word is stemmed once.
    let mut term_of_word: HashMap<String, Option<u32>> = HashMap::new();
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut terms: Vec<String> = Vec::new();
    let mut documents = Vec::with_capacity(texts.len());
    for text in texts {
        let mut found: Vec<u32> = Vec::new();
        for word in words(text.as_ref()) {
            if let Some(&term) = term_of_word.get(word) {
                found.extend(term);
                continue;
            }
            let term = analyzer.term(word).map(|term| {
                *numbers.entry(term).or_insert_with_key(|term| {
                    terms.push(term.clone());
                    (terms.len() - 1) as u32
                })
            });
            term_of_word.insert(word.to_owned(), term);
            found.extend(term);
        }
        found.sort_unstable();
        let runs = found.chunk_by(u32::eq);
        documents.push(runs.map(|run| (run[0], run.len() as u32)).collect());
    }
    CountedChunk { terms, documents }
}

/// Renumbers the chunks' terms into one vocabulary, in order of first appearance.
fn one_vocabulary(chunks: Vec<CountedChunk>) -> (HashMap<String, u32>, Vec<Counts>) {
    let mut terms: HashMap<String, u32> = HashMap::new();
    let mut documents = Vec::new();
    for chunk in chunks {
        let number = |term: String| {
            let next = terms.len() as u32;
            *terms.entry(term).or_insert(next)
        };
        let numbers: Vec<u32> = chunk.terms.into_iter().map(number).collect();
        for mut counts in chunk.documents {
            for (term, _) in &mut counts {
                *term = numbers[*term as usize];
            }
            documents.push(counts);
        }
    }
    (terms, documents)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
