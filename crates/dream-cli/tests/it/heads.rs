//! `dream heads`.

use crate::program::{Outcome, dream, fixture, folder, model_without_numbers, text, write};
use crate::training::{config, data};

fn heads(model: &str, data: &std::path::Path, more: &[&str]) -> Outcome {
    let data = text(&data.join("data"));
    let common = [
        "heads",
        "--llm",
        model,
        "--data",
        &data,
        "--queries",
        "3",
        "--candidates",
        "4",
    ];
    dream(&[&common[..], more].concat())
}

#[test]
fn a_model_that_gives_no_numbers_is_named_instead_of_scored() {
    let dir = folder();
    data(dir.path());
    let broken = model_without_numbers();
    let model = text(broken.path());
    heads(&model, dir.path(), &["--json"]).failed(&["not finite", &model]);
    let headroom = ["--headroom", "--heads", "0-0", "--json"];
    heads(&model, dir.path(), &headroom).failed(&["not finite", &model]);
    heads(&fixture("tiny-llama"), dir.path(), &[]).ok();
    for option in ["--out", "--svg"] {
        let place = text(&dir.path().join("none/heads"));
        heads(&model, dir.path(), &[option, &place]).refused(&["there is no folder"]);
    }
}

#[test]
fn a_head_list_of_another_model_is_refused_wherever_it_is_used() {
    let dir = folder();
    data(dir.path());
    let (llama, qwen) = (fixture("tiny-llama"), fixture("tiny-qwen3"));
    let list = text(&dir.path().join("heads.json"));
    heads(&llama, dir.path(), &["--count", "2", "--out", &list]).ok();
    let read: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&list).expect("a list")).expect("JSON");
    let digest = read["model_digest"].as_str().expect("a digest");
    let refusal = ["another model", digest, &qwen];
    heads(&qwen, dir.path(), &["--headroom", "--heads", &list]).refused(&refusal);
    let example = r#"{"docs":["a"],"question":"q","target":"t"}"#;
    let example = text(&write(dir.path(), "example.json", example));
    let explain = ["explain", "--heads", &list, "--example", &example, "--llm"];
    dream(&[&explain[..], &[&qwen]].concat()).refused(&refusal);
    dream(&[&explain[..], &[&llama]].concat()).ok();
    let of = |model: &str| {
        config(dir.path())
            .replace(&llama, model)
            .replace("[llm]", &format!("[llm]\nheads = '{list}'"))
    };
    let file = write(dir.path(), "other.toml", of(&qwen));
    dream(&["train", &text(&file)]).refused(&refusal);
    assert!(!dir.path().join("run").exists(), "a run folder was made");
}

#[test]
fn the_run_folder_has_a_head_list_however_the_heads_came() {
    let dir = folder();
    data(dir.path());
    let model = fixture("tiny-llama");
    for (name, choice) in [("given", "[llm]\nheads = '0-1,2-3'"), ("random", "[llm]")] {
        let text_of = config(dir.path())
            .replace("/run'", &format!("/{name}'"))
            .replace("[llm]", choice)
            .replace("count = 3", "count = 2\nselector = 'random'");
        let file = text(&write(dir.path(), "train.toml", text_of));
        dream(&["train", &file]).ok();
        let list = text(&dir.path().join(name).join("heads.json"));
        // It serves as a list again.
        let headroom = ["--headroom", "--heads", &list, "--json"];
        let measured = heads(&model, dir.path(), &headroom).json().remove(0);
        let selection = measured["selection"].as_str().expect("heads");
        assert_eq!(selection.split(',').count(), 2, "{selection}");
        assert!(name == "random" || selection == "0-1,2-3", "{selection}");
    }
}

#[test]
fn a_question_longer_than_the_context_is_cut_and_ends_neither_detection_nor_training() {
    let dir = folder();
    data(dir.path());
    let rows = dir.path().join("data/train.jsonl");
    let long = std::fs::read_to_string(&rows)
        .expect("rows")
        .replace("what sells", &"what sells ".repeat(300));
    std::fs::write(&rows, long).expect("writable");
    heads(&fixture("tiny-llama"), dir.path(), &["--headroom"]).ok();
    let file = write(dir.path(), "train.toml", config(dir.path()));
    dream(&["train", &text(&file)]).ok();
    for limit in ["--document-tokens", "--question-tokens", "--target-tokens"] {
        let name = limit.trim_start_matches('-').replace('-', "_");
        heads(&fixture("tiny-llama"), dir.path(), &[limit, "0"]).refused(&[&name, "at least 1"]);
    }
    let changed = config(dir.path()).replace("[llm]", "[llm]\ntarget_tokens = 0");
    let file = write(dir.path(), "bad.toml", changed);
    dream(&["train", &text(&file)]).refused(&["llm.target_tokens must be at least 1"]);
}

#[test]
fn more_candidates_than_documents_are_all_documents_with_a_warning() {
    let dir = folder();
    data(dir.path());
    let data = text(&dir.path().join("data"));
    let model = fixture("tiny-llama");
    for negatives in ["bm25", "random"] {
        let found = dream(&[
            "heads",
            "--llm",
            &model,
            "--data",
            &data,
            "--queries",
            "2",
            "--candidates",
            "50",
            "--negatives",
            negatives,
            "--document-tokens",
            "20",
            "--json",
        ]);
        let warning = "--candidates is 50, but the corpus holds 12 documents";
        assert!(found.stderr.contains(warning), "{found:?}");
        assert_eq!(found.json()[0]["candidates"], 12);
    }
    let changed = config(dir.path()).replace("candidates = 4", "candidates = 13");
    let file = write(dir.path(), "train.toml", changed);
    let trained = dream(&["train", &text(&file)]);
    for setting in ["data.candidates is 13", "llm.detect.candidates is 13"] {
        assert!(trained.stderr.contains(setting), "{trained:?}");
    }
    trained.ok();
}
