//! `dream index merge`: one index of the parts that several processes encoded.

use super::watched;
use crate::cli::App;
use crate::errors::usage;
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream::index::merge;
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  dream index merge --out index part-0 part-1 part-2 part-3
  dream index merge --out parts parts     # all parts were written to one folder, which becomes the index";

/// Put the parts of `dream encode --shard i/N` together to one index.
///
/// All parts must be there, complete, and made of the same documents in the same way; every file is
/// compared with its digest. The result equals that of one process to the byte. Shards are hard
/// links where the file system can, else copies.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Folders that hold parts, or their part-*.json
    #[arg(value_name = "PART", required = true)]
    parts: Vec<PathBuf>,
    /// Folder for the index; may be that of the parts
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace the index that the folder holds
    #[arg(long)]
    force: bool,
}

/// Merges, prints what there is now.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let manifest = watched("merging", app, |watch| {
        merge(&args.out, &args.parts, args.force, watch)
    });
    let manifest = manifest.map_err(|error| match error.downcast_ref() {
        Some(dream::Error::Invalid(what)) if what.ends_with("holds an index already") => {
            usage(format!("{what}; --force replaces it"))
        }
        _ => error,
    })?;
    let (documents, shards) = (manifest.count, manifest.shards.len());
    if app.json {
        return print_json(&serde_json::json!({
            "documents": documents,
            "dim": manifest.dim,
            "dtype": manifest.dtype,
            "shards": shards,
            "digest": manifest.digest,
            "index": args.out,
        }));
    }
    let (out, dim, dtype) = (args.out.display(), manifest.dim, manifest.dtype);
    print_lines([format!(
        "{out}: {documents} documents, {dim} dimensions, {dtype}, {shards} shards"
    )])
}
