//! Embeddings to the engines that people run already, and search in them.
//!
//! This crate knows ids, vectors and texts that go with them; it knows no model, no corpus and no index of
//! ours. Each engine is a module with one type that is a [`Sink`], and for the three that are searched from
//! here a [`Searcher`] too:
//!
//! | module | speaks |
//! |---|---|
//! | [`pgvector`] | PostgreSQL's wire protocol: binary `COPY`, then an upsert |
//! | [`qdrant`] | Qdrant's REST interface |
//! | [`milvus`] | Milvus's gRPC interface, which `milvus-lite server` speaks too |
//! | [`elasticsearch`] | `_bulk` and a `dense_vector` mapping |
//! | [`files`] | Parquet and NumPy's `.npy` |
//!
//! [`push()`] moves the rows: batch by batch, with retries, and with a [`Journal`] so that a second start goes
//! on where the first was killed. It may send a batch twice, never none: every upsert is idempotent.

mod batch;
mod collection;
pub mod elasticsearch;
mod error;
pub mod files;
mod http;
mod journal;
pub mod milvus;
pub mod pgvector;
mod place;
mod push;
pub mod qdrant;
mod sink;

pub use batch::{Batch, Text};
pub use collection::{Collection, Distance};
pub use error::{Error, Result};
pub use journal::{Journal, Key};
pub use place::{Access, Engine, Place, Secret};
pub use push::{Observer, Pushed, Source, push};
pub use sink::{Found, Limits, Searcher, Sink};
