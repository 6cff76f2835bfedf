//! The built program from outside: contracts, exit codes, bad input.

mod bad_models;
mod bench;
mod compare;
mod data;
mod embed;
mod eval;
mod experiment;
mod explain;
#[path = "../../../dream-stores/tests/it/fake.rs"]
mod fake;
mod fuse;
mod heads;
mod index;
mod mine;
mod program;
mod push;
mod restart;
mod search;
mod tasks;
mod training;
mod usage;
