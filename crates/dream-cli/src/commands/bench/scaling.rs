//! `dream bench scaling`: how time and memory grow, with curves.
//!
//! Each point is a process of its own, because peak memory is a property of a process.

use crate::cli::App;
use crate::output::{print_json, print_lines};
use anyhow::{Context as _, Result, bail};
use dream::files::write_atomic;
use dream::report::svg::{Chart, LineChart, Series, WIDE};
use serde::Serialize;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const EXAMPLE: &str = "Example:
  dream bench scaling --llm smollm2-135m-instruct --dtype bf16 --out curves";

/// Time training steps over numbers of documents and their lengths, search over corpus sizes, and encoding
/// over numbers of texts.
///
/// Draws seconds and memory over each; a straight line is linear growth. Takes some minutes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Frozen language model and base of the retriever
    #[arg(long, value_name = "PATH|NAME", default_value = crate::models::DEFAULT_MODEL)]
    llm: String,
    /// Folder for the curves: documents.svg, document-tokens.svg, corpus.svg, texts.svg
    #[arg(long, value_name = "DIR", default_value = "scaling")]
    out: PathBuf,
    /// Retriever tokens whose activations are kept at once
    #[arg(long, value_name = "N", default_value_t = 1024)]
    chunk_tokens: usize,
    /// Steps timed at each point, after one that is not
    #[arg(long, value_name = "N", default_value_t = 3)]
    steps: usize,
}

/// One thing that grows.
struct Sweep {
    name: &'static str,
    option: &'static str,
    values: &'static [usize],
    bench: &'static str,
    fixed: &'static [&'static str],
    seconds: &'static str,
}

const SWEEPS: [Sweep; 4] = [
    Sweep {
        name: "documents",
        option: "--docs",
        values: &[4, 8, 16, 32],
        bench: "step",
        fixed: &["--doc-tokens", "64"],
        seconds: "seconds_per_step",
    },
    Sweep {
        name: "document-tokens",
        option: "--doc-tokens",
        values: &[32, 64, 128, 256],
        bench: "step",
        fixed: &["--docs", "8"],
        seconds: "seconds_per_step",
    },
    Sweep {
        name: "corpus",
        option: "--documents",
        values: &[50_000, 100_000, 200_000, 400_000],
        bench: "search",
        fixed: &["--repeats", "3"],
        seconds: "seconds",
    },
    // A model so small that memory is that of the stream: it must stay where it is.
    Sweep {
        name: "texts",
        option: "--texts",
        values: &[1_000, 10_000, 100_000],
        bench: "encode",
        fixed: &["--tiny", "--generate", "8", "--repeats", "1"],
        seconds: "seconds",
    },
];

#[derive(Serialize)]
struct Point {
    sweep: &'static str,
    value: usize,
    seconds: f64,
    peak_rss_mib: u64,
}

/// Runs all points, draws, prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let mut points = Vec::new();
    for sweep in &SWEEPS {
        for value in sweep.values {
            let point = measure(args, sweep, *value, app)?;
            tracing::info!(
                "{} {value}: {:.3} s, {} MiB",
                sweep.name,
                point.seconds,
                point.peak_rss_mib
            );
            points.push(point);
        }
        let chart = chart(sweep, &points).to_svg(WIDE);
        let path = args.out.join(format!("{}.svg", sweep.name));
        write_atomic(&path, chart.as_bytes())?;
    }
    if app.json {
        return print_json(&points);
    }
    let head = format!(
        "{:<16} {:>8} {:>9} {:>6}",
        "sweep", "value", "seconds", "MiB"
    );
    let lines = points.iter().map(|p| {
        let Point {
            sweep,
            value,
            seconds,
            peak_rss_mib,
        } = p;
        format!("{sweep:<16} {value:>8} {seconds:>9.3} {peak_rss_mib:>6}")
    });
    print_lines(std::iter::once(head).chain(lines))
}

fn measure(args: &Args, sweep: &Sweep, value: usize, app: &App) -> Result<Point> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.args(["--quiet", "--json", "--dtype", &app.dtype().to_string()]);
    command.args(["--threads", &rayon::current_num_threads().to_string()]);
    command.args(["bench", sweep.bench, sweep.option, &value.to_string()]);
    command.args(sweep.fixed);
    if sweep.bench == "step" {
        command.args(["--llm", &args.llm, "--steps", &args.steps.to_string()]);
        command.args(["--chunk-tokens", &args.chunk_tokens.to_string()]);
    }
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.context("cannot start a run")?;
    if !output.status.success() {
        bail!("dream bench {} ended with {}", sweep.bench, output.status);
    }
    let printed: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    Ok(Point {
        sweep: sweep.name,
        value,
        seconds: printed[sweep.seconds].as_f64().context("no seconds")?,
        peak_rss_mib: printed["peak_rss_mib"].as_u64().context("no memory")?,
    })
}

fn chart(sweep: &Sweep, points: &[Point]) -> Chart {
    let of = |y: fn(&Point) -> f64| -> Vec<(f64, f64)> {
        let mine = points.iter().filter(|p| p.sweep == sweep.name);
        mine.map(|p| (p.value as f64, y(p))).collect()
    };
    Chart::Line(LineChart {
        title: format!("{} over {}", sweep.bench, sweep.name.replace('-', " ")),
        x_label: sweep.name.replace('-', " "),
        y_label: "seconds; memory in GiB".into(),
        y_include: vec![0.0],
        series: vec![
            Series::new("seconds", of(|p| p.seconds)),
            Series::new(
                "GiB resident at most",
                of(|p| p.peak_rss_mib as f64 / 1024.0),
            ),
        ],
        ..LineChart::default()
    })
}
