//! `dream objectives`: what a retriever can be trained with.

use crate::cli::App;
use crate::output::{Output, print_json};
use anyhow::Result;
use dream::train::objective::catalogue::{CATALOGUE, Entry};

const EXAMPLE: &str = "Examples:
  dream objectives
  dream objectives --json

In a configuration:
  [objective]
  name = \"dream + 0.1 qr-distill\"
  teacher_temperature = 0.5";

/// List the objectives that `[objective] name` can say, alone or in a weighted sum.
///
/// In the formulas, w are the document weights (softmax of scores over the temperature), y the target, q the query, d the
/// documents, p the language model, T the teacher_temperature.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {}

/// Prints them.
pub fn run(_: &Args, app: &App) -> Result<()> {
    if app.json {
        return print_json(&CATALOGUE);
    }
    let mut output = Output::stdout();
    for (i, entry) in CATALOGUE.iter().enumerate() {
        if i > 0 {
            output.line("")?;
        }
        output.line(format!("{}: {}", entry.name, entry.meaning))?;
        output.line(format!("  loss    {}", entry.formula))?;
        output.line(format!("  needs   {}", needs(entry)))?;
        output.line(format!("  keys    {}", keys(entry)))?;
        output.line(format!("  source  {}", entry.source))?;
    }
    output.flush()
}

fn needs(entry: &Entry) -> String {
    let facts = [
        (entry.needs_labels, "known passages"),
        (entry.needs_llm, "[llm]"),
        (entry.needs_heads, "heads"),
        (
            entry.gradient_through_llm,
            "the gradient through the language model",
        ),
    ];
    let needed = facts.iter().filter(|(needed, _)| *needed);
    let needed: Vec<&str> = needed.map(|(_, what)| *what).collect();
    needed.join(", ")
}

fn keys(entry: &Entry) -> String {
    let tuning = entry.tunes_llm.then_some("[llm.lora]");
    let keys: Vec<&str> = entry.keys.iter().copied().chain(tuning).collect();
    if keys.is_empty() {
        "-".into()
    } else {
        keys.join(", ")
    }
}
