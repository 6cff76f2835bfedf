//! Tensors, operations with forward and backward, optimiser and weight files.

pub mod bf16;
pub mod dtype;
pub mod error;
pub mod frozen;
pub mod gemm;
pub mod matrix;
pub mod ops;
pub mod optim;
pub mod peak;
pub mod storage;
#[cfg(test)]
mod testing;
pub mod weights;

pub use dtype::{Dtype, DtypeChoice};
pub use error::{Error, Result};
pub use frozen::{Activations, Frozen};
pub use matrix::Matrix;
pub use storage::{Rows, Storage};
