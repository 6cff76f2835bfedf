//! `dream explain`.

use crate::program::{Outcome, dream, fixture, folder, model_without_numbers, text, write};

fn explain(model: &str, heads: &str, example: &str) -> Outcome {
    let dir = folder();
    let file = text(&write(dir.path(), "example.json", example));
    let arguments = [
        "explain",
        "--llm",
        model,
        "--heads",
        heads,
        "--example",
        &file,
        "--json",
    ];
    dream(&arguments)
}

#[test]
fn large_scores_over_a_small_temperature_are_weights_and_never_null() {
    let example =
        r#"{"docs":["a","b"],"question":"q","target":"t","scores":[1e38,-3e38],"tau":0.01}"#;
    let said = explain(&fixture("tiny-llama"), "0-0,2-1", example);
    assert!(!said.stdout.contains("null"), "{said:?}");
    assert_eq!(said.json()[0]["weights"], serde_json::json!([1.0, 0.0]));
}

#[test]
fn what_is_no_number_is_an_error() {
    let broken = model_without_numbers();
    let example = r#"{"docs":["a","b"],"question":"q","target":"t"}"#;
    explain(&text(broken.path()), "0-0", example).failed(&["not finite"]);
    // A temperature so small that gradients over it are infinite.
    let example = r#"{"docs":["a","bcd"],"question":"q","target":"t","scores":[0,0],"tau":1e-44}"#;
    explain(&fixture("tiny-llama"), "0-0,2-1", example).failed(&["not finite"]);
}

#[test]
fn a_prompt_that_does_not_fit_says_which_part_is_too_long() {
    let model = fixture("tiny-llama");
    let long = "x ".repeat(2000);
    let example = |doc: &str, question: &str| {
        format!(r#"{{"docs":["{doc}","b"],"question":"{question}","target":"t"}}"#)
    };
    explain(&model, "0-0", &example("a", &long)).refused(&["does not fit", "a shorter question"]);
    explain(&model, "0-0", &example(&long, "q")).refused(&["does not fit", "fewer documents"]);
}

#[test]
fn keys_that_are_not_looked_at_are_named_in_a_warning() {
    let model = fixture("tiny-llama");
    let said = explain(
        &model,
        "0-0",
        r#"{"docs":["a","b"],"question":"q","target":"t","scroes":[1,9]}"#,
    );
    assert!(said.stderr.contains("not looked at: scroes"), "{said:?}");
    assert_eq!(said.json()[0]["weights"], serde_json::json!([0.5, 0.5]));
    let tokens =
        r#""ids":[1,2,3,4],"doc_spans":[[0,2]],"suffix_start":2,"target_start":3,"target_end":4"#;
    let both = explain(&model, "0-0", &format!(r#"{{"docs":["a","b"],{tokens}}}"#));
    assert!(both.stderr.contains("not looked at: docs"), "{both:?}");
    assert_eq!(both.json()[0]["weights"], serde_json::json!([1.0]));
}
