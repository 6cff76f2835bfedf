//! `dream eval`.

use crate::program::{dream, fixture, folder, text, tiny_beir, write};

#[test]
fn a_run_is_measured_and_missing_queries_count_as_zero() {
    // q1: the relevant document second, so nDCG 1/log2(3), R 1, RR 1/2; q2 is missing: 0.
    let dir = folder();
    let run = write(
        dir.path(),
        "run",
        "q1 Q0 b 1 0.9 t\nq1 Q0 a 2 0.8 t\nq9 Q0 a 1 1 t\n",
    );
    let qrels = write(dir.path(), "qrels", "q1 0 a 1\nq2 0 a 1\n");
    let arguments = ["eval", "--run", &text(&run), "--qrels", &text(&qrels)];
    let value = &dream(&[&arguments[..], &["--json"]].concat()).json()[0];
    let close = |key: &str, want: f64| {
        let got = value[key].as_f64().expect("a number");
        assert!((got - want).abs() < 1e-9, "{key}: {got}, not {want}");
    };
    close("nDCG@10", 0.5 / 3f64.log2());
    close("R@100", 0.5);
    close("RR@10", 0.25);
    assert_eq!(
        (&value["queries"], &value["missing"], &value["unjudged"]),
        (&2.into(), &1.into(), &1.into())
    );
    let shown = dream(&arguments).ok();
    assert!(
        shown.starts_with("nDCG@10  0.3155   95% [0.0000, ") && shown.contains("\nqueries  2\n"),
        "{shown}"
    );
}

#[test]
fn a_retriever_is_measured_on_a_beir_folder_and_its_run_gives_the_same_numbers() {
    // Each query is a document's own text, so that document comes first.
    let data = tiny_beir();
    let run = text(&data.path().join("run.trec"));
    let model = fixture("tiny-qwen3");
    let arguments = [
        "eval",
        "--model",
        &model,
        "--data",
        &text(data.path()),
        "--run-out",
        &run,
        "--json",
    ];
    let outcome = dream(&arguments);
    assert_eq!(outcome.stderr, "");
    let value = outcome.json().remove(0);
    assert_eq!(value["nDCG@10"], 1.0);
    assert_eq!(value["queries"], 3);
    let qrels = text(&data.path().join("qrels/test.tsv"));
    let again = dream(&["eval", "--run", &run, "--qrels", &qrels, "--json"]).json();
    assert_eq!(again, [value]);
    let lines = std::fs::read_to_string(&run).expect("it was written");
    assert_eq!(lines.lines().count(), 9);
}

#[test]
fn broken_files_are_named_with_their_line() {
    let data = tiny_beir();
    let (model, folder) = (fixture("tiny-llama"), text(data.path()));
    let arguments = ["eval", "--model", &model, "--data", &folder];
    dream(&[&arguments[..], &["--split", "dev"]].concat()).refused(&["dev.tsv"]);
    write(
        data.path(),
        "queries.jsonl",
        "{\"_id\":\"q0\",\"text\":\"a\"}\n{\"_id\":\n",
    );
    dream(&arguments).refused(&["queries.jsonl:2: "]);
    write(
        data.path(),
        "corpus.jsonl",
        "{\"_id\":\"d0\",\"text\":\"a\"}\nnot JSON\n",
    );
    write(
        data.path(),
        "queries.jsonl",
        "{\"_id\":\"q0\",\"text\":\"a\"}\n",
    );
    write(data.path(), "qrels/test.tsv", "q0\td0\t1\n");
    dream(&arguments).refused(&["corpus.jsonl:2: "]);
    write(data.path(), "corpus.jsonl", "\n");
    dream(&arguments).refused(&["corpus.jsonl", "no document"]);
    write(data.path(), "run", "q0 Q0 d0 1 nan t\n");
    let (run, qrels) = (data.path().join("run"), data.path().join("qrels/test.tsv"));
    dream(&["eval", "--run", &text(&run), "--qrels", &text(&qrels)]).refused(&["run:1: "]);
    write(data.path(), "qrels/test.tsv", "");
    dream(&["eval", "--run", &text(&run), "--qrels", &text(&qrels)]).refused(&["test.tsv"]);
}

#[test]
fn an_empty_run_is_worth_0_and_said_to_be_empty() {
    let dir = folder();
    let run = text(&write(dir.path(), "run", ""));
    let qrels = text(&write(dir.path(), "qrels", "q1 0 a 1\nq2 0 a 0\n"));
    let outcome = dream(&["eval", "--run", &run, "--qrels", &qrels, "--json"]);
    assert!(outcome.stderr.contains("holds no query"), "{outcome:?}");
    assert!(!outcome.stdout.contains("-0"), "{outcome:?}");
    assert_eq!(outcome.json()[0]["nDCG@10"], 0.0);
    write(dir.path(), "run", "q1 Q0 a 1 0.5 t\nq1 Q0 b 2 inf t\n");
    dream(&["eval", "--run", &run, "--qrels", &qrels]).refused(&["run:2: ", "finite"]);
}

#[test]
fn a_run_that_could_not_be_written_is_refused_before_anything_is_encoded() {
    let data = tiny_beir();
    let (model, folder) = (fixture("tiny-llama"), text(data.path()));
    let out = |place: &str| {
        let run = text(&data.path().join(place));
        let arguments = [
            "eval",
            "--model",
            &model,
            "--data",
            &folder,
            "--run-out",
            &run,
        ];
        dream(&arguments)
    };
    out("none/run").refused(&["cannot write", "there is no folder"]);
    out("qrels").refused(&["cannot write", "it is a folder"]);
    let corpus = r#"{"_id":"d 0","text":"a"}"#;
    write(data.path(), "corpus.jsonl", corpus);
    out("run").refused(&["\"d 0\" cannot stand in a TREC run"]);
    assert!(!data.path().join("run").exists());
}

#[test]
fn one_of_the_two_forms_is_demanded() {
    dream(&["eval"]).refused(&["--data", "--tasks"]);
    dream(&["eval", "--run", "x"]).refused(&["--qrels"]);
    dream(&["eval", "--model", "x"]).refused(&["--data"]);
    dream(&["eval", "--data", "x"]).refused(&["--model PATH|NAME or --retriever bm25"]);
    dream(&["eval", "--data", "x", "--model", "y", "--retriever", "bm25"]).refused(&["cannot be"]);
    dream(&["eval", "--data", "x", "--model", "y", "--force"]).refused(&["cannot be used with"]);
    let both = [
        "eval", "--run", "x", "--qrels", "y", "--model", "z", "--data", "w",
    ];
    dream(&both).refused(&["cannot be used with"]);
}

#[test]
fn measures_values_of_queries_and_the_identical_id_rule_are_as_asked_for() {
    // q1 is itself in the corpus and found first: with the rule, a moves from rank 2 to 1.
    let dir = folder();
    let run = text(&write(dir.path(), "run", "q1\tq1\t3\nq1\ta\t2\nq2\tb\t1\n"));
    let qrels = text(&write(dir.path(), "qrels", "q1 0 a 1\nq2 0 a 1\n"));
    let arguments = [
        "eval",
        "--run",
        &run,
        "--qrels",
        &qrels,
        "--measures",
        "MAP,P@2,Success@1",
    ];
    let value = |more: &[&str]| {
        dream(&[&arguments[..], more, &["--json"]].concat())
            .json()
            .remove(0)
    };
    let plain = value(&[]);
    assert_eq!(
        (&plain["MAP"], &plain["P@2"], &plain["Success@1"]),
        (&0.25.into(), &0.25.into(), &0.0.into())
    );
    assert_eq!(
        (&plain["identical_ids"], &plain["nDCG@10"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    let ruled = value(&["--ignore-identical-ids", "--per-query"]);
    assert_eq!(
        (&ruled["MAP"], &ruled["Success@1"]),
        (&0.5.into(), &0.5.into())
    );
    assert_eq!(ruled["identical_ids"], 1);
    assert_eq!(ruled["per_query"]["q1"]["MAP"], 1.0);
    let shown = dream(&[&arguments[..], &["--ignore-identical-ids", "--per-query"]].concat()).ok();
    assert!(shown.starts_with("q1\tMAP\t1.0000\n"), "{shown}");
    assert!(shown.contains("own id, taken out: 1"), "{shown}");
    let hole = [
        "eval",
        "--run",
        &run,
        "--qrels",
        &qrels,
        "--measures",
        "hole@3",
    ];
    dream(&hole).refused(&["hole"]);
}

#[test]
fn bm25_is_measured_like_a_retriever_and_on_every_layout() {
    let data = tiny_beir();
    let run = text(&data.path().join("run"));
    let folder = text(data.path());
    let arguments = ["eval", "--retriever", "bm25", "--data", &folder];
    let value = dream(&[&arguments[..], &["--run-out", &run, "--json"]].concat())
        .json()
        .remove(0);
    // The text of the third document and query, x, is one letter and a word all the same.
    assert_eq!(
        (&value["nDCG@10"], &value["missing"]),
        (&1.0.into(), &0.into())
    );
    assert!(
        std::fs::read_to_string(&run)
            .expect("written")
            .starts_with("q0 Q0 d0 1 ")
    );
    let hub = "../dream-ir/fixtures/hub/usual";
    let value = dream(&[
        "eval",
        "--retriever",
        "bm25",
        "--data",
        hub,
        "--measures",
        "RR@10",
        "--json",
    ]);
    assert_eq!(value.json()[0]["RR@10"], 1.0);
    let languages = "../dream-ir/fixtures/hub/languages";
    let arguments = [
        "eval",
        "--retriever",
        "bm25",
        "--data",
        languages,
        "--split",
        "all",
    ];
    assert_eq!(
        dream(&[&arguments[..], &["--subset", "fr", "--json"]].concat()).json()[0]["queries"],
        2
    );
    dream(&arguments).refused(&["no queries"]);
    dream(&["eval", "--retriever", "bm25", "--data", &folder, "--k1=-1"]).refused(&["k1"]);
}
