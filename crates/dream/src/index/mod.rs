//! Embeddings of a corpus on disk, and exact search in them.

pub mod search;

pub use search::{Scored, TopK, search};
