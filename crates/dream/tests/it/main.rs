//! Integration tests of the crate.
mod llm_lora;
mod method_vectors;
mod objectives;
mod revela;
mod smollm2;
mod tiny_models;
mod tokenizer;
mod tolerance;
mod training;
