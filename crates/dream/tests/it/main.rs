//! Integration tests of the crate.
mod smollm2;
mod tiny_models;
mod tokenizer;
mod tolerance;
mod training;
