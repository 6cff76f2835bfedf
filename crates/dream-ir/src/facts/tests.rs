//! What the generated set promises, checked on the set itself.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::LazyLock;

use super::*;
use crate::beir::Dataset;
use crate::bm25::{Bm25, Bm25Params};
use crate::corpus::Corpus;
use crate::measures::{Measure, evaluate};
use crate::run::{Hit, Run};
use crate::training::TrainingSet;

const SEED: u64 = 0;

static FACTS: LazyLock<Facts> = LazyLock::new(|| generate(SEED));

fn world() -> World {
    World::new(ChaCha8Rng::from_rng(&mut ChaCha8Rng::seed_from_u64(SEED)))
}

/// (question, target, id of the document) of all held-out queries.
fn held_out() -> Vec<(&'static str, &'static str, &'static str)> {
    let of = |set: &'static HeldOut| {
        set.queries.iter().zip(&set.targets).map(|(query, target)| {
            let judged = set.qrels.get(&query.id).unwrap();
            assert_eq!(judged.len(), 1);
            (&*query.text, &**target, &**judged.keys().next().unwrap())
        })
    };
    of(&FACTS.dev).chain(of(&FACTS.test)).collect()
}

fn training() -> Vec<(&'static str, &'static str, &'static str)> {
    let rows = FACTS.train.iter();
    rows.map(|row| (&*row.query, &*row.target, &*row.positive_ids[0]))
        .collect()
}

#[test]
fn a_seed_gives_the_same_set_and_another_seed_another() {
    assert_eq!(generate(SEED), *FACTS);
    assert_ne!(generate(SEED + 1), *FACTS);
}

#[test]
fn the_set_has_the_size_it_is_meant_to_have() {
    assert!(
        (2300..=2600).contains(&FACTS.documents.len()),
        "{}",
        FACTS.documents.len()
    );
    assert_eq!(FACTS.train.len(), N_TRAIN);
    assert_eq!(FACTS.dev.queries.len(), N_DEV);
    assert_eq!(FACTS.test.queries.len(), N_TEST);
    let words = |d: &Document| d.text.split_whitespace().count();
    let total: usize = FACTS.documents.iter().map(words).sum();
    let mean = total as f64 / FACTS.documents.len() as f64;
    assert!((15.0..23.0).contains(&mean), "{mean} words a document");
    let mut lengths = FACTS.documents.iter().map(words);
    assert!(lengths.all(|n| (15..=35).contains(&n)));
}

#[test]
fn two_thirds_of_the_documents_or_more_are_about_invented_things() {
    let world = world();
    let (_, facts) = write_documents(&world, &mut ChaCha8Rng::seed_from_u64(1));
    let documents: HashSet<_> = facts.iter().map(|f| (f.document, f.entity)).collect();
    let is_invented = |kind: usize| !world.kinds[kind].sources.is_empty();
    let invented = documents
        .iter()
        .filter(|d| is_invented(world.entities[d.1].kind));
    let share = invented.count() as f64 / documents.len() as f64;
    assert!((0.66..0.8).contains(&share), "{share}");
}

#[test]
fn ids_are_unique() {
    let documents = FACTS.documents.iter().map(|d| &d.id);
    let queries = FACTS
        .dev
        .queries
        .iter()
        .chain(&FACTS.test.queries)
        .map(|q| &q.id);
    let ids: Vec<&String> = documents
        .chain(queries)
        .chain(FACTS.train.iter().map(|r| &r.id))
        .collect();
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
}

#[test]
fn questions_and_documents_do_not_repeat() {
    let mut seen = HashSet::new();
    for text in training().iter().chain(&held_out()).map(|q| q.0) {
        assert!(seen.insert(text), "{text}");
    }
    for document in &FACTS.documents {
        assert!(seen.insert(&document.text), "{}", document.text);
    }
}

#[test]
fn the_answer_stands_in_one_document_of_its_entity_and_has_few_words() {
    let world = world();
    for (question, target, positive) in training().into_iter().chain(held_out()) {
        assert!((1..=4).contains(&target.split(' ').count()), "{target}");
        let named = world
            .entities
            .iter()
            .filter(|e| contains_words(question, &e.name))
            .map(|e| &e.name);
        let name = named
            .max_by_key(|name| name.len())
            .unwrap_or_else(|| panic!("{question}"));
        for d in &FACTS.documents {
            let answers = contains_words(&d.text, target);
            if d.id == positive {
                assert!(answers, "{question} {target} {}", d.text);
            } else if contains_words(&d.text, name) {
                assert!(!answers, "{question} {target} {}", d.text);
            }
        }
    }
}

#[test]
fn no_training_question_names_a_held_out_entity() {
    let world = world();
    let mut held = HashSet::new();
    for (question, ..) in held_out() {
        let named = world
            .entities
            .iter()
            .filter(|e| contains_words(question, &e.name));
        held.extend(named.map(|e| &e.name));
    }
    assert!(held.len() > 60, "{}", held.len());
    for (question, ..) in training() {
        for name in &held {
            assert!(!contains_words(question, name), "{question}: {name}");
        }
    }
}

#[test]
fn dev_and_test_share_no_entity() {
    let world = world();
    let names = |set: &HeldOut| -> HashSet<String> {
        let named = |q: &Query| {
            let entities = world
                .entities
                .iter()
                .filter(|e| contains_words(&q.text, &e.name));
            entities.map(|e| e.name.clone()).collect::<Vec<_>>()
        };
        set.queries.iter().flat_map(named).collect()
    };
    let (dev, test) = (names(&FACTS.dev), names(&FACTS.test));
    assert!(dev.is_disjoint(&test), "{:?}", dev.intersection(&test));
}

#[test]
fn training_and_held_out_phrasings_differ_and_every_wording_names_what_it_states() {
    for kind in &world().kinds {
        for plan in &kind.documents {
            assert!(plan.wordings.len() >= 2);
            for wording in &plan.wordings {
                assert!(wording.contains("{name}"), "{wording}");
                for attribute in &plan.attributes {
                    assert!(
                        wording.contains(&format!("{{{}}}", attribute.slot)),
                        "{wording}"
                    );
                }
            }
            for Attribute {
                slot,
                train,
                held_out,
            } in &plan.attributes
            {
                assert!(train.len() >= 2 && held_out.len() >= 2, "{slot}");
                assert!(held_out.iter().all(|text| !train.contains(text)), "{slot}");
                let mut texts = train.iter().chain(held_out);
                assert!(
                    texts.all(|text| text.contains("{name}") && text.ends_with('?')),
                    "{slot}"
                );
            }
        }
    }
}

fn bm25_ndcg(facts: &Facts, set: &HeldOut) -> f64 {
    let corpus = Corpus::new(facts.documents.clone()).unwrap();
    let bm25 = Bm25::of_corpus(&corpus, Bm25Params::default()).unwrap();
    let mut run = Run::default();
    for query in &set.queries {
        let hit = |(at, score): (usize, f32)| Hit {
            document: corpus.documents()[at].id.clone(),
            score,
        };
        let hits = bm25.search(&query.text, 10).into_iter().map(hit).collect();
        run.insert(&query.id, hits).unwrap();
    }
    let measure = Measure::Ndcg(10);
    let evaluation = evaluate(&set.qrels, &run, &[measure]).unwrap();
    evaluation.mean(measure).unwrap()
}

#[test]
fn bm25_is_good_and_not_perfect_whatever_the_seed() {
    // Measured with this crate's BM25 on seeds 0 to 3: .633, .610, .595, .577.
    for seed in SEED..SEED + 4 {
        let facts = generate(seed);
        assert_eq!(facts.train.len(), N_TRAIN);
        assert_eq!(facts.test.queries.len(), N_TEST);
        let ndcg = bm25_ndcg(&facts, &facts.test);
        assert!((0.55..0.8).contains(&ndcg), "seed {seed}: nDCG@10 {ndcg}");
    }
}

#[test]
fn the_folder_reads_back_as_a_retrieval_set_and_as_a_training_set() {
    let dir = tempfile::tempdir().unwrap();
    FACTS.write(dir.path()).unwrap();
    for (split, set) in [("dev", &FACTS.dev), ("test", &FACTS.test)] {
        let read = Dataset::open(dir.path(), split).unwrap();
        assert_eq!(read.corpus.documents(), FACTS.documents);
        assert_eq!(read.queries, set.queries);
        assert_eq!(read.qrels, set.qrels);
    }
    let training = TrainingSet::open(dir.path()).unwrap();
    assert_eq!(training.rows, FACTS.train);
    let queries = fs::read_to_string(dir.path().join("queries.jsonl")).unwrap();
    let metadata = format!("\"metadata\":{{\"target\":\"{}\"}}", FACTS.dev.targets[0]);
    assert!(
        queries.lines().next().unwrap().contains(&metadata),
        "{queries}"
    );
}

#[test]
#[ignore = "prints the set, to be read by a person"]
#[expect(clippy::print_stderr, reason = "that is all it does")]
fn print_the_set() {
    for (name, set) in [("dev", &FACTS.dev), ("test", &FACTS.test)] {
        eprintln!("{name}: BM25 nDCG@10 {:.3}", bm25_ndcg(&FACTS, set));
    }
    let document = |id: &str| FACTS.documents.iter().find(|d| d.id == id).unwrap();
    for (question, target, id) in training().into_iter().chain(held_out()) {
        eprintln!("{question}\t{target}\t{}", document(id).text);
    }
}
