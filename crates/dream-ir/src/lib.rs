//! Documents, queries, judgements, runs, lexical search and measures.

pub mod error;

pub use error::{Error, Result};
