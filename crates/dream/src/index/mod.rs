//! Embeddings of a corpus on disk, and exact search in them.
//!
//! A folder holds `shard-00000.f32` (row-major little-endian `f32`, `[documents, dim]`, ready to be
//! mapped into memory), `shard-00000.ids` (the document ids, one a line), and so on, and
//! `manifest.json`, which says what made them.

mod best;
pub mod manifest;
mod reader;
mod search;
mod writer;

pub use manifest::{Encoder, Manifest};
pub use reader::Index;
pub use search::{Scored, TopK};
pub use writer::IndexWriter;

#[cfg(test)]
mod tests;
