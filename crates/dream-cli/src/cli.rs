//! The command line as a whole, and what every command is given.

use crate::commands::Command;
use crate::env::Env;
use crate::logging::LogFormat;
use dream_nn::{Dtype, DtypeChoice};
use std::num::NonZeroUsize;

/// Trains and runs dense retrievers without labels: a frozen language model's next-token loss tells
/// which documents help.
#[derive(Debug, clap::Parser)]
#[command(name = "dream", version, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "General options")]
pub struct Global {
    /// Print results as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Threads to compute with [default: all]
    #[arg(long, global = true, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// Number type of the models' weights: auto is bf16 where the processor multiplies it, else f32
    /// [default: f32; in training what the configuration says, else auto]
    #[arg(long, global = true, value_name = "auto|f32|bf16")]
    pub dtype: Option<DtypeChoice>,
    /// How messages on the standard error look; RUST_LOG says which there are
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "FORMAT",
        default_value_t
    )]
    pub log_format: LogFormat,
    /// No progress, no messages but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// What every command is given beside its own arguments.
#[derive(Debug)]
pub struct App {
    /// The environment.
    pub env: Env,
    /// Results as JSON.
    pub json: bool,
    /// Number type asked for.
    pub dtype: Option<DtypeChoice>,
    /// No progress, no messages but errors.
    pub quiet: bool,
}

impl App {
    /// Reads the environment.
    pub fn new(global: &Global) -> Self {
        Self {
            env: Env::from_process(),
            json: global.json,
            dtype: global.dtype,
            quiet: global.quiet,
        }
    }

    /// Number type of weights outside training.
    pub fn dtype(&self) -> Dtype {
        self.dtype.unwrap_or_default().resolve()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent_and_every_command_shows_an_example() {
        let mut command = super::Cli::command();
        command.build();
        command.clone().debug_assert();
        let mut open: Vec<clap::Command> = command.get_subcommands().cloned().collect();
        while let Some(command) = open.pop() {
            if command.get_name() == "help" {
                continue;
            }
            open.extend(command.get_subcommands().cloned());
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }
}
