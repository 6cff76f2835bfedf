//! `dream embed`.

use crate::program::{command, copy, dream, dream_with, fixture, folder, text, write};
use dream::model::Model;
use dream::retriever::adapter::AdapterFolder;
use dream::retriever::{Pooling, Retriever, RetrieverConfig, Role};
use dream_nn::Dtype;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

fn embedding(value: &Value) -> Vec<f32> {
    let numbers = value["embedding"].as_array().expect("an array").iter();
    numbers
        .map(|x| x.as_f64().expect("a number") as f32)
        .collect()
}

/// What the library says; the program must print the same bits.
fn expected(model: &str, adapter: Option<&Path>, config: RetrieverConfig, line: &str) -> Vec<f32> {
    let model = Arc::new(Model::load(Path::new(&fixture(model)), Dtype::F32).expect("it loads"));
    let adapter = adapter.map(|folder| {
        let read = AdapterFolder::read(folder, &model.decoder.config);
        read.expect("it loads").adapter
    });
    let retriever = Retriever {
        model,
        config,
        adapter,
        standardizer: None,
    };
    let text = retriever.tokenize(Role::Document, line).expect("a text");
    retriever.embed(&[text]).row(0).to_vec()
}

#[test]
fn each_line_gets_its_index_its_tokens_and_the_librarys_embedding_to_the_last_bit() {
    for name in ["tiny-llama", "tiny-qwen2", "tiny-qwen3"] {
        let arguments = ["embed", "--model", &fixture(name), "--json"];
        let values = dream_with(&arguments, b"Hello there\n").json();
        assert_eq!(values.len(), 1);
        let keys: Vec<&String> = values[0].as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["embedding", "index", "tokens"]);
        assert_eq!(values[0]["index"], 0);
        let wanted = expected(name, None, RetrieverConfig::default(), "Hello there");
        assert_eq!(embedding(&values[0]), wanted);
        let norm: f32 = wanted.iter().map(|x| x * x).sum();
        assert!((norm - 1.0).abs() < 1e-5);
    }
}

#[test]
fn an_empty_line_is_a_text_and_chunks_do_not_show() {
    let lines: Vec<String> = (0..150)
        .map(|i| {
            if i == 70 {
                String::new()
            } else {
                format!("line {i}")
            }
        })
        .collect();
    let arguments = ["embed", "--model", &fixture("tiny-llama"), "--json"];
    let values = dream_with(&arguments, lines.join("\n").as_bytes()).json();
    assert_eq!(values.len(), 150);
    for i in [0, 63, 64, 70, 149] {
        assert_eq!(values[i]["index"], i);
        let alone = expected("tiny-llama", None, RetrieverConfig::default(), &lines[i]);
        for (got, want) in embedding(&values[i]).iter().zip(&alone) {
            assert!((got - want).abs() < 1e-5, "line {i}: {got} {want}");
        }
    }
    assert_eq!(values[70]["tokens"], 1); // the end-of-text token alone
}

#[test]
fn no_eos_takes_one_token_away_and_max_tokens_cuts() {
    let model = fixture("tiny-llama");
    let tokens = |more: &[&str]| {
        let mut arguments = vec!["embed", "--model", &model, "--json"];
        arguments.extend(more);
        let values = dream_with(&arguments, b"some words in a line\n").json();
        values[0]["tokens"].as_u64().expect("a count")
    };
    assert_eq!(tokens(&["--no-eos"]) + 1, tokens(&[]));
    assert_eq!(tokens(&["--max-tokens", "4"]), 4);
    assert_eq!(tokens(&["--max-tokens", "4", "--no-eos"]), 4);
    assert_eq!(tokens(&["--max-tokens", "1", "--no-eos"]), 1);
    let arguments = ["embed", "--model", &model, "--max-tokens"];
    dream(&[&arguments[..], &["1"]].concat()).refused(&["at least 2"]);
    dream(&[&arguments[..], &["0", "--no-eos"]].concat()).refused(&["at least 1"]);
    dream(&[&arguments[..], &["100000"]].concat()).refused(&["context of 512"]);
}

#[test]
fn an_adapters_settings_rule_unless_the_command_line_says_otherwise() {
    let dir = folder();
    copy(&fixture("tiny-llama/adapter-causal-lm"), dir.path());
    let model = fixture("tiny-llama");
    let adapter = text(dir.path());
    let run = |more: &[&str]| {
        let mut arguments = vec!["embed", "--model", &model, "--adapter", &adapter, "--json"];
        arguments.extend(more);
        embedding(&dream_with(&arguments, b"a text\n").json()[0])
    };
    let folder = Some(dir.path());
    let default = RetrieverConfig::default;
    assert_eq!(
        run(&[]),
        expected("tiny-llama", folder, default(), "a text")
    );
    assert_ne!(run(&[]), expected("tiny-llama", None, default(), "a text"));

    let settings = r#"{"retriever":{"pooling":"mean","append_eos":false,"document_prompt":"D: "},
        "temperature":0.05,"provenance":{}}"#;
    write(dir.path(), "retriever.json", settings);
    let mean = RetrieverConfig {
        pooling: Pooling::Mean,
        append_eos: false,
        document_prompt: "D: ".into(),
        ..default()
    };
    assert_eq!(
        run(&[]),
        expected("tiny-llama", folder, mean.clone(), "a text")
    );
    let last = RetrieverConfig {
        pooling: Pooling::LastToken,
        document_prompt: String::new(),
        ..mean
    };
    let overridden = run(&["--pooling", "lasttoken", "--document-prompt", ""]);
    assert_eq!(overridden, expected("tiny-llama", folder, last, "a text"));

    write(
        dir.path(),
        "retriever.json",
        r#"{"retriever":{"poling":"mean"}}"#,
    );
    let arguments = ["embed", "--model", &model, "--adapter", &adapter];
    dream(&arguments).refused(&["retriever.json", "unknown field `poling`"]);
    let settings = settings.replace("\"pooling\"", "\"standardize\":\"fixed\",\"pooling\"");
    write(dir.path(), "retriever.json", settings);
    dream(&arguments).refused(&["standardizer.safetensors is missing"]);
}

#[test]
fn a_line_that_is_not_utf8_is_named_after_those_before_it_were_embedded() {
    let arguments = ["embed", "--model", &fixture("tiny-llama"), "--json"];
    let outcome = dream_with(&arguments, b"one\ntwo\n\xff\nfour\n");
    assert_eq!(outcome.stdout.lines().count(), 2);
    outcome.refused(&["standard input:3: not UTF-8"]);
}

#[test]
fn no_text_gives_no_line_and_people_get_a_short_form() {
    let model = fixture("tiny-llama");
    assert_eq!(dream(&["embed", "--model", &model]).ok(), "");
    let shown = dream_with(&["embed", "--model", &model], b"a\n").ok();
    assert!(
        shown.starts_with("0: 2 tokens, 32 dimensions: ["),
        "{shown}"
    );
}

#[test]
fn a_reader_that_leaves_ends_the_program_quietly_and_a_full_disk_is_a_failure() {
    let model = fixture("tiny-llama");
    let mut child = command(&["embed", "--model", &model, "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().expect("piped");
    drop(std::io::Write::write_all(&mut stdin, b"some text\n"));
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");

    if let Ok(full) = std::fs::File::create("/dev/full") {
        let input = folder();
        let input = write(input.path(), "in.txt", "some text\n");
        let status = command(&["embed", "--model", &model])
            .stdin(std::fs::File::open(input).expect("readable"))
            .stdout(full)
            .stderr(Stdio::null())
            .status();
        assert_eq!(status.expect("the program ends").code(), Some(1));
    }
}
