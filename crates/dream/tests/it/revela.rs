//! Revela's attention against loops, and its test vector.

use crate::objectives::{documents, group, language_model, logits, weights};
use crate::tiny_models::{MODELS, model};
use crate::tolerance::{STATE, assert_close};
use dream::cross_attention::CrossAttention;
use dream::prompt::Template;
use dream::train::objective::{GroupQuery, Objective, Request, Revela};
use dream_nn::ops::attention::{self, Heads, Input, KeyValues};
use dream_nn::{Dtype, Matrix};

const HEADS: Heads = Heads {
    n_heads: 4,
    n_kv_heads: 2,
    head_dim: 3,
};

fn matrix(seed: f32, rows: usize, cols: usize) -> Matrix {
    let value = |i: usize| ((seed + 1.7) * (i as f32 + 0.3) * 12.9898).sin();
    Matrix::from_vec(rows, cols, (0..rows * cols).map(value).collect())
}

/// `h_i = s_i + sum_k w_k b_k / (a ||v||)` of the method's section 5.4, one number at a time.
fn slow(
    q: &Matrix,
    own: &KeyValues,
    prefix: &KeyValues,
    spans: &[std::ops::Range<usize>],
    weights: &[Vec<f32>],
    value_norm: bool,
) -> Vec<f64> {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
        products.sum()
    };
    let attend = |query: &[f32], keys: &[(&[f32], &[f32])]| -> ([f64; 3], f64) {
        let exp = |k: &[f32]| (dot(query, k) / 3f64.sqrt()).exp();
        let sum: f64 = keys.iter().map(|(k, _)| exp(k)).sum();
        let (mut out, mut length) = ([0.0; 3], 0.0);
        for (k, v) in keys {
            let a = exp(k) / sum;
            for i in 0..3 {
                out[i] += a * f64::from(v[i]);
            }
            length += a * dot(v, v).sqrt();
        }
        (out, length)
    };
    let mut all = Vec::new();
    let segments = [0..5usize, 5..8];
    for (segment, rows) in segments.iter().enumerate() {
        for row in rows.clone() {
            for head in 0..4 {
                let at = head / 2 * 3..head / 2 * 3 + 3;
                let query = &q.row(row)[head * 3..head * 3 + 3];
                let pair =
                    |kv: &'_ KeyValues, j: usize| (kv.k.row(j).to_vec(), kv.v.row(j).to_vec());
                let cut = |pairs: &[(Vec<f32>, Vec<f32>)]| {
                    let keys: Vec<(&[f32], &[f32])> = pairs
                        .iter()
                        .map(|(k, v)| (&k[at.clone()], &v[at.clone()]))
                        .collect();
                    attend(query, &keys)
                };
                let seen: Vec<_> = (rows.start..=row).map(|j| pair(own, j)).collect();
                let (mut h, _) = cut(&seen);
                for (k, span) in spans.iter().enumerate() {
                    let document: Vec<_> = span.clone().map(|j| pair(prefix, j)).collect();
                    let (b, length) = cut(&document);
                    let by = if value_norm { length + 1e-6 } else { 1.0 };
                    for i in 0..3 {
                        h[i] += f64::from(weights[segment][k]) * b[i] / by;
                    }
                }
                all.extend(h);
            }
        }
    }
    all
}

#[test]
fn attention_equals_three_loops() {
    let kv = |seed: f32, n: usize| KeyValues {
        k: matrix(seed, n, 6),
        v: matrix(seed + 0.7, n, 6),
    };
    let (q, own, prefix) = (matrix(0.1, 8, 12), kv(0.2, 8), kv(0.4, 9));
    let spans = [1..4usize, 4..5, 6..9];
    let weights = [vec![0.5, 0.2, 0.3], vec![0.0, 0.9, 0.1]];
    let segments = [0..5usize, 5..8];
    let input = Input {
        heads: HEADS,
        dtype: Dtype::F32,
        layer: 0,
        segments: &segments,
        prefix: Some(&prefix),
        prefix_gradient: false,
        q: &q,
        own: &own,
    };
    let mut norms = Matrix::zeros(2, 9);
    for head in 0..2 {
        for token in 0..9 {
            let v = &prefix.v.row(token)[head * 3..head * 3 + 3];
            norms.row_mut(head)[token] = v.iter().map(|v| v * v).sum::<f32>().sqrt();
        }
    }
    let norms = [norms];
    for value_norm in [true, false] {
        let reader = CrossAttention {
            doc_spans: &spans,
            prefix_len: 9,
            weights: &weights,
            value_norms: value_norm.then_some(&norms[..]),
            heads_a_key: 2,
            norm_gradient: false,
        };
        let (got, _) = attention::forward(&input, &reader);
        let want = slow(&q, &own, &prefix, &spans, &weights, value_norm);
        assert_close("attention", got.data(), &want, STATE);
    }
}

#[test]
fn vector_10_of_two_documents_each_query_reads_the_other_and_nothing_can_move() {
    let template = Template::question_answer();
    let both = documents(&["Town 1 sells salt.", "Town 2 sells much wool."]);
    let mut group = group(&both);
    group.queries = [
        ("Town 1", "sells salt.", 0),
        ("Town 2", "sells much wool.", 1),
    ]
    .map(|(question, target, own)| GroupQuery {
        question,
        target,
        positives: Vec::new(),
        hidden: vec![own],
    })
    .into();
    let logits = logits();
    let two: Vec<Vec<f32>> = logits.iter().map(|row| row[..2].to_vec()).collect();
    let weights = weights(&group, &two);
    assert_eq!(weights, [[0.0, 1.0], [1.0, 0.0]]);
    for name in MODELS {
        let model = model(name);
        let revela = Revela::new(language_model(&model, &template), true);
        let said = revela.evaluate(Request::of_prompt(&group, &weights));
        for query in said.expect("evaluated") {
            assert_eq!(query.d_logits, [0.0, 0.0], "{name}");
            assert!(query.loss > 0.0, "{name}");
        }
    }
}
