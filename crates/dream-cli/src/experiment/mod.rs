//! What `dream experiment` and `dream reproduce` share: all runs of a file one after another, each kept
//! when it is over, and tables, charts and a page after each.

mod measure;
mod one;
mod stock;
mod world;

use crate::cli::App;
use crate::errors::{describe, usage};
use crate::interrupt;
use crate::output::print_lines;
use crate::table::{Table, TableFormat, csv, markdown, text};
use anyhow::{Context as _, Result, bail};
use dream::experiment::tables::{self, Rows};
use dream::experiment::{
    ExperimentFile, ExperimentFolder, Judged, Places, PlannedRun, RunResult, Summary, page, plan,
};
use dream::files::{write_atomic, write_json};
use dream::report::html;
use dream::report::svg::WIDE;
use one::write_lines;
use std::path::{Path, PathBuf};
use stock::Stock;

/// Options of both commands.
#[derive(Debug, clap::Args)]
pub struct ExperimentArgs {
    /// Folder of the runs, tables and the page; what is in it is gone on with [default: experiments/NAME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Only runs whose variant or NAME-seedN this is; * stands for anything
    #[arg(long, value_name = "PATTERN")]
    pub only: Option<String>,
    /// Say which runs there are and how far they are, and start none
    #[arg(long)]
    pub dry_run: bool,
    /// Folder that {data} stands for in the file
    #[arg(long, value_name = "DIR", default_value = "../shared/data")]
    pub data_root: PathBuf,
}

/// An experiment that is running.
pub struct Session<'a> {
    app: &'a App,
    file: &'a ExperimentFile,
    folder: ExperimentFolder,
}

/// What came out.
pub struct Finished {
    /// All variants side by side.
    pub summary: Summary,
    /// The file's expectations.
    pub judged: Vec<Judged>,
    /// The experiment's folder.
    pub folder: PathBuf,
}

/// Makes all runs that are not over; `None` if it was only to be said which. `command` starts it again.
pub fn run(
    file: &ExperimentFile,
    name: &str,
    command: &str,
    args: &ExperimentArgs,
    app: &App,
) -> Result<Option<Finished>> {
    let out = args.out.clone();
    let out = out.unwrap_or_else(|| Path::new("experiments").join(name));
    let places = Places {
        world: out.join("world"),
        data: args.data_root.clone(),
        dtype: app.dtype,
        out,
    };
    let runs = plan(file, &places)?;
    let chosen = chosen(&runs, args.only.as_deref())?;
    if args.dry_run {
        print_plan(&chosen, file, app)?;
        return Ok(None);
    }
    let session = Session {
        app,
        file,
        folder: ExperimentFolder::take(&places.out)?,
    };
    let evals = evals(file, &places)?;
    session.folder.check(&runs, &evals)?;
    interrupt::listen().context("cannot listen for signals")?;
    if let Some(world) = &file.world {
        world::make(world, &places.world, app)?;
    }
    let mut stock = Stock::default();
    let mut tests = Vec::new();
    for eval in &evals {
        let dataset = stock.dataset(&eval.data, &eval.split);
        let dataset = dataset.with_context(|| format!("test set {}", eval.name))?;
        tests.push((eval.name.clone(), dataset));
    }
    let mut results: Vec<Option<RunResult>> = Vec::new();
    for run in &runs {
        let result = session.folder.result(run)?;
        let has = |name: &String| result.iter().flat_map(|r| &r.sets).any(|s| s.set == *name);
        let is_over = tests.iter().all(|(name, _)| has(name));
        results.push(result.filter(|_| is_over));
    }
    let is_open = |run: &&PlannedRun, results: &[Option<RunResult>]| {
        let place = runs.iter().position(|r| r.digest == run.digest);
        place.is_some_and(|place| results[place].is_none())
    };
    let mut checked: Vec<&str> = Vec::new();
    for run in chosen.iter().filter(|run| is_open(run, &results)) {
        if !checked.contains(&run.variant.as_str()) {
            checked.push(&run.variant);
            let check = session.check(run, &mut stock);
            check.with_context(|| format!("variant {}", run.variant))?;
        }
    }
    let mut failed = Vec::new();
    for (number, run) in chosen.iter().enumerate() {
        if !is_open(run, &results) {
            continue;
        }
        tracing::info!("run {} of {}: {}", number + 1, chosen.len(), run.name());
        match session.one(run, &mut stock, &tests) {
            Ok(result) => {
                if let Some(place) = runs.iter().position(|r| r.digest == run.digest) {
                    results[place] = Some(result);
                }
                // After each run, so that a killed experiment shows what it has.
                session.write(&runs, &results, command)?;
            }
            Err(error) if ends_all(&error) => {
                return Err(error.context(format!("run {}", run.name())));
            }
            Err(error) => {
                tracing::error!("run {} failed: {}", run.name(), describe(&error));
                failed.push(run.name());
            }
        }
    }
    let finished = session.write(&runs, &results, command)?;
    if !failed.is_empty() {
        let (n, all) = (failed.len(), chosen.len());
        let names = failed.join(", ");
        bail!(
            "{n} of {all} runs failed: {names}; the others are kept in {}",
            places.out.display()
        );
    }
    Ok(Some(finished))
}

/// Whether the next run would meet the same: a stop, or a file that cannot be read or written.
fn ends_all(error: &anyhow::Error) -> bool {
    let of_io = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<std::io::Error>()
            || matches!(
                cause.downcast_ref(),
                Some(dream::Error::Stopped | dream::Error::Io { .. })
            )
            || matches!(cause.downcast_ref(), Some(dream_ir::Error::Io { .. }))
            || matches!(
                cause.downcast_ref(),
                Some(dream::Error::Data(dream_ir::Error::Io { .. }))
            )
    };
    error.chain().any(of_io)
}

/// The runs that a pattern names; all without one.
fn chosen<'a>(runs: &'a [PlannedRun], only: Option<&str>) -> Result<Vec<&'a PlannedRun>> {
    let Some(only) = only else {
        return Ok(runs.iter().collect());
    };
    let pattern = glob::Pattern::new(only).map_err(|e| usage(format!("--only {only}: {e}")))?;
    let matches = |run: &&PlannedRun| pattern.matches(&run.variant) || pattern.matches(&run.name());
    let chosen: Vec<&PlannedRun> = runs.iter().filter(matches).collect();
    if chosen.is_empty() {
        let names: Vec<String> = runs.iter().map(PlannedRun::name).collect();
        return Err(usage(format!(
            "--only {only} names none of the runs {}",
            names.join(", ")
        )));
    }
    Ok(chosen)
}

/// The test sets, their folders on this machine.
fn evals(file: &ExperimentFile, places: &Places) -> Result<Vec<dream::experiment::EvalSpec>> {
    let mut evals = file.evals.clone();
    for eval in &mut evals {
        eval.data = places.filled(&eval.data)?;
    }
    Ok(evals)
}

/// Which runs there are, and how far they are.
fn print_plan(runs: &[&PlannedRun], file: &ExperimentFile, app: &App) -> Result<()> {
    let state = |run: &PlannedRun| {
        let has = |name: &str| run.config.output.join(name).exists();
        if has("result.json") {
            "over"
        } else if has("metrics.jsonl") {
            "begun"
        } else {
            "to do"
        }
    };
    if app.json {
        let rows = runs.iter().map(|run| {
            serde_json::json!({
                "run": run.name(), "variant": run.variant, "seed": run.seed, "state": state(run),
                "digest": run.digest, "config": run.config,
            })
        });
        return print_lines(rows);
    }
    let mut table = Table::new([
        "run",
        "state",
        "steps",
        "queries a step",
        "candidates",
        "digest",
    ]);
    for run in runs {
        let config = &run.config;
        let steps = match file.budget {
            Some(budget) if budget.kind != dream::experiment::BudgetKind::Queries => {
                "by budget".to_owned()
            }
            _ => config.training.steps.to_string(),
        };
        table.row([
            run.name(),
            state(run).to_owned(),
            steps,
            config.training.batch_size.to_string(),
            config.data.candidates.to_string(),
            run.digest[..8].to_owned(),
        ]);
    }
    print_lines(table.lines(TableFormat::Text))
}

impl Session<'_> {
    /// Writes rows, tables, charts and the page of the runs that are over.
    fn write(
        &self,
        runs: &[PlannedRun],
        results: &[Option<RunResult>],
        command: &str,
    ) -> Result<Finished> {
        let results: Vec<RunResult> = results.iter().flatten().cloned().collect();
        let folder = self.folder.path();
        self.folder.write_results(&results)?;
        let summary = Summary::new(self.file, runs, &results, &self.folder)?;
        let expectations = self.file.expectations.iter();
        let judged = expectations
            .map(|expectation| expectation.judge(&summary))
            .collect::<dream::Result<Vec<_>>>()?;
        write_json(&folder.join("table.json"), &summary)?;
        let rows: Vec<String> = tables::in_full(&summary).iter().map(|r| csv(r)).collect();
        write_lines(&folder.join("table.csv"), &rows)?;
        write_lines(&folder.join("table.md"), &as_markdown(&summary, &judged))?;
        for chart in page::bars(&summary)
            .into_iter()
            .chain(page::curves(&summary))
        {
            let svg = chart.chart.to_svg(WIDE);
            write_atomic(&folder.join(format!("{}.svg", chart.name)), svg.as_bytes())?;
        }
        let page = page::page(&summary, &judged, command);
        html::write(&page, &folder.join("report.html"))?;
        Ok(Finished {
            summary,
            judged,
            folder: folder.into(),
        })
    }
}

fn as_markdown(summary: &Summary, judged: &[Judged]) -> Vec<String> {
    let mut lines = vec![format!("# {}", summary.title), String::new()];
    if !summary.about.is_empty() {
        lines.extend([summary.about.trim().to_owned(), String::new()]);
    }
    let mut add = |rows: &Rows| {
        lines.extend(markdown(rows));
        lines.push(String::new());
    };
    if !judged.is_empty() {
        add(&tables::claims(judged));
    }
    add(&tables::quality(summary));
    add(&tables::cost(summary));
    add(&tables::geometry(summary));
    let notes = tables::notes(summary);
    lines.extend(notes.iter().map(|note| format!("- {note}")));
    lines
}

/// The tables for a terminal.
pub fn as_text(finished: &Finished) -> Vec<String> {
    let Finished {
        summary, folder, ..
    } = finished;
    let mut lines = Vec::new();
    for rows in [
        tables::quality(summary),
        tables::cost(summary),
        tables::geometry(summary),
    ] {
        lines.extend(text(&rows));
        lines.push(String::new());
    }
    lines.extend(tables::notes(summary));
    lines.push(format!("report: {}", folder.join("report.html").display()));
    lines
}

/// The stem of a file's name, which is the experiment's name.
pub fn name_of(path: &Path) -> Result<String> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy());
    stem.map(std::borrow::Cow::into_owned)
        .ok_or_else(|| usage(format!("{} is no file", path.display())))
}
