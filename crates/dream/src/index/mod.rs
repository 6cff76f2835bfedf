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
//!
//! A retriever's embeddings are written by [`Build`], which goes on where a process was killed and can make a part of
//! an index ([`PartOf`]) for [`merge()`] to put together; others by [`IndexWriter`].

mod best;
mod build;
mod data;
mod encoder;
mod hashed_file;
mod ids;
pub mod kinds;
pub mod manifest;
mod merge;
mod part;
mod part_lock;
mod reader;
mod recipe;
mod search;
mod shard_writer;
mod verify;
mod writer;

pub use build::{Build, Built};
pub use data::{Data, DataHasher};
pub use encoder::Encoder;
pub use hashed_file::Watch;
pub use manifest::Manifest;
pub use merge::merge;
pub use part::{Part, PartOf};
pub use reader::Index;
pub use recipe::{Encoding, Recipe, Sizes};
pub use search::{Scored, TopK};
pub use writer::IndexWriter;

#[cfg(test)]
mod storage_tests;
#[cfg(test)]
mod tests;
