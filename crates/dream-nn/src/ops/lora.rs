//! Low-rank adaptation of a linear layer (Hu et al. 2021, arXiv 2106.09685): `y += scale * B A x`.
//!
//! The only trainable weights of the engine. Dropout falls on the input of `A` alone, from a hash of
//! (seed, token, feature), so that a forward repeated in other chunks drops the same values.

use crate::matrix::Matrix;
use crate::narrow::narrow_product;
use rayon::prelude::*;

/// One adapted layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// `[r, in_features]`
    pub a: Matrix,
    /// `[out_features, r]`
    pub b: Matrix,
    /// `lora_alpha / r`, or `lora_alpha / sqrt(r)` with rank stabilisation.
    pub scale: f32,
}

/// Gradients of one adapted layer, shaped as its weights.
#[derive(Clone, Debug, PartialEq)]
pub struct LoraGradient {
    /// `[r, in_features]`
    pub a: Matrix,
    /// `[out_features, r]`
    pub b: Matrix,
}

impl LoraGradient {
    /// Zero gradients for `lora`.
    pub fn zeros(lora: &Lora) -> Self {
        Self {
            a: Matrix::zeros(lora.a.rows(), lora.a.cols()),
            b: Matrix::zeros(lora.b.rows(), lora.b.cols()),
        }
    }
}

/// Dropout of one layer's input in one forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Dropout<'a> {
    /// Share of values set to zero, in `[0, 1)`; the others grow by `1 / (1 - rate)`.
    pub rate: f32,
    /// Differs from layer to layer and from step to step.
    pub seed: u64,
    /// Names each row (text and position), `[rows]`, whatever batch it comes in.
    pub row_keys: &'a [u64],
}

impl Lora {
    /// `scale * drop(x) A^T`, with `x [rows, in]`, `[rows, r]`: times `B^T`, what the adapter adds.
    pub fn narrow(&self, x: &Matrix, dropout: Option<Dropout<'_>>) -> Matrix {
        let dropped = dropout.map(|d| d.apply(x));
        let x = dropped.as_ref().unwrap_or(x);
        let mut narrow = narrow_product(x.view(), &self.a.transposed());
        narrow.scale(self.scale);
        narrow
    }

    /// Backward to the weights' gradients, which it adds to, given the layer's input, what
    /// [`Self::narrow`] made of it, and `d_y [rows, out]`.
    ///
    /// Returns the gradient of `drop(x) A^T`, `[rows, r]`: times `A`, that of the dropped input.
    pub fn backward(
        &self,
        x: &Matrix,
        dropout: Option<Dropout<'_>>,
        narrow: &Matrix,
        d_y: &Matrix,
        gradient: &mut LoraGradient,
    ) -> Matrix {
        gradient
            .b
            .add_assign(&narrow_product(d_y.view().t(), narrow));
        let mut d_h = narrow_product(d_y.view(), &self.b);
        d_h.scale(self.scale);
        let dropped = dropout.map(|d| d.apply(x));
        let x = dropped.as_ref().unwrap_or(x);
        let d_a = narrow_product(x.view().t(), &d_h).transposed();
        gradient.a.add_assign(&d_a);
        d_h
    }
}

impl Dropout<'_> {
    /// `x` with dropped values zero and the others scaled, `[rows, features]`; also the way back.
    pub fn apply(&self, x: &Matrix) -> Matrix {
        assert_eq!(self.row_keys.len(), x.rows());
        let keep_scale = 1.0 / (1.0 - self.rate);
        let threshold = (f64::from(self.rate) * 2f64.powi(32)) as u64;
        let mut y = x.clone();
        y.data_mut()
            .par_chunks_mut(x.cols())
            .zip(self.row_keys)
            .for_each(|(row, key)| {
                let row_seed = mix(self.seed ^ mix(*key));
                for (i, v) in row.iter_mut().enumerate() {
                    let draw = mix(row_seed.wrapping_add(i as u64)) >> 32;
                    *v = if draw < threshold {
                        0.0
                    } else {
                        *v * keep_scale
                    };
                }
            });
        y
    }
}

/// The finaliser of SplitMix64: a bijection of 64 bits whose output passes for random.
pub fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gemm::product;
    use crate::testing::{self, check_gradient, random_matrix, rng};

    fn case(dropout: Option<Dropout<'_>>) {
        let mut rng = rng(8);
        let (x, r) = (random_matrix(&mut rng, 4, 6), random_matrix(&mut rng, 4, 5));
        let lora = Lora {
            a: random_matrix(&mut rng, 2, 6),
            b: random_matrix(&mut rng, 5, 2),
            scale: 1.5,
        };
        let mut gradient = LoraGradient::zeros(&lora);
        let narrow = lora.narrow(&x, dropout);
        let d_h = lora.backward(&x, dropout, &narrow, &r, &mut gradient);
        let mut d_x = product(d_h.view(), lora.a.view());
        d_x = dropout.map_or(d_x.clone(), |d| d.apply(&d_x));
        let loss = |lora: &Lora, x: &[f32]| {
            let narrow = lora.narrow(&Matrix::from_vec(4, 6, x.to_vec()), dropout);
            let y = product(narrow.view(), lora.b.view().t());
            testing::dot(y.data(), r.data())
        };
        check_gradient(x.data(), d_x.data(), |x| loss(&lora, x));
        check_gradient(lora.a.data(), gradient.a.data(), |a| {
            loss(
                &Lora {
                    a: Matrix::from_vec(2, 6, a.to_vec()),
                    ..lora.clone()
                },
                x.data(),
            )
        });
        check_gradient(lora.b.data(), gradient.b.data(), |b| {
            loss(
                &Lora {
                    b: Matrix::from_vec(5, 2, b.to_vec()),
                    ..lora.clone()
                },
                x.data(),
            )
        });
    }

    #[test]
    fn backward_equals_differences_with_and_without_dropout() {
        case(None);
        case(Some(Dropout {
            rate: 0.3,
            seed: 7,
            row_keys: &[3, 1, 4, 15],
        }));
    }

    #[test]
    fn dropout_keeps_the_stated_share_and_depends_on_the_row_key_alone() {
        let x = Matrix::from_vec(2, 4000, vec![1.0; 8000]);
        let both = Dropout {
            rate: 0.25,
            seed: 1,
            row_keys: &[10, 20],
        }
        .apply(&x);
        let kept = both.data().iter().filter(|v| **v != 0.0).count() as f32 / 8000.0;
        assert!((kept - 0.75).abs() < 0.02, "{kept}");
        let second = Dropout {
            rate: 0.25,
            seed: 1,
            row_keys: &[20],
        }
        .apply(&x.rows_copy(0..1));
        assert_eq!(second.row(0), both.row(1));
    }
}
