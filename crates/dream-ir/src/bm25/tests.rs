//! The index against the formula, written down once more.

use super::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The formula written down once more, document by document.
fn naive(texts: &[String], query: &str, k: usize, params: Bm25Params) -> Vec<(usize, f32)> {
    let Bm25Params { k1, b, language } = params;
    let analyzer = Analyzer::new(language);
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
            language: Language::English,
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
    for (k1, b) in [(f32::NAN, 0.4), (0.9, 1.1)] {
        let language = Language::None;
        assert!(Bm25::of_texts(&none, Bm25Params { k1, b, language }).is_err());
    }
}

#[test]
fn the_language_decides_which_words_meet() {
    let texts = ["Die Häuser am Fluss", "Ein Haus", "the house"];
    let found = |language, query: &str| {
        let params = Bm25Params {
            language,
            ..Bm25Params::default()
        };
        let index = Bm25::of_texts(&texts, params).unwrap();
        let mut found: Vec<usize> = index.search(query, 9).into_iter().map(|h| h.0).collect();
        found.sort_unstable();
        found
    };
    assert_eq!(found(Language::German, "das Haus"), [0, 1]);
    assert_eq!(found(Language::None, "Haus"), [1]);
    assert_eq!(found(Language::None, "the"), [2]);
    assert_eq!(found(Language::English, "the"), [0; 0]);
}
