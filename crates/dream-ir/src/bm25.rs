//! BM25 over an inverted index, in Lucene's variant (Kamphuis et al. 2020, "Which BM25 do you
//! mean?"): idf = ln(1 + (N - df + 0.5) / (df + 0.5)), no factor k1 + 1. Departure: document
//! lengths are exact, where Lucene keeps them in one byte.

use std::cmp::Ordering;
use std::collections::HashMap;

use rayon::prelude::*;

use crate::analyzer::{EnglishAnalyzer, words};
use crate::corpus::Corpus;
use crate::document::Document;
use crate::error::{Error, Result};

/// The two constants of BM25.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bm25Params {
    /// How soon repetitions of a term stop counting, at least 0.
    pub k1: f32,
    /// How much long documents are held back, 0 to 1.
    pub b: f32,
}

impl Default for Bm25Params {
    /// k1 0.9, b 0.4: the usual baseline of BEIR.
    fn default() -> Self {
        Self { k1: 0.9, b: 0.4 }
    }
}

/// An inverted index with the score of each (term, document) pair computed beforehand.
pub struct Bm25 {
    analyzer: EnglishAnalyzer,
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
        let Bm25Params { k1, b } = params;
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
        let counted: Vec<CountedChunk> =
            texts.par_chunks(CHUNK_DOCUMENTS).map(count_terms).collect();
        let (terms, counted) = one_vocabulary(counted);
        Ok(Self::from_counts(terms, &counted, params))
    }

    fn from_counts(terms: HashMap<String, u32>, counted: &[Counts], params: Bm25Params) -> Self {
        let Bm25Params { k1, b } = params;
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
            analyzer: EnglishAnalyzer::default(),
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

fn count_terms<T: AsRef<str>>(texts: &[T]) -> CountedChunk {
    let analyzer = EnglishAnalyzer::default();
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
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// The formula written down once more, document by document.
    fn naive(
        texts: &[String],
        query: &str,
        k: usize,
        Bm25Params { k1, b }: Bm25Params,
    ) -> Vec<(usize, f32)> {
        let analyzer = EnglishAnalyzer::default();
        let documents: Vec<Vec<String>> = texts.iter().map(|t| analyzer.terms(t)).collect();
        let total: usize = documents.iter().map(Vec::len).sum();
        let mean_length = total as f32 / documents.len() as f32;
        let mut scored = Vec::new();
        for (position, document) in documents.iter().enumerate() {
            let mut score = 0.0;
            for term in analyzer.terms(query) {
                let tf = document.iter().filter(|t| **t == term).count() as f32;
                let df = documents.iter().filter(|d| d.contains(&term)).count() as f32;
                let idf = ((documents.len() as f32 - df + 0.5) / (df + 0.5)).ln_1p();
                let norm = k1 * (1.0 - b + b * document.len() as f32 / mean_length);
                score += if tf > 0.0 {
                    idf * tf / (tf + norm)
                } else {
                    0.0
                };
            }
            if score > 0.0 {
                scored.push((position, score));
            }
        }
        scored.sort_by(best_first);
        scored.truncate(k);
        scored
    }

    #[test]
    fn the_index_scores_as_the_formula_does() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for round in 0..60 {
            let n_documents = rng.random_range(1..40);
            let mut sentence = |longest: usize| {
                let length = rng.random_range(0..=longest);
                let pick = |_| format!("w{}", rng.random_range(0..30u32).pow(2) / 30);
                (0..length).map(pick).collect::<Vec<_>>().join(" ")
            };
            let texts: Vec<String> = (0..n_documents).map(|_| sentence(12)).collect();
            let params = Bm25Params {
                k1: 0.3 * (round % 5) as f32,
                b: 0.25 * (round % 4) as f32,
            };
            let index = Bm25::of_texts(&texts, params).unwrap();
            for k in [0, 1, 5, 100] {
                let query = sentence(6);
                assert_eq!(
                    index.search(&query, k),
                    naive(&texts, &query, k, params),
                    "{query}"
                );
            }
        }
    }

    #[test]
    fn chunks_and_threads_do_not_change_the_result() {
        let text = |i: usize| format!("word{} word{} common", i % 7, i % 13);
        let texts: Vec<String> = (0..3 * CHUNK_DOCUMENTS + 5).map(text).collect();
        let index = Bm25::of_texts(&texts, Bm25Params::default()).unwrap();
        let queries: Vec<String> = (0..20).map(text).collect();
        let together = index.search_all(&queries, 30);
        for (query, hits) in queries.iter().zip(&together) {
            assert_eq!(&index.search(query, 30), hits);
            assert_eq!(&naive(&texts, query, 30, Bm25Params::default()), hits);
        }
    }

    #[test]
    fn one_term_scores_as_worked_out_by_hand() {
        // N = 2, df = 1: idf = ln 2; lengths 1 and 3, mean 2, tf = 1:
        // ln 2 / (1 + 0.9 (0.6 + 0.4 / 2)) = 0.693147 / 1.72 = 0.402993.
        let index = Bm25::of_texts(&["rust", "iron oxide water"], Bm25Params::default()).unwrap();
        let hits = index.search("Rust?", 10);
        assert_eq!(hits.len(), 1);
        assert!((hits[0].1 - 0.402_993).abs() < 1e-6, "{hits:?}");
    }

    #[test]
    fn nothing_to_find_is_no_error() {
        let none: [&str; 0] = [];
        let empty = Bm25::of_texts(&none, Bm25Params::default()).unwrap();
        assert!(empty.is_empty() && empty.search("rust", 5).is_empty());
        let blank = Bm25::of_texts(&["", "the of"], Bm25Params::default()).unwrap();
        assert!(blank.search("the rust", 5).is_empty());
        assert!(
            Bm25::of_texts(
                &none,
                Bm25Params {
                    k1: f32::NAN,
                    b: 0.4
                }
            )
            .is_err()
        );
        assert!(Bm25::of_texts(&none, Bm25Params { k1: 0.9, b: 1.1 }).is_err());
    }
}
