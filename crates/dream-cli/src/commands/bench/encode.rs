//! `dream bench encode`: texts to embeddings.

use super::{median, time};
use crate::cli::App;
use crate::commands::encode::corpus_file;
use crate::errors::usage;
use crate::load::{RetrieverArgs, load_retriever, retriever_on};
use crate::memory::peak_rss_mib;
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream::bench::encode_operations;
use dream::bench::texts::{RandomTexts, tiny_model};
use dream::encode::{BATCH_TOKENS, EncodeStream};
use dream::retriever::{Retriever, Role};
use dream_ir::Document;
use dream_ir::atomic_write::write_atomically;
use dream_ir::jsonl::read_jsonl;
use dream_nn::peak;
use serde::Serialize;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const EXAMPLE: &str = "Examples:
  dream bench encode --model smollm2-135m-instruct --data scifact --texts 500 --dtype bf16
  dream bench encode --tiny --generate 8 --texts 100000";

/// Time turning texts into embeddings: the first documents of a corpus, or texts made up of random words.
///
/// Reading and tokenising are included.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Model folder, .gguf file, short name or hub id
    #[arg(long, value_name = "PATH|NAME", default_value = crate::models::DEFAULT_MODEL)]
    model: String,
    /// A random model of two narrow layers in place of --model: shows what the work around a model takes
    #[arg(long, conflicts_with = "model")]
    tiny: bool,
    /// A corpus.jsonl, plain, .gz or .zst, or a folder that holds one
    #[arg(long, value_name = "DIR|FILE", required_unless_present = "generate")]
    data: Option<PathBuf>,
    /// Texts of so many random words, a token each, in place of --data
    #[arg(long, value_name = "TOKENS", conflicts_with = "data")]
    generate: Option<NonZeroUsize>,
    /// Texts encoded
    #[arg(long, value_name = "N", default_value_t = 2000)]
    texts: usize,
    /// Tokens that run through the model at once
    #[arg(long, value_name = "N", default_value_t = BATCH_TOKENS)]
    batch_tokens: NonZeroUsize,
    /// Runs timed, after one that is not
    #[arg(long, value_name = "N", default_value_t = 3)]
    repeats: usize,
    /// File for the embeddings, row-major little-endian f32 (the run that is not timed writes it)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    retriever: RetrieverArgs,
}

#[derive(Serialize)]
struct Timed {
    texts: usize,
    tokens: usize,
    dim: usize,
    batch_tokens: usize,
    seconds: f64,
    texts_per_second: f64,
    tokens_per_second: f64,
    gflops: f64,
    peak_gflops: f64,
    share_of_peak: f64,
    peak_rss_mib: u64,
    dtype: String,
    threads: usize,
}

/// Encodes the texts again and again.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let dtype = app.dtype();
    let retriever = if args.tiny {
        retriever_on(Arc::new(tiny_model(dtype)?), &args.retriever)?
    } else {
        load_retriever(&args.model, &args.retriever, app)?
    };
    let source = Source::of(args, &retriever)?;
    let mut out = args.out.as_deref();
    let mut counted = Counted::default();
    let seconds = time(args.repeats, || {
        counted = match out.take() {
            Some(path) => encode_to(path, args, &retriever, &source)?,
            None => encode(args, &retriever, &source, &mut std::io::sink())?,
        };
        Ok(())
    })?;
    if counted.texts == 0 {
        return Err(usage("there is no text to encode"));
    }
    let seconds = median(&seconds);
    let gflops = counted.operations / seconds / 1e9;
    let peak_gflops = peak::gflops(dtype);
    let timed = Timed {
        texts: counted.texts,
        tokens: counted.tokens,
        dim: retriever.dim(),
        batch_tokens: args.batch_tokens.get(),
        seconds,
        texts_per_second: counted.texts as f64 / seconds,
        tokens_per_second: counted.tokens as f64 / seconds,
        gflops,
        peak_gflops,
        share_of_peak: gflops / peak_gflops,
        peak_rss_mib: peak_rss_mib(),
        dtype: dtype.to_string(),
        threads: rayon::current_num_threads(),
    };
    if app.json {
        return print_json(&timed);
    }
    print_lines([
        format!(
            "{} texts of {} tokens in {seconds:.2} s: {:.1} texts/s, {:.0} tokens/s; {} on {} threads",
            timed.texts,
            timed.tokens,
            timed.texts_per_second,
            timed.tokens_per_second,
            timed.dtype,
            timed.threads
        ),
        format!(
            "{gflops:.0} GFLOP/s, {:.0} % of the {peak_gflops:.0} measured as the processor's peak",
            100.0 * timed.share_of_peak
        ),
        format!("{} MiB resident at most", timed.peak_rss_mib),
    ])
}

type Texts<'a> = Box<dyn Iterator<Item = dream::Result<((), String)>> + 'a>;

/// Where the texts come from; read anew for each run.
enum Source {
    Corpus(PathBuf),
    Random(RandomTexts),
}

impl Source {
    fn of(args: &Args, retriever: &Retriever) -> Result<Self> {
        Ok(match (args.generate, &args.data) {
            (Some(tokens), _) => {
                let tokenizer = &retriever.model.tokenizer;
                Self::Random(RandomTexts::new(tokenizer, tokens.get())?)
            }
            (None, Some(data)) => Self::Corpus(corpus_file(data)),
            (None, None) => return Err(usage("no texts: give --data or --generate")),
        })
    }

    fn texts(&self, n: usize) -> Result<Texts<'_>> {
        Ok(match self {
            Self::Corpus(file) => {
                let documents = read_jsonl::<Document>(file)?.take(n);
                Box::new(documents.map(|document| Ok(((), document?.full_text()))))
            }
            Self::Random(texts) => Box::new((0..n).map(|i| Ok(((), texts.text(i))))),
        })
    }
}

/// What one run did.
#[derive(Default)]
struct Counted {
    texts: usize,
    tokens: usize,
    operations: f64,
}

fn encode_to(path: &Path, args: &Args, retriever: &Retriever, source: &Source) -> Result<Counted> {
    let mut counted = Ok(Counted::default());
    let written = write_atomically(path, |writer| {
        counted = encode(args, retriever, source, writer);
        match &counted {
            Ok(_) => Ok(()),
            Err(error) => Err(std::io::Error::other(error.to_string())),
        }
    });
    let counted = counted?;
    written?;
    Ok(counted)
}

fn encode(
    args: &Args,
    retriever: &Retriever,
    source: &Source,
    out: &mut dyn Write,
) -> Result<Counted> {
    let mut counted = Counted::default();
    let texts = source.texts(args.texts)?;
    for batch in EncodeStream::new(retriever, Role::Document, args.batch_tokens, texts) {
        let batch = batch?;
        counted.texts += batch.lengths.len();
        counted.tokens += batch.lengths.iter().sum::<usize>();
        counted.operations += encode_operations(retriever, &batch.lengths);
        for number in batch.embeddings.data() {
            out.write_all(&number.to_le_bytes())?;
        }
    }
    Ok(counted)
}
