//! The `dream` command.

#[expect(dead_code, reason = "commands are wired one by one")]
mod env;
#[cfg_attr(not(test), expect(dead_code, reason = "commands are wired one by one"))]
mod errors;
#[cfg_attr(not(test), expect(dead_code, reason = "commands are wired one by one"))]
mod models;

fn main() {}
