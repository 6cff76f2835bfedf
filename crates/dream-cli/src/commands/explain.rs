//! `dream explain`: which documents of one prompt helped the language model, and in which heads.

use crate::cli::App;
use crate::errors::usage;
use crate::load::load_llm;
use crate::output::{Output, print_json};
use anyhow::{Context as _, Result};
use dream::explain::{Explained, explain};
use dream::files::read_capped;
use dream::heads::HeadList;
use dream::heads::detect::packer;
use dream::injection::{Budget, Rows};
use dream::llm::InjectionConfig;
use dream::model::Model;
use dream::prompt::{Prefix, PromptLimits, Suffix, Template};
use dream_ir::Document;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Longest example file read.
const MAX_EXAMPLE_BYTES: u64 = 64 << 20;

const EXAMPLE: &str = r#"Example:
  echo '{"docs":["Nairobi was founded in 1899.","Lake Turkana is a desert lake."],
         "question":"When was Nairobi founded?","target":"1899","scores":[0.6,0.5],"tau":0.05}' > example.json
  dream explain --llm smollm2-135m-instruct --heads 14-3,21-2,8-0 --example example.json"#;

/// Show what a frozen language model makes of the documents of one prompt.
///
/// FILE holds {"docs":[..],"question":..,"target":..,"scores":[..],"tau":0.05}, or, already tokenised,
/// {"ids":[..],"doc_spans":[..],"suffix_start":P,"target_start":t0,"target_end":t1,"scores":[..],
/// "tau":..}. Without scores all documents weigh the same. A document is a text, or {"title","text"}.
/// Spans are pairs: first token, and the one after the last. Other keys are named in a warning and not looked at; of texts and tokens, tokens win.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Language model: folder, .gguf file, short name or hub id
    #[arg(long, value_name = "PATH|NAME")]
    llm: String,
    /// Heads that carry the weights: 14-3,21-2 or a head list file
    #[arg(long, value_name = "LIST|FILE")]
    heads: String,
    /// The prompt
    #[arg(long, value_name = "FILE")]
    example: PathBuf,
    /// Injected rows: suffix, target or query
    #[arg(long, value_name = "ROWS", default_value = "suffix")]
    rows: Rows,
    /// Document budget: mass, one or a number from 0 to 1
    #[arg(long, value_name = "BUDGET", default_value = "mass")]
    budget: Budget,
    /// Share of injection against the model's own attention, from 0 to 1
    #[arg(long, value_name = "GATE", default_value_t = 1.0)]
    gate: f32,
    /// Prompt template: qa or numbered
    #[arg(long, value_name = "NAME", default_value = "qa")]
    template: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Doc {
    Text(String),
    Titled(Titled),
}

#[derive(Deserialize)]
struct Titled {
    #[serde(default)]
    title: String,
    text: String,
}

#[derive(Deserialize)]
struct Example {
    docs: Option<Vec<Doc>>,
    question: Option<String>,
    target: Option<String>,
    ids: Option<Vec<u32>>,
    doc_spans: Option<Vec<(usize, usize)>>,
    suffix_start: Option<usize>,
    target_start: Option<usize>,
    target_end: Option<usize>,
    scores: Option<Vec<f32>>,
    tau: Option<f32>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

/// Reads, judges, prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    if !(0.0..=1.0).contains(&args.gate) {
        return Err(usage(format!(
            "--gate must be from 0 to 1, not {}",
            args.gate
        )));
    }
    let mut heads = HeadList::parse_or_read(&args.heads)?;
    let template = Template::named(&args.template)?;
    let bytes = read_capped(&args.example, MAX_EXAMPLE_BYTES)?;
    let example: Example = serde_json::from_slice(&bytes)
        .map_err(|e| usage(format!("{}: {e}", args.example.display())))?;
    warn_of_what_is_not_read(&example, &args.example);
    let model = load_llm(&args.llm, app.dtype(), app)?;
    let heads = heads.for_model(&model)?;
    let (prefix, suffix) =
        prompt(&example, &model, &template).with_context(|| args.example.display().to_string())?;
    let scores = example
        .scores
        .unwrap_or_else(|| vec![0.0; prefix.doc_spans.len()]);
    let injection = InjectionConfig {
        heads,
        rows: args.rows,
        budget: args.budget,
        gate: args.gate,
    };
    let tau = example.tau.unwrap_or(0.05);
    let said = explain(&model.decoder, &injection, &prefix, &suffix, &scores, tau)
        .with_context(|| args.example.display().to_string())?;
    if app.json {
        print_json(&said)
    } else {
        print(&said, example.docs.as_deref(), &args.example)
    }
}

/// A misspelt key would otherwise pass for one that was left out.
fn warn_of_what_is_not_read(example: &Example, path: &Path) {
    let mut keys: Vec<&str> = example.others.keys().map(String::as_str).collect();
    if example.ids.is_some() && example.docs.is_some() {
        keys.push("docs");
    }
    if !keys.is_empty() {
        let (path, keys) = (path.display(), keys.join(", "));
        tracing::warn!("{path}: not looked at: {keys}");
    }
}

fn prompt(example: &Example, model: &Model, template: &Template) -> Result<(Prefix, Suffix)> {
    let context = model.decoder.config.max_position_embeddings;
    let limits = PromptLimits {
        document_tokens: context,
        question_tokens: context,
        target_tokens: context,
    };
    let packer = packer(model, template, limits);
    let (prefix, suffix) = match example {
        Example {
            ids: None,
            docs: Some(docs),
            question: Some(question),
            target: Some(target),
            ..
        } => {
            let documents: Vec<Document> = docs
                .iter()
                .enumerate()
                .map(|(i, doc)| {
                    let (title, text) = match doc {
                        Doc::Text(text) => (String::new(), text.clone()),
                        Doc::Titled(Titled { title, text }) => (title.clone(), text.clone()),
                    };
                    Document {
                        id: i.to_string(),
                        title,
                        text,
                    }
                })
                .collect();
            (packer.prefix(&documents)?, packer.suffix(question, target)?)
        }
        Example {
            ids: Some(ids),
            doc_spans: Some(spans),
            suffix_start: Some(suffix_start),
            target_start: Some(target_start),
            target_end: Some(target_end),
            ..
        } => tokenised(ids, spans, *suffix_start, *target_start, *target_end, model)?,
        _ => {
            return Err(usage(
                "wanted docs, question and target, or ids, doc_spans, suffix_start, target_start \
                 and target_end",
            ));
        }
    };
    packer.fits(prefix.ids.len(), suffix.ids.len())?;
    Ok((prefix, suffix))
}

fn tokenised(
    ids: &[u32],
    spans: &[(usize, usize)],
    suffix_start: usize,
    target_start: usize,
    target_end: usize,
    model: &Model,
) -> Result<(Prefix, Suffix)> {
    let vocabulary = model.decoder.config.vocab_size;
    if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
        return Err(usage(format!(
            "token id {id} is outside the model's vocabulary of {vocabulary}"
        )));
    }
    let ordered =
        suffix_start < target_start && target_start < target_end && target_end <= ids.len();
    if !ordered {
        return Err(usage(format!(
            "wanted suffix_start < target_start < target_end <= {} (the number of ids), got \
             {suffix_start}, {target_start}, {target_end}",
            ids.len()
        )));
    }
    let mut end = 0;
    for (a, b) in spans {
        if *a < end || a >= b || *b > suffix_start {
            return Err(usage(format!(
                "doc_spans must be ordered, apart, not empty and end before suffix_start \
                 ({suffix_start}); [{a},{b}] is not"
            )));
        }
        end = *b;
    }
    if spans.is_empty() {
        return Err(usage("doc_spans names no document"));
    }
    let prefix = Prefix {
        ids: ids[..suffix_start].to_vec(),
        doc_spans: spans.iter().map(|(a, b)| *a..*b).collect(),
    };
    let suffix = Suffix {
        ids: ids[suffix_start..target_end].to_vec(),
        target_start: target_start - suffix_start,
    };
    Ok((prefix, suffix))
}

fn print(said: &Explained, docs: Option<&[Doc]>, path: &Path) -> Result<()> {
    let mut output = Output::stdout();
    output.line(format!("{}", path.display()))?;
    output.line(format!(
        "loss on the target: {:.4} nats a token with these weights, {:.4} without injection",
        said.loss, said.ordinary_loss
    ))?;
    output.line("document  weight   own    dloss/dscore  (negative: more of it helps)")?;
    for i in 0..said.weights.len() {
        let text = match docs.and_then(|docs| docs.get(i)) {
            Some(Doc::Text(text)) => text.as_str(),
            Some(Doc::Titled(Titled { title, text })) => {
                if title.is_empty() {
                    text
                } else {
                    title
                }
            }
            None => "",
        };
        let start: String = text.chars().take(50).collect();
        output.line(format!(
            "{i:>8}  {:.3}    {:.3}  {:>+12.4}  {}",
            said.weights[i],
            said.own_distribution[i],
            said.dloss_dscores[i],
            start.replace('\n', " ")
        ))?;
    }
    output.line("head    dloss/dscore of each document")?;
    for part in &said.by_head {
        let parts: Vec<String> = part
            .dloss_dscores
            .iter()
            .map(|d| format!("{d:>+8.4}"))
            .collect();
        output.line(format!("{:<6} {}", part.head.to_string(), parts.join(" ")))?;
    }
    output.flush()
}
