//! Cross entropy of logits against token ids, with `f32` log-softmax.

use super::elementwise::softmax;
use crate::matrix::Matrix;
use rayon::prelude::*;

/// Negative log-likelihood of each row's target in nats, `[rows]`; `logits [rows, vocab_size]` are
/// overwritten with `d loss_row / d logits`: the softmax, minus one at the target.
pub fn forward_backward(logits: &mut Matrix, targets: &[u32]) -> Vec<f32> {
    assert_eq!(logits.rows(), targets.len());
    let vocab_size = logits.cols();
    logits
        .data_mut()
        .par_chunks_mut(vocab_size)
        .zip(targets)
        .map(|(row, target)| {
            let target = *target as usize;
            let logit = row[target];
            let log_sum = softmax(row);
            row[target] -= 1.0;
            log_sum - logit
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_gradient, random_matrix, rng};

    #[test]
    fn gradient_equals_differences() {
        let mut rng = rng(7);
        let x = random_matrix(&mut rng, 3, 11);
        let targets = [4, 0, 10];
        let mut gradient = x.clone();
        forward_backward(&mut gradient, &targets);
        check_gradient(x.data(), gradient.data(), |x| {
            let mut logits = Matrix::from_vec(3, 11, x.to_vec());
            forward_backward(&mut logits, &targets)
                .iter()
                .map(|v| f64::from(*v))
                .sum()
        });
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_vocabulary() {
        let mut logits = Matrix::zeros(1, 8);
        let loss = forward_backward(&mut logits, &[3]);
        assert!((loss[0] - 8f32.ln()).abs() < 1e-6);
    }
}
