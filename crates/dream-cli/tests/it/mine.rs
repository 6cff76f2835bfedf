//! `dream mine`: rows with candidates by every source, and training on them.

use crate::program::{command, dream, fixture, folder, text, write};
use crate::training::{config, data};
use dream_nn::ops::lora::mix;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// `dream mine` on twelve towns, and the rows it wrote.
struct Case {
    dir: tempfile::TempDir,
}

impl Case {
    fn new() -> Self {
        let dir = folder();
        data(dir.path());
        Self { dir }
    }

    fn path(&self, name: &str) -> String {
        text(&self.dir.path().join(name))
    }

    fn mine(&self, source: &str, out: &str, more: &[&str]) -> crate::program::Outcome {
        let (data, out) = (self.path("data"), self.path(out));
        let mine = ["mine", "--data", &data, "--source", source, "--out", &out];
        dream(&[&mine[..], more].concat())
    }

    fn rows(&self, out: &str) -> Vec<Value> {
        rows(&self.dir.path().join(out))
    }
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("rows");
    let parse = |line| serde_json::from_str(line).expect("a row");
    text.lines().map(parse).collect()
}

#[test]
fn rows_mined_by_words_are_trained_on_beside_their_corpus_or_as_a_whole_folder() {
    let case = Case::new();
    let more = ["--k", "4", "--json"];
    let found = case.mine("bm25", "mined.jsonl", &more).json().remove(0);
    assert_eq!(
        (&found["rows"], &found["written"]),
        (&12.into(), &12.into())
    );
    assert_eq!(found["known_passage"]["share"], 1.0, "{found}");
    let rows = case.rows("mined.jsonl");
    assert_eq!(rows[3]["candidate_ids"].as_array().map(Vec::len), Some(4));
    assert_eq!(rows[3]["candidates"][0]["source"], "bm25");
    assert!(rows[3]["candidates"][0]["score"].is_number());
    let said = case
        .mine("bm25", "whole", &["--k", "4", "--with-corpus"])
        .ok();
    assert!(said.contains("12 of 12 rows, 48 candidates"), "{said}");
    assert!(said.contains("found for 12 of 12 rows (1.000)"), "{said}");
    let same = |a: &str, b: &str| {
        let read = |name: &str| std::fs::read(case.dir.path().join(name)).expect("a file");
        assert!(read(a) == read(b), "{a} and {b} differ");
    };
    same("mined.jsonl", "whole/train.jsonl");
    same("data/corpus.jsonl", "whole/corpus.jsonl");
    // Again, all is done; with other options it is refused.
    let again = case.mine("bm25", "mined.jsonl", &more).json().remove(0);
    assert_eq!(again, found);
    case.mine("bm25", "mined.jsonl", &["--k", "5"])
        .refused(&["was made with k 4, not 5; --force starts anew"]);
    case.mine("bm25", "mined.jsonl", &["--k", "5", "--force"])
        .ok();

    let given = "pool = 'as-given'\ncandidates = 4";
    let plain = config(case.dir.path())
        .replacen("candidates = 4", given, 1)
        .replace("[llm]", "[llm]\nheads = '0-1,1-2'");
    let trained = |name: &str, data: &str| {
        let text_of = plain
            .replace("/run'", &format!("/{name}'"))
            .replace(&format!("path = '{}'", case.path("data")), data);
        let file = text(&write(case.dir.path(), "train.toml", text_of));
        dream(&["train", &file, "--json"]).ok();
        let adapter = format!("{name}/adapter/adapter_model.safetensors");
        std::fs::read(case.dir.path().join(adapter)).expect("an adapter")
    };
    case.mine("bm25", "mined.jsonl", &["--k", "4", "--force"])
        .ok();
    let (folder, rows) = (case.path("data"), case.path("mined.jsonl"));
    let beside = trained("beside", &format!("path = '{folder}'\nrows = '{rows}'"));
    let whole = trained("together", &format!("path = '{}'", case.path("whole")));
    assert!(beside == whole);
}

#[test]
fn embeddings_find_with_and_without_an_index_and_words_join_in() {
    let case = Case::new();
    let (model, index) = (fixture("tiny-llama"), case.path("index"));
    let encode = ["encode", "--model", &model, "--out", &index, "--data"];
    dream(&[&encode[..], &[&case.path("data")]].concat()).ok();
    let with = ["--model", &model, "--k", "3"];
    case.mine("dense", "now.jsonl", &with).ok();
    let of_index = [&with[..], &["--index", &index]].concat();
    case.mine("dense", "indexed.jsonl", &of_index).ok();
    let graph = [&of_index[..], &["--approximate"]].concat();
    case.mine("dense", "graph.jsonl", &graph).ok();
    let now = case.rows("now.jsonl");
    for other in ["indexed.jsonl", "graph.jsonl"] {
        for (a, b) in now.iter().zip(case.rows(other)) {
            assert_eq!(a["candidate_ids"][0], b["candidate_ids"][0], "{other}");
        }
    }
    let score = &now[0]["candidates"][0]["score"];
    assert!(score.as_f64().is_some_and(|s| s <= 1.0 + 1e-5), "{score}");
    case.mine("hybrid", "both.jsonl", &of_index).ok();
    let both = case.rows("both.jsonl");
    assert_eq!(both[0]["candidates"][0]["source"], "hybrid");
    // Reciprocal ranks: at most first in both.
    let best = both[0]["candidates"][0]["score"].as_f64();
    assert!(best.is_some_and(|s| s <= 2.0 / 61.0 + 1e-6), "{best:?}");
    // An index of something else.
    write(
        case.dir.path(),
        "data/corpus.jsonl",
        "{\"_id\":\"d0\",\"text\":\"x\"}\n",
    );
    write(
        case.dir.path(),
        "data/train.jsonl",
        "{\"query\":\"a\",\"target\":\"b\"}\n",
    );
    case.mine("dense", "other.jsonl", &of_index)
        .refused(&["holds 12 documents, the data 1"]);
}

#[test]
fn candidates_come_by_chance_from_neighbours_and_as_they_were_given() {
    let case = Case::new();
    let known = ["--k", "3", "--known-passage", "exclude", "--seed", "7"];
    for source in ["random", "in-batch"] {
        let out = format!("{source}.jsonl");
        case.mine(source, &out, &known).ok();
        for row in case.rows(&out) {
            let ids = row["candidate_ids"].as_array().expect("ids");
            assert!(
                ids.len() == 3 && !ids.contains(&row["positive_ids"][0]),
                "{row}"
            );
            assert_eq!(row["candidates"][0]["source"], source);
        }
    }
    std::fs::rename(
        case.dir.path().join("random.jsonl"),
        case.dir.path().join("data/train.jsonl"),
    )
    .expect("renamed");
    let more = ["--k", "2", "--json"];
    let found = case.mine("as-given", "given.jsonl", &more).json().remove(0);
    let overlap = found["given"]["mean_overlap"].as_f64().expect("a number");
    assert!((overlap - 2.0 / 3.0).abs() < 1e-12, "{found}");
}

#[test]
fn what_cannot_be_mined_and_options_that_would_do_nothing_are_refused() {
    let case = Case::new();
    let refused = |source: &str, more: &[&str], part: &str| {
        case.mine(source, "out.jsonl", more).refused(&[part]);
        assert!(!case.dir.path().join("out.jsonl.part").exists());
    };
    refused(
        "bm26",
        &[],
        "as-given, bm25, dense, hybrid, random, in-batch",
    );
    refused("bm25", &["--k", "0"], "at least 1");
    refused("bm25", &["--depth", "3"], "a depth of at least 16, not 3");
    refused("bm25", &["--ranks", "1-9"], "the 9 ranks 1-9");
    refused("bm25", &["--ranks", "9"], "two numbers such as 10-50");
    refused("bm25", &["--near-duplicates", "nan"], "from 0 to 1");
    refused("random", &["--margin", "0.9"], "neither ranks nor scores");
    refused("random", &["--k1", "1"], "options of BM25 would do nothing");
    refused(
        "bm25",
        &["--weights", "1,2"],
        "options of fusion would do nothing",
    );
    refused(
        "bm25",
        &["--model", "x"],
        "--model and --adapter would do nothing",
    );
    refused("dense", &[], "--source dense needs --model");
    refused(
        "dense",
        &["--model", "x", "--approximate"],
        "ways to search need --index",
    );
    refused("bm25", &["--with-corpus"], "is a file");
    let data = case.path("data");
    let mine = ["mine", "--data", &data, "--source", "bm25", "--out", &data];
    dream(&[&mine[..], &["--force"]].concat()).refused(&["part of the data"]);
    // A row that holds its own documents needs them to be written.
    let own = r#"{"query":"a","target":"b","candidates":[{"id":"own","text":"text"}]}"#;
    write(case.dir.path(), "data/train.jsonl", own);
    refused("bm25", &[], "1 documents stand in rows");
    case.mine(
        "bm25",
        "whole",
        &["--with-corpus", "--known-passage", "include"],
    )
    .refused(&["row \"1\" names no known passage"]);
    case.mine(
        "as-given",
        "whole",
        &["--with-corpus", "--k", "1", "--force"],
    )
    .ok();
    let corpus = std::fs::read_to_string(case.dir.path().join("whole/corpus.jsonl"));
    assert!(corpus.expect("documents").contains("\"own\""));
}

#[test]
fn killed_and_called_again_it_ends_in_the_bytes_of_an_undisturbed_run() {
    let dir = folder();
    let (mut corpus, mut lines) = (String::new(), String::new());
    for i in 0..300 {
        let line = format!(
            r#"{{"_id":"d{i}","text":"town {i} sells ware{} by the river"}}"#,
            i * 7
        );
        writeln!(corpus, "{line}").expect("a string");
    }
    for i in 0..3000 {
        let line = format!(
            r#"{{"_id":"r{i}","query":"who sells ware{}","target":"{i}"}}"#,
            i % 300
        );
        writeln!(lines, "{line}").expect("a string");
    }
    write(dir.path(), "data/corpus.jsonl", corpus);
    write(dir.path(), "data/train.jsonl", lines);
    let data = text(&dir.path().join("data"));
    let mine = |out: &Path| {
        let out = text(out);
        let more = ["--near-duplicates", "0.3", "--k", "30", "--threads", "1"];
        let mine = ["mine", "--data", &data, "--source", "bm25", "--out", &out];
        let mut command = command(&[&mine[..], &more].concat());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the program starts")
    };
    let (whole, out) = (dir.path().join("whole.jsonl"), dir.path().join("out.jsonl"));
    let began = Instant::now();
    assert!(mine(&whole).wait().expect("it ends").success());
    let took = began.elapsed().as_secs_f64();
    for kill in 0..6u64 {
        let mut child = mine(&out);
        let share = mix(kill) as f64 / u64::MAX as f64;
        std::thread::sleep(Duration::from_secs_f64(took * share));
        child.kill().expect("it can be killed");
        child.wait().expect("it is gone");
    }
    assert!(mine(&out).wait().expect("it ends").success());
    let read = |path: &Path| std::fs::read(path).expect("rows");
    assert!(read(&out) == read(&whole));
}
