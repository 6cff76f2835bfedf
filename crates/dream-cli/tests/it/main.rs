//! The built program from outside: contracts, exit codes, bad input.

mod bad_models;
mod bench;
mod compare;
mod embed;
mod eval;
mod explain;
mod heads;
mod index;
mod program;
mod training;
mod usage;
