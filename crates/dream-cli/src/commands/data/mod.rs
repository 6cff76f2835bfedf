//! `dream data`: training data from documents of one's own or from other programs' rows, and a look at what they hold.

mod convert;
mod inspect;
mod make;

use crate::cli::App;
use crate::errors::usage;
use anyhow::Result;
use std::path::Path;

/// Make training data from your own documents, convert them from other forms, look at what they hold.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  dream data make docs --out mydata && dream train mydata/train.toml"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    Make(Box<make::Args>),
    Convert(convert::Args),
    Inspect(inspect::Args),
}

/// Does it.
pub fn run(args: &Args, app: &App) -> Result<()> {
    match &args.what {
        What::Make(args) => make::run(args, app),
        What::Convert(args) => convert::run(args, app),
        What::Inspect(args) => inspect::run(args, app),
    }
}

/// Refuses a folder that holds data already, before any work.
fn check_out(out: &Path, overwrite: bool) -> Result<()> {
    let held = ["corpus.jsonl", "train.jsonl", "train.toml"];
    let held = held.into_iter().find(|name| out.join(name).exists());
    match held.filter(|_| !overwrite) {
        Some(name) => Err(usage(format!(
            "{} holds a {name} already: --overwrite replaces it, --out chooses another folder",
            out.display()
        ))),
        None if out.exists() && !out.is_dir() => {
            Err(usage(format!("{} is not a folder", out.display())))
        }
        None => Ok(()),
    }
}
