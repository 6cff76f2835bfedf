//! A constant matrix of a model, in its compute type: the only form in which weights are kept.

use crate::dtype::Dtype;
use crate::gemm::{Threads, gemm, product};
use crate::matrix::{Matrix, View};
use crate::packed::{Packed, Words, has_instructions};
use std::cell::OnceCell;

/// A frozen weight `[rows, cols]`: a linear layer's `[out_features, in_features]`, or an embedding table.
#[derive(Clone, Debug)]
pub enum Frozen {
    /// `f32` as it is: where the processor has no instructions for packed products.
    Plain(Matrix),
    /// Rounded to its type and packed.
    Packed(Packed),
}

impl Frozen {
    /// Keeps `matrix` in `dtype`.
    pub fn new(matrix: Matrix, dtype: Dtype) -> Self {
        if dtype == Dtype::F32 && !has_instructions(dtype) {
            Self::Plain(matrix)
        } else {
            Self::Packed(Packed::new(&matrix, dtype))
        }
    }

    /// Output features.
    pub fn rows(&self) -> usize {
        match self {
            Self::Plain(w) => w.rows(),
            Self::Packed(w) => w.rows(),
        }
    }

    /// Input features.
    pub fn cols(&self) -> usize {
        match self {
            Self::Plain(w) => w.cols(),
            Self::Packed(w) => w.cols(),
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Plain(w) => size_of_val(w.data()),
            Self::Packed(w) => w.bytes(),
        }
    }

    /// Writes row `row` to `out [cols]`.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        match self {
            Self::Plain(w) => out.copy_from_slice(w.row(row)),
            Self::Packed(w) => w.copy_row(row, out),
        }
    }

    /// `start + x W^T + low_rank`: `x [n, cols]`, result `[n, rows]`.
    pub fn forward(
        &self,
        x: &Activations<'_>,
        start: Start<'_>,
        low_rank: Option<LowRank<'_>>,
    ) -> Matrix {
        match self {
            Self::Plain(w) => exact(x.exact, w.view().t(), start, low_rank),
            Self::Packed(w) => w.forward(x.words(w.dtype()), start, low_rank),
        }
    }

    /// `start + d_y W + low_rank`: `d_y [n, rows]`, result `[n, cols]`.
    pub fn input_gradient(
        &self,
        d_y: &Activations<'_>,
        start: Start<'_>,
        low_rank: Option<LowRank<'_>>,
    ) -> Matrix {
        match self {
            Self::Plain(w) => exact(d_y.exact, w.view(), start, low_rank),
            Self::Packed(w) => w.input_gradient(d_y.words(w.dtype()), start, low_rank),
        }
    }
}

/// What a product is added to.
#[derive(Debug)]
pub enum Start<'a> {
    /// Nothing: the product alone.
    Zero,
    /// The same values in each row.
    Bias(&'a [f32]),
    /// A matrix that stays as it is.
    Copy(&'a Matrix),
    /// A matrix that becomes the result.
    Into(Matrix),
}

/// A product of two narrow matrices, added in the same pass: `left [n, r]`, `right [r, cols]`.
#[derive(Clone, Copy, Debug)]
pub struct LowRank<'a> {
    /// Already scaled.
    pub left: &'a Matrix,
    /// As wide as the result.
    pub right: &'a Matrix,
}

/// `start + x w + low_rank` in `f32`.
fn exact(x: &Matrix, w: View<'_>, start: Start<'_>, low_rank: Option<LowRank<'_>>) -> Matrix {
    let started = match start {
        Start::Zero => None,
        Start::Bias(bias) => Some(Matrix::from_vec(
            x.rows(),
            bias.len(),
            bias.repeat(x.rows()),
        )),
        Start::Copy(matrix) => Some(matrix.par_clone()),
        Start::Into(matrix) => Some(matrix),
    };
    let mut y = match started {
        None => product(x.view(), w),
        Some(mut y) => {
            gemm(y.view_mut(), x.view(), w, 1.0, true, Threads::All);
            y
        }
    };
    if let Some(LowRank { left, right }) = low_rank {
        let (left, right) = (left.view(), right.view());
        gemm(y.view_mut(), left, right, 1.0, true, Threads::All);
    }
    y
}

/// What enters products with frozen weights, `[n, cols]`: as it is, and as words of the weights' type,
/// made the first time a product asks for them.
#[derive(Debug)]
pub struct Activations<'a> {
    exact: &'a Matrix,
    words: OnceCell<Words<'a>>,
}

impl<'a> Activations<'a> {
    /// The exact values.
    pub fn exact(&self) -> &'a Matrix {
        self.exact
    }

    /// All weights of a model are of one type.
    fn words(&self, dtype: Dtype) -> &Words<'a> {
        self.words.get_or_init(|| Words::new(self.exact, dtype))
    }
}

impl<'a> From<&'a Matrix> for Activations<'a> {
    fn from(exact: &'a Matrix) -> Self {
        Self {
            exact,
            words: OnceCell::new(),
        }
    }
}
