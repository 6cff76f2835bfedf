//! `dream models`: what models there are, getting one, and what one says about itself.

use crate::cli::App;
use crate::models::{self, DEFAULT_MODEL, Listed, info};
use crate::output::{print_json, print_lines};
use crate::progress::{Progress, Unit};
use anyhow::Result;
use indicatif::HumanBytes;

/// List, fetch and describe models.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  dream models fetch smollm2-135m-instruct")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// The models with short names, and what else is in the cache
    #[command(after_help = "Example:\n  dream models list --json")]
    List,
    /// Get a model, unless it is here already
    #[command(after_help = "Example:\n  dream models fetch Qwen/Qwen3-0.6B")]
    Fetch {
        /// Short name or hub id (org/name)
        name: String,
    },
    /// What a model is: architecture, sizes, tensor types, tokenizer, digests
    #[command(after_help = "Example:\n  dream models info model.gguf --json")]
    Info {
        /// Model folder, .gguf file, short name or hub id
        model: String,
    },
}

/// Lists, fetches or describes.
pub fn run(args: &Args, app: &App) -> Result<()> {
    match &args.what {
        What::List => list(app),
        What::Fetch { name } => fetch(name, app),
        What::Info { model } => describe(model, app),
    }
}

fn list(app: &App) -> Result<()> {
    let listed = models::list(&app.env)?;
    if app.json {
        return print_json(&listed);
    }
    let line = |model: &Listed| {
        let state = match (&model.path, model.bytes) {
            (Some(path), Some(bytes)) => format!("{} in {}", HumanBytes(bytes), path.display()),
            _ => "not here".to_owned(),
        };
        let is_default = model.name == DEFAULT_MODEL;
        let default = if is_default { " (default)" } else { "" };
        let hub_id = model.hub_id.as_deref().unwrap_or("-");
        format!("{:<24} {hub_id:<38} {state}{default}", model.name)
    };
    print_lines(listed.iter().map(line))
}

fn fetch(name: &str, app: &App) -> Result<()> {
    let mut progress = Progress::new(format!("fetching {name}"), Unit::Bytes, app);
    let fetched = models::fetch(name, &app.env, &mut |done, total| {
        progress.update(done, total);
    })?;
    progress.finish();
    if app.json {
        return print_json(&fetched);
    }
    let (path, bytes) = (fetched.path.display(), HumanBytes(fetched.bytes));
    print_lines([format!("{path}: {bytes}, from {}", fetched.source)])
}

fn describe(model: &str, app: &App) -> Result<()> {
    let info = info::info(model, &app.env)?;
    if app.json {
        return print_json(&info);
    }
    // The same facts, one a line.
    let serde_json::Value::Object(facts) = serde_json::to_value(&info)? else {
        unreachable!("a struct is an object. This is a bug.");
    };
    let known = facts.iter().filter(|(_, value)| !value.is_null());
    print_lines(known.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name:<16} {text}"),
        None => format!("{name:<16} {value}"),
    }))
}
