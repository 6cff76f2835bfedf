//! The reader against three loops in `f64`, and against differences.

use super::*;

const PREFIX: usize = 10;
const SPANS: [Range<usize>; 3] = [1..4, 5..6, 6..10];
const KEYS: usize = 13;
const AT: RowAt = RowAt {
    layer: 0,
    head: 3,
    segment: 0,
    row: 2,
};

/// Largest accepted difference to central differences of `f32` forwards, of the largest value.
const FINITE_DIFFERENCE: f32 = 5e-3;

fn values(seed: u32, len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| ((seed as f32 + 1.7) * (i as f32 + 0.3) * 12.9898).sin() * 1.5)
        .collect()
}

fn norms() -> [Matrix; 1] {
    let all = values(9, 2 * PREFIX)
        .iter()
        .map(|v| v.abs() + 0.1)
        .collect();
    [Matrix::from_vec(2, PREFIX, all)]
}

fn reader<'a>(weights: &'a [Vec<f32>], norms: Option<&'a [Matrix]>) -> CrossAttention<'a> {
    CrossAttention {
        doc_spans: &SPANS,
        prefix_len: PREFIX,
        weights,
        value_norms: norms,
        heads_a_key: 2,
        norm_gradient: true,
    }
}

fn forward(logits: &[f32], weights: &[f32], norms: Option<&[Matrix]>) -> Vec<f32> {
    let weights = [weights.to_vec()];
    let mut p = logits.to_vec();
    reader(&weights, norms).probabilities(AT, &mut p, &mut CrossRecord::default());
    p
}

/// The definition, one number at a time.
fn slow(logits: &[f32], weights: &[f32], norms: Option<&[Matrix]>) -> Vec<f64> {
    let mut p = vec![0.0f64; logits.len()];
    let exp = |j: usize| f64::from(logits[j]).exp();
    let own: f64 = (PREFIX..KEYS).map(exp).sum();
    for (j, p) in p.iter_mut().enumerate().skip(PREFIX) {
        *p = exp(j) / own;
    }
    for (k, span) in SPANS.iter().enumerate() {
        let sum: f64 = span.clone().map(exp).sum();
        let mut length = 1.0;
        if let Some(norms) = norms {
            let of_head = norms[0].row(1);
            length = 1e-6;
            for j in span.clone() {
                length += exp(j) / sum * f64::from(of_head[j]);
            }
        }
        for j in span.clone() {
            p[j] = f64::from(weights[k]) * exp(j) / sum / length;
        }
    }
    p
}

#[test]
fn attention_equals_three_loops_with_and_without_value_norms_and_with_a_document_of_weight_0() {
    let norms = norms();
    let logits = values(1, KEYS);
    for weights in [[0.2, 0.7, 0.1], [0.4, 0.0, 0.6]] {
        for norms in [None, Some(&norms[..])] {
            let got = forward(&logits, &weights, norms);
            for (got, want) in got.iter().zip(slow(&logits, &weights, norms)) {
                assert!((f64::from(*got) - want).abs() < 1e-6, "{got} {want}");
            }
        }
    }
}

#[test]
fn gradients_of_logits_weights_and_norms_equal_differences() {
    let norms = norms();
    let (logits, r, weights) = (values(1, KEYS), values(2, KEYS), [0.2, 0.7, 0.1]);
    for norms in [None, Some(&norms[..])] {
        let all = [weights.to_vec()];
        let reader = reader(&all, norms);
        let p = forward(&logits, &weights, norms);
        let (mut d, mut record) = (r.clone(), CrossRecord::default());
        let read = Read {
            logits: &logits,
            p: &p,
        };
        reader.d_logits(AT, &read, &mut d, &mut record);
        let loss = |z: &[f32], w: &[f32], norms: Option<&[Matrix]>| dot(&forward(z, w, norms), &r);
        let check = |got: &[f32], at: &dyn Fn(usize, f32) -> f32| {
            let largest = got.iter().fold(1e-2f32, |m, g| m.max(g.abs()));
            for (i, got) in got.iter().enumerate() {
                let want = (at(i, 1e-2) - at(i, -1e-2)) / 2e-2;
                let close = (got - want).abs() < FINITE_DIFFERENCE * largest;
                assert!(close, "{i}: {got} {want}");
            }
        };
        check(&d, &|i, by| {
            let mut z = logits.clone();
            z[i] += by;
            loss(&z, &weights, norms)
        });
        check(&record.d_weights, &|k, by| {
            let mut w = weights;
            w[k] += by;
            loss(&logits, &w, norms)
        });
        if let Some(norms) = norms {
            check(&record.d_norms, &|j, by| {
                let mut moved = norms.to_vec();
                moved[0].row_mut(1)[j] += by;
                loss(&logits, &weights, Some(&moved))
            });
        }
    }
}
