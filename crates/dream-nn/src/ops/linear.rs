//! A frozen linear layer: forward and input gradient only; its weight never has a gradient.

use super::elementwise::axpy;
use crate::frozen::{Activations, Frozen};
use crate::matrix::Matrix;

/// `y = x W^T + b` with constant `W` `[out_features, in_features]` and `b` `[out_features]`.
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Frozen,
    bias: Option<Vec<f32>>,
}

impl Linear {
    /// Takes the weight `[out_features, in_features]` and, where the model has one, the bias.
    pub fn new(weight: Frozen, bias: Option<Vec<f32>>) -> Self {
        assert!(bias.as_ref().is_none_or(|b| b.len() == weight.rows()));
        Self { weight, bias }
    }

    /// Size of an input row.
    pub fn in_features(&self) -> usize {
        self.weight.cols()
    }

    /// Size of an output row.
    pub fn out_features(&self) -> usize {
        self.weight.rows()
    }

    /// The frozen weight, `[out_features, in_features]`.
    pub fn weight(&self) -> &Frozen {
        &self.weight
    }

    /// Forward: `x [rows, in_features]` to `[rows, out_features]`.
    pub fn forward(&self, x: &Activations<'_>) -> Matrix {
        let mut y = Matrix::zeros(x.exact().rows(), self.out_features());
        if let Some(bias) = &self.bias {
            for row in 0..y.rows() {
                y.row_mut(row).copy_from_slice(bias);
            }
        }
        self.weight.forward(x, &mut y, self.bias.is_some());
        y
    }

    /// Forward, added to a residual stream: `y += x W^T + b`.
    pub fn forward_add(&self, x: &Activations<'_>, y: &mut Matrix) {
        if let Some(bias) = &self.bias {
            for row in 0..y.rows() {
                axpy(y.row_mut(row), 1.0, bias);
            }
        }
        self.weight.forward(x, y, true);
    }

    /// Input gradient: `d_x += d_y W`, with `d_y [rows, out_features]`, `d_x [rows, in_features]`.
    pub fn input_gradient(&self, d_y: &Activations<'_>, d_x: &mut Matrix) {
        self.weight.input_gradient(d_y, d_x, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Dtype;
    use crate::testing::{self, check_gradient, random_matrix, random_vec, rng};

    #[test]
    fn input_gradient_equals_differences() {
        let mut rng = rng(5);
        let weight = Frozen::new(random_matrix(&mut rng, 7, 5), Dtype::F32);
        let linear = Linear::new(weight, Some(random_vec(&mut rng, 7)));
        let (x, r) = (random_matrix(&mut rng, 3, 5), random_matrix(&mut rng, 3, 7));
        let mut gradient = Matrix::zeros(3, 5);
        linear.input_gradient(&(&r).into(), &mut gradient);
        check_gradient(x.data(), gradient.data(), |x| {
            testing::dot(
                linear
                    .forward(&(&Matrix::from_vec(3, 5, x.to_vec())).into())
                    .data(),
                r.data(),
            )
        });
    }
}
