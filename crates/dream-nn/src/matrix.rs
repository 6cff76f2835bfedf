//! The one tensor of the engine: a row-major `f32` matrix, and strided views of it for [`crate::gemm`].
//!
//! A batch of sequences is a matrix too: the rows of all sequences one after the other,
//! `[total tokens, hidden_size]`, with the borders kept beside it. Nothing is padded.

use rayon::prelude::*;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Values that a thread copies at a time.
const COPY_CHUNK: usize = 1 << 15;

/// A dense row-major matrix, `[rows, cols]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matrix {
    rows: usize,
    cols: usize,
    data: Vec<f32>,
}

impl Matrix {
    /// A matrix of zeros, `[rows, cols]`.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self {
            rows,
            cols,
            data: vec![0.0; rows * cols],
        }
    }

    /// Wraps row-major `data`, whose length must be `rows * cols`.
    pub fn from_vec(rows: usize, cols: usize, data: Vec<f32>) -> Self {
        assert_eq!(
            data.len(),
            rows * cols,
            "data does not fill a {rows} x {cols} matrix"
        );
        Self { rows, cols, data }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All values, row by row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All values, row by row, to write to.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Gives up the values.
    pub fn into_vec(self) -> Vec<f32> {
        self.data
    }

    /// One row, `[cols]`.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.data[row * self.cols..(row + 1) * self.cols]
    }

    /// One row to write to, `[cols]`.
    pub fn row_mut(&mut self, row: usize) -> &mut [f32] {
        &mut self.data[row * self.cols..(row + 1) * self.cols]
    }

    /// A copy of some rows, `[range.len(), cols]`.
    #[must_use]
    pub fn rows_copy(&self, range: Range<usize>) -> Self {
        let data = self.data[range.start * self.cols..range.end * self.cols].to_vec();
        Self::from_vec(range.len(), self.cols, data)
    }

    /// `[rows, cols]`: of each row its beginning, or the row and zeros behind it.
    #[must_use]
    pub fn with_cols(self, cols: usize) -> Self {
        if cols == self.cols {
            return self;
        }
        let mut resized = Self::zeros(self.rows, cols);
        let kept = cols.min(self.cols);
        for row in 0..self.rows {
            resized.row_mut(row)[..kept].copy_from_slice(&self.row(row)[..kept]);
        }
        resized
    }

    /// The rows of both, one after the other.
    #[must_use]
    pub fn stacked(&self, below: &Self) -> Self {
        assert_eq!(self.cols, below.cols);
        let data = [self.data(), below.data()].concat();
        Self::from_vec(self.rows + below.rows, self.cols, data)
    }

    /// `self += other`.
    pub fn add_assign(&mut self, other: &Self) {
        assert_eq!((self.rows, self.cols), (other.rows, other.cols));
        for (a, b) in self.data.iter_mut().zip(&other.data) {
            *a += b;
        }
    }

    /// A copy with rows and columns exchanged.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut data = Vec::with_capacity(self.data.len());
        for col in 0..self.cols {
            data.extend((0..self.rows).map(|row| self.data[row * self.cols + col]));
        }
        Self::from_vec(self.cols, self.rows, data)
    }

    /// A copy of some rows, in the order of `rows`.
    #[must_use]
    pub fn gathered(&self, rows: &[usize]) -> Self {
        let data = rows.iter().flat_map(|row| self.row(*row));
        Self::from_vec(rows.len(), self.cols, data.copied().collect())
    }

    /// The way back of [`Self::gathered`]: these rows in their places among `n` of zeros.
    #[must_use]
    pub fn scattered(&self, rows: &[usize], n: usize) -> Self {
        let mut all = Self::zeros(n, self.cols);
        for (i, row) in rows.iter().enumerate() {
            all.row_mut(*row).copy_from_slice(self.row(i));
        }
        all
    }

    /// A copy, made by all threads.
    #[must_use]
    pub fn par_clone(&self) -> Self {
        let mut copy = Unwritten::new(self.rows, self.cols);
        let slots = copy.slots().par_chunks_mut(COPY_CHUNK);
        slots
            .zip(self.data.par_chunks(COPY_CHUNK))
            .for_each(|(to, from)| {
                for (to, from) in to.iter_mut().zip(from) {
                    to.write(*from);
                }
            });
        // SAFETY: all chunks have been written.
        unsafe { copy.written() }
    }

    /// Multiplies every value.
    pub fn scale(&mut self, factor: f32) {
        for a in &mut self.data {
            *a *= factor;
        }
    }

    /// The whole matrix as a view.
    pub fn view(&self) -> View<'_> {
        View {
            data: &self.data,
            rows: self.rows,
            cols: self.cols,
            row_stride: self.cols,
            col_stride: 1,
        }
    }

    /// The whole matrix as a view to write to.
    pub fn view_mut(&mut self) -> ViewMut<'_> {
        ViewMut {
            rows: self.rows,
            cols: self.cols,
            row_stride: self.cols,
            data: &mut self.data,
        }
    }
}

/// Memory of a matrix whose values are about to be written, so that nobody has to zero it first.
#[derive(Debug)]
pub(crate) struct Unwritten {
    rows: usize,
    cols: usize,
    data: Vec<f32>,
}

impl Unwritten {
    /// Room for `[rows, cols]`.
    pub fn new(rows: usize, cols: usize) -> Self {
        let data = Vec::with_capacity(rows * cols);
        Self { rows, cols, data }
    }

    /// The values, row by row.
    pub fn slots(&mut self) -> &mut [MaybeUninit<f32>] {
        &mut self.data.spare_capacity_mut()[..self.rows * self.cols]
    }

    /// The first value.
    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.data.as_mut_ptr()
    }

    /// The finished matrix.
    ///
    /// # Safety
    /// Every value has been written.
    pub unsafe fn written(mut self) -> Matrix {
        // SAFETY: the capacity is as large, and the caller has written the values.
        unsafe { self.data.set_len(self.rows * self.cols) };
        Matrix::from_vec(self.rows, self.cols, self.data)
    }
}

/// A strided, read-only look at a matrix.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
    pub(crate) col_stride: usize,
}

impl<'a> View<'a> {
    /// Row-major values without a matrix around them, `[rows, cols]`.
    pub fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        assert!(data.len() >= rows * cols);
        View {
            data,
            rows,
            cols,
            row_stride: cols,
            col_stride: 1,
        }
    }

    /// Number of rows.
    pub fn rows_len(&self) -> usize {
        self.rows
    }

    /// Panics if the shape and the strides lead beyond the data.
    pub(crate) fn check(&self) {
        if self.rows > 0 && self.cols > 0 {
            let last = (self.rows - 1) * self.row_stride + (self.cols - 1) * self.col_stride;
            assert!(last < self.data.len(), "a view reaches beyond its matrix");
        }
    }

    /// Transposed, without moving anything.
    #[must_use]
    pub fn t(self) -> Self {
        View {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Only some rows.
    #[must_use]
    pub fn rows(self, range: Range<usize>) -> Self {
        assert!(range.end <= self.rows);
        let data = &self.data[(range.start * self.row_stride).min(self.data.len())..];
        View {
            data,
            rows: range.len(),
            ..self
        }
    }

    /// Only some columns.
    #[must_use]
    pub fn cols(self, range: Range<usize>) -> Self {
        assert!(range.end <= self.cols);
        let data = &self.data[(range.start * self.col_stride).min(self.data.len())..];
        View {
            data,
            cols: range.len(),
            ..self
        }
    }
}

/// A strided look at a matrix, to write to; columns are contiguous.
#[derive(Debug)]
pub struct ViewMut<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) row_stride: usize,
}

impl<'a> ViewMut<'a> {
    /// Row-major values without a matrix around them, `[rows, cols]`, rows `row_stride` apart.
    pub fn new(data: &'a mut [f32], rows: usize, cols: usize, row_stride: usize) -> Self {
        assert!(rows == 0 || data.len() >= (rows - 1) * row_stride + cols);
        ViewMut {
            data,
            rows,
            cols,
            row_stride,
        }
    }
}
