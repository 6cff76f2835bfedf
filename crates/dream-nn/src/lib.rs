//! Tensors, operations with forward and backward, optimiser and weight files.

pub mod error;

pub use error::{Error, Result};
