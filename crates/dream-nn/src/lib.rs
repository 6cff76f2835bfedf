//! Tensors, operations with forward and backward, optimiser and weight files.

pub mod error;
pub mod gemm;
pub mod matrix;
pub mod ops;
pub mod optim;
#[cfg(test)]
mod testing;
pub mod weights;

pub use error::{Error, Result};
pub use matrix::Matrix;
