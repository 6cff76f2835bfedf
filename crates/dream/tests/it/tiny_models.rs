//! The decoder, injection, adapters and head scores against PyTorch, transformers and PEFT on three
//! tiny models (`fixtures/README.md` says how the numbers were made).

use crate::tolerance::{F32, GRADIENT, LOSS, STATE, Tolerance, assert_close, assert_number};
use dream::heads::scoring::document_scores;
use dream::heads::{HeadId, HeadSet};
use dream::injection::{Budget, Rows};
use dream::llm::{InjectionConfig, Judgement, ReadDocuments, judge, ordinary_losses, text_loss};
use dream::model::Model;
use dream::model::decoder::{Batch, Pass};
use dream::prompt::{Prefix, Suffix};
use dream::retriever::adapter::AdapterFolder;
use dream::retriever::{Pooling, Retriever, RetrieverConfig, Role};
use dream_nn::weights::Safetensors;
use dream_nn::{Dtype, Matrix};
use serde_json::Value;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

pub const MODELS: [&str; 3] = ["tiny-llama", "tiny-qwen2", "tiny-qwen3"];

pub fn fixture(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(path)
}

pub fn json(path: &str) -> Value {
    let text = std::fs::read_to_string(fixture(path)).expect("fixture");
    serde_json::from_str(&text).expect("fixture is JSON")
}

pub fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(parts) => parts.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().expect("a number")],
    }
}

pub fn ids(value: &Value) -> Vec<u32> {
    numbers(value).iter().map(|id| *id as u32).collect()
}

pub fn spans(value: &Value) -> Vec<Range<usize>> {
    numbers(value)
        .chunks(2)
        .map(|p| p[0] as usize..p[1] as usize)
        .collect()
}

fn at(value: &Value, key: &str) -> usize {
    value[key].as_u64().expect("a count") as usize
}

pub fn model(name: &str) -> Model {
    Model::load(&fixture(name), Dtype::F32).expect("the fixture model loads")
}

#[test]
fn hidden_states_logits_and_losses_equal_transformers() {
    for name in MODELS {
        let model = model(name);
        let golden = json(&format!("{name}/forward.golden.json"));
        let tokens = ids(&golden["ids"]);
        let batch = Batch::new([tokens.as_slice()], 0);
        let hidden = model.decoder.forward(&Pass::plain(&batch), None).hidden;
        assert_close(name, hidden.data(), &numbers(&golden["final_norm"]), STATE);
        let rows: Vec<f32> = numbers(&golden["logit_rows"])
            .iter()
            .flat_map(|row| hidden.row(*row as usize).to_vec())
            .collect();
        let logits = model
            .decoder
            .logits(&Matrix::from_vec(3, hidden.cols(), rows));
        assert_close(name, logits.data(), &numbers(&golden["logits"]), STATE);
        let loss = text_loss(&model.decoder, &tokens).expect("long enough");
        assert_number(name, loss, golden["loss"].as_f64().expect("loss"), LOSS);
        let long = &golden["long"];
        let loss = text_loss(&model.decoder, &ids(&long["ids"])).expect("long enough");
        assert_number(name, loss, long["loss"].as_f64().expect("loss"), LOSS);
    }
}

#[test]
fn the_older_spelling_of_a_configuration_reads_the_same() {
    let read = |file: &str| {
        dream::model::config::DecoderConfig::from_json(&fixture(file)).expect("configuration")
    };
    assert_eq!(
        format!("{:?}", read("tiny-llama/config.json")),
        format!("{:?}", read("tiny-llama/config.transformers4.json"))
    );
}

/// The documents, suffix and settings of an injection fixture.
pub fn prompt(golden: &Value) -> (Prefix, Suffix) {
    let tokens = ids(&golden["ids"]);
    let start = at(golden, "suffix_start");
    let target_start = at(golden, "target_start") - start;
    let suffix = Suffix {
        ids: tokens[start..at(golden, "target_end")].to_vec(),
        target_start,
    };
    (
        Prefix {
            ids: tokens[..start].to_vec(),
            doc_spans: spans(&golden["doc_spans"]),
        },
        suffix,
    )
}

fn d_scores(judgement: &Judgement, weights: &[f32], tau: f32) -> Vec<f32> {
    dream::train::objective::d_logits(weights, &judgement.d_weights)
        .iter()
        .map(|d| d / tau)
        .collect()
}

pub fn heads_of(golden: &Value) -> HeadSet {
    let pairs = numbers(&golden["heads"]);
    let heads = pairs
        .chunks(2)
        .map(|p| HeadId {
            layer: p[0] as usize,
            head: p[1] as usize,
        })
        .collect();
    HeadSet::new(heads).expect("heads")
}

/// Checks one case: loss, weights, gradient, own distribution of the ordinary pass.
pub fn check_injection(
    what: &str,
    model: &Model,
    golden: &Value,
    case: &Value,
    (rows, budget, gate): (&str, &str, f32),
    tolerance: Tolerance,
) -> Judgement {
    let (prefix, suffix) = prompt(golden);
    let documents = ReadDocuments::new(&model.decoder, &prefix);
    let tau = golden["tau"].as_f64().expect("tau") as f32;
    let weights: Vec<f32> = numbers(&case["weights"])
        .iter()
        .map(|w| *w as f32)
        .collect();
    let config = InjectionConfig {
        heads: heads_of(golden),
        rows: rows.parse::<Rows>().expect("rows"),
        budget: budget.parse::<Budget>().expect("budget"),
        gate,
    };
    let suffixes = [suffix];
    let judged = judge(
        &model.decoder,
        &config,
        &documents,
        &suffixes,
        std::slice::from_ref(&weights),
        true,
    )
    .expect("judged")
    .remove(0);
    assert_number(
        what,
        judged.loss,
        case["loss"].as_f64().expect("loss"),
        tolerance.loss,
    );
    let got = d_scores(&judged, &weights, tau);
    assert_close(
        what,
        &got,
        &numbers(&case["dloss_dscores"]),
        tolerance.gradient,
    );
    assert!(
        got.iter().sum::<f32>().abs() < 1e-4,
        "{what}: gradients of scores sum to zero"
    );
    let ordinary = ordinary_losses(&model.decoder, &documents, &suffixes)[0];
    assert_number(
        what,
        ordinary,
        golden["ordinary_loss"].as_f64().expect("loss"),
        tolerance.loss,
    );
    let plain = InjectionConfig {
        gate: 0.0,
        ..config
    };
    judge(
        &model.decoder,
        &plain,
        &documents,
        &suffixes,
        &[weights],
        false,
    )
    .expect("judged")
    .remove(0)
}

#[test]
fn injection_equals_an_independent_implementation_for_all_rows_budgets_and_gates() {
    for name in MODELS {
        let model = model(name);
        let golden = json(&format!("{name}/inject.golden.json"));
        for case in golden["cases"].as_array().expect("cases") {
            let rows = case["rows"].as_str().expect("rows");
            let budget = match &case["budget"] {
                Value::String(text) => text.clone(),
                number => number.to_string(),
            };
            let gate = case["gate"].as_f64().expect("gate") as f32;
            let what = format!("{name} {rows} {budget} {gate}");
            let plain = check_injection(&what, &model, &golden, case, (rows, &budget, gate), F32);
            let own = numbers(&golden["own_distribution"][rows]);
            assert_close(&what, &plain.own_distribution, &own, STATE);
        }
    }
}

#[test]
fn one_document_takes_all_weight_whatever_its_score() {
    // Method section 11, test vector 2: K = 1 leaves the loss alone and has no gradient.
    let model = model("tiny-llama");
    let golden = json("tiny-llama/inject.golden.json");
    let (mut prefix, suffix) = prompt(&golden);
    prefix.doc_spans[0].end = prefix.ids.len();
    prefix.doc_spans.truncate(1);
    let documents = ReadDocuments::new(&model.decoder, &prefix);
    let config = InjectionConfig {
        heads: heads_of(&golden),
        rows: Rows::Suffix,
        budget: Budget::Mass,
        gate: 1.0,
    };
    let suffixes = [suffix];
    let judged = judge(
        &model.decoder,
        &config,
        &documents,
        &suffixes,
        &[vec![1.0]],
        true,
    );
    let judged = judged.expect("judged").remove(0);
    let ordinary = ordinary_losses(&model.decoder, &documents, &suffixes)[0];
    assert_number("K = 1", judged.loss, f64::from(ordinary), LOSS);
    assert_eq!(
        dream::train::objective::d_logits(&[1.0], &judged.d_weights),
        [0.0]
    );
}

#[test]
fn several_questions_on_one_prefix_get_the_same_answers_as_each_alone() {
    let model = model("tiny-qwen2");
    let golden = json("tiny-qwen2/inject.golden.json");
    let (prefix, first) = prompt(&golden);
    let mut second = first.clone();
    second.ids.remove(0);
    second.target_start -= 1;
    let documents = ReadDocuments::new(&model.decoder, &prefix);
    let config = InjectionConfig {
        heads: heads_of(&golden),
        rows: Rows::Suffix,
        budget: Budget::Mass,
        gate: 1.0,
    };
    let k = prefix.doc_spans.len();
    let weights = [vec![1.0 / k as f32; k], {
        let mut w = vec![0.0; k];
        w[0] = 1.0;
        w
    }];
    let both = [first, second];
    let together =
        judge(&model.decoder, &config, &documents, &both, &weights, true).expect("judged");
    for i in 0..2 {
        let alone = judge(
            &model.decoder,
            &config,
            &documents,
            &both[i..=i],
            &weights[i..=i],
            true,
        )
        .expect("judged")
        .remove(0);
        assert_number(
            "shared prefix",
            together[i].loss,
            f64::from(alone.loss),
            1e-6,
        );
        let want: Vec<f64> = alone.d_weights.iter().map(|d| f64::from(*d)).collect();
        assert_close("shared prefix", &together[i].d_weights, &want, 1e-5);
    }
}

#[test]
fn head_scores_equal_an_independent_implementation() {
    let model = model("tiny-llama");
    let golden = json("tiny-llama/head_scores.golden.json");
    let doc_spans = spans(&golden["doc_spans"]);
    let (tokens, null_tokens) = (ids(&golden["ids"]), ids(&golden["null_ids"]));
    let rows = |key: &str| spans(&golden[key]).remove(0);
    let (question, null) = (rows("query_rows"), rows("null_query_rows"));
    let prefix = Prefix {
        ids: tokens[..question.start].to_vec(),
        doc_spans,
    };
    let documents = ReadDocuments::new(&model.decoder, &prefix);
    let scores = document_scores(
        &model.decoder,
        &documents,
        &tokens[question],
        &null_tokens[null],
    );
    for (name, want) in golden["scores"].as_object().expect("scores") {
        let id: HeadId = name.parse().expect("head");
        assert_close(name, &scores[id.layer][id.head], &numbers(want), GRADIENT);
    }
}

fn lora_case(name: &str, folder: &str) -> (Retriever, Value) {
    let model = model(name);
    let path = fixture(&format!("{name}/{folder}"));
    let AdapterFolder { adapter, .. } =
        AdapterFolder::read(&path, &model.decoder.config).expect("the adapter PEFT wrote");
    let config = RetrieverConfig {
        append_eos: false,
        ..RetrieverConfig::default()
    };
    let (model, adapter, standardizer) = (Arc::new(model), Some(adapter), None);
    (
        Retriever {
            model,
            config,
            adapter,
            standardizer,
        },
        json(&format!("{name}/lora.golden.json")),
    )
}

fn texts(golden: &Value) -> Vec<dream::retriever::Text> {
    let sequences = golden["sequences"].as_array().expect("sequences");
    sequences
        .iter()
        .map(|sequence| dream::retriever::Text {
            role: Role::Document,
            ids: ids(sequence),
        })
        .collect()
}

fn set_pooling(retriever: &mut Retriever, name: &str) {
    let mean = name == "mean_skip_first";
    retriever.config.pooling = if mean {
        Pooling::Mean
    } else {
        Pooling::LastToken
    };
    retriever.config.skip_first_token = mean;
}

#[test]
fn embeddings_with_adapters_of_both_key_styles_equal_peft() {
    for name in ["tiny-llama", "tiny-qwen2"] {
        for folder in ["adapter-causal-lm", "adapter-auto-model"] {
            let (mut retriever, golden) = lora_case(name, folder);
            for (pooling, case) in golden["poolings"].as_object().expect("poolings") {
                set_pooling(&mut retriever, pooling);
                let embeddings = retriever.embed(&texts(&golden));
                let what = format!("{name} {folder} {pooling}");
                assert_close(
                    &what,
                    embeddings.data(),
                    &numbers(&case["embeddings"]),
                    STATE,
                );
            }
        }
    }
}

#[test]
fn adapter_gradients_equal_pytorch_autograd() {
    for name in ["tiny-llama", "tiny-qwen2"] {
        let (mut retriever, golden) = lora_case(name, "adapter-causal-lm");
        set_pooling(
            &mut retriever,
            golden["gradient_pooling"].as_str().expect("pooling"),
        );
        let texts = texts(&golden);
        let (_, tape) = retriever.forward_with_tape(&texts, None);
        let upstream: Vec<f32> = numbers(&golden["upstream"])
            .iter()
            .map(|v| *v as f32)
            .collect();
        let upstream = Matrix::from_vec(texts.len(), retriever.dim(), upstream);
        let mut gradients = retriever.zero_gradients().expect("an adapter");
        retriever.backward(tape, &upstream, &mut gradients);
        let path = fixture(&format!("{name}/lora_gradients.golden.safetensors"));
        let want = Safetensors::open(&[path]).expect("fixture");
        let names = retriever.adapter.as_ref().expect("adapter").names();
        let mut checked = 0;
        for (name, got) in names.iter().zip(gradients.adapter.parts()) {
            let short = name
                .trim_start_matches("base_model.model.model.")
                .trim_end_matches(".weight");
            if want.shape(short).is_some() {
                let tensor = want.tensor(short).expect("tensor");
                let tensor: Vec<f64> = tensor.data.iter().map(|v| f64::from(*v)).collect();
                assert_close(short, got, &tensor, GRADIENT);
                checked += 1;
            }
        }
        assert_eq!(checked, want.names().count());
    }
}

#[test]
fn adapters_survive_writing_and_reading() {
    let (retriever, _) = lora_case("tiny-llama", "adapter-causal-lm");
    let adapter = retriever.adapter.clone().expect("adapter");
    let folder = tempfile::tempdir().expect("a folder");
    let written = AdapterFolder {
        adapter: adapter.clone(),
        file: None,
        standardizer: None,
    };
    written.write(folder.path()).expect("written");
    let read = AdapterFolder::read(folder.path(), &retriever.model.decoder.config).expect("read");
    let mut want = adapter;
    // The order of target modules is not part of an adapter.
    want.config.target_modules = read.adapter.config.target_modules.clone();
    assert_eq!(read.adapter, want);
}

#[test]
fn the_trainable_leaves_are_the_adapters_and_nothing_else() {
    let (mut retriever, _) = lora_case("tiny-llama", "adapter-causal-lm");
    let adapter = retriever.adapter.as_mut().expect("adapter");
    let names = adapter.names();
    assert_eq!(names.len(), 4 * 7 * 2);
    assert_eq!(
        names[0],
        "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    );
    assert!(
        names
            .iter()
            .all(|name| name.contains(".lora_A.") || name.contains(".lora_B."))
    );
    assert_eq!(adapter.parameters_mut().len(), names.len());
}
