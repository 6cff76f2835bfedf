//! Models and adapters that are missing, cut off, hostile or of an unknown kind.

use crate::program::{copy, dream, dream_with, fixture, folder, text, write};
use std::path::Path;

fn embed(model: &Path) -> crate::program::Outcome {
    dream_with(&["embed", "--model", &text(model), "--json"], b"a\n")
}

#[test]
fn a_missing_model_is_named_with_the_places_that_were_looked_at() {
    dream(&["embed", "--model", "no/such/model.gguf"]).refused(&["no/such/model.gguf"]);
    dream(&["embed", "--model", "smollm2-135m-instruct"]).refused(&[
        "not on this machine",
        "/nonexistent/cache/models/smollm2-135m-instruct",
        "/nonexistent/hub",
        "HF_HUB_OFFLINE is set",
    ]);
    let empty = folder();
    embed(empty.path()).refused(&["no model found", "config.json (is missing)"]);
}

#[test]
fn truncated_weights_are_refused() {
    let dir = folder();
    copy(&fixture("tiny-llama"), dir.path());
    let path = dir.path().join("model.safetensors");
    let whole = std::fs::read(&path).expect("it is there");
    for length in [0, 7, 100, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).expect("writable");
        embed(dir.path()).refused(&["model.safetensors"]);
    }
    let whole = std::fs::read(fixture("gguf/tiny-llama.gguf")).expect("it is there");
    for length in [0, 3, 30, whole.len() / 2, whole.len() - 1] {
        let path = write(dir.path(), "cut.gguf", &whole[..length]);
        embed(&path).refused(&["cut.gguf"]);
    }
}

#[test]
fn a_gguf_header_that_promises_more_than_there_is_allocates_nothing() {
    let dir = folder();
    let header = |version: u32, tensors: u64, entries: u64| {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(version.to_le_bytes());
        bytes.extend(tensors.to_le_bytes());
        bytes.extend(entries.to_le_bytes());
        bytes
    };
    let mut long_key = header(3, 0, 1);
    long_key.extend(u64::MAX.to_le_bytes());
    let cases = [
        header(3, u64::MAX, 0),
        header(3, 0, u64::MAX),
        header(77, 1, 1),
        long_key,
        b"GGML".to_vec(),
    ];
    for bytes in cases {
        let path = write(dir.path(), "hostile.gguf", bytes);
        embed(&path).refused(&["hostile.gguf"]);
        dream(&["models", "info", &text(&path)]).refused(&["hostile.gguf"]);
    }
}

#[test]
fn an_unknown_architecture_is_named() {
    let dir = folder();
    copy(&fixture("tiny-llama"), dir.path());
    let path = dir.path().join("config.json");
    let config = std::fs::read_to_string(&path).expect("it is there");
    let config = config
        .replace("\"llama\"", "\"mamba\"")
        .replace("LlamaForCausalLM", "MambaForCausalLM");
    std::fs::write(&path, config).expect("writable");
    embed(dir.path()).refused(&["config.json", "unsupported model", "mamba"]);
    // It is described all the same.
    let info = |model: &str| dream(&["models", "info", model, "--json"]).json().remove(0);
    let described = info(&text(dir.path()));
    assert_eq!(described["supported"], false);
    let reason = described["reason"].as_str().expect("a reason");
    assert!(reason.contains("mamba"), "{reason}");
    for model in ["tiny-qwen3", "gguf/tiny-llama.gguf"] {
        let described = info(&fixture(model));
        assert_eq!(
            (&described["supported"], &described["reason"]),
            (&true.into(), &().into())
        );
    }
    std::fs::write(&path, "{").expect("writable");
    embed(dir.path()).refused(&["config.json"]);
}

#[test]
fn an_adapter_of_another_model_or_none_at_all_is_refused() {
    let (model, adapter) = (
        fixture("tiny-qwen2"),
        fixture("tiny-llama/adapter-causal-lm"),
    );
    let run = |adapter: &str| dream(&["embed", "--model", &model, "--adapter", adapter]);
    run(&adapter).refused(&["adapter_model.safetensors"]);
    run("/no/such/folder").refused(&["/no/such/folder/adapter_config.json"]);
}
