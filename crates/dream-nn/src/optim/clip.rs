//! Clipping all gradients together by their L2 norm, as `torch.nn.utils.clip_grad_norm_`.

use rayon::prelude::*;

use super::VALUES_PER_TASK;

/// Scales all gradients by `max_norm / norm` if their joint L2 norm exceeds `max_norm`; gives back the norm before.
///
/// Sums are f64 in a fixed order, whatever the number of threads. A norm that is not finite leaves the gradients
/// as they are: the caller should not take the step. (Torch adds 1e-6 to the norm in the division; here the clipped
/// norm is `max_norm` itself.)
pub fn clip_grad_norm(grads: &mut [&mut [f32]], max_norm: f64) -> f64 {
    let norm = grads
        .iter()
        .map(|grad| sum_of_squares(grad))
        .sum::<f64>()
        .sqrt();
    if norm.is_finite() && norm > max_norm {
        let scale = (max_norm / norm) as f32;
        for grad in grads {
            grad.par_chunks_mut(VALUES_PER_TASK)
                .for_each(|chunk| chunk.iter_mut().for_each(|g| *g *= scale));
        }
    }
    norm
}

fn sum_of_squares(values: &[f32]) -> f64 {
    let sums: Vec<f64> = values
        .par_chunks(VALUES_PER_TASK)
        .map(|chunk| chunk.iter().map(|&g| f64::from(g) * f64::from(g)).sum())
        .collect();
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_joint_norm_of_all_parameters_is_clipped() {
        let (mut a, mut b) = ([3.0, 0.0], [4.0]);
        let norm = clip_grad_norm(&mut [&mut a, &mut b], 1.0);
        // sqrt(9 + 16)
        assert_eq!(norm, 5.0);
        assert_eq!((a, b), ([0.6, 0.0], [0.8]));
        assert_eq!(clip_grad_norm(&mut [&mut [3.0, 4.0]], 10.0), 5.0);
    }

    /// Key `clip_grad_norm` of `training.golden.json` (crate dream, fixtures/training_golden.py).
    #[test]
    fn clipping_equals_torch_up_to_its_epsilon() {
        let (mut a, mut b) = ([3.0, -4.0], [0.0, 12.0, 0.5]);
        let norm = clip_grad_norm(&mut [&mut a, &mut b], 1.0);
        assert!((norm - 13.009_611_831_258).abs() < 1e-12, "{norm}");
        let expected = [0.230_598_7, -0.307_465, 0.0, 0.922_394_9, 0.038_433_12];
        for (found, wanted) in a.iter().chain(&b).zip(expected) {
            assert!((found - wanted).abs() < 2e-7, "{found} {wanted}");
        }
    }

    #[test]
    fn small_and_non_finite_gradients_are_left_alone() {
        let mut small = [0.5];
        assert_eq!(clip_grad_norm(&mut [&mut small], 1.0), 0.5);
        assert_eq!(small, [0.5]);
        let mut broken = [f32::NAN, 7.0];
        assert!(clip_grad_norm(&mut [&mut broken], 1.0).is_nan());
        assert_eq!(broken[1], 7.0);
    }

    #[test]
    fn the_norm_does_not_depend_on_the_number_of_threads() {
        let mut grad: Vec<f32> = (0..200_000).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut norm_with = |n| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n).build();
            let pool = pool.expect("threads");
            pool.install(|| clip_grad_norm(&mut [&mut grad], f64::INFINITY).to_bits())
        };
        assert_eq!(norm_with(1), norm_with(3));
    }

    #[test]
    fn squares_beyond_f32_do_not_overflow() {
        assert_eq!(clip_grad_norm(&mut [&mut [2e30]], 1.0), f64::from(2e30_f32));
    }
}
