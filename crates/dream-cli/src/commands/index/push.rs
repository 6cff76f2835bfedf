//! `dream index push`: an index out, to a vector store or to files.

mod source;

use crate::cli::App;
use crate::commands::encode::corpus_file;
use crate::errors::usage;
use crate::output::{print_json, print_lines};
use crate::progress::{Progress, Unit};
use crate::{interrupt, stores};
use anyhow::{Context as _, Result};
use dream::index::Index;
use dream_stores::files::{Npy, NpyDtype, Parquet};
use dream_stores::{
    Collection, Distance, Engine, Error, Journal, Key, Observer, Place, Pushed, Sink, push,
};
use serde::Serialize;
use source::IndexSource;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const EXAMPLE: &str = "Examples:
  dream index push scifact.index --to pgvector --collection scifact --corpus scifact
  dream index push scifact.index --to qdrant+https://host:6333 --with-index
  dream index push scifact.index --to parquet --out scifact.parquet

Addresses come from --to (qdrant://host:6333, milvus://, elasticsearch://, with +https for TLS, or postgres://user@host/db),
else from QDRANT_URL, DATABASE_URL, MILVUS_URI, ELASTICSEARCH_URL; keys from QDRANT_API_KEY, PGPASSWORD, MILVUS_TOKEN,
ELASTICSEARCH_API_KEY.";

/// Push an index to qdrant, pgvector, milvus or elasticsearch, or write it as parquet or npy.
///
/// Rows go in batches, each of which may be sent twice without harm. What the engine has acknowledged is kept in a
/// journal beside the index, so that the same command goes on after it was stopped, however that was.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Folder that `dream encode` wrote
    #[arg(value_name = "DIR")]
    index: PathBuf,
    /// Where to: qdrant, pgvector, milvus, elasticsearch, parquet or npy, or an address
    #[arg(long, value_name = "ENGINE|URL")]
    to: Place,
    /// Collection, table or index: a-z, 0-9 and _; made if it is not there
    #[arg(long, value_name = "NAME", default_value = "dream")]
    collection: String,
    /// Folder for the files of parquet and npy
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Store titles and texts too, from this corpus.jsonl, or folder that holds one
    #[arg(long, value_name = "DIR|FILE")]
    corpus: Option<PathBuf>,
    /// How the engine compares vectors: ip is what `dream search` computes
    #[arg(long, value_name = "ip|cosine", default_value_t)]
    distance: Distance,
    /// Build an approximate index (HNSW) at the end; without it the engine's search is exact
    #[arg(long)]
    with_index: bool,
    /// Rows sent together [default: what suits the engine]
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    /// Where to note how far it came [default: beside the index]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Begin anew, whatever the journal says
    #[arg(long)]
    restart: bool,
    /// Compare every file of the index with its digest first
    #[arg(long)]
    verify: bool,
    /// Number type of npy
    #[arg(long, value_name = "f32|f16", default_value_t)]
    npy_dtype: NpyDtype,
    /// Size of a parquet file's vectors, in MiB
    #[arg(long, value_name = "N", default_value = "256")]
    file_mib: NonZeroU64,
}

#[derive(Serialize)]
struct Report<'a> {
    index: &'a Path,
    to: &'static str,
    collection: &'a str,
    documents: u64,
    before: u64,
    batches: u64,
    retries: u64,
    texts_cut: u64,
    count: u64,
    journal: &'a Path,
    seconds: f64,
}

/// Opens the index, pushes, prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let engine = args.to.engine;
    if engine.is_files() != args.out.is_some() {
        let message = "--out names the folder for parquet and npy, and for these alone";
        return Err(usage(message));
    }
    let index = Index::open(&args.index)?;
    if args.verify {
        index.verify()?;
    }
    let mut collection = Collection::new(&args.collection, index.manifest.dim)?;
    collection.distance = args.distance;
    collection.with_text = args.corpus.is_some();
    collection.with_index = args.with_index;
    if engine == Engine::Npy && collection.with_text {
        return Err(usage(
            "npy holds numbers and ids; it has no room for --corpus",
        ));
    }
    let rows = index.len() as u64;
    let (mut sink, place): (Box<dyn Sink>, String) = if let Some(out) = &args.out {
        let place = std::path::absolute(out).with_context(|| out.display().to_string())?;
        let files = files(args, out, &collection, rows);
        (files, place.display().to_string())
    } else {
        let access = stores::access(&args.to, app)?;
        let place = access.place(engine)?;
        (stores::sink(engine, &access, collection.clone())?, place)
    };
    let key = Key {
        index: index.manifest.content_digest(),
        rows,
        target: target(args, &collection, &place),
    };
    let journal_path = journal_path(args, engine);
    let mut journal = Journal::open(&journal_path, key, args.restart)?;
    let corpus = args.corpus.as_deref().map(corpus_file);
    let mut source = IndexSource::new(&index, corpus.as_deref())?;
    interrupt::listen()?;
    let started = Instant::now();
    let mut shown = Shown {
        progress: Progress::new("pushing", Unit::Of("documents"), app),
        begun: false,
    };
    let batch_rows = args.batch_size.map(NonZeroUsize::get);
    let dim = collection.dim;
    let pushed = push(
        &mut source,
        dim,
        &mut *sink,
        &mut journal,
        batch_rows,
        &mut shown,
    );
    shown.progress.finish();
    report(args, app, &journal_path, &pushed?, started.elapsed())
}

/// The sink of an engine that is files.
fn files(args: &Args, out: &Path, collection: &Collection, rows: u64) -> Box<dyn Sink> {
    if args.to.engine == Engine::Npy {
        return Box::new(Npy::new(out, collection, rows, args.npy_dtype));
    }
    let file_bytes = args.file_mib.get().saturating_mul(1 << 20);
    Box::new(Parquet::new(out, collection, rows, file_bytes))
}

/// Everything that must stay the same from one start to the next.
fn target(args: &Args, collection: &Collection, place: &str) -> String {
    let name = args.to.engine.name();
    let texts = if collection.with_text {
        "with"
    } else {
        "without"
    };
    let what = match args.to.engine {
        Engine::Npy => format!("{} numbers", args.npy_dtype),
        Engine::Parquet => format!("{texts} texts, {} MiB a file", args.file_mib),
        _ => format!(
            "collection {}, distance {}, {texts} texts",
            collection.name(),
            collection.distance
        ),
    };
    format!("{name} at {place}, {what}")
}

/// `INDEX.push-ENGINE-COLLECTION.journal`, unless it is given.
fn journal_path(args: &Args, engine: Engine) -> PathBuf {
    if let Some(path) = &args.journal {
        return path.clone();
    }
    let name = args.index.file_name().unwrap_or("index".as_ref());
    let (name, engine) = (name.to_string_lossy(), engine.name());
    let name = format!("{name}.push-{engine}-{}.journal", args.collection);
    args.index.with_file_name(name)
}

fn report(args: &Args, app: &App, journal: &Path, pushed: &Pushed, time: Duration) -> Result<()> {
    let report = Report {
        index: &args.index,
        to: args.to.engine.name(),
        collection: &args.collection,
        documents: pushed.rows,
        before: pushed.before,
        batches: pushed.batches,
        retries: pushed.retries,
        texts_cut: pushed.texts_cut,
        count: pushed.count,
        journal,
        seconds: time.as_secs_f64(),
    };
    if pushed.texts_cut > 0 {
        let (n, to) = (pushed.texts_cut, report.to);
        tracing::warn!("{n} titles and texts were cut: {to} takes no longer ones");
    }
    if app.json {
        return print_json(&report);
    }
    let place = match &args.out {
        Some(out) => out.display().to_string(),
        None => format!("{} {}", report.to, report.collection),
    };
    let (sent, seconds) = (pushed.rows - pushed.before, report.seconds);
    print_lines([format!(
        "{place}: {} documents, {sent} of them pushed now in {seconds:.1} s, {} there in all",
        pushed.rows, pushed.count
    )])
}

/// Shows how it goes.
struct Shown {
    progress: Progress,
    begun: bool,
}

impl Observer for Shown {
    fn progress(&mut self, done: u64, rows: u64) {
        if !std::mem::replace(&mut self.begun, true) {
            self.progress.start_at(done);
        }
        self.progress.update(done, rows);
    }

    fn waits(&mut self, error: &Error, wait: Duration) {
        tracing::warn!("{error}; trying again in {:.1} s", wait.as_secs_f64());
    }

    fn stop_requested(&self) -> bool {
        interrupt::requested()
    }
}
