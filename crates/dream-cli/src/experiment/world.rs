//! The seam for worlds that are made up: data and a language model, made before the runs.

use crate::cli::App;
use crate::errors::usage;
use anyhow::Result;
use std::path::Path;

/// Makes what a `[world]` table asks for in `folder`, unless it is there already. The file's paths that
/// begin with `{world}` lie below that folder.
pub fn make(settings: &toml::Table, folder: &Path, _app: &App) -> Result<()> {
    let keys: Vec<&str> = settings.keys().map(String::as_str).collect();
    Err(usage(format!(
        "the file asks for a made-up world ([world] {}) in {}, which this version cannot make",
        keys.join(", "),
        folder.display()
    )))
}
