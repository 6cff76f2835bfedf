//! The built program from outside: contracts, exit codes, bad input.

mod bad_models;
mod bench;
mod embed;
mod eval;
mod explain;
mod fuse;
mod heads;
mod index;
mod program;
mod restart;
mod search;
mod training;
mod usage;
