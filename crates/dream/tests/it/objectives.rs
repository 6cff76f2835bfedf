//! Every objective on tiny models: gradients of logits against differences, teachers against slower ways to them.

use crate::tiny_models::{MODELS, model};
use crate::tolerance::{GRADIENT, LOSS, assert_close, assert_number};
use dream::heads::detect::packer;
use dream::injection::{Budget, Rows};
use dream::llm::{InjectionConfig, ReadDocuments, ordinary_losses};
use dream::model::Model;
use dream::model::decoder::{Batch, Pass};
use dream::prompt::{PromptLimits, Template};
use dream::train::config::ObjectiveConfig;
use dream::train::objective::likelihood::likelihoods;
use dream::train::objective::{
    ADist, Divergence, Group, GroupQuery, LanguageModel, Objective, QueryLoss, Request, Scope,
    build, document_weights,
};
use dream_ir::Document;
use dream_nn::ops::attention::{KeyReader, PlainReader, Read, RowAt};
use std::collections::BTreeMap;

/// Largest accepted difference to central differences of `f32` forwards, of the largest gradient.
const FINITE_DIFFERENCE: f64 = 2e-2;

/// Four documents, of which the first query must not see the last.
const TEXTS: [&str; 4] = [
    "Town 1 sells salt by the river.",
    "Town 2 sells much wool.",
    "Town 3 has nothing for sale but iron and coal.",
    "Salt comes from town 4.",
];

pub fn documents(texts: &[&str]) -> Vec<Document> {
    let document = |(i, text): (usize, &&str)| Document {
        id: format!("d{i}"),
        title: String::new(),
        text: (*text).into(),
    };
    texts.iter().enumerate().map(document).collect()
}

pub fn group(documents: &[Document]) -> Group<'_> {
    let query = |question, target, positives, hidden| GroupQuery {
        question,
        target,
        positives,
        hidden,
    };
    Group {
        documents: documents.iter().collect(),
        queries: vec![
            query("which town sells salt", "Town 1", vec![0], vec![3]),
            query("where is iron sold", "In town 3.", vec![2, 1], vec![]),
        ],
    }
}

pub fn language_model<'a>(model: &'a Model, template: &'a Template) -> LanguageModel<'a> {
    let limits = PromptLimits {
        document_tokens: 64,
        question_tokens: 32,
        target_tokens: 16,
    };
    let packer = packer(model, template, limits);
    LanguageModel { model, packer }
}

pub fn injection() -> InjectionConfig {
    InjectionConfig {
        heads: "0-1,1-2,2-3".parse().expect("heads"),
        rows: Rows::Suffix,
        budget: Budget::Mass,
        gate: 1.0,
    }
}

/// Logits over the documents, for two queries.
pub const LOGITS: [[f32; 4]; 2] = [[0.3, -0.4, 0.9, 2.0], [-0.2, 0.5, 0.1, -0.6]];

pub fn weights(group: &Group<'_>, logits: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let pairs = logits.iter().zip(&group.queries);
    let weights = pairs.map(|(logits, query)| document_weights(logits, &query.hidden));
    weights.map(|w| w.expect("a document")).collect()
}

pub fn logits() -> Vec<Vec<f32>> {
    LOGITS.iter().map(|row| row.to_vec()).collect()
}

fn evaluate(objective: &dyn Objective, group: &Group<'_>, logits: &[Vec<f32>]) -> Vec<QueryLoss> {
    let weights = weights(group, logits);
    let scope = [Scope::Prompt, Scope::Batch];
    let scope = scope.into_iter().find(|scope| objective.wants(*scope));
    let request = Request {
        scope: scope.expect("it wants one"),
        ..Request::of_prompt(group, &weights)
    };
    objective.evaluate(request).expect("evaluated")
}

fn settings(name: &str, more: &str) -> ObjectiveConfig {
    let text = format!("name = \"{name}\"\n{more}");
    let config: ObjectiveConfig = toml::from_str(&text).expect("the settings");
    config.check().expect("settings that belong together");
    config
}

/// Every objective in all its forms.
const FORMS: [(&str, &str); 16] = [
    ("dream", ""),
    ("infonce", ""),
    ("infonce", "in_batch = true"),
    ("replug", ""),
    (
        "replug",
        "divergence = \"student-teacher\"\nlikelihood = \"probability\"",
    ),
    (
        "replug",
        "teacher_temperature = 1.0\nlikelihood = \"probability\"",
    ),
    ("revela", ""),
    ("revela", "value_norm = false"),
    ("adist", ""),
    ("adist", "value_norm = false\nteacher_temperature = 0.05"),
    ("adist", "divergence = \"student-teacher\""),
    ("emdr2", ""),
    ("qr-distill", ""),
    ("kl", "teacher_temperature = 0.2"),
    ("qr-distill", "divergence = \"student-teacher\""),
    ("0.5 revela + 2 emdr2 + kl", "value_norm = true"),
];

#[test]
fn gradients_of_logits_equal_differences_for_every_objective() {
    let template = Template::question_answer();
    let documents = documents(&TEXTS);
    let group = group(&documents);
    for name in MODELS {
        let model = model(name);
        let llm = language_model(&model, &template);
        for (objective, more) in FORMS {
            let config = settings(objective, more);
            let built = build(&config, Some(llm), Some(&injection())).expect("an objective");
            let what = format!("{name} {objective} {more}");
            let said = evaluate(&built, &group, &logits());
            let mut want = [[0.0; 4]; 2];
            for k in 0..4 {
                // Queries know nothing of each other: both are moved at once.
                let moved = |by: f32| {
                    let mut logits = logits();
                    for row in &mut logits {
                        row[k] += by;
                    }
                    evaluate(&built, &group, &logits)
                };
                let (up, down) = (moved(5e-2), moved(-5e-2));
                for i in 0..2 {
                    want[i][k] = (f64::from(up[i].loss) - f64::from(down[i].loss)) / 1e-1;
                }
            }
            for (i, QueryLoss { loss, d_logits }) in said.iter().enumerate() {
                assert!(loss.is_finite(), "{what}: {loss}");
                let sum: f32 = d_logits.iter().sum();
                assert!(sum.abs() < 1e-5, "{what}: gradients sum to {sum}");
                assert_close(&what, d_logits, &want[i], FINITE_DIFFERENCE);
                for k in &group.queries[i].hidden {
                    assert_eq!(d_logits[*k], 0.0, "{what}: a hidden document");
                }
            }
        }
    }
}

#[test]
fn a_sum_is_the_weighted_sum_of_its_terms() {
    let model = model("tiny-llama");
    let template = Template::question_answer();
    let llm = language_model(&model, &template);
    let documents = documents(&TEXTS);
    let group = group(&documents);
    let said = |name: &str| {
        let built = build(&settings(name, ""), Some(llm), Some(&injection()));
        evaluate(&built.expect("an objective"), &group, &logits())
    };
    let (dream, infonce, kl) = (said("dream"), said("infonce"), said("kl"));
    let sum = said("dream + 0.1 kl + 0.25 infonce");
    for i in 0..2 {
        let parts = [(&dream[i], 1.0), (&kl[i], 0.1f32), (&infonce[i], 0.25)];
        let total = |of: &dyn Fn(&QueryLoss) -> f32| -> f64 {
            parts.iter().map(|(said, c)| f64::from(c * of(said))).sum()
        };
        assert_number("loss", sum[i].loss, total(&|said| said.loss), 1e-6);
        let want: Vec<f64> = (0..4).map(|k| total(&|said| said.d_logits[k])).collect();
        assert_close("gradient", &sum[i].d_logits, &want, 1e-5);
    }
}

#[test]
fn an_objective_without_what_it_needs_says_so() {
    let model = model("tiny-llama");
    let template = Template::question_answer();
    let llm = language_model(&model, &template);
    let message = |name: &str, llm: Option<LanguageModel<'_>>| {
        let built = build(&settings(name, ""), llm, None);
        built.err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert!(message("revela", None).contains("revela objective needs an [llm] table"));
    assert!(
        message("emdr2 + 0.1 kl", Some(llm)).contains("qr-distill objective needs selected heads")
    );
    assert_eq!(message("infonce", None), "");
}

#[test]
fn likelihoods_equal_the_plain_model_on_each_document_alone() {
    let template = Template::numbered();
    let documents = documents(&TEXTS);
    let group = group(&documents);
    for name in MODELS {
        let model = model(name);
        let llm = language_model(&model, &template);
        let said = likelihoods(&llm, &group).expect("likelihoods");
        for (i, query) in group.queries.iter().enumerate() {
            let suffix = llm.packer.suffix(query.question, query.target);
            let suffix = [suffix.expect("a suffix")];
            for (k, document) in group.documents.iter().enumerate() {
                let got = &said.log_probabilities[i][k];
                if query.hidden.contains(&k) {
                    assert!(got.is_empty());
                    continue;
                }
                assert_eq!(got.len(), suffix[0].target_ids().len());
                let prefix = llm.packer.prefix([*document]).expect("a prefix");
                let read = ReadDocuments::new(&model.decoder, &prefix);
                let want = ordinary_losses(&model.decoder, &read, &suffix)[0];
                let mean = -got.iter().sum::<f32>() / got.len() as f32;
                assert_number(name, mean, f64::from(want), LOSS);
            }
        }
    }
}

/// Plain attention of one segment that keeps every row.
struct KeepRows;

impl KeyReader for KeepRows {
    type Record = BTreeMap<usize, Vec<f32>>;

    fn probabilities(&self, at: RowAt, logits: &mut [f32], record: &mut Self::Record) {
        PlainReader.probabilities(at, logits, &mut ());
        record.insert(at.row, logits.to_vec());
    }

    fn d_logits(&self, _: RowAt, _: &Read<'_>, _: &mut [f32], _: &mut Self::Record) {
        unreachable!("this test looks at forward passes only")
    }
}

#[test]
fn adist_equals_attention_summed_one_number_at_a_time() {
    let template = Template::question_answer();
    let documents = documents(&TEXTS);
    let mut group = group(&documents);
    group.queries.remove(0);
    for name in MODELS {
        let model = model(name);
        let llm = language_model(&model, &template);
        let prefix = llm
            .packer
            .prefix(group.documents.iter().copied())
            .expect("a prefix");
        let query = &group.queries[0];
        let suffix = llm
            .packer
            .suffix(query.question, query.target)
            .expect("a suffix");
        let read = ReadDocuments::new(&model.decoder, &prefix);
        let batch = Batch::new([suffix.ids.as_slice()], prefix.ids.len());
        let pass = Pass {
            batch: &batch,
            prefix: Some(read.cache()),
            lora: None,
            dropout_seed: None,
            reader: &KeepRows,
            wanted: None,
        };
        let records = model.decoder.forward(&pass, None).records;
        let config = &model.decoder.config;
        let dim = config.head_dim;
        for value_norm in [true, false] {
            let mut want = vec![0.0f64; 4];
            for recorded in &records {
                let first =
                    recorded.head * config.num_key_value_heads / config.num_attention_heads * dim;
                let values = &read.cache().layers[recorded.layer].v;
                // The row before a target token predicts it.
                for row in suffix.target_start - 1..suffix.ids.len() - 1 {
                    let attention = &recorded.record[&row];
                    for (k, span) in prefix.doc_spans.iter().enumerate() {
                        for token in span.clone() {
                            let v = &values.row(token)[first..first + dim];
                            let norm = v.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
                            let norm = if value_norm { norm } else { 1.0 };
                            want[k] += f64::from(attention[token]) * norm;
                        }
                    }
                }
            }
            let n =
                config.num_hidden_layers * config.num_attention_heads * suffix.target_ids().len();
            for g in &mut want {
                *g /= n as f64;
            }
            let adist = ADist::new(llm, 0.01, value_norm, Divergence::TeacherStudent);
            let got = adist.attention(&group).expect("attention").remove(0);
            let got: Vec<f32> = got.iter().map(|g| *g as f32).collect();
            assert_close(name, &got, &want, GRADIENT);
        }
    }
}

#[test]
fn a_hidden_document_is_not_seen_by_its_query_whatever_it_says() {
    // The last document, so that no other one was read after it; another text of as many tokens.
    let template = Template::question_answer();
    let one = documents(&TEXTS);
    let mut other = one.clone();
    other[3].text = "Wool goes into town 7 .".into();
    let model = model("tiny-llama");
    let llm = language_model(&model, &template);
    let tokens = |document: &Document| llm.packer.prefix([document]).expect("a prefix").ids.len();
    assert_eq!(tokens(&one[3]), tokens(&other[3]), "not as many tokens");
    for (objective, more) in FORMS {
        let config = settings(objective, more);
        let built = build(&config, Some(llm), Some(&injection())).expect("an objective");
        let said = |documents: &[Document]| evaluate(&built, &group(documents), &logits());
        let (a, b) = (said(&one), said(&other));
        assert_eq!(
            a[0], b[0],
            "{objective} {more}: the query it is hidden from"
        );
        let blind = objective == "infonce";
        assert!(
            blind || a[1] != b[1],
            "{objective} {more}: the query that sees it"
        );
    }
}
