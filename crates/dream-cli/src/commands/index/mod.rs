//! `dream index`: what is done with folders of embeddings beside searching them.

mod info;
mod merge;
mod verify;

use crate::cli::App;
use crate::interrupt;
use crate::progress::{Progress, Unit};
use anyhow::{Context as _, Result};

/// Merge, verify and describe folders of embeddings.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  dream index merge --out index parts")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Merge(merge::Args),
    Verify(verify::Args),
    Info(info::Args),
}

/// Does it.
pub fn run(args: &Args, app: &App) -> Result<()> {
    match &args.what {
        What::Merge(args) => merge::run(args, app),
        What::Verify(args) => verify::run(args, app),
        What::Info(args) => info::run(args, app),
    }
}

/// Work that reads many bytes, shown as it goes on and stopped by Ctrl-C.
fn watched<T>(
    what: &str,
    app: &App,
    work: impl FnOnce(&mut dream::index::Watch) -> dream::Result<T>,
) -> Result<T> {
    interrupt::listen().context("cannot listen for signals")?;
    let mut progress = Progress::new(what, Unit::Bytes, app);
    let done = work(&mut |done, total| {
        progress.update(done, total);
        !interrupt::requested()
    });
    progress.finish();
    Ok(done?)
}
