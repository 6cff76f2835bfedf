//! `dream bench encode`: texts to embeddings.

use super::{median, peak_rss_mib, time};
use crate::cli::App;
use crate::commands::encode::corpus_file;
use crate::errors::usage;
use crate::load::{RetrieverArgs, load_retriever};
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream::evaluate::encode;
use dream::retriever::Role;
use dream_ir::Document;
use dream_ir::jsonl::read_jsonl;
use serde::Serialize;
use std::hint::black_box;
use std::path::PathBuf;

const EXAMPLE: &str = "Example:
  dream bench encode --model smollm2-135m-instruct --data scifact --texts 500 --dtype bf16";

/// Time turning the first documents of a corpus into embeddings, tokenising included.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Model folder, .gguf file, short name or hub id
    #[arg(long, value_name = "PATH|NAME", default_value = crate::models::DEFAULT_MODEL)]
    model: String,
    /// A corpus.jsonl, plain, .gz or .zst, or a folder that holds one
    #[arg(long, value_name = "DIR|FILE")]
    data: PathBuf,
    /// Documents encoded
    #[arg(long, value_name = "N", default_value_t = 2000)]
    texts: usize,
    /// Runs timed, after one that is not
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeats: usize,
    #[command(flatten)]
    retriever: RetrieverArgs,
}

#[derive(Serialize)]
struct Timed {
    texts: usize,
    tokens: usize,
    seconds: f64,
    texts_per_second: f64,
    tokens_per_second: f64,
    peak_rss_mib: u64,
    dtype: String,
    threads: usize,
}

/// Reads the documents, encodes them again and again.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let file = corpus_file(&args.data);
    let documents = read_jsonl::<Document>(&file)?.take(args.texts);
    let documents: Vec<Document> = documents.collect::<dream_ir::Result<_>>()?;
    if documents.is_empty() {
        return Err(usage(format!("{} holds no document", file.display())));
    }
    let texts: Vec<String> = documents.iter().map(Document::full_text).collect();
    let retriever = load_retriever(&args.model, &args.retriever, app)?;
    let tokenized = dream::evaluate::tokenize(&retriever, Role::Document, &texts)?;
    let tokens: usize = tokenized.iter().map(|text| text.ids.len()).sum();
    let seconds = time(args.repeats, || {
        black_box(encode(&retriever, Role::Document, &texts)?);
        Ok(())
    })?;
    let seconds = median(&seconds);
    let timed = Timed {
        texts: texts.len(),
        tokens,
        seconds,
        texts_per_second: texts.len() as f64 / seconds,
        tokens_per_second: tokens as f64 / seconds,
        peak_rss_mib: peak_rss_mib(),
        dtype: app.dtype().to_string(),
        threads: rayon::current_num_threads(),
    };
    if app.json {
        return print_json(&timed);
    }
    print_lines([format!(
        "{} texts of {tokens} tokens in {seconds:.2} s: {:.1} texts/s, {:.0} tokens/s; {} on {} threads, {} MiB",
        timed.texts,
        timed.texts_per_second,
        timed.tokens_per_second,
        timed.dtype,
        timed.threads,
        timed.peak_rss_mib
    )])
}
