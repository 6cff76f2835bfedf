//! Tensors, operations with forward and backward, optimiser and weight files.

pub mod dtype;
pub mod error;
pub mod frozen;
pub mod gemm;
pub mod matrix;
pub mod narrow;
pub mod ops;
pub mod optim;
pub mod packed;
pub mod peak;
pub mod storage;
#[cfg(test)]
mod testing;
pub mod weights;

pub use dtype::{Dtype, DtypeChoice};
pub use error::{Error, Result};
pub use frozen::{Activations, Frozen, LowRank, Start};
pub use matrix::Matrix;
pub use storage::{Rows, Signs, Storage};
