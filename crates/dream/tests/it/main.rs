//! Integration tests of the crate.
mod method_vectors;
mod smollm2;
mod tiny_models;
mod tokenizer;
mod tolerance;
mod training;
