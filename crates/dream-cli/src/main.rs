//! The `dream` command: read the command line, set up logs and threads, run the command, turn its
//! result into an exit code.

mod allocator;
mod cli;
mod commands;
mod datasets;
mod env;
mod errors;
mod experiment;
#[cfg(test)]
mod fake_hub;
mod hub;
mod interrupt;
mod kinds;
mod lexical;
mod load;
mod logging;
mod measuring;
mod memory;
mod models;
mod output;
mod progress;
mod stores;
mod table;
mod training;

use anyhow::Context as _;
use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::keep_freed_memory();
    let cli = cli::Cli::parse();
    let app = cli::App::new(&cli.global);
    match run(&cli, &app) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has seen enough (`dream search ... | head`).
        Err(error) if error.is::<output::Closed>() => ExitCode::SUCCESS,
        Err(error) => {
            logging::report(&error, cli.global.log_format);
            ExitCode::from(errors::exit_code(&error) as u8)
        }
    }
}

fn run(cli: &cli::Cli, app: &cli::App) -> anyhow::Result<()> {
    logging::start(app, cli.global.log_format)?;
    if let Some(threads) = cli.global.threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.get());
        pool.build_global().context("cannot start the threads")?;
    }
    cli.command.run(app)
}
