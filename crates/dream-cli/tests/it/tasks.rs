//! `dream eval --tasks`, `dream tasks` and `dream leaderboard`.

use crate::program::{dream, fixture, folder, text, write};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A folder with tiny sets under the names of tasks.
fn data_root(names: &[&str]) -> tempfile::TempDir {
    let root = folder();
    for name in names {
        let set = root.path().join(name);
        write(
            &set,
            "corpus.jsonl",
            "{\"_id\":\"d0\",\"text\":\"iron rusts\"}\n{\"_id\":\"d1\",\"text\":\"the Rhine flows\"}\n{\"_id\":\"q1\",\"text\":\"a river flows to the sea\"}\n",
        );
        write(
            &set,
            "queries.jsonl",
            "{\"_id\":\"q0\",\"text\":\"what rusts\"}\n{\"_id\":\"q1\",\"text\":\"a river flows to the sea\"}\n",
        );
        write(&set, "qrels/test.tsv", "q0\td0\t1\nq1\td1\t1\n");
    }
    root
}

fn run(root: &Path, results: &Path, tasks: &str, more: &[&str]) -> crate::program::Outcome {
    let (root, results) = (text(root), text(results));
    let arguments = [
        "eval",
        "--retriever",
        "bm25",
        "--tasks",
        tasks,
        "--data-root",
        &root,
        "--results",
        &results,
    ];
    dream(&[&arguments[..], more].concat())
}

/// Result files by task.
fn files(results: &Path) -> Vec<PathBuf> {
    let mut open = vec![results.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

#[test]
fn result_files_have_mtebs_form_and_the_rule_of_the_task() {
    let (root, results) = (data_root(&["scifact", "ArguAna"]), folder());
    let report = run(root.path(), results.path(), "SciFact,ArguAna", &["--json"])
        .json()
        .remove(0);
    let files = files(results.path());
    let names: Vec<String> = files
        .iter()
        .map(|f| text(f).replace(&text(results.path()), ""))
        .collect();
    let revision = report["revision"].as_str().expect("a text");
    assert_eq!(names[1], format!("/dream__bm25/{revision}/SciFact.json"));
    let scifact = json(&files[1]);
    let entry = &scifact["scores"]["test"][0];
    // q0 finds d0 first; q1 finds itself first and d1 second: (1 + 1/log2(3)) / 2.
    let wanted = f64::midpoint(1.0, 1.0 / 3f64.log2());
    assert!((entry["main_score"].as_f64().expect("a number") - wanted).abs() < 1e-12);
    assert_eq!(entry["main_score"], entry["ndcg_at_10"]);
    for measure in ["ndcg", "map", "recall", "precision", "mrr", "hit_rate"] {
        for k in [1, 3, 5, 10, 20, 100, 1000] {
            assert!(
                entry[format!("{measure}_at_{k}")].is_number(),
                "{measure}@{k}"
            );
        }
    }
    assert_eq!(
        (&entry["hf_subset"], &entry["languages"][0]),
        (&"default".into(), &"eng-Latn".into())
    );
    assert!(
        scifact["dataset_revision"]
            .as_str()
            .is_some_and(|r| r.starts_with("local-"))
    );
    assert!(scifact["evaluation_time"].is_number() && scifact["mteb_version"].is_string());
    // ArguAna's rule takes the query's own document out.
    let arguana = json(&files[0]);
    assert_eq!(arguana["scores"]["test"][0]["main_score"], 1.0);
    assert_eq!(arguana["dream"]["parts"][0]["identical_ids"], 1);
    assert_eq!(report["tasks"][1]["identical_ids"], 1);
    let meta = json(&files[2]);
    assert_eq!(
        (&meta["name"], &meta["revision"]),
        (&"dream/bm25".into(), &revision.into())
    );
}

#[test]
fn what_is_there_is_not_computed_again_unless_something_changed() {
    let (root, results) = (data_root(&["scifact", "nfcorpus"]), folder());
    let states = |tasks: &str, more: &[&str]| -> Vec<(i64, i64)> {
        let report = run(
            root.path(),
            results.path(),
            tasks,
            &[more, &["--json"]].concat(),
        )
        .json()
        .remove(0);
        let rows = report["tasks"].as_array().expect("a list").clone();
        let count = |row: &Value, key: &str| row[key].as_i64().expect("a number");
        rows.iter()
            .map(|row| (count(row, "parts_computed"), count(row, "parts_kept")))
            .collect()
    };
    assert_eq!(states("SciFact", &["--no-times"]), [(1, 0)]);
    let bytes = |name: &str| {
        let found = files(results.path())
            .into_iter()
            .find(|f| f.ends_with(name));
        std::fs::read(found.expect("written")).expect("readable")
    };
    let first = bytes("SciFact.json");
    assert_eq!(
        states("SciFact,NFCorpus", &["--no-times"]),
        [(0, 1), (1, 0)]
    );
    assert_eq!(states("SciFact", &["--no-times", "--force"]), [(1, 0)]);
    assert_eq!(
        bytes("SciFact.json"),
        first,
        "the same work gives the same bytes"
    );
    assert_eq!(
        states("SciFact", &["--k1", "1.2"]),
        [(1, 0)],
        "other settings are another folder"
    );
    write(
        &root.path().join("scifact"),
        "qrels/test.tsv",
        "q0\td0\t2\nq1\td1\t1\n",
    );
    assert_eq!(states("SciFact", &[]), [(1, 0)], "other data");
    let broken = files(results.path())
        .into_iter()
        .find(|f| f.ends_with("NFCorpus.json"))
        .expect("written");
    std::fs::write(&broken, "{").expect("writable");
    let outcome = run(root.path(), results.path(), "NFCorpus", &[]);
    assert!(outcome.stderr.contains("it is replaced"), "{outcome:?}");
    outcome.ok();
}

#[test]
fn a_task_without_data_is_named_and_the_exit_code_says_so() {
    let (root, results) = (data_root(&["scifact"]), folder());
    let outcome = run(root.path(), results.path(), "beir-small", &[]);
    assert!(
        outcome
            .stdout
            .contains("mean of beir-small: none, 1 of 5 tasks"),
        "{outcome:?}"
    );
    assert!(
        outcome.stdout.contains("has none of NFCorpus, nfcorpus"),
        "{outcome:?}"
    );
    assert!(outcome.stdout.contains("/nonexistent/hub"), "{outcome:?}");
    outcome.failed(&["4 of 5 tasks have no result: NFCorpus, FiQA2018, ArguAna, SCIDOCS"]);
    write(&root.path().join("scifact"), "corpus.jsonl", "not JSON\n");
    let outcome = run(root.path(), results.path(), "SciFact", &["--force"]);
    assert!(outcome.stdout.contains("corpus.jsonl:1: "), "{outcome:?}");
    outcome.failed(&["1 of 1 tasks"]);
    run(root.path(), results.path(), "scifakt", &[]).refused(&["no task or group \"scifakt\""]);
}

#[test]
fn cqadupstack_is_the_mean_of_its_twelve_folders_or_missing() {
    let forums = "android english gaming gis mathematica physics programmers stats tex unix webmasters wordpress";
    let names: Vec<String> = forums
        .split(' ')
        .map(|forum| format!("cqadupstack/{forum}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (root, results) = (data_root(&names), folder());
    let report = run(root.path(), results.path(), "cqadupstack", &["--json"])
        .json()
        .remove(0);
    let rows = report["tasks"].as_array().expect("a list");
    assert_eq!(rows.len(), 13);
    assert_eq!(rows[12]["task"], "CQADupstackRetrieval");
    assert_eq!(rows[12]["score"], rows[0]["score"]);
    assert!(
        files(results.path())
            .iter()
            .any(|f| f.ends_with("CQADupstackRetrieval.json"))
    );
    std::fs::remove_dir_all(root.path().join("cqadupstack/tex")).expect("it is there");
    run(root.path(), results.path(), "CQADupstackRetrieval", &[])
        .failed(&["CQADupstackTexRetrieval, CQADupstackRetrieval"]);
}

#[test]
fn a_model_is_evaluated_with_the_tasks_prompt_and_the_leaderboard_compares() {
    let (root, results) = (data_root(&["scifact"]), folder());
    run(root.path(), results.path(), "SciFact", &[]).ok();
    let (model, data, out) = (
        fixture("tiny-qwen3"),
        text(root.path()),
        text(results.path()),
    );
    let arguments = [
        "eval",
        "--model",
        &model,
        "--tasks",
        "SciFact",
        "--data-root",
        &data,
        "--results",
        &out,
    ];
    dream(&arguments).ok();
    let prompted = [
        "--task-prompt",
        "Instruct: {prompt}\nQuery: ",
        "--model-name",
        "org/tiny with prompt",
    ];
    dream(&[&arguments[..], &prompted].concat()).ok();
    dream(&[&arguments[..], &["--task-prompt", "x"]].concat()).refused(&["{prompt}"]);
    dream(&[&arguments[..], &["--model-name", "../x"]].concat()).refused(&["--model-name"]);
    let board = dream(&["leaderboard", &out, "--json"]).json().remove(0);
    let rows = board["rows"].as_array().expect("a list");
    let names: Vec<&str> = rows
        .iter()
        .filter_map(|row| row["model"].as_str())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.contains(&"org/tiny with prompt") && names.contains(&"tiny-qwen3"));
    assert_eq!(board["tasks"], serde_json::json!(["SciFact"]));
    assert_eq!(rows[0]["means"][0]["missing"], "1 of 15 tasks");
    let csv = dream(&[
        "leaderboard",
        &out,
        "--format",
        "csv",
        "--group",
        "beir-small",
    ])
    .ok();
    assert!(
        csv.starts_with("model,revision,mean beir-small,NFCorpus,"),
        "{csv}"
    );
    assert!(csv.contains(",1 of 5 tasks,missing,"), "{csv}");
    let markdown = dream(&["leaderboard", &out, "--format", "markdown"]).ok();
    assert!(markdown.contains("\n|---|---|"), "{markdown}");
    dream(&["leaderboard", &data]).refused(&["no result files"]);
    dream(&["leaderboard", "/nonexistent"]).refused(&["/nonexistent"]);
}

#[test]
fn tasks_are_listed_described_and_what_cannot_be_fetched_is_said_task_by_task() {
    let root = data_root(&["scifact"]);
    let data = text(root.path());
    let listed = dream(&[
        "tasks",
        "list",
        "beir-small",
        "--data-root",
        &data,
        "--json",
    ])
    .json()
    .remove(0);
    let here: Vec<&Value> = listed
        .as_array()
        .expect("a list")
        .iter()
        .map(|t| &t["parts_here"])
        .collect();
    assert_eq!(here, [0, 0, 0, 0, 1]);
    assert!(
        dream(&["tasks", "list"])
            .ok()
            .contains("MIRACLRetrievalHardNegatives")
    );
    let shown = dream(&["tasks", "show", "touche2020"]).ok();
    assert!(
        shown.contains("v2") && shown.contains("mteb/touche2020"),
        "{shown}"
    );
    let shown = dream(&["tasks", "show", "scifact", "--data-root", &data, "--json"])
        .json()
        .remove(0);
    assert_eq!(
        (&shown["name"], &shown["ignore_identical_ids"]),
        (&"SciFact".into(), &false.into())
    );
    assert!(
        shown["data"][0]["path"]
            .as_str()
            .is_some_and(|p| p.ends_with("scifact"))
    );
    dream(&["tasks", "show", "beir"]).refused(&["is a group"]);
    let outcome = dream(&["tasks", "fetch", "SciFact", "NFCorpus"]);
    assert!(outcome.stdout.contains("NFCorpus: FAILED: "), "{outcome:?}");
    assert!(
        outcome.stdout.contains("HF_HUB_OFFLINE is set"),
        "{outcome:?}"
    );
    outcome.failed(&["2 of 2 tasks could not be fetched"]);
    dream(&["tasks", "fetch", "nothing"]).refused(&["no task or group"]);
}
