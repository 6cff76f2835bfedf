//! data make, convert and inspect from outside, and a training on what was made.

use crate::program::{dream, fixture, folder, text, write};
use std::fmt::Write as _;
use std::path::Path;

/// Twelve towns, a file each, and one page that is no text.
fn documents(dir: &Path) {
    for i in 0..12 {
        let n = i * 5 % 12;
        let page = format!(
            "# Town {i}\n\nThe town sells {n} ships.\n\n## Trade of {i}\n\nIt buys {n} ropes. All towns sell.\n"
        );
        write(dir, &format!("docs/town-{i}.md"), page);
    }
    write(dir, "docs/bad.txt", b"\xff\xfe");
    write(dir, "docs/picture.png", b"\x89");
}

#[test]
fn a_folder_of_documents_becomes_data_that_train_takes_as_they_are() {
    let dir = folder();
    documents(dir.path());
    let (docs, out) = (
        text(&dir.path().join("docs")),
        text(&dir.path().join("made")),
    );
    let model = fixture("tiny-llama");
    let arguments = [
        "data",
        "make",
        &docs,
        "--out",
        &out,
        "--model",
        &model,
        "--title",
        "in",
        "--tokens",
        "12",
        "--overlap",
        "4",
        "--target-tokens",
        "6",
        "--json",
    ];
    let made = dream(&arguments);
    assert!(
        made.stderr.contains("bad.txt is not read: not UTF-8"),
        "{made:?}"
    );
    let made = made.json().remove(0);
    assert_eq!(
        (&made["documents"], &made["files_skipped"]),
        (&24.into(), &1.into()),
        "{made}"
    );
    assert_eq!(
        (&made["counted_in"], &made["source"]),
        (&"words".into(), &"out".into())
    );
    let rows = made["rows"].as_u64().expect("rows");
    assert!(rows >= 12, "{made}");
    dream(&arguments).refused(&["holds a corpus.jsonl already", "--overwrite"]);
    let config = dir.path().join("made/train.toml");
    let written = std::fs::read_to_string(&config).expect("a configuration");
    assert!(written.contains("known_passage = \"exclude\""), "{written}");
    // The same again: nothing depends on when it is made, and what was made is no source.
    let before = std::fs::read(dir.path().join("made/train.jsonl")).expect("rows");
    dream(&[&arguments[..], &["--overwrite"]].concat()).ok();
    assert_eq!(
        std::fs::read(dir.path().join("made/train.jsonl")).expect("rows"),
        before
    );
    // As it is, but for the number of steps and what fits a tiny model.
    let small = written
        .replace("steps = 20", "steps = 2")
        .replace("every = 5", "every = 0")
        .replace("document_tokens = 50", "document_tokens = 24")
        .replace("question_tokens = 64", "question_tokens = 16")
        .replace("target_tokens = 9", "target_tokens = 8")
        .replace("queries = 48", "queries = 4\ncandidates = 4\ncount = 3")
        .replace(
            "[retriever.encoding]",
            "[retriever.lora]\nr = 2\n[retriever.encoding]",
        );
    assert!(small.contains("steps = 2\n"), "{written}");
    let file = text(&write(dir.path(), "small.toml", small));
    let result = dream(&["train", &file, "--json"]).json().remove(0);
    let after = result["after"].as_f64().expect("held-out rows were judged");
    assert!((0.0..=1.0).contains(&after), "{result}");
    assert_eq!(result["steps"], 2);
    // And a look at it with the model.
    let inspect = [
        "data", "inspect", &out, "--config", &file, "--llm", &model, "--sample", "3", "--json",
    ];
    let found = dream(&inspect).json().remove(0);
    assert_eq!(found["rows"].as_u64(), Some(rows));
    assert_eq!(found["pools"]["with_known_passage"], 0, "{found}");
    assert_eq!(found["worth"]["rows"], 3);
    let losses = ["without_documents", "with_pool", "with_known_passage"]
        .map(|name| found["worth"][name].as_f64());
    assert!(
        losses
            .iter()
            .all(|loss| loss.is_some_and(|loss| loss > 0.0)),
        "{found}"
    );
    assert!(
        found["prompts"]["max_tokens"].as_u64() > Some(20),
        "{found}"
    );
    assert!(
        found["example"]
            .as_str()
            .is_some_and(|prompt| prompt.contains("Question:"))
    );
}

#[test]
fn halves_and_written_pairs_make_rows_too() {
    let dir = folder();
    documents(dir.path());
    let docs = text(&dir.path().join("docs"));
    let out = text(&dir.path().join("halves"));
    let halves = [
        "data",
        "make",
        &docs,
        "--out",
        &out,
        "--rows",
        "continuation",
        "--quiet",
    ];
    let printed = dream(&halves).ok();
    assert!(printed.contains("rows of kind continuation"), "{printed}");
    assert!(printed.contains("dream train"), "{printed}");
    let train = std::fs::read_to_string(dir.path().join("halves/train.toml")).expect("a file");
    assert!(train.contains("pool = \"as-given\""), "{train}");
    let pairs = write(
        dir.path(),
        "pairs.csv",
        "question,answer\nWhat does town 3 sell?,3 ships\nWho buys ropes?,nobody\n",
    );
    let out = text(&dir.path().join("qa"));
    let make = ["data", "make", &docs, "--out", &out, "--rows", "qa"];
    dream(&make).refused(&["--rows qa needs --pairs"]);
    let made = dream(&[&make[..], &["--pairs", &text(&pairs), "--json"]].concat())
        .json()
        .remove(0);
    assert_eq!(
        (&made["rows"], &made["rows_with_known_passage"]),
        (&2.into(), &1.into()),
        "{made}"
    );
}

#[test]
fn what_cannot_be_made_is_refused() {
    let dir = folder();
    std::fs::create_dir(dir.path().join("empty")).expect("writable");
    let (empty, out) = (
        text(&dir.path().join("empty")),
        text(&dir.path().join("out")),
    );
    let make = ["data", "make", &empty, "--out", &out];
    dream(&make).refused(&["no text in 0 files"]);
    dream(&[&make[..], &["--tokens", "8", "--overlap", "8"]].concat())
        .refused(&["tokens > overlap"]);
    dream(&[&make[..], &["--pairs", "x.csv"]].concat()).refused(&["goes with --rows qa"]);
    write(
        dir.path(),
        "empty/a.jsonl",
        "{\"_id\":\"a\",\"text\":\"one two three. Four five six.\"}\n{\"text\":1}\n",
    );
    dream(&make).refused(&["a.jsonl:2: "]);
    assert!(!dir.path().join("out").exists(), "something was written");
    dream(&["data", "inspect", &empty]).refused(&["train.jsonl"]);
}

#[test]
fn rows_of_other_programs_are_converted_or_refused_with_their_line() {
    let dir = folder();
    let mut rows = String::new();
    for i in 0..4 {
        writeln!(rows, r#"{{"query":"what is {i}","pos":["number {i} is a number among the many numbers here {i}"],"neg":["no number {i}"]}}"#).expect("a string");
    }
    let input = text(&write(dir.path(), "rows.jsonl", &rows));
    let out = text(&dir.path().join("native"));
    let convert = ["data", "convert", &input, "--out", &out];
    dream(&convert).refused(&["rows.jsonl:1: row \"1\" has no answer", "--target positive"]);
    let converted = dream(&[&convert[..], &["--target", "positive", "--json"]].concat());
    assert!(
        converted.stderr.contains("measures copying"),
        "{converted:?}"
    );
    let converted = converted.json().remove(0);
    assert_eq!(
        (&converted["rows"], &converted["documents"]),
        (&4.into(), &8.into())
    );
    // Copies are found.
    let inspected = dream(&["data", "inspect", &out, "--candidates", "2"]);
    assert!(
        inspected.stderr.contains("exactly one candidate"),
        "{inspected:?}"
    );
    assert!(
        inspected.stdout.contains("in exactly one: 4"),
        "{inspected:?}"
    );
    inspected.ok();
    let model = fixture("tiny-llama");
    let tight = [
        "data",
        "inspect",
        &out,
        "--tokenizer",
        &model,
        "--context",
        "9",
    ];
    dream(&tight).refused(&["4 prompts are larger than the context"]);
    let bad = text(&write(
        dir.path(),
        "bad.jsonl",
        "{\"query\":\"q\",\"pos\":3}\n",
    ));
    dream(&["data", "convert", &bad, "--out", &out]).refused(&["--overwrite"]);
    dream(&["data", "convert", &bad, "--out", &out, "--overwrite"]).refused(&["bad.jsonl:1: "]);
    dream(&["data", "convert", &bad, "--out", &out, "--format", "x"]).refused(&["flagembedding"]);
    // A refusal loses nothing that was there.
    let twice = std::fs::read_to_string(dir.path().join("native/train.jsonl")).expect("rows");
    write(dir.path(), "native/train.jsonl", twice.repeat(2));
    dream(&["data", "inspect", &out]).refused(&["4 row ids stand more than once: \"1\""]);
}
