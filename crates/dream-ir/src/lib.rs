//! Documents, queries, judgements, runs, lexical search and measures.
//!
//! ```
//! use dream_ir::{Bm25, Bm25Params, Hit, Measure, Qrels, Run, evaluate};
//!
//! let texts = ["Oslo lies in Norway", "Bergen lies in Norway too", "Iron rusts"];
//! let index = Bm25::of_texts(&texts, Bm25Params::default())?;
//! let hits = index.search("Where does Oslo lie?", 10);
//! assert_eq!(hits[0].0, 0);
//!
//! let mut run = Run::default();
//! let hit = |(position, score): (usize, f32)| Hit { document: position.to_string(), score };
//! run.insert("q1", hits.into_iter().map(hit).collect())?;
//! let mut qrels = Qrels::default();
//! qrels.add("q1", "1", 1)?;
//! let result = evaluate(&qrels, &run, &["RR@10".parse()?])?;
//! assert_eq!(result.mean(Measure::Rr(10)), Some(0.5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod analyzer;
pub mod atomic_write;
pub mod beir;
pub mod bm25;
pub mod corpus;
pub mod dataset;
mod decompress;
mod delimited;
pub mod document;
pub mod error;
pub mod facts;
pub mod fusion;
mod ids;
pub mod inspect;
pub mod jsonl;
pub mod lines;
pub mod make;
pub mod measures;
mod nested_json;
pub mod pools;
pub mod qrels;
pub mod run;
pub mod statistics;
pub mod stream;
pub mod tasks;
pub mod training;
pub mod verbatim;

pub use analyzer::{Analyzer, Language};
pub use bm25::{Bm25, Bm25Params};
pub use corpus::Corpus;
pub use document::{Document, Query};
pub use error::{Error, Result};
pub use measures::{Evaluation, EvaluationOptions, Measure, evaluate, evaluate_with};
pub use pools::{Fill, Filters, KnownPassage, Pool, PoolSettings, PoolSource};
pub use qrels::Qrels;
pub use run::{Hit, Run, RunForm, RunOptions, ScoreWidth};
pub use stream::DocumentStream;
pub use training::{TrainingRow, TrainingSet};
