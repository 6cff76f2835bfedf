//! Test vectors of the method's specification that look at a whole model or prompt: w equal to the
//! model's own shares, duplicate documents, a prefix that knows nothing of w, spans, calibration.

use crate::tiny_models::{MODELS, heads_of, json, model, prompt};
use crate::tolerance::{GRADIENT, STATE, assert_close};
use dream::heads::HeadSet;
use dream::heads::detect::packer;
use dream::heads::scoring::{NULL_QUESTION, document_scores};
use dream::injection::{Budget, Injection, InjectionRecord, Rows};
use dream::llm::{InjectionConfig, ReadDocuments, judge};
use dream::model::Model;
use dream::model::decoder::{Batch, Pass};
use dream::prompt::{Packer, PromptLimits, Template};
use dream_ir::Document;
use dream_nn::Matrix;
use dream_nn::ops::attention::{KeyReader, PlainReader, Read, RowAt};
use std::ops::Range;

/// Injection with each row's own distribution over documents as its weights.
struct OwnWeights<'a> {
    heads: &'a HeadSet,
    doc_spans: &'a [Range<usize>],
}

impl KeyReader for OwnWeights<'_> {
    type Record = InjectionRecord;

    fn probabilities(&self, at: RowAt, logits: &mut [f32], record: &mut InjectionRecord) {
        let mut plain = logits.to_vec();
        PlainReader.probabilities(at, &mut plain, &mut ());
        let mass = self.doc_spans.iter();
        let mass: Vec<f32> = mass.map(|span| plain[span.clone()].iter().sum()).collect();
        let total: f32 = mass.iter().sum();
        let row = at.row..at.row + 1;
        let injection = Injection {
            heads: self.heads,
            doc_spans: self.doc_spans,
            weights: &[mass.iter().map(|m| m / total).collect()],
            hidden: &[],
            rows: std::slice::from_ref(&row),
            budget: Budget::Mass,
            gate: 1.0,
        };
        injection.probabilities(at, logits, record);
    }

    fn d_logits(&self, _: RowAt, _: &Read<'_>, _: &mut [f32], _: &mut InjectionRecord) {
        unreachable!("this test looks at forward passes only")
    }
}

#[test]
fn vector_1_a_models_own_shares_as_weights_leave_its_logits_alone() {
    for name in MODELS {
        let model = model(name);
        let golden = json(&format!("{name}/inject.golden.json"));
        let (prefix, suffix) = prompt(&golden);
        let documents = ReadDocuments::new(&model.decoder, &prefix);
        let batch = Batch::new([suffix.ids.as_slice()], documents.cache().len);
        let plain = Pass {
            prefix: Some(documents.cache()),
            ..Pass::plain(&batch)
        };
        let reader = OwnWeights {
            heads: &heads_of(&golden),
            doc_spans: documents.doc_spans(),
        };
        let injected = Pass {
            batch: &batch,
            prefix: Some(documents.cache()),
            lora: None,
            dropout_seed: None,
            reader: &reader,
            wanted: None,
        };
        let want = model.decoder.forward(&plain, None).hidden;
        let output = model.decoder.forward(&injected, None);
        let injected: usize = output.records.iter().map(|r| r.record.rows).sum();
        let heads = heads_of(&golden).heads().len();
        assert_eq!(injected, heads * suffix.ids.len(), "{name}: injected rows");
        let logits = |hidden: &Matrix| model.decoder.logits(hidden);
        let want: Vec<f64> = logits(&want).data().iter().map(|x| f64::from(*x)).collect();
        assert_close(name, logits(&output.hidden).data(), &want, STATE);
    }
}

fn documents(texts: &[(&str, &str)]) -> Vec<Document> {
    let document = |(i, (title, text)): (usize, &(&str, &str))| Document {
        id: format!("d{i}"),
        title: (*title).into(),
        text: (*text).into(),
    };
    texts.iter().enumerate().map(document).collect()
}

fn packs<'a>(model: &'a Model, template: &'a Template) -> Packer<'a> {
    let limits = PromptLimits {
        document_tokens: 256,
        question_tokens: 64,
        target_tokens: 64,
    };
    packer(model, template, limits)
}

#[test]
fn vector_3_copies_of_a_document_differ_by_their_place_alone() {
    let template = Template::question_answer();
    for name in MODELS {
        let model = model(name);
        let golden = json(&format!("{name}/inject.golden.json"));
        let config = InjectionConfig {
            heads: heads_of(&golden),
            rows: Rows::Suffix,
            budget: Budget::Mass,
            gate: 1.0,
        };
        let packer = packs(&model, &template);
        let suffix = packer.suffix("which town sells salt", "Town 3");
        let suffix = suffix.expect("a suffix");
        let same = ("", "Town 3 sells salt.");
        let all = documents(&[same, ("", "Town 4 sells much wool."), same]);
        let gradients = |order: [usize; 3]| {
            let prefix = packer.prefix(order.iter().map(|d| &all[*d]));
            let read = ReadDocuments::new(&model.decoder, &prefix.expect("a prefix"));
            let weights = [vec![0.4, 0.2, 0.4]];
            let suffixes = std::slice::from_ref(&suffix);
            let judged = judge(&model.decoder, &config, &read, suffixes, &weights, true);
            let by_place = judged.expect("judged").remove(0).d_weights;
            let mut by_document = [0.0; 3];
            for (place, document) in order.iter().enumerate() {
                by_document[*document] = by_place[place];
            }
            by_document
        };
        let (one, other) = (gradients([0, 1, 2]), gradients([2, 1, 0]));
        assert!(one[0] != one[2], "{name}: the place does not matter");
        let mean = |d: usize| f32::midpoint(one[d], other[d]);
        assert_close(name, &[mean(0)], &[f64::from(mean(2))], GRADIENT);
    }
}

#[test]
fn vector_7_what_stands_before_the_suffix_does_not_depend_on_the_weights() {
    for name in MODELS {
        let model = model(name);
        let golden = json(&format!("{name}/inject.golden.json"));
        let (prefix, suffix) = prompt(&golden);
        // Documents and suffix in one pass, so that there is something to leak into.
        let p = prefix.ids.len();
        let ids = [prefix.ids.as_slice(), &suffix.ids].concat();
        let batch = Batch::new([ids.as_slice()], 0);
        let (k, suffix_rows) = (prefix.doc_spans.len(), p..ids.len());
        let hidden = |heavy: usize| {
            let mut weights = vec![0.1 / (k - 1) as f32; k];
            weights[heavy] = 0.9;
            let injection = Injection {
                heads: &heads_of(&golden),
                doc_spans: &prefix.doc_spans,
                weights: &[weights],
                hidden: &[],
                rows: std::slice::from_ref(&suffix_rows),
                budget: Budget::Mass,
                gate: 1.0,
            };
            let pass = Pass {
                batch: &batch,
                prefix: None,
                lora: None,
                dropout_seed: None,
                reader: &injection,
                wanted: None,
            };
            model.decoder.forward(&pass, None).hidden
        };
        let (one, other) = (hidden(0), hidden(k - 1));
        for row in 0..p {
            assert_eq!(one.row(row), other.row(row), "{name}: row {row}");
        }
        let last = ids.len() - 1;
        assert_ne!(one.row(last), other.row(last), "{name}");
    }
}

#[test]
fn vector_8_spans_hold_the_documents_texts_apart_and_before_the_suffix() {
    let all = documents(&[
        ("A title", "Some text, with a comma."),
        ("", "no title"),
        ("Ünïcode", "naïve café → 東京"),
        ("A title", "Some text, with a comma."),
    ]);
    for name in MODELS {
        let model = model(name);
        for (template, wanted) in [
            (
                Template::question_answer(),
                [
                    "A title\nSome text, with a comma.\n\n",
                    "no title\n\n",
                    "Ünïcode\nnaïve café → 東京\n\n",
                    "A title\nSome text, with a comma.\n\n",
                ],
            ),
            (
                Template::numbered(),
                [
                    "[1] A title\nSome text, with a comma.",
                    "[2] no title",
                    "[3] Ünïcode\nnaïve café → 東京",
                    "[4] A title\nSome text, with a comma.",
                ],
            ),
        ] {
            let prefix = packs(&model, &template).prefix(&all).expect("a prefix");
            let mut end = 0;
            for (span, wanted) in prefix.doc_spans.iter().zip(wanted) {
                assert!(
                    span.start >= end && span.end <= prefix.ids.len(),
                    "{span:?}"
                );
                end = span.end;
                let text = model.tokenizer.decode(&prefix.ids[span.clone()]);
                assert_eq!(text.expect("it decodes"), wanted, "{name}");
            }
        }
    }
}

#[test]
fn vector_9_the_question_that_calibrates_scores_every_document_0() {
    let template = Template::question_answer();
    for name in MODELS {
        let model = model(name);
        let packer = packs(&model, &template);
        let all = documents(&[("", "Town 3 sells salt."), ("", "Town 4 sells wool.")]);
        let prefix = packer.prefix(&all).expect("a prefix");
        let read = ReadDocuments::new(&model.decoder, &prefix);
        let null = packer.question(NULL_QUESTION).expect("a question");
        let scores = document_scores(&model.decoder, &read, &null, &null);
        for score in scores.iter().flatten().flatten() {
            assert!(score.abs() < 1e-6, "{name}: {score}");
        }
    }
}
