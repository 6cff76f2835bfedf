//! The real SmolLM2-135M-Instruct against the golden numbers of an independent implementation.
//!
//! Needs `DREAM_TEST_MODEL` (the GGUF file) and the golden file in `$DREAM_SHARED/golden`; says so
//! loudly and passes where they are missing.

use crate::tiny_models::{check_injection, ids, numbers, spans};
use crate::tolerance::{BF16, F32, Tolerance, assert_close, assert_number};
use dream::heads::HeadId;
use dream::heads::scoring::document_scores;
use dream::llm::{ReadDocuments, text_loss};
use dream::model::Model;
use dream::prompt::Prefix;
use dream::retriever::{Retriever, RetrieverConfig, Role};
use dream_nn::Dtype;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The golden file prints six decimals.
const PRINTED: f64 = 1e-4;

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn smollm2_equals_the_golden_numbers() {
    let shared = std::env::var_os("DREAM_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let golden = shared.join("golden/smollm2-135m-instruct.json");
    let Some(path) = std::env::var_os("DREAM_TEST_MODEL").filter(|_| golden.exists()) else {
        eprintln!(
            "SKIPPED: set DREAM_TEST_MODEL to the SmolLM2 GGUF, with {}",
            golden.display()
        );
        return;
    };
    let text = std::fs::read_to_string(golden).expect("golden file");
    let cases: Vec<Value> = serde_json::from_str(&text).expect("golden file is JSON");
    for (dtype, tolerance) in [(Dtype::F32, F32), (Dtype::Bf16, BF16)] {
        let model = Arc::new(Model::load(Path::new(&path), dtype).expect("the model loads"));
        for entry in &cases {
            let (case, expect) = (&entry["case"], &entry["expect"]);
            match case["kind"].as_str().expect("kind") {
                "loss" => check_loss(&model, case, expect, tolerance),
                "embed" => check_embeddings(&model, case, expect, tolerance),
                "inject" => check_injections(&model, case, expect, tolerance),
                "heads" => check_heads(&model, expect, tolerance),
                other => panic!("unknown golden kind {other}"),
            }
        }
    }
}

fn check_loss(model: &Model, case: &Value, expect: &Value, tolerance: Tolerance) {
    let tokens = model
        .tokenizer
        .encode(case["text"].as_str().expect("text"))
        .expect("tokens");
    assert_eq!(tokens, ids(&expect["ids"]));
    let loss = text_loss(&model.decoder, &tokens).expect("long enough");
    assert_number(
        "loss",
        loss,
        expect["loss"].as_f64().expect("loss"),
        tolerance.loss,
    );
}

fn check_embeddings(model: &Arc<Model>, case: &Value, expect: &Value, tolerance: Tolerance) {
    let retriever = Retriever {
        model: Arc::clone(model),
        config: RetrieverConfig {
            append_eos: false,
            ..RetrieverConfig::default()
        },
        adapter: None,
        standardizer: None,
    };
    let texts = case["texts"].as_array().expect("texts");
    for (text, want) in texts.iter().zip(expect["out"].as_array().expect("out")) {
        let text = retriever
            .tokenize(Role::Document, text.as_str().expect("text"))
            .expect("tokens");
        assert_eq!(text.ids, ids(&want["ids"]));
        let embedding = retriever.embed(&[text]);
        assert_close(
            "embedding",
            embedding.data(),
            &numbers(&want["embedding"]),
            PRINTED.max(tolerance.state),
        );
    }
}

fn check_injections(model: &Model, case: &Value, expect: &Value, tolerance: Tolerance) {
    let mut golden = expect.clone();
    for key in ["heads", "scores", "tau"] {
        golden[key] = case[key].clone();
    }
    for rows in ["suffix", "target"] {
        for budget in ["mass", "one"] {
            let what = format!("{rows}/{budget}");
            check_injection(
                &what,
                model,
                &golden,
                &expect[&what],
                (rows, budget, 1.0),
                tolerance,
            );
        }
    }
}

fn check_heads(model: &Model, expect: &Value, tolerance: Tolerance) {
    let rows = spans(&expect["query_rows"]).remove(0);
    let (tokens, null_tokens) = (ids(&expect["ids"]), ids(&expect["null_ids"]));
    let doc_spans = spans(&expect["doc_spans"]);
    let prefix = Prefix {
        ids: tokens[..rows.start].to_vec(),
        doc_spans,
    };
    let documents = ReadDocuments::new(&model.decoder, &prefix);
    let (question, null) = (&tokens[rows.clone()], &null_tokens[rows.start..]);
    let scores = document_scores(&model.decoder, &documents, question, null);
    for (name, want) in expect["scores"].as_object().expect("scores") {
        let id: HeadId = name.parse().expect("head");
        assert_close(
            name,
            &scores[id.layer][id.head],
            &numbers(want),
            tolerance.gradient,
        );
    }
}
