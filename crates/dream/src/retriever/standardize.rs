//! The standardising layer: `y = scale * x + shift` for each dimension, queries and documents each
//! with their own (method 12.1). From the statistics of unlabelled text it starts as
//! `(x - mean) / deviation`; being affine, it exports as a dense layer.

use super::config::Role;
use crate::{Error, Result};
use dream_nn::Matrix;

/// Deviations below this share of the largest are not divided by: such a dimension carries nothing.
const SMALLEST_DEVIATION: f32 = 1e-4;

/// One affine map, vectors `[dim]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    /// Factor of each dimension.
    pub scale: Vec<f32>,
    /// Added to each dimension.
    pub shift: Vec<f32>,
}

/// The maps of both roles; also their gradients, which have the same shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardizer {
    /// For queries.
    pub query: Affine,
    /// For documents.
    pub document: Affine,
}

impl Affine {
    /// The map that gives `pooled [texts, dim]` mean 0 and deviation 1 in each dimension.
    ///
    /// # Errors
    /// Fewer than two texts.
    pub fn from_statistics(pooled: &Matrix) -> Result<Self> {
        let (n, dim) = (pooled.rows(), pooled.cols());
        if n < 2 {
            return Err(Error::Invalid(format!(
                "standardising needs at least 2 texts, not {n}"
            )));
        }
        let mut mean = vec![0.0f64; dim];
        let mut square = vec![0.0f64; dim];
        for row in 0..n {
            for (m, x) in mean.iter_mut().zip(pooled.row(row)) {
                *m += f64::from(*x) / n as f64;
            }
        }
        for row in 0..n {
            for ((s, m), x) in square.iter_mut().zip(&mean).zip(pooled.row(row)) {
                *s += (f64::from(*x) - m).powi(2) / n as f64;
            }
        }
        let deviation: Vec<f32> = square.iter().map(|s| s.sqrt() as f32).collect();
        let floor = deviation.iter().copied().fold(0.0, f32::max) * SMALLEST_DEVIATION;
        let scale: Vec<f32> = deviation
            .iter()
            .map(|d| 1.0 / d.max(floor).max(1e-12))
            .collect();
        let shift = mean
            .iter()
            .zip(&scale)
            .map(|(m, s)| -(*m as f32) * s)
            .collect();
        Ok(Self { scale, shift })
    }

    fn zeros(dim: usize) -> Self {
        Self {
            scale: vec![0.0; dim],
            shift: vec![0.0; dim],
        }
    }

    fn forward(&self, x: &mut [f32]) {
        for ((x, scale), shift) in x.iter_mut().zip(&self.scale).zip(&self.shift) {
            *x = *x * scale + shift;
        }
    }

    fn backward(&self, x: &[f32], d_y: &mut [f32], gradient: &mut Self) {
        for (i, d) in d_y.iter_mut().enumerate() {
            gradient.scale[i] += *d * x[i];
            gradient.shift[i] += *d;
            *d *= self.scale[i];
        }
    }
}

impl Standardizer {
    /// Zero gradients.
    pub fn zeros(dim: usize) -> Self {
        Self {
            query: Affine::zeros(dim),
            document: Affine::zeros(dim),
        }
    }

    fn of(&self, role: Role) -> &Affine {
        match role {
            Role::Query => &self.query,
            Role::Document => &self.document,
        }
    }

    /// Forward in place; `x [texts, dim]`, each row with its role's map.
    pub fn forward(&self, x: &mut Matrix, roles: &[Role]) {
        for (row, role) in roles.iter().enumerate() {
            self.of(*role).forward(x.row_mut(row));
        }
    }

    /// Backward in place on `d_y [texts, dim]`, given the input `x`; adds to `gradient`.
    pub fn backward(&self, x: &Matrix, roles: &[Role], d_y: &mut Matrix, gradient: &mut Self) {
        for (row, role) in roles.iter().enumerate() {
            let part = match role {
                Role::Query => &mut gradient.query,
                Role::Document => &mut gradient.document,
            };
            self.of(*role).backward(x.row(row), d_y.row_mut(row), part);
        }
    }

    /// Names of the vectors, in the order of [`Self::parts`].
    pub const NAMES: [&str; 4] = [
        "query.scale",
        "query.shift",
        "document.scale",
        "document.shift",
    ];

    /// The vectors, `[dim]` each.
    pub fn parts(&self) -> [&[f32]; 4] {
        [
            &self.query.scale,
            &self.query.shift,
            &self.document.scale,
            &self.document.shift,
        ]
    }

    /// The vectors to write to.
    pub fn parts_mut(&mut self) -> [&mut [f32]; 4] {
        let Self { query, document } = self;
        [
            &mut query.scale,
            &mut query.shift,
            &mut document.scale,
            &mut document.shift,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardised_texts_have_mean_zero_and_deviation_one() -> Result<()> {
        let mut x = Matrix::from_vec(3, 2, vec![1.0, 10.0, 2.0, 30.0, 6.0, 20.0]);
        let map = Affine::from_statistics(&x)?;
        let both = Standardizer {
            query: map.clone(),
            document: map,
        };
        both.forward(&mut x, &[Role::Query, Role::Document, Role::Query]);
        for column in 0..2 {
            let values: Vec<f32> = (0..3).map(|row| x.row(row)[column]).collect();
            assert!(values.iter().sum::<f32>().abs() < 1e-5);
            assert!((values.iter().map(|v| v * v).sum::<f32>() / 3.0 - 1.0).abs() < 1e-5);
        }
        Ok(())
    }

    #[test]
    fn backward_equals_differences() {
        // y = scale x + shift is linear, so differences of any size are exact up to rounding.
        let map = Standardizer {
            query: Affine {
                scale: vec![2.0, -1.0],
                shift: vec![0.5, 0.25],
            },
            document: Affine {
                scale: vec![1.0, 3.0],
                shift: vec![0.0, 0.0],
            },
        };
        let x = Matrix::from_vec(1, 2, vec![0.3, -0.7]);
        let mut d = Matrix::from_vec(1, 2, vec![1.0, 10.0]);
        let mut gradient = Standardizer::zeros(2);
        map.backward(&x, &[Role::Query], &mut d, &mut gradient);
        assert_eq!(d.data(), [2.0, -10.0]);
        assert_eq!(gradient.query.scale, [0.3, -7.0]);
        assert_eq!(gradient.query.shift, [1.0, 10.0]);
        assert_eq!(gradient.document, Affine::zeros(2));
    }
}
