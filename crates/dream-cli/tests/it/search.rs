//! `dream search` beyond exact search by embeddings: other kinds of index, fewer dimensions, words.

use crate::program::{Outcome, dream, fixture, folder, text, tiny_beir, write};
use serde_json::Value;

/// A corpus with an index, and a search of it.
struct Case {
    data: tempfile::TempDir,
    model: String,
    index: String,
}

impl Case {
    fn new(more: &[&str]) -> Self {
        let data = tiny_beir();
        let (model, index) = (fixture("tiny-llama"), text(&data.path().join("index")));
        let folder = text(data.path());
        let encode = [
            "encode", "--model", &model, "--data", &folder, "--out", &index,
        ];
        dream(&[&encode[..], more].concat()).ok();
        Self { data, model, index }
    }

    fn search(&self, more: &[&str]) -> Outcome {
        let search = [
            "search",
            "--model",
            &self.model,
            "--index",
            &self.index,
            "--json",
        ];
        let query = ["--query", "iron rusts", "--k", "2"];
        dream(&[&search[..], &query, more].concat())
    }
}

fn first(found: &Value) -> (&Value, f64) {
    let hit = &found["hits"][0];
    (&hit["document"], hit["score"].as_f64().expect("a number"))
}

#[test]
fn other_kinds_of_search_find_the_same_document_and_say_what_they_missed() {
    let case = Case::new(&[]);
    for kind in [
        &["--approximate", "--ef", "5"][..],
        &["--first-stage", "binary"],
        &["--first-stage", "i8", "--rescore", "2"],
        &["--first-stage", "binary", "--dim", "8"],
    ] {
        let lines = case
            .search(&[kind, &["--check-recall", "9"]].concat())
            .json();
        let (document, score) = first(&lines[0]);
        assert_eq!(document, "d0", "{kind:?}");
        assert!((score - 1.0).abs() < 1e-5, "{kind:?}: {score}");
        let recall: Value =
            serde_json::from_str(r#"{"recall":1.0,"k":2,"queries":1}"#).expect("JSON");
        assert_eq!(lines[1], recall, "{kind:?}");
    }
    case.search(&["--approximate", "--first-stage", "i8"])
        .refused(&["--first-stage"]);
    case.search(&["--approximate", "--ef", "1"]).ok(); // at least k
    case.search(&["--first-stage", "i8", "--rescore", "0"])
        .refused(&["at least 1"]);
    case.search(&["--first-stage", "ternary"])
        .refused(&["binary or i8"]);
    dream(&["search", "--retriever", "bm25", "--k", "0"]).refused(&["at least 1"]);
}

#[test]
fn an_index_of_fewer_dimensions_and_one_cut_while_searching_give_the_same_scores() {
    let (whole, cut) = (Case::new(&[]), Case::new(&["--dim", "8"]));
    let shard = cut.data.path().join("index/shard-00000.f32");
    assert_eq!(
        std::fs::metadata(shard).expect("it is there").len(),
        3 * 8 * 4
    );
    let scores = |found: &Value| -> Vec<(String, f64)> {
        let hits = found["hits"].as_array().expect("hits");
        let score = |hit: &Value| hit["score"].as_f64().expect("a number");
        hits.iter()
            .map(|hit| (hit["document"].to_string(), score(hit)))
            .collect()
    };
    let of_cut = scores(&cut.search(&[]).json()[0]);
    let of_whole = scores(&whole.search(&["--dim", "8"]).json()[0]);
    for ((a, x), (b, y)) in of_cut.iter().zip(&of_whole) {
        assert!(a == b && (x - y).abs() < 1e-5, "{of_cut:?} {of_whole:?}");
    }
    cut.search(&["--dim", "9"])
        .refused(&["1 to 8, what the index holds, not 9"]);
    whole.search(&["--dim", "0"]).refused(&["1 to 32"]);
    let folder = text(whole.data.path());
    let encode = [
        "encode",
        "--model",
        &whole.model,
        "--data",
        &folder,
        "--dim",
        "33",
    ];
    let out = text(&whole.data.path().join("other"));
    dream(&[&encode[..], &["--out", &out]].concat())
        .refused(&["1 to 32, the model's size, not 33"]);
}

#[test]
fn words_alone_need_no_model_and_both_are_fused() {
    let case = Case::new(&[]);
    let corpus = text(case.data.path());
    let words = [
        "search",
        "--retriever",
        "bm25",
        "--corpus",
        &corpus,
        "--json",
    ];
    let lines = dream(&[&words[..], &["--query", "which RHINE flowed"]].concat()).json();
    assert_eq!(lines[0]["hits"].as_array().map(Vec::len), Some(1));
    assert_eq!(first(&lines[0]).0, "d1");
    assert_eq!(lines[0]["hits"][0]["text"], "the Rhine flows north");
    // Without a stemmer nothing but the name is found, and "the" is a word.
    let more = ["--query", "the flowing", "--language", "none"];
    let lines = dream(&[&words[..], &more].concat()).json();
    assert_eq!(first(&lines[0]).0, "d1");
    let more = ["--query", "the flowing", "--language", "klingon"];
    dream(&[&words[..], &more].concat()).refused(&["english, finnish"]);

    let hybrid = ["--retriever", "hybrid", "--corpus", &corpus];
    let lines = case.search(&hybrid).json();
    let (document, score) = first(&lines[0]);
    assert_eq!(document, "d0");
    assert!((score - 2.0 / 61.0).abs() < 1e-6, "{score}"); // first in both
    let lines = case.search(
        &[
            &hybrid[..],
            &["--method", "weighted", "--weights", "0.8,0.2"],
        ]
        .concat(),
    );
    assert!((first(&lines.json()[0]).1 - 1.0).abs() < 1e-6);
    case.search(&["--retriever", "hybrid"])
        .refused(&["needs --corpus"]);
    dream(&["search", "--query", "x"]).refused(&["needs --index"]);
    dream(&["search", "--query", "x", "--index", &case.index]).refused(&["needs --model"]);
}

#[test]
fn given_vectors_are_timed_with_their_recall() {
    let dir = folder();
    // Sixty documents on a circle, four queries between them, no two as near.
    let circle = |n: usize, shift: f32| -> Vec<u8> {
        let angle = |i: usize| (i as f32 + shift) / n as f32 * std::f32::consts::TAU;
        let pair = |i: usize| [angle(i).cos(), angle(i).sin()];
        (0..n).flat_map(pair).flat_map(f32::to_le_bytes).collect()
    };
    let documents = text(&write(dir.path(), "documents.f32", circle(60, 0.0)));
    let queries = text(&write(dir.path(), "queries.f32", circle(4, 0.35)));
    let bench = [
        "bench",
        "search",
        "--vectors",
        &documents,
        "--query-vectors",
        &queries,
    ];
    let more = ["--dim", "2", "--k", "3", "--repeats", "1", "--json"];
    for kind in [
        &["--approximate"][..],
        &["--first-stage", "i8", "--one-by-one"],
    ] {
        let timed = dream(&[&bench[..], &more, kind].concat()).json().remove(0);
        assert_eq!(
            (&timed["documents"], &timed["queries"]),
            (&60.into(), &4.into())
        );
        assert_eq!(timed["against_exact"]["recall"], 1.0, "{kind:?}");
        assert!(timed["against_exact"]["times_faster"].as_f64() > Some(0.0));
    }
    let timed = dream(&[&bench[..], &more].concat()).json().remove(0);
    assert!(timed["against_exact"].is_null() && timed["gflops"].as_f64() > Some(0.0));
    let bad = [&bench[..], &["--dim", "7"]].concat();
    dream(&bad).refused(&["480 bytes, which are not rows of 7 numbers"]);
}
