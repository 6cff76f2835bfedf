//! `dream index verify`: every byte of an index against its digest.

use super::watched;
use crate::cli::App;
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream::index::Index;
use std::path::PathBuf;

/// Compare every file of an index with its digest, and look for documents that are there twice.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  dream index verify scifact.index")]
pub struct Args {
    /// Folder that `dream encode` or `dream index merge` wrote
    #[arg(value_name = "DIR")]
    index: PathBuf,
}

/// Reads everything; an error is the answer no.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let index = Index::open(&args.index)?;
    watched("verifying", app, |watch| index.verify_watched(watch))?;
    let manifest = &index.manifest;
    let (digest, documents) = (manifest.content_digest(), manifest.count);
    if app.json {
        return print_json(&serde_json::json!({
            "documents": documents,
            "shards": manifest.shards.len(),
            "digest": digest,
            "index": args.index,
        }));
    }
    let path = args.index.display();
    print_lines([format!(
        "{path}: {documents} documents as they were written, digest {digest}"
    )])
}
