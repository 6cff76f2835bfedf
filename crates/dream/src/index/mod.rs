//! Embeddings of a corpus on disk, and exact search in them.
//!
//! A folder holds, for each shard, `shard-00000.f32` (row-major little-endian numbers, `[documents, dim]`,
//! ready to be mapped into memory) and `shard-00000.ids` (the document ids, one a line), and
//! `manifest.json`, which says what made them. The embeddings' ending is their `dtype`: `f32`, `f16`, `bf16`
//! or `i8` ([`dream_nn::Storage`]). Queries and sums are `f32` whatever it is.
//!
//! With `i8` there is `shard-00000.scales` too, one little-endian `f32` a document: `max |x| / 127`, by which
//! the integers are multiplied. It stands beside the integers and not before each row, so that it is read
//! and checked when the index is opened, without reading the embeddings, and so that both files stay plain
//! arrays to every other program.

mod best;
pub mod kinds;
pub mod manifest;
mod reader;
mod search;
mod writer;

pub use manifest::{Encoder, Manifest};
pub use reader::Index;
pub use search::{Scored, TopK};
pub use writer::IndexWriter;

#[cfg(test)]
mod storage_tests;
#[cfg(test)]
mod tests;
