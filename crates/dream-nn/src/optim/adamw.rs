//! AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019, arXiv 1711.05101), in the form of
//! `torch.optim.AdamW`: decay scales the parameter by `1 - lr * weight_decay` before the step, moments are corrected
//! for their zero start, epsilon is added after the corrected square root.

use rayon::prelude::*;

use super::VALUES_PER_TASK;
use crate::{Error, Result};

/// Constants of the method.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWConfig {
    /// Decay rates of the first and second moment.
    pub betas: (f64, f64),
    /// Keeps the division finite.
    pub eps: f64,
    /// Applied to parameters that ask for it.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

/// One parameter of a step.
#[derive(Debug)]
pub struct Parameter<'a> {
    /// Changed in place.
    pub value: &'a mut [f32],
    /// d loss / d value, as long as `value`.
    pub grad: &'a [f32],
    /// Whether weight decay applies: not for norms, biases and temperatures.
    pub decay: bool,
}

/// The optimiser and its state, one pair of moments a parameter.
#[derive(Debug, Clone)]
pub struct AdamW {
    config: AdamWConfig,
    step: u64,
    first_moments: Vec<Vec<f32>>,
    second_moments: Vec<Vec<f32>>,
}

impl AdamW {
    /// For parameters of these lengths, in the order in which [`AdamW::step`] will get them.
    pub fn new(config: AdamWConfig, lengths: &[usize]) -> Self {
        let zeros = || lengths.iter().map(|&n| vec![0.0; n]).collect();
        Self {
            config,
            step: 0,
            first_moments: zeros(),
            second_moments: zeros(),
        }
    }

    /// One step with learning rate `lr`.
    ///
    /// # Panics
    /// If the parameters differ in number or length from those given to [`AdamW::new`].
    pub fn step(&mut self, lr: f64, parameters: &mut [Parameter]) {
        assert_eq!(parameters.len(), self.first_moments.len(), "parameters");
        self.step += 1;
        let AdamWConfig {
            betas: (beta1, beta2),
            eps,
            weight_decay,
        } = self.config;
        let steps = self.step as f64;
        let step_size = (lr / (1.0 - beta1.powf(steps))) as f32;
        let root_correction = (1.0 - beta2.powf(steps)).sqrt() as f32;
        let (new1, beta2, new2) = ((1.0 - beta1) as f32, beta2 as f32, (1.0 - beta2) as f32);
        let eps = eps as f32;

        let moments = self.first_moments.iter_mut().zip(&mut self.second_moments);
        for (parameter, (first, second)) in parameters.iter_mut().zip(moments) {
            assert_eq!(parameter.value.len(), first.len(), "length of a parameter");
            assert_eq!(parameter.grad.len(), first.len(), "length of a gradient");
            let keep = if parameter.decay {
                (1.0 - lr * weight_decay) as f32
            } else {
                1.0
            };
            (
                parameter.value.par_chunks_mut(VALUES_PER_TASK),
                parameter.grad.par_chunks(VALUES_PER_TASK),
                first.par_chunks_mut(VALUES_PER_TASK),
                second.par_chunks_mut(VALUES_PER_TASK),
            )
                .into_par_iter()
                .for_each(|(value, grad, first, second)| {
                    for i in 0..value.len() {
                        let g = grad[i];
                        first[i] += new1 * (g - first[i]);
                        second[i] = beta2 * second[i] + new2 * g * g;
                        let root = second[i].sqrt() / root_correction + eps;
                        value[i] = keep * value[i] - step_size * (first[i] / root);
                    }
                });
        }
    }

    /// Steps taken, first moments, second moments: what a checkpoint keeps.
    pub fn state(&self) -> (u64, &[Vec<f32>], &[Vec<f32>]) {
        (self.step, &self.first_moments, &self.second_moments)
    }

    /// Puts back what [`AdamW::state`] gave; lengths must be those of [`AdamW::new`].
    pub fn restore(
        &mut self,
        step: u64,
        first_moments: Vec<Vec<f32>>,
        second_moments: Vec<Vec<f32>>,
    ) -> Result<()> {
        let lengths = |moments: &[Vec<f32>]| moments.iter().map(Vec::len).collect::<Vec<_>>();
        let wanted = lengths(&self.first_moments);
        for found in [&first_moments, &second_moments] {
            let found = lengths(found);
            if found != wanted {
                return Err(Error::Invalid(format!(
                    "optimiser state has moments of lengths {found:?}, wanted {wanted:?}"
                )));
            }
        }
        self.step = step;
        self.first_moments = first_moments;
        self.second_moments = second_moments;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const START: [f32; 5] = [0.5, -1.25, 2.0, 0.0, 0.003];
    const GRADS: [[f32; 5]; 5] = [
        [0.1, -0.2, 0.3, 0.0, 0.0001],
        [0.4, 0.2, -0.3, 0.0, -0.0002],
        [-1.0, 0.5, 0.05, 0.01, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0003],
        [2.0, -3.0, 0.7, -0.02, 5.0],
    ];

    fn config() -> AdamWConfig {
        AdamWConfig {
            weight_decay: 0.1,
            ..AdamWConfig::default()
        }
    }

    fn run(optimiser: &mut AdamW, value: &mut [f32], grads: &[[f32; 5]], decay: bool) {
        for grad in grads {
            let parameter = Parameter { value, grad, decay };
            optimiser.step(0.02, &mut [parameter]);
        }
    }

    #[track_caller]
    fn check(found: &[f32], expected: &[f64]) {
        for (f, e) in found.iter().zip(expected) {
            assert!((f64::from(*f) - e).abs() < 1e-6, "{found:?}, {expected:?}");
        }
    }

    /// `torch.optim.AdamW` in f64, key `adamw` of `training.golden.json` (crate dream, fixtures/training_golden.py):
    /// lr 0.02, weight decay 0.1.
    #[test]
    fn five_steps_equal_torch() {
        let mut value = START;
        let mut optimiser = AdamW::new(config(), &[5]);
        run(&mut optimiser, &mut value, &GRADS[..1], true);
        let after_1 = [
            0.479_000_002,
            -1.227_500_001,
            1.976_000_000_666_7,
            0.0,
            -0.017_004_000_199_98,
        ];
        check(&value, &after_1);
        run(&mut optimiser, &mut value, &GRADS[1..], true);
        let after_5 = [
            0.462_147_351_534_03,
            -1.230_435_421_223_5,
            1.950_472_431_53,
            -0.017_362_618_465_77,
            -0.021_404_104_083_282,
        ];
        check(&value, &after_5);
        let (step, first, second) = optimiser.state();
        assert_eq!(step, 5);
        check(
            &first[0],
            &[0.154_721, -0.258_042, 0.071_863, -0.001_19, 0.500_018_981],
        );
        check(&second[0][..2], &[0.005_167_481_539_8, 0.009_329_220_609_8]);
    }

    #[test]
    fn a_parameter_without_decay_is_not_shrunk() {
        let mut value = START;
        let mut optimiser = AdamW::new(config(), &[5]);
        run(&mut optimiser, &mut value, &GRADS[..1], false);
        // The first step moves each value by lr * g / (|g| + eps), whatever the size of g.
        let expected = [
            0.48,
            -1.23,
            1.98,
            0.0,
            0.003 - 0.02 * (1e-4 / (1e-4 + 1e-8)),
        ];
        check(&value, &expected);
    }

    #[test]
    fn a_restored_optimiser_goes_on_bit_for_bit() {
        let mut whole = (START, AdamW::new(config(), &[5]));
        run(&mut whole.1, &mut whole.0, &GRADS, true);

        let mut first = (START, AdamW::new(config(), &[5]));
        run(&mut first.1, &mut first.0, &GRADS[..2], true);
        let (step, m, v) = first.1.state();
        let mut second = (first.0, AdamW::new(config(), &[5]));
        second.1.restore(step, m.to_vec(), v.to_vec()).unwrap();
        run(&mut second.1, &mut second.0, &GRADS[2..], true);
        assert_eq!(second.0.map(f32::to_bits), whole.0.map(f32::to_bits));
        assert_eq!(second.1.state(), whole.1.state());
    }

    #[test]
    fn state_of_another_model_is_refused() {
        let mut optimiser = AdamW::new(config(), &[3, 1]);
        let error = optimiser
            .restore(1, vec![vec![0.0; 3]], vec![vec![0.0; 3]])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "optimiser state has moments of lengths [3], wanted [3, 1]"
        );
    }
}
