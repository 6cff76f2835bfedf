//! Label-free training of dense retrievers.

pub mod error;
pub mod events;
pub mod report;

pub use error::{Error, Result};
