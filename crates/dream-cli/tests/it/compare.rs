//! `dream compare`.

use crate::program::{dream, folder, text, write};
use serde_json::Value;
use tempfile::TempDir;

/// Four queries with one relevant document each. `first.trec` finds it first for q1 and q2, second
/// for q3 and misses q4; `second.trec` finds it first everywhere but for q2.
fn data() -> TempDir {
    let dir = folder();
    write(
        dir.path(),
        "qrels",
        "q1 0 a 1\nq2 0 a 1\nq3 0 a 1\nq4 0 a 1\n",
    );
    write(
        dir.path(),
        "first.trec",
        "q1 Q0 a 1 2 t\nq2 Q0 a 1 2 t\nq3 Q0 b 1 2 t\nq3 Q0 a 2 1 t\nq9 Q0 a 1 1 t\n",
    );
    write(
        dir.path(),
        "second.trec",
        "q1 Q0 a 1 2 t\nq2 Q0 b 1 2 t\nq2 Q0 a 2 1 t\nq3 Q0 a 1 2 t\nq4 Q0 a 1 2 t\n",
    );
    write(
        dir.path(),
        "queries.jsonl",
        "{\"_id\":\"q4\",\"text\":\"what | is\\tit\"}\n",
    );
    dir
}

fn compare(dir: &TempDir, arguments: &[&str]) -> crate::program::Outcome {
    let path = |name: &str| text(&dir.path().join(name));
    let (first, second, qrels) = (path("first.trec"), path("second.trec"), path("qrels"));
    let fixed = [
        "compare",
        &first,
        &second,
        "--qrels",
        &qrels,
        "--measures",
        "RR@10,success_1",
    ];
    dream(&[&fixed[..], arguments].concat())
}

fn close(value: &Value, want: f64) {
    let got = value.as_f64().expect("a number");
    assert!((got - want).abs() < 1e-9, "{got}, not {want}");
}

#[test]
fn means_differences_and_tests_are_those_worked_out_by_hand() {
    let report = compare(&data(), &["--json", "--changed", "2"])
        .json()
        .remove(0);
    assert_eq!(report["queries"], 4);
    assert_eq!(report["comparisons"], 2);
    let (first, second) = (&report["runs"][0], &report["runs"][1]);
    assert_eq!(
        (&first["missing"], &first["unjudged"]),
        (&1.into(), &1.into())
    );
    let rr = &second["measures"][0];
    assert_eq!(
        (&rr["measure"], &second["measures"][1]["measure"]),
        (&"RR@10".into(), &"Success@1".into())
    );
    // RR: 1, 1, 1/2, 0 against 1, 1/2, 1, 1.
    close(&first["measures"][0]["mean"], 2.5 / 4.0);
    close(&rr["mean"], 3.5 / 4.0);
    let comparison = &rr["comparison"];
    close(&comparison["difference"], 0.25);
    let counts = ["wins", "ties", "losses"].map(|key| comparison[key].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(1)]);
    // Differences -1/2, 1/2, 1: of 8 assignments of signs, 6 have a sum of at least 1 on either side.
    close(&comparison["randomization"]["p"], 6.0 / 8.0);
    assert_eq!(comparison["randomization"]["exact"], true);
    // scipy.stats.ttest_rel([1, .5, 1, 1], [1, 1, .5, 0]).
    close(&comparison["t_test"]["t"], 0.774_596_669_241_483_3);
    close(&comparison["t_test"]["p"], 0.495_025_346_059_711_1);
    // Success@1: differences -1, 1, 1: 8 of 8 have a sum of at least 1; Holm: twice 6/8, then 1.
    close(
        &second["measures"][1]["comparison"]["randomization"]["p"],
        1.0,
    );
    close(&rr["randomization_p_holm"], 1.0);
    let changed: Vec<&str> = second["changed"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|change| change["query"].as_str().expect("an id"))
        .collect();
    assert_eq!(changed, ["q4", "q2"]);
}

#[test]
fn the_same_numbers_come_in_every_format_and_the_same_bytes_every_time() {
    let dir = data();
    let queries = text(&dir.path().join("queries.jsonl"));
    let changed = ["--changed", "1", "--queries", &queries];
    let shown = compare(&dir, &changed).ok();
    assert_eq!(shown, compare(&dir, &changed).ok());
    for part in [
        "RR@10      first.trec   0.6250 [",
        "+0.2500 [",
        "0.7500  1.0000  0.4950",
        "2/1/1",
        "4 judged queries; scores compared as f32",
        "against first.trec; seed 0",
        "Holm: corrected for 2 comparisons",
        "first.trec: 1 judged queries without any document, counted as 0",
        "second.trec: queries that changed most in RR@10",
        "q4     0.0000    1.0000  +1.0000  what | is it",
    ] {
        assert!(shown.contains(part), "no {part:?} in {shown}");
    }
    let with = |format| compare(&dir, &["--format", format]).ok();
    let markdown = compare(&dir, &[&changed[..], &["--format", "markdown"]].concat()).ok();
    assert!(
        markdown.contains("|---|---|") && markdown.contains("| what \\| is it |"),
        "{markdown}"
    );
    let latex = with("latex");
    assert!(latex.contains("mean [95\\%]") && latex.ends_with("comparisons\n% first.trec: 1 judged queries without any document, counted as 0\n% first.trec: 1 queries that nobody judged, left out\n"), "{latex}");
    let csv = with("csv");
    let columns: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert_eq!(columns, [20; 5], "{csv}");
    assert!(csv.contains("RR@10,second.trec,0.875,"), "{csv}");
}

#[test]
fn the_baseline_and_the_rules_are_what_was_asked_for() {
    let dir = data();
    let second = text(&dir.path().join("second.trec"));
    let report = compare(&dir, &["--json", "--baseline", &second])
        .json()
        .remove(0);
    assert_eq!(report["runs"][0]["run"], "second.trec");
    close(
        &report["runs"][1]["measures"][0]["comparison"]["difference"],
        -0.25,
    );
    let rules = [
        "--json",
        "--relevance-level",
        "2",
        "--scores",
        "f64",
        "--drop-identical-ids",
        "--resamples",
        "100",
        "--seed",
        "7",
    ];
    let report = compare(&dir, &rules).json().remove(0);
    close(&report["runs"][1]["measures"][0]["mean"], 0.0);
    assert_eq!(
        (&report["scores"], &report["seed"]),
        (&"f64".into(), &7.into())
    );
    assert_eq!(report["runs"][0]["identical_ids"], 0);
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let dir = data();
    compare(&dir, &["--format", "csv", "--changed", "3"]).refused(&["--changed", "markdown"]);
    compare(&dir, &["--confidence", "1"]).refused(&["between 0 and 1"]);
    compare(&dir, &["--resamples", "1000000000"]).refused(&["1000000 resamples"]);
    compare(&dir, &["--scores", "f16"]).refused(&["wanted f32 or f64"]);
    let path = |name: &str| text(&dir.path().join(name));
    let (run, qrels) = (path("first.trec"), path("qrels"));
    dream(&["compare", &run, "--qrels", &qrels]).refused(&["two runs or more"]);
    dream(&[
        "compare",
        &run,
        &run,
        "--qrels",
        &qrels,
        "--measures",
        "ndgc@10",
    ])
    .refused(&["wanted a measure such as nDCG@10", "ndgc@10"]);
    let bad = text(&write(
        dir.path(),
        "bad",
        "q1 Q0 a 1 1 t\nq1 Q0 a 2 0.5 t\n",
    ));
    dream(&["compare", &run, &bad, "--qrels", &qrels])
        .refused(&["bad:2: document \"a\" was given twice"]);
}
