//! Sources, pools and settings.

use super::select::fill;
use super::*;
use crate::document::Document;
use crate::fusion::{DEFAULT_K, Method};
use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

pub fn corpus(texts: &[&str]) -> Corpus {
    let document = |(id, text): (usize, &&str)| Document {
        id: id.to_string(),
        title: String::new(),
        text: (*text).to_owned(),
    };
    Corpus::new(texts.iter().enumerate().map(document)).unwrap()
}

pub fn row(query: &str, positives: &[&str], candidates: &[&str]) -> TrainingRow {
    let strings = |ids: &[&str]| ids.iter().map(|&id| id.to_owned()).collect();
    TrainingRow {
        id: format!("row of {query}"),
        query: query.to_owned(),
        target: "t".to_owned(),
        positive_ids: strings(positives),
        candidate_ids: strings(candidates),
        candidate_scores: Vec::new(),
        candidates: Vec::new(),
    }
}

fn settings(source: PoolSource, k: usize, known_passage: KnownPassage) -> PoolSettings {
    PoolSettings {
        known_passage,
        seed: 5,
        ..PoolSettings::new(source, k)
    }
}

fn pools(row: TrainingRow, texts: &[&str], settings: &PoolSettings) -> Result<Vec<Pool>> {
    let set = TrainingSet::new(vec![row], corpus(texts))?;
    candidate_pools(&set, settings)
}

pub const TEXTS: [&str; 6] = [
    "iron",
    "iron gold",
    "iron gold salt",
    "gold",
    "salt",
    "none",
];

#[test]
fn bm25_pools_hold_the_best_documents_first_and_mark_the_known_passage() {
    let settings = settings(PoolSource::Bm25, 2, KnownPassage::AsFound);
    let pool = &pools(row("iron", &["1"], &[]), &TEXTS, &settings).unwrap()[0];
    assert_eq!(pool.documents, [0, 1]);
    assert_eq!(pool.positives, [1]);
}

#[test]
fn a_known_passage_that_was_not_found_replaces_the_last_candidate() {
    let settings = settings(PoolSource::Bm25, 2, KnownPassage::Include);
    let pool = &pools(row("iron", &["4", "5"], &[]), &TEXTS, &settings).unwrap()[0];
    assert_eq!(
        (&pool.documents[..], &pool.positives[..]),
        (&[0, 4][..], &[1][..])
    );
    let pool = &pools(row("iron", &["5", "1"], &[]), &TEXTS, &settings).unwrap()[0];
    assert_eq!(
        (&pool.documents[..], &pool.positives[..]),
        (&[0, 1][..], &[1][..])
    );
    let error = pools(row("iron", &[], &[]), &TEXTS, &settings).unwrap_err();
    assert!(error.to_string().contains("row of iron"), "{error}");
}

#[test]
fn excluded_passages_are_neither_found_nor_drawn() {
    let settings = settings(PoolSource::Bm25, 6, KnownPassage::Exclude);
    let pool = &pools(row("iron", &["0", "5"], &[]), &TEXTS, &settings).unwrap()[0];
    assert_eq!(pool.documents[..2], [1, 2]);
    let mut all = pool.documents.clone();
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4]);
    assert!(pool.positives.is_empty());
}

#[test]
fn given_candidates_keep_their_order_without_repetitions() {
    let settings = settings(PoolSource::AsGiven, 3, KnownPassage::AsFound);
    let given = row("q", &["3"], &["4", "3", "4", "1", "0"]);
    let pool = &pools(given, &TEXTS, &settings).unwrap()[0];
    assert_eq!(
        (&pool.documents[..], &pool.positives[..]),
        (&[4, 3, 1][..], &[1][..])
    );
}

#[test]
fn a_query_without_candidates_is_an_error_that_names_it() {
    for source in [PoolSource::Bm25, PoolSource::AsGiven] {
        let settings = settings(source, 3, KnownPassage::AsFound);
        let error = pools(row("zzz", &[], &[]), &TEXTS, &settings).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("has no candidate: query \"zzz\""),
            "{error}"
        );
    }
    let alone = settings(PoolSource::Bm25, 1, KnownPassage::Include);
    assert_eq!(
        pools(row("zzz", &["5"], &[]), &TEXTS, &alone).unwrap()[0].documents,
        [5]
    );
    let none = settings(PoolSource::Bm25, 0, KnownPassage::AsFound);
    assert!(pools(row("iron", &[], &[]), &TEXTS, &none).is_err());
}

#[test]
fn short_pools_are_filled_to_k_with_distinct_documents_whatever_the_sizes() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    for _ in 0..500 {
        let n_documents = rng.random_range(1..60usize);
        let mut some = |most: usize| {
            let count = rng.random_range(0..=most.min(n_documents));
            index::sample(&mut rng, n_documents, count).into_vec()
        };
        let (found, excluded, k) = (some(9), some(9), 1 + some(20).len());
        let mut documents: Vec<usize> = found
            .into_iter()
            .filter(|d| !excluded.contains(d))
            .take(k)
            .collect();
        let before = documents.clone();
        let mut fill_rng = ChaCha8Rng::seed_from_u64(k as u64);
        documents.extend(fill(&before, k, &excluded, n_documents, &mut fill_rng));
        let distinct: HashSet<usize> = documents.iter().copied().collect();
        assert_eq!(documents[..before.len()], before);
        assert_eq!(distinct.len(), documents.len());
        assert_eq!(documents.len(), k.min(n_documents - excluded.len()));
        assert!(excluded.iter().all(|e| !distinct.contains(e)));
    }
}

#[test]
fn the_shuffle_depends_on_seed_epoch_and_row_and_carries_the_positives_along() {
    let pool = Pool {
        documents: (100..132).collect(),
        positives: vec![3, 7],
    };
    let shuffled = pool.shuffled(1, 2, 3);
    assert_eq!(shuffled, pool.shuffled(1, 2, 3));
    let mut sorted = shuffled.documents.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, pool.documents);
    let mut positives: Vec<usize> = shuffled
        .positives
        .iter()
        .map(|&p| shuffled.documents[p])
        .collect();
    positives.sort_unstable();
    assert_eq!(positives, [103, 107]);
    for other in [(0, 2, 3), (1, 0, 3), (1, 2, 0), (2, 1, 3), (1, 3, 2)] {
        assert_ne!(shuffled, pool.shuffled(other.0, other.1, other.2));
    }
}

#[test]
fn the_settings_are_read_from_their_text_form() {
    for source in PoolSource::ALL {
        assert_eq!(source.to_string().parse::<PoolSource>().unwrap(), source);
        let json = serde_json::to_string(&source).unwrap();
        assert_eq!(json, format!("\"{source}\""));
    }
    let error = "denser".parse::<PoolSource>().unwrap_err().to_string();
    assert!(error.contains("hybrid, random, in-batch"), "{error}");
    for policy in [
        KnownPassage::AsFound,
        KnownPassage::Include,
        KnownPassage::Exclude,
    ] {
        assert_eq!(policy.to_string().parse::<KnownPassage>().unwrap(), policy);
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(json, format!("\"{policy}\""));
    }
    assert_eq!("none".parse::<Fill>().unwrap(), Fill::None);
    assert_eq!("10-50".parse::<Ranks>().unwrap().to_string(), "10-50");
    for bad in ["", "5", "0-5", "6-5", "-1-5", "a-b"] {
        assert!(bad.parse::<Ranks>().is_err(), "{bad}");
    }
}

/// Scored candidates of the first row: document 0 best, each a tenth less.
pub fn tenths(n: usize) -> Vec<Found> {
    Found::all((0..n).map(|i| (i, 1.0 - i as f32 / 10.0)))
}

#[test]
fn random_candidates_are_seeded_by_row_and_all_distinct() {
    let rows = [row("a", &[], &[]), row("b", &[], &[])];
    let numbered = [(7, &rows[0]), (8, &rows[1])];
    let texts: Vec<String> = (0..50).map(|i| i.to_string()).collect();
    let corpus = corpus(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    let draw = |rows: &[Numbered<'_>], seed| Finder::Random(seed).find(rows, &corpus, 20).unwrap();
    let drawn = draw(&numbered, 1);
    let distinct: HashSet<usize> = drawn[0].iter().map(|found| found.document).collect();
    assert_eq!(distinct.len(), 20);
    assert_ne!(drawn[0], drawn[1]);
    assert_ne!(drawn, draw(&numbered, 2));
    // A row's draw does not depend on the rows before it.
    assert_eq!(draw(&numbered[1..], 1)[0], drawn[1]);
}

#[test]
fn in_batch_candidates_are_the_known_passages_of_the_rows_that_follow() {
    // Row i knows document i; row 3 knows none, row 5 knows document 0 too.
    let known = [Some(0), Some(1), Some(2), None, Some(4), Some(0)];
    let ring = Ring::new(&known, 9).unwrap();
    let found = |row: usize, n: usize| -> Vec<usize> {
        ring.after(row, n)
            .iter()
            .map(|found| found.document)
            .collect()
    };
    for (row, own) in known.iter().enumerate() {
        let mut all = found(row, 10);
        assert_eq!(all[..2], found(row, 2));
        all.sort_unstable();
        let own = own.filter(|own| *own != 0);
        let wanted: Vec<usize> = [0, 1, 2, 4]
            .into_iter()
            .filter(|d| Some(*d) != own)
            .collect();
        assert_eq!(all, wanted, "row {row}");
    }
    // The next row's list begins where this one's second does.
    let row = (0..6)
        .find(|&row| row != 1 && found(row, 1) == [1])
        .unwrap();
    assert_eq!(found(row, 3)[1..], found(1, 2));
    let orders: HashSet<Vec<usize>> = (0..9)
        .map(|seed| Ring::new(&known, seed).unwrap().after(3, 4))
        .map(|list| list.iter().map(|found| found.document).collect())
        .collect();
    assert!(orders.len() > 1);
    assert!(Ring::new(&[Some(1), None], 0).is_err());
}

#[test]
fn random_and_in_batch_pools_are_ready_to_be_trained_on() {
    let rows: Vec<TrainingRow> = (0..4)
        .map(|i| row(&format!("q{i}"), &[&i.to_string()], &[]))
        .collect();
    let set = TrainingSet::new(rows, corpus(&TEXTS)).unwrap();
    for source in [PoolSource::Random, PoolSource::InBatch] {
        let settings = settings(source, 3, KnownPassage::Include);
        for (number, pool) in candidate_pools(&set, &settings).unwrap().iter().enumerate() {
            assert_eq!(pool.documents.len(), 3);
            assert_eq!(pool.documents[pool.positives[0]], number);
        }
    }
}

#[test]
fn two_lists_are_fused_by_reciprocal_ranks() {
    let method = Method::ReciprocalRank { k: DEFAULT_K };
    let lists = [
        vec![tenths(3), vec![]],
        vec![Found::all([(2, 9.0), (0, 8.0)]), Found::all([(4, 1.0)])],
    ];
    let both = fused(&lists, &corpus(&TEXTS), method, &[1.0, 1.0], 2).unwrap();
    // 0: 1/61 + 1/62; 2: 1/63 + 1/61; 1: 1/62.
    let order: Vec<usize> = both[0].iter().map(|found| found.document).collect();
    assert_eq!(order, [0, 2]);
    let score = both[0][0].score.unwrap();
    assert!((score - (1.0 / 61.0 + 1.0 / 62.0)).abs() < 1e-7, "{score}");
    assert_eq!(both[1], Found::all([(4, 1.0 / 61.0)]));
}
