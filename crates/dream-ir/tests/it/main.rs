//! Integration tests of the crate.

mod bm25_on_real_sets;
mod hostile_files;
mod measures_as_trec_eval;
mod shared;
