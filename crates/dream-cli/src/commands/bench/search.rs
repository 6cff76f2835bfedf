//! `dream bench search`: search over vectors on disk, random or given ones, exact or otherwise.

use super::vectors::{RawVectors, random};
use super::{median, time};
use crate::cli::App;
use crate::errors::usage;
use crate::kinds::{Built, KindArgs};
use crate::memory::peak_rss_mib;
use crate::output::{print_json, print_lines};
use crate::progress::{Progress, Unit};
use anyhow::{Context as _, Result};
use dream::index::kinds::{Exact, VectorIndex, recall};
use dream::index::{Encoder, Index, IndexWriter, Scored};
use dream::retriever::{Pooling, Standardize};
use dream_nn::ops::elementwise::l2_normalise;
use dream_nn::{Matrix, Storage};
use serde::Serialize;
use std::path::{Path, PathBuf};

const EXAMPLE: &str = "Examples:
  dream bench search --documents 1000000 --dim 576 --queries 100 --k 100
  dream bench search --index-dtype i8 --queries 1
  dream bench search --vectors documents.f32 --query-vectors queries.f32 --dim 384 --k 10 --approximate";

/// Time search over an index that is written first and removed afterwards.
///
/// Its vectors are random, or those of --vectors. With a way to search that is not exact, exact search is timed
/// in the same run, and recall and speed-up are printed. Random vectors say nothing about recall: nearest
/// neighbours among them are hardly nearer than any.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Documents
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    documents: usize,
    /// Dimensions
    #[arg(long, value_name = "N", default_value_t = 576)]
    dim: usize,
    /// Documents as little-endian f32, row by row, without a header, instead of random ones
    #[arg(
        long,
        value_name = "FILE",
        requires = "query_vectors",
        conflicts_with = "documents"
    )]
    vectors: Option<PathBuf>,
    /// Queries in the same form; the first --queries of them are used
    #[arg(long, value_name = "FILE")]
    query_vectors: Option<PathBuf>,
    /// Cut documents and queries to so many dimensions, normalised again, before they are searched
    #[arg(long, value_name = "N")]
    cut: Option<usize>,
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
    /// Write to this folder the queries (queries.f32, [queries, dim]) and the positions of what was found
    /// (found.u64, [queries, k]; with fewer documents than k, all of them), little-endian
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Search the queries one after the other instead of together
    #[arg(long)]
    one_by_one: bool,
    #[command(flatten)]
    kind: KindArgs,
}

#[derive(Serialize)]
struct Timed {
    documents: usize,
    dim: usize,
    dtype: Storage,
    queries: usize,
    k: usize,
    kind: String,
    seconds: f64,
    queries_per_second: f64,
    /// Of exact search.
    gflops: Option<f64>,
    /// Of exact search.
    bytes_per_second: Option<f64>,
    /// Of the others: against exact search in the same run.
    against_exact: Option<AgainstExact>,
    peak_rss_mib: u64,
    threads: usize,
}

#[derive(Serialize)]
struct AgainstExact {
    recall: f64,
    exact_seconds: f64,
    times_faster: f64,
    built: Built,
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
    let stored = index.manifest.dim;
    let dim = args.cut.unwrap_or(stored);
    let queries = match &args.query_vectors {
        Some(path) => {
            let rows = RawVectors::open(path, stored)?.take(args.queries);
            let rows: Vec<f32> = rows.collect::<Result<Vec<_>>>()?.concat();
            Matrix::from_vec(rows.len() / stored, stored, rows)
        }
        None => random(u64::MAX / 2, args.queries, stored),
    };
    let mut queries = queries.with_cols(dim);
    if dim < stored {
        (0..queries.rows()).for_each(|row| {
            l2_normalise(queries.row_mut(row));
        });
    }
    let exact = Exact::new(&index, dim)?;
    let (seconds, found, built) = args.kind.with_kind(&index, dim, |kind, built| {
        let (seconds, found) = search(kind, &queries, args)?;
        Ok((seconds, found, built))
    })?;
    if let Some(out) = &args.out {
        write_found(out, &queries, &found)?;
    }
    let against_exact = if args.kind.is_exact() {
        None
    } else {
        let (exact_seconds, truth) = search(&exact, &queries, args)?;
        Some(AgainstExact {
            recall: recall(&found, &truth),
            exact_seconds,
            times_faster: exact_seconds / seconds,
            built,
        })
    };
    let is_exact = args.kind.is_exact();
    let (documents, n_queries) = (index.len(), queries.rows());
    let timed = Timed {
        documents,
        dim,
        dtype,
        queries: n_queries,
        k: args.k,
        kind: args.kind.describe(),
        seconds,
        queries_per_second: n_queries as f64 / seconds,
        gflops: is_exact.then(|| 2.0 * (documents * dim * n_queries) as f64 / seconds / 1e9),
        bytes_per_second: is_exact.then(|| index.bytes() as f64 / seconds),
        against_exact,
        peak_rss_mib: peak_rss_mib(),
        threads: rayon::current_num_threads(),
    };
    if app.json {
        return print_json(&timed);
    }
    let mut line = format!(
        "{n_queries} queries over {documents} x {dim} in {dtype}, {} best, {}: {:.1} ms, {:.0} queries/s",
        args.k,
        timed.kind,
        1e3 * seconds,
        timed.queries_per_second,
    );
    if let (Some(gflops), Some(bytes)) = (timed.gflops, timed.bytes_per_second) {
        line = format!("{line}, {gflops:.0} GFLOP/s, {:.1} GB/s read", bytes / 1e9);
    }
    line = format!("{line}, {} MiB", timed.peak_rss_mib);
    let against = timed.against_exact.as_ref().map(|against| {
        let AgainstExact {
            recall,
            exact_seconds,
            times_faster,
            built,
        } = against;
        format!(
            "recall@{} {recall:.4}, {times_faster:.1} times faster than exact search ({:.1} ms); built in {:.1} s",
            args.k,
            1e3 * exact_seconds,
            built.seconds
        )
    });
    print_lines(std::iter::once(line).chain(against))
}

/// Median seconds of all queries, and what was found.
fn search(
    kind: &dyn VectorIndex,
    queries: &Matrix,
    args: &Args,
) -> Result<(f64, Vec<Vec<Scored>>)> {
    let mut found = Vec::new();
    let seconds = time(args.repeats, || {
        found = if args.one_by_one {
            let one = |row| kind.search(&queries.rows_copy(row..row + 1), args.k);
            let lists: Result<Vec<_>, _> = (0..queries.rows()).map(one).collect();
            lists?.concat()
        } else {
            kind.search(queries, args.k)?
        };
        Ok(())
    })?;
    Ok((median(&seconds), found))
}

fn write(args: &Args, folder: &Path, app: &App) -> Result<()> {
    const BLOCK: usize = 10_000;
    let mut progress = Progress::new("writing vectors", Unit::Of("vectors"), app);
    let mut writer = IndexWriter::create(folder, args.index_dtype, args.dim, 100_000, true)?;
    if let Some(path) = &args.vectors {
        let rows = RawVectors::open(path, args.dim)?;
        let total = rows.count;
        for (row, vector) in rows.enumerate() {
            writer.push(&row.to_string(), &vector?)?;
            progress.update(row as u64 + 1, total);
        }
    } else {
        for first in (0..args.documents).step_by(BLOCK) {
            let n = BLOCK.min(args.documents - first);
            let block = random(first as u64, n, args.dim);
            for row in 0..n {
                writer.push(&(first + row).to_string(), block.row(row))?;
            }
            progress.update((first + n) as u64, args.documents as u64);
        }
    }
    progress.finish();
    writer.finish(Encoder {
        model: "vectors of a benchmark".into(),
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

/// For another program to search the same and to compare.
fn write_found(folder: &Path, queries: &Matrix, found: &[Vec<Scored>]) -> Result<()> {
    let numbers = queries.data().iter().flat_map(|x| x.to_le_bytes());
    let hits = found.iter().flatten();
    let positions = hits.flat_map(|(position, _)| (*position as u64).to_le_bytes());
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join("queries.f32"), numbers.collect::<Vec<u8>>()))
        .and_then(|()| std::fs::write(folder.join("found.u64"), positions.collect::<Vec<u8>>()))
        .with_context(|| format!("cannot write to {}", folder.display()))
}
