//! `dream heads`.

use crate::program::{Outcome, dream, fixture, folder, model_without_numbers, text};
use crate::training::data;

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
}
