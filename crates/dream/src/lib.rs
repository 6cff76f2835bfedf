//! Label-free training of dense retrievers.

pub mod bench;
pub mod candidates;
pub mod cross_attention;
pub mod encode;
pub mod error;
pub mod evaluate;
pub mod events;
pub mod experiment;
pub mod explain;
pub mod files;
pub mod geometry;
pub mod heads;
pub mod index;
pub mod injection;
pub mod inspect;
pub mod llm;
pub mod mine;
pub mod model;
pub mod prompt;
pub mod report;
pub mod retriever;
pub mod tokenizer;
pub mod train;

pub use error::{Error, Result};
