//! Label-free training of dense retrievers.

pub mod error;

pub use error::{Error, Result};
