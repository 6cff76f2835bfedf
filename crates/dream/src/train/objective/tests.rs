//! The way through the softmax over documents, with and without hidden ones.

use super::*;

#[test]
fn gradients_of_logits_sum_to_zero_and_equal_differences() {
    let logits = [0.3f64, -0.2, 0.9];
    let d_weights = [0.5f32, -1.0, 0.25];
    let softmax = |z: &[f64; 3]| {
        let sum: f64 = z.iter().map(|v| v.exp()).sum();
        z.map(|v| v.exp() / sum)
    };
    let loss = |z: &[f64; 3]| -> f64 {
        softmax(z)
            .iter()
            .zip(d_weights)
            .map(|(w, d)| w * f64::from(d))
            .sum()
    };
    let weights = softmax(&logits).map(|w| w as f32);
    let got = d_logits(&weights, &d_weights);
    assert!(got.iter().sum::<f32>().abs() < 1e-6);
    for i in 0..3 {
        let (mut up, mut down) = (logits, logits);
        up[i] += 1e-5;
        down[i] -= 1e-5;
        let want = (loss(&up) - loss(&down)) / 2e-5;
        assert!((f64::from(got[i]) - want).abs() < 1e-6, "{i}");
    }
}

#[test]
fn hidden_documents_weigh_nothing_and_the_others_are_a_softmax_without_them() -> Result<()> {
    let weights = document_weights(&[3.0, 0.3, -0.2, 0.9], &[0])?;
    let without = document_weights(&[0.3, -0.2, 0.9], &[])?;
    assert_eq!(weights[0], 0.0);
    assert_eq!(weights[1..], without);
    Ok(())
}

#[test]
fn vector_10_two_documents_of_which_each_query_sees_the_other_weigh_one_without_gradient()
-> Result<()> {
    // Method section 11, test vector 10: rows sum to 1, the diagonal is 0, and with B = 2 nothing can move.
    for own in 0..2 {
        let weights = document_weights(&[0.7, -0.4], &[own])?;
        assert_eq!((weights[own], weights[1 - own]), (0.0, 1.0));
        assert_eq!(d_logits(&weights, &[0.3, -5.0]), [0.0, 0.0]);
    }
    Ok(())
}

#[test]
fn a_query_without_documents_is_an_error_that_says_why() {
    let message = |logits: &[f32], hidden: &[usize]| {
        let error = document_weights(logits, hidden).err();
        error.map(|e| e.to_string()).unwrap_or_default()
    };
    assert!(message(&[], &[]).contains("none of its 0"));
    assert!(message(&[0.1, 0.2], &[0, 1]).contains("none of its 2"));
    assert_eq!(message(&[0.1, 0.2], &[0]), "");
}
