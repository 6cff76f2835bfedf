//! Integration tests of the crate.
mod tiny_models;
mod tokenizer;
mod tolerance;
