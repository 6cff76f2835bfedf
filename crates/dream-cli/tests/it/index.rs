//! `dream encode` and `dream search`.

use crate::program::{dream, dream_with, fixture, text, tiny_beir, write};
use serde_json::Value;

#[test]
fn an_encoded_corpus_is_found_again_by_its_own_texts() {
    let data = tiny_beir();
    let (model, folder) = (fixture("tiny-llama"), text(data.path()));
    let out = text(&data.path().join("index"));
    let encode = [
        "encode",
        "--model",
        &model,
        "--data",
        &folder,
        "--out",
        &out,
        "--shard-size",
        "2",
    ];
    let encoded = dream(&[&encode[..], &["--json"]].concat()).json().remove(0);
    assert_eq!(
        (&encoded["documents"], &encoded["shards"], &encoded["dim"]),
        (&3.into(), &2.into(), &32.into())
    );
    let manifest = std::fs::read(data.path().join("index/manifest.json")).expect("it is there");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["weights_digest"].as_str().map(str::len), Some(64));
    assert_eq!(
        (&manifest["pooling"], &manifest["max_len"]),
        (&"lasttoken".into(), &512.into())
    );
    let bytes = std::fs::metadata(data.path().join("index/shard-00000.f32")).expect("it is there");
    assert_eq!(bytes.len(), 2 * 32 * 4);

    let search = [
        "search", "--model", &model, "--index", &out, "--verify", "--k", "2",
    ];
    let more = [
        "--query",
        "the Rhine flows north",
        "--corpus",
        &folder,
        "--json",
    ];
    let found = dream(&[&search[..], &more].concat()).json().remove(0);
    assert_eq!(
        (&found["query"], &found["text"]),
        (&"0".into(), &"the Rhine flows north".into())
    );
    let hits = found["hits"].as_array().expect("hits");
    assert_eq!(hits.len(), 2);
    assert_eq!(
        (&hits[0]["rank"], &hits[0]["document"]),
        (&1.into(), &"d1".into())
    );
    assert_eq!(hits[0]["text"], "the Rhine flows north");
    assert!((hits[0]["score"].as_f64().expect("a number") - 1.0).abs() < 1e-5);

    let shown = dream_with(&search, b"x\niron rusts\n").ok();
    assert!(shown.starts_with("0: x\n    1  1.0000  d2\n"), "{shown}");
    assert!(
        shown.contains("1: iron rusts\n    1  1.0000  d0\n"),
        "{shown}"
    );

    let (queries, run) = (
        text(&data.path().join("queries.jsonl")),
        text(&data.path().join("run")),
    );
    dream(&[&search[..], &["--queries", &queries, "--run", &run]].concat()).ok();
    let qrels = text(&data.path().join("qrels/test.tsv"));
    let scores = dream(&["eval", "--run", &run, "--qrels", &qrels, "--json"]).json();
    assert_eq!(scores[0]["RR@10"], 1.0);
}

#[test]
fn smaller_number_types_are_written_named_and_found_again() {
    let data = tiny_beir();
    let (model, folder) = (fixture("tiny-llama"), text(data.path()));
    let out = text(&data.path().join("index"));
    let encode = |dtype: &str| {
        let arguments = [
            "encode", "--model", &model, "--data", &folder, "--out", &out, "--force", "--json",
        ];
        dream(&[&arguments[..], &["--index-dtype", dtype]].concat())
    };
    for (dtype, bytes) in [("f16", 2), ("bf16", 2), ("i8", 1)] {
        assert_eq!(encode(dtype).json()[0]["dtype"], dtype);
        let embeddings = data.path().join(format!("index/shard-00000.{dtype}"));
        let written = std::fs::metadata(embeddings).expect("it is there");
        assert_eq!(written.len(), 3 * 32 * bytes);
        let found = dream(&[
            "search",
            "--model",
            &model,
            "--index",
            &out,
            "--verify",
            "--query",
            "iron rusts",
            "--k",
            "1",
            "--json",
        ]);
        let hit = &found.json()[0]["hits"][0];
        assert_eq!(hit["document"], "d0", "{dtype}");
        let score = hit["score"].as_f64().expect("a number");
        assert!((score - 1.0).abs() < 1e-2, "{dtype}: {score}");
    }
    encode("i4").refused(&["dtype must be f32, f16, bf16 or i8, not \"i4\""]);
}

#[test]
fn timing_a_search_names_the_number_type_and_what_it_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let index = text(folder.path());
    let bench = |dtype: &str| {
        let sizes = [
            "bench",
            "search",
            "--documents",
            "700",
            "--dim",
            "16",
            "--queries",
            "1",
            "--k",
            "5",
            "--repeats",
            "1",
            "--json",
        ];
        dream(&[&sizes[..], &["--index", &index, "--index-dtype", dtype]].concat())
    };
    let timed = bench("i8").json().remove(0);
    assert_eq!(
        (&timed["dtype"], &timed["documents"]),
        (&"i8".into(), &700.into())
    );
    let number = |key: &str| timed[key].as_f64().expect("a number");
    let bytes = number("bytes_per_second") * number("seconds");
    assert!((bytes - 700.0 * (16.0 + 4.0)).abs() < 1e-3, "{bytes}");
    bench("f32").refused(&["holds vectors in i8, not in f32"]);
}

#[test]
fn an_index_is_searched_only_by_what_made_it() {
    let data = tiny_beir();
    let (llama, folder) = (fixture("tiny-llama"), text(data.path()));
    let out = text(&data.path().join("index"));
    let encode = [
        "encode", "--model", &llama, "--data", &folder, "--out", &out,
    ];
    dream(&encode).ok();
    let again = dream(&encode).ok();
    assert!(again.ends_with("3 of them were there\n"), "{again}");
    dream(&[&encode[..], &["--index-dtype", "i8"]].concat())
        .refused(&["was made with dtype \"f32\", not \"i8\"; --force"]);
    dream(&[&encode[..], &["--force", "-q"]].concat()).ok();
    let search =
        |more: &[&str]| dream(&[&["search", "--index", &out, "--query", "a"][..], more].concat());
    search(&["--model", &llama]).ok();
    search(&["--model", &fixture("tiny-qwen2")]).refused(&["was made with weights_digest"]);
    search(&["--model", &llama, "--pooling", "mean"]).refused(&["pooling \"lasttoken\""]);
    let adapter = fixture("tiny-llama/adapter-auto-model");
    search(&["--model", &llama, "--adapter", &adapter]).refused(&["adapter_digest null"]);
    search(&["--model", &llama, "--k", "0"]).refused(&["at least 1"]);
    dream(&["search", "--index", &out, "--model", &llama]).refused(&["no query"]);
    write(data.path(), "index/shard-00000.f32", [0; 12]);
    search(&["--model", &llama]).refused(&["shard-00000.f32", "384 bytes"]);
    std::fs::remove_file(data.path().join("index/manifest.json")).expect("it is there");
    search(&["--model", &llama]).refused(&["manifest.json"]);
}

#[test]
fn a_corpus_is_read_to_its_end_before_anything_is_written() {
    let data = tiny_beir();
    let (model, out) = (fixture("tiny-llama"), data.path().join("index"));
    let corpus = text(&data.path().join("corpus.jsonl"));
    let encode = [
        "encode",
        "--model",
        &model,
        "--data",
        &corpus,
        "--out",
        &text(&out),
    ];
    let good = "{\"_id\":\"a\",\"text\":\"b\"}\n";
    write(
        data.path(),
        "corpus.jsonl",
        format!("{good}{{\"text\":\"b\"}}\n"),
    );
    dream(&encode).refused(&["corpus.jsonl:2: a document needs an id"]);
    write(data.path(), "corpus.jsonl", format!("{good}{good}"));
    dream(&encode).refused(&["corpus.jsonl:2: document id \"a\" was given before"]);
    write(data.path(), "corpus.jsonl", "");
    dream(&encode).refused(&["holds no document"]);
    assert!(!out.exists());
}

#[test]
fn a_corpus_on_the_standard_input_gives_the_index_of_the_file_and_is_checked_line_by_line() {
    let data = tiny_beir();
    let model = fixture("tiny-llama");
    let encode = |from: &str, to: &str, stdin: &[u8]| {
        let out = text(&data.path().join(to));
        let arguments = [
            "encode",
            "--model",
            &model,
            "--data",
            from,
            "--out",
            &out,
            "--batch-tokens",
            "8",
        ];
        dream_with(&arguments, stdin)
    };
    let shard = |of: &str, ending: &str| {
        let path = data.path().join(of).join(format!("shard-00000.{ending}"));
        std::fs::read(path).expect("it is there")
    };
    let corpus = std::fs::read(data.path().join("corpus.jsonl")).expect("it is there");
    encode(&text(data.path()), "of-file", b"").ok();
    encode("-", "of-stdin", &corpus).ok();
    for ending in ["f32", "ids"] {
        assert_eq!(shard("of-file", ending), shard("of-stdin", ending));
    }

    encode("-", "none", b"\n").refused(&["holds no document"]);
    encode("-", "none", b"{}\n").refused(&["standard input:1: missing field `text`"]);
    assert!(!data.path().join("none").exists());
    let twice = [&corpus[..], b"\n", &corpus].concat();
    encode("-", "twice", &twice)
        .refused(&["standard input:5: document id \"d0\" was given before"]);
    assert!(!data.path().join("twice/manifest.json").exists());
}
