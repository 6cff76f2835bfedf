//! Messages: to the standard error, as text or as JSON, filtered by `RUST_LOG`. Results never come here.

use crate::cli::App;
use crate::errors::{describe, usage};
use anyhow::Result;
use std::io::{IsTerminal as _, Write as _};
use tracing_subscriber::EnvFilter;

/// How messages look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Pretty,
    /// One JSON object a line
    Json,
}

/// Starts listening. `RUST_LOG` wins over `--quiet`.
pub fn start(app: &App, format: LogFormat) -> Result<()> {
    let default = if app.quiet {
        "error"
    } else {
        "warn,dream=info"
    };
    let text = app.env.log_filter.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(text).map_err(|e| usage(format!("RUST_LOG={text}: {e}")))?;
    let is_coloured = app.env.force_color || (std::io::stderr().is_terminal() && !app.env.no_color);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_coloured);
    match format {
        LogFormat::Pretty => builder.with_target(false).without_time().init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// The last message of a command that failed.
pub fn report(error: &anyhow::Error, format: LogFormat) {
    let message = describe(error);
    match format {
        LogFormat::Json => tracing::error!("{message}"),
        LogFormat::Pretty => {
            // Nobody is left to tell if the standard error is closed too.
            let _ = writeln!(std::io::stderr(), "error: {message}");
        }
    }
}
