//! A constant matrix of a model, in its compute type: the only form in which weights are kept.

use crate::bf16::{PackedBf16, Rounded};
use crate::dtype::Dtype;
use crate::gemm::{Threads, gemm};
use crate::matrix::Matrix;
use std::cell::OnceCell;

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
    pub fn forward(&self, x: &Activations<'_>, y: &mut Matrix, accumulate: bool) {
        match self {
            Self::F32(w) => {
                let (y, w) = (y.view_mut(), w.view().t());
                gemm(y, x.exact.view(), w, 1.0, accumulate, Threads::All);
            }
            Self::Bf16(w) => w.forward(x.rounded(), y, accumulate),
        }
    }

    /// `d_x (+)= d_y W`: `d_y [n, rows]`, `d_x [n, cols]`; adds to `d_x` where `accumulate` is set.
    pub fn input_gradient(&self, d_y: &Activations<'_>, d_x: &mut Matrix, accumulate: bool) {
        match self {
            Self::F32(w) => {
                let (d_x, w) = (d_x.view_mut(), w.view());
                gemm(d_x, d_y.exact.view(), w, 1.0, accumulate, Threads::All);
            }
            Self::Bf16(w) => w.input_gradient(d_y.rounded(), d_x, accumulate),
        }
    }
}

/// What enters products with frozen weights, `[n, cols]`: as it is, and rounded the first time a
/// product asks for that.
#[derive(Debug)]
pub struct Activations<'a> {
    exact: &'a Matrix,
    rounded: OnceCell<Rounded>,
}

impl<'a> Activations<'a> {
    /// The exact values.
    pub fn exact(&self) -> &'a Matrix {
        self.exact
    }

    fn rounded(&self) -> &Rounded {
        self.rounded.get_or_init(|| Rounded::new(self.exact))
    }
}

impl<'a> From<&'a Matrix> for Activations<'a> {
    fn from(exact: &'a Matrix) -> Self {
        Self {
            exact,
            rounded: OnceCell::new(),
        }
    }
}
