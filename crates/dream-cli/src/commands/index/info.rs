//! `dream index info`: what an index says about itself.

use crate::cli::App;
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream::index::Index;
use serde_json::Value;
use std::path::PathBuf;

/// What an index holds and what made it: its manifest without the shards.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  dream index info scifact.index --json")]
pub struct Args {
    /// Folder that `dream encode` or `dream index merge` wrote
    #[arg(value_name = "DIR")]
    index: PathBuf,
}

/// Prints the manifest's facts.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let index = Index::open(&args.index)?;
    let mut facts = serde_json::to_value(&index.manifest)?;
    facts["digest"] = index.manifest.content_digest().into();
    facts["shards"] = index.manifest.shards.len().into();
    facts["bytes"] = index.bytes().into();
    if app.json {
        return print_json(&facts);
    }
    let facts = facts.as_object().into_iter().flatten();
    let known = facts.filter(|(_, value)| !value.is_null());
    print_lines(known.map(|(name, value)| match value {
        Value::String(text) => format!("{name:<18} {text}"),
        _ => format!("{name:<18} {value}"),
    }))
}
