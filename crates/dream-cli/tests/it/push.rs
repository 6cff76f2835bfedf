//! `dream index push` and `dream search --via`.

use crate::fake::{FakeQdrant, Server};
use crate::program::{Outcome, command, dream, fixture, text, tiny_beir};
use serde_json::Value;
use std::path::Path;

/// A BEIR folder with its index beside the corpus.
fn indexed() -> tempfile::TempDir {
    let data = tiny_beir();
    let (model, folder) = (fixture("tiny-llama"), text(data.path()));
    let out = index(data.path());
    let encode = ["encode", "--model", &model, "--data", &folder];
    dream(&[&encode[..], &["--out", &out, "--shard-size", "2"]].concat()).ok();
    data
}

fn index(data: &Path) -> String {
    text(&data.join("index"))
}

fn push(data: &Path, more: &[&str]) -> Outcome {
    dream(&[&["index", "push", &index(data), "--json"][..], more].concat())
}

#[test]
fn an_index_becomes_npy_and_the_same_command_again_does_nothing() {
    let data = indexed();
    let out = text(&data.path().join("npy"));
    let arguments = ["--to", "npy", "--out", &out, "--batch-size", "1"];
    let done = push(data.path(), &arguments).json().remove(0);
    assert_eq!((&done["count"], &done["batches"]), (&3.into(), &3.into()));
    let numbers = std::fs::read(data.path().join("npy/embeddings.npy")).expect("it is there");
    let shards = ["index/shard-00000.f32", "index/shard-00001.f32"]
        .map(|name| std::fs::read(data.path().join(name)).expect("it is there"));
    assert_eq!(numbers[128..], shards.concat());
    let ids = std::fs::read_to_string(data.path().join("npy/ids.txt")).expect("it is there");
    assert_eq!(ids, "d0\nd1\nd2\n");
    let again = push(data.path(), &arguments).json().remove(0);
    assert_eq!(
        (&again["before"], &again["batches"]),
        (&3.into(), &0.into())
    );
    push(data.path(), &[&arguments[..], &["--restart"]].concat()).refused(&["is there already"]);
    let other = ["--to", "npy", "--out", &out, "--npy-dtype", "f16"];
    push(data.path(), &other).refused(&["is there already"]);
}

#[test]
fn what_cannot_be_pushed_is_a_usage_error() {
    let data = indexed();
    let refused = |more: &[&str], parts: &[&str]| push(data.path(), more).refused(parts);
    refused(&["--to", "faiss"], &["qdrant, pgvector, milvus"]);
    refused(&["--to", "parquet"], &["--out"]);
    refused(&["--to", "qdrant", "--out", "x"], &["--out"]);
    refused(
        &["--to", "qdrant", "--collection", "A b"],
        &["a-z, 0-9 and _"],
    );
    let secret = ["--to", "qdrant+ftp://me:secret@host"];
    let outcome = push(data.path(), &secret);
    assert!(
        !outcome
            .stderr
            .replace("qdrant+ftp://me:secret@host", "")
            .contains("secret")
    );
    outcome.refused(&["qdrant://"]);
    let out = text(&data.path().join("npy"));
    let corpus = text(data.path());
    refused(
        &["--to", "npy", "--out", &out, "--corpus", &corpus],
        &["no room for --corpus"],
    );
    dream(&["search", "--model", "m", "--query", "x"]).refused(&["--index"]);
    let model = fixture("tiny-llama");
    let search = ["search", "--model", &model, "--query", "x", "--via"];
    dream(&[&search[..], &["parquet"]].concat()).refused(&["qdrant, pgvector or milvus"]);
}

#[test]
fn a_server_that_is_not_there_is_a_failure_after_a_few_attempts_and_its_password_is_not_said() {
    let data = indexed();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    for to in [
        format!("qdrant://me:sesame@127.0.0.1:{port}"),
        format!("milvus://me:sesame@127.0.0.1:{port}"),
        format!("elasticsearch://me:sesame@127.0.0.1:{port}"),
        format!("postgres://me:sesame@127.0.0.1:{port}/db"),
    ] {
        let outcome = push(data.path(), &["--to", &to]);
        assert!(!outcome.stderr.contains("sesame"), "{}", outcome.stderr);
        outcome.failed(&["127.0.0.1", "trying again"]);
    }
}

#[test]
fn what_was_pushed_is_found_as_it_is_here_with_the_texts_of_the_engine() {
    let data = indexed();
    let server = Server::start(FakeQdrant {
        key: Some("sesame".into()),
        ..FakeQdrant::default()
    });
    let run = |arguments: &[&str]| -> Vec<Value> {
        let mut command = command(arguments);
        command.env("QDRANT_URL", server.url());
        command.env("QDRANT_API_KEY", "sesame");
        let output = command.output().expect("the program ends");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    };
    let (model, corpus) = (fixture("tiny-llama"), text(data.path()));
    let index = index(data.path());
    let push = [
        "index",
        "push",
        &index,
        "--to",
        "qdrant",
        "--collection",
        "tiny",
    ];
    let done = run(&[&push[..], &["--corpus", &corpus, "--json"]].concat());
    assert_eq!(done[0]["count"], 3);
    let search = [
        "search",
        "--model",
        &model,
        "--query",
        "the Rhine flows north",
        "--k",
        "2",
        "--json",
    ];
    let here = run(&[&search[..], &["--index", &index, "--corpus", &corpus]].concat());
    let there = run(&[
        &search[..],
        &["--via", "qdrant", "--collection", "tiny", "--index", &index],
    ]
    .concat());
    let hits = |found: &[Value]| found[0]["hits"].as_array().expect("hits").clone();
    for (here, there) in hits(&here).iter().zip(&hits(&there)) {
        let score = |hit: &Value| hit["score"].as_f64().expect("a score");
        assert!((score(here) - score(there)).abs() < 1e-5);
        for key in ["rank", "document", "title", "text"] {
            assert_eq!(here[key], there[key]);
        }
    }
    assert_eq!(hits(&there)[0]["document"], "d1");
}
