//! A frozen linear layer: forward and input gradient only; its weight never has a gradient.

use super::elementwise::axpy;
use crate::frozen::{Activations, Frozen, LowRank, Start};
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

    /// Forward: `x W^T + b`, `x [rows, in_features]` to `[rows, out_features]`, with what an adapter
    /// adds; onto a residual stream `[rows, out_features]` if there is one.
    pub fn forward(
        &self,
        x: &Activations<'_>,
        residual: Option<&Matrix>,
        low_rank: Option<LowRank<'_>>,
    ) -> Matrix {
        let start = match (&self.bias, residual) {
            (None, None) => Start::Zero,
            (Some(bias), None) => Start::Bias(bias),
            (None, Some(residual)) => Start::Copy(residual),
            (Some(bias), Some(residual)) => {
                let mut start = residual.clone();
                for row in 0..start.rows() {
                    axpy(start.row_mut(row), 1.0, bias);
                }
                Start::Into(start)
            }
        };
        self.weight.forward(x, start, low_rank)
    }

    /// Input gradient: `start + d_y W`, with `d_y [rows, out_features]`, result `[rows, in_features]`.
    pub fn input_gradient(
        &self,
        d_y: &Activations<'_>,
        start: Start<'_>,
        low_rank: Option<LowRank<'_>>,
    ) -> Matrix {
        self.weight.input_gradient(d_y, start, low_rank)
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
        let gradient = linear.input_gradient(&(&r).into(), Start::Zero, None);
        check_gradient(x.data(), gradient.data(), |x| {
            testing::dot(
                linear
                    .forward(&(&Matrix::from_vec(3, 5, x.to_vec())).into(), None, None)
                    .data(),
                r.data(),
            )
        });
    }
}
