//! `dream bench search`: exact search over random unit vectors on disk.

use super::{median, peak_rss_mib, time};
use crate::cli::App;
use crate::errors::usage;
use crate::output::{print_json, print_lines};
use crate::progress::{Progress, Unit};
use anyhow::{Context as _, Result};
use dream::index::{Encoder, Index, IndexWriter};
use dream::retriever::{Pooling, Standardize};
use dream_nn::ops::elementwise::l2_normalise;
use dream_nn::ops::lora::mix;
use dream_nn::{Matrix, Storage};
use rayon::prelude::*;
use serde::Serialize;
use std::hint::black_box;
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  dream bench search --documents 1000000 --dim 576 --queries 100 --k 100
  dream bench search --index-dtype i8 --queries 1";

/// Time exact search over an index of random vectors, which is written first and removed afterwards.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Documents
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    documents: usize,
    /// Dimensions
    #[arg(long, value_name = "N", default_value_t = 576)]
    dim: usize,
    /// Number type of the stored vectors
    #[arg(long, value_name = "f32|f16|bf16|i8", default_value_t)]
    index_dtype: Storage,
    /// Queries, searched together
    #[arg(long, value_name = "N", default_value_t = 100)]
    queries: usize,
    /// Documents found for each
    #[arg(long, value_name = "N", default_value_t = 100)]
    k: usize,
    /// Runs timed, after one that is not
    #[arg(long, value_name = "N", default_value_t = 5)]
    repeats: usize,
    /// Search as `dream search` does, which gives the memory of each shard back after it
    #[arg(long)]
    streaming: bool,
    /// Folder for the index, kept; else a temporary one
    #[arg(long, value_name = "DIR")]
    index: Option<PathBuf>,
}

#[derive(Serialize)]
struct Timed {
    documents: usize,
    dim: usize,
    dtype: Storage,
    queries: usize,
    k: usize,
    seconds: f64,
    queries_per_second: f64,
    gflops: f64,
    bytes_per_second: f64,
    peak_rss_mib: u64,
    threads: usize,
}

/// Writes, searches, prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let temporary = tempfile::tempdir().context("cannot make a temporary folder")?;
    let kept = args.index.as_deref();
    let folder = kept.map_or_else(|| temporary.path().join("index"), PathBuf::from);
    if !folder.join(dream::index::manifest::MANIFEST).exists() {
        write(args, &folder, app)?;
    }
    let mut index = Index::open(&folder)?;
    if args.streaming {
        index = index.streaming();
    }
    let dtype = index.manifest.dtype;
    if dtype != args.index_dtype {
        let (folder, asked) = (folder.display(), args.index_dtype);
        let message = format!("{folder} holds vectors in {dtype}, not in {asked}");
        return Err(usage(message));
    }
    let queries = vectors(u64::MAX / 2, args.queries, index.manifest.dim);
    let seconds = time(args.repeats, || {
        black_box(index.search(&queries, args.k)?);
        Ok(())
    })?;
    let seconds = median(&seconds);
    let (documents, dim) = (index.len(), index.manifest.dim);
    let timed = Timed {
        documents,
        dim,
        dtype,
        queries: args.queries,
        k: args.k,
        seconds,
        queries_per_second: args.queries as f64 / seconds,
        gflops: 2.0 * (documents * dim * args.queries) as f64 / seconds / 1e9,
        bytes_per_second: index.bytes() as f64 / seconds,
        peak_rss_mib: peak_rss_mib(),
        threads: rayon::current_num_threads(),
    };
    if app.json {
        return print_json(&timed);
    }
    print_lines([format!(
        "{} queries over {documents} x {dim} in {dtype}, {} best: {:.1} ms, {:.0} queries/s, {:.0} GFLOP/s, {:.1} GB/s read, {} MiB",
        args.queries,
        args.k,
        1e3 * seconds,
        timed.queries_per_second,
        timed.gflops,
        timed.bytes_per_second / 1e9,
        timed.peak_rss_mib
    )])
}

fn write(args: &Args, folder: &std::path::Path, app: &App) -> Result<()> {
    const BLOCK: usize = 10_000;
    let mut writer = IndexWriter::create(folder, args.index_dtype, args.dim, 100_000, true)?;
    let mut progress = Progress::new("writing vectors", Unit::Of("vectors"), app);
    for first in (0..args.documents).step_by(BLOCK) {
        let n = BLOCK.min(args.documents - first);
        let block = vectors(first as u64, n, args.dim);
        for row in 0..n {
            writer.push(&(first + row).to_string(), block.row(row))?;
        }
        progress.update((first + n) as u64, args.documents as u64);
    }
    progress.finish();
    writer.finish(Encoder {
        model: "random vectors".into(),
        weights_digest: String::new(),
        adapter_digest: None,
        pooling: Pooling::LastToken,
        skip_first_token: false,
        append_eos: false,
        standardize: Standardize::None,
        prompt: String::new(),
        max_len: 0,
        normalized: true,
    })?;
    Ok(())
}

/// Unit vectors that depend on their numbers alone, `[n, dim]`.
fn vectors(first: u64, n: usize, dim: usize) -> Matrix {
    let mut matrix = Matrix::zeros(n, dim);
    matrix
        .data_mut()
        .par_chunks_mut(dim.max(1))
        .enumerate()
        .for_each(|(row, vector)| {
            let seed = mix(first + row as u64);
            for (i, v) in vector.iter_mut().enumerate() {
                *v = (mix(seed ^ i as u64) >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
            }
            l2_normalise(vector);
        });
    matrix
}
