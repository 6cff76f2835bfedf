//! A constant matrix of a model, in its compute type: the only form in which weights are kept.

use crate::bf16::PackedBf16;
use crate::dtype::Dtype;
use crate::gemm::{Threads, gemm};
use crate::matrix::Matrix;

/// A frozen weight `[rows, cols]`: a linear layer's `[out_features, in_features]`, or an embedding table.
#[derive(Clone, Debug)]
pub enum Frozen {
    /// As it is.
    F32(Matrix),
    /// Rounded and packed.
    Bf16(PackedBf16),
}

impl Frozen {
    /// Keeps `matrix` in `dtype`.
    pub fn new(matrix: Matrix, dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32(matrix),
            Dtype::Bf16 => Self::Bf16(PackedBf16::new(&matrix)),
        }
    }

    /// Output features.
    pub fn rows(&self) -> usize {
        match self {
            Self::F32(w) => w.rows(),
            Self::Bf16(w) => w.rows(),
        }
    }

    /// Input features.
    pub fn cols(&self) -> usize {
        match self {
            Self::F32(w) => w.cols(),
            Self::Bf16(w) => w.cols(),
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::F32(w) => size_of_val(w.data()),
            Self::Bf16(w) => w.bytes(),
        }
    }

    /// Writes row `row` to `out [cols]`.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        match self {
            Self::F32(w) => out.copy_from_slice(w.row(row)),
            Self::Bf16(w) => w.copy_row(row, out),
        }
    }

    /// `y (+)= x W^T`: `x [n, cols]`, `y [n, rows]`; adds to `y` where `accumulate` is set.
    pub fn forward(&self, x: &Matrix, y: &mut Matrix, accumulate: bool) {
        match self {
            Self::F32(w) => {
                let (y, w) = (y.view_mut(), w.view().t());
                gemm(y, x.view(), w, 1.0, accumulate, Threads::All);
            }
            Self::Bf16(w) => w.forward(x, y, accumulate),
        }
    }

    /// `d_x (+)= d_y W`: `d_y [n, rows]`, `d_x [n, cols]`; adds to `d_x` where `accumulate` is set.
    pub fn input_gradient(&self, d_y: &Matrix, d_x: &mut Matrix, accumulate: bool) {
        match self {
            Self::F32(w) => {
                let (d_x, w) = (d_x.view_mut(), w.view());
                gemm(d_x, d_y.view(), w, 1.0, accumulate, Threads::All);
            }
            Self::Bf16(w) => w.input_gradient(d_y, d_x, accumulate),
        }
    }
}
