//! The row rule against finite differences and against what it must leave alone.

use super::*;
use crate::heads::HeadId;

const SPANS: [Range<usize>; 3] = [1..4, 5..6, 6..10];
const KEYS: usize = 13;

/// Largest accepted difference to central differences of `f32` forwards.
const FINITE_DIFFERENCE: f32 = 2e-3;

fn values(seed: u32, len: usize) -> Vec<f32> {
    (0..len)
        .map(|i| ((seed as f32 + 1.7) * (i as f32 + 0.3) * 12.9898).sin() * 1.5)
        .collect()
}

fn with<T>(
    weights: &[f32],
    budget: Budget,
    gate: f32,
    f: impl FnOnce(&Injection<'_>, RowAt) -> T,
) -> Result<T> {
    let heads = HeadSet::new(vec![HeadId { layer: 0, head: 0 }])?;
    let (weights, rows) = ([weights.to_vec()], [std::ops::Range { start: 0, end: 1 }]);
    let (heads, doc_spans) = (&heads, &SPANS[..]);
    let injection = Injection {
        heads,
        doc_spans,
        weights: &weights,
        hidden: &[],
        rows: &rows,
        budget,
        gate,
    };
    Ok(f(
        &injection,
        RowAt {
            layer: 0,
            head: 0,
            segment: 0,
            row: 0,
        },
    ))
}

fn forward(logits: &[f32], weights: &[f32], budget: Budget, gate: f32) -> Result<Vec<f32>> {
    with(weights, budget, gate, |injection, at| {
        let mut p = logits.to_vec();
        injection.probabilities(at, &mut p, &mut InjectionRecord::default());
        p
    })
}

#[test]
fn gradients_equal_differences_for_every_budget_and_gate() -> Result<()> {
    let weights = [0.2, 0.7, 0.1];
    let (logits, r) = (values(1, KEYS), values(2, KEYS));
    for budget in [Budget::Mass, Budget::One, Budget::Constant(0.4)] {
        for gate in [1.0, 0.35] {
            let (d_logits, d_weights) = with(&weights, budget, gate, |injection, at| {
                let mut p = logits.clone();
                injection.probabilities(at, &mut p, &mut InjectionRecord::default());
                let (mut d, mut record) = (r.clone(), InjectionRecord::default());
                injection.d_logits(
                    at,
                    &Read {
                        logits: &logits,
                        p: &p,
                    },
                    &mut d,
                    &mut record,
                );
                (d, record.d_weights)
            })?;
            let loss = |z: &[f32], w: &[f32]| forward(z, w, budget, gate).map(|p| dot(&p, &r));
            let check = |got: f32, up: f32, down: f32| {
                let want = (up - down) / 2e-2;
                assert!(
                    (got - want).abs() < FINITE_DIFFERENCE,
                    "{budget} {gate}: {got} {want}"
                );
            };
            for i in 0..KEYS {
                let moved = |by: f32| {
                    let mut z = logits.clone();
                    z[i] += by;
                    loss(&z, &weights)
                };
                check(d_logits[i], moved(1e-2)?, moved(-1e-2)?);
            }
            for i in 0..3 {
                let moved = |by: f32| {
                    let mut w = weights;
                    w[i] += by;
                    loss(&logits, &w)
                };
                check(d_weights[i], moved(1e-2)?, moved(-1e-2)?);
            }
        }
    }
    Ok(())
}

#[test]
fn the_models_own_distribution_as_weights_changes_nothing() -> Result<()> {
    let logits = values(3, KEYS);
    let mut plain = logits.clone();
    softmax(&mut plain);
    let mass: Vec<f32> = SPANS
        .iter()
        .map(|s| plain[s.clone()].iter().sum())
        .collect();
    let total: f32 = mass.iter().sum();
    let own: Vec<f32> = mass.iter().map(|m| m / total).collect();
    let injected = forward(&logits, &own, Budget::Mass, 1.0)?;
    for (a, b) in injected.iter().zip(&plain) {
        assert!((a - b).abs() < 1e-6, "{a} {b}");
    }
    Ok(())
}

#[test]
fn rows_sum_to_one_and_documents_get_their_share_of_the_budget() -> Result<()> {
    let weights = [0.2, 0.7, 0.1];
    for (budget, documents) in [(Budget::One, 1.0), (Budget::Constant(0.4), 0.4)] {
        let p = forward(&values(4, KEYS), &weights, budget, 1.0)?;
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        for (span, w) in SPANS.iter().zip(weights) {
            assert!((p[span.clone()].iter().sum::<f32>() - documents * w).abs() < 1e-6);
        }
    }
    Ok(())
}

#[test]
fn documents_that_get_no_attention_have_finite_gradients() -> Result<()> {
    let mut logits = values(5, KEYS);
    logits[5] = -3000.0; // the only token of document 1
    let finite = with(&[0.2, 0.7, 0.1], Budget::Mass, 1.0, |injection, at| {
        let mut p = logits.clone();
        injection.probabilities(at, &mut p, &mut InjectionRecord::default());
        let (mut d, mut record) = (values(6, KEYS), InjectionRecord::default());
        injection.d_logits(
            at,
            &Read {
                logits: &logits,
                p: &p,
            },
            &mut d,
            &mut record,
        );
        d.iter().chain(&record.d_weights).all(|v| v.is_finite())
    })?;
    assert!(finite);
    Ok(())
}

#[test]
fn budgets_and_rows_round_trip_through_their_text() -> Result<()> {
    for text in ["mass", "one", "0.5"] {
        assert_eq!(text.parse::<Budget>()?.to_string(), text);
    }
    // A configuration may write a number as one.
    for (written, wanted) in [
        ("0.5", Budget::Constant(0.5)),
        ("1", Budget::Constant(1.0)),
        ("\"0.5\"", Budget::Constant(0.5)),
        ("\"one\"", Budget::One),
    ] {
        assert!(serde_json::from_str::<Budget>(written).is_ok_and(|budget| budget == wanted));
    }
    assert!(serde_json::from_str::<Budget>("1.5").is_err_and(|e| e.to_string().contains("1.5")));
    for text in ["suffix", "target", "query"] {
        assert_eq!(text.parse::<Rows>()?.to_string(), text);
    }
    assert!("1.5".parse::<Budget>().is_err() && "all".parse::<Rows>().is_err());
    Ok(())
}

#[test]
fn documents_in_another_order_get_the_same_shares_and_gradients() -> Result<()> {
    // Method section 11, test vector 4: a row knows documents by their spans, not by their order.
    const ORDER: [usize; 3] = [2, 0, 1];
    let (weights, logits, r) = ([0.2, 0.7, 0.1], values(1, KEYS), values(2, KEYS));
    // Where each key of the other order comes from: 0, document 2, 4, documents 0 and 1, 10 to 12.
    let mut from = vec![0];
    let mut spans = Vec::new();
    for (place, document) in ORDER.iter().enumerate() {
        let start = from.len();
        from.extend(SPANS[*document].clone());
        spans.push(start..from.len());
        if place == 0 {
            from.push(4);
        }
    }
    from.extend(10..KEYS);
    let heads = HeadSet::new(vec![HeadId { layer: 0, head: 0 }])?;
    let row = |spans: &[Range<usize>], weights: &[f32], logits: &[f32], r: &[f32]| {
        let injection = Injection {
            heads: &heads,
            doc_spans: spans,
            weights: &[weights.to_vec()],
            hidden: &[],
            rows: &[std::ops::Range { start: 0, end: 1 }],
            budget: Budget::Mass,
            gate: 0.8,
        };
        let at = RowAt {
            layer: 0,
            head: 0,
            segment: 0,
            row: 0,
        };
        let (mut p, mut d) = (logits.to_vec(), r.to_vec());
        injection.probabilities(at, &mut p, &mut InjectionRecord::default());
        let (read, mut record) = (Read { logits, p: &p }, InjectionRecord::default());
        injection.d_logits(at, &read, &mut d, &mut record);
        (p, d, record.d_weights)
    };
    let moved = |x: &[f32]| from.iter().map(|i| x[*i]).collect::<Vec<_>>();
    let permuted = |x: &[f32]| ORDER.iter().map(|i| x[*i]).collect::<Vec<_>>();
    let (p, d, d_weights) = row(&SPANS, &weights, &logits, &r);
    let (moved_p, moved_d, permuted_d_weights) =
        row(&spans, &permuted(&weights), &moved(&logits), &moved(&r));
    for (got, want) in [
        (moved_p, moved(&p)),
        (moved_d, moved(&d)),
        (permuted_d_weights, permuted(&d_weights)),
    ] {
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
    }
    Ok(())
}
