//! `dream leaderboard`: results of many models side by side.

use crate::cli::App;
use crate::output::{print_json, print_lines};
use crate::table::{Table, TableFormat};
use anyhow::Result;
use dream_ir::tasks::leaderboard::{Cell, Leaderboard, leaderboard, read_results};
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  dream leaderboard results
  dream leaderboard results ~/mteb/results --group rteb-open-eng --format markdown";

/// Show result files of this program and of MTEB as a table: models, tasks, means of groups.
///
/// A mean is over all tasks of its group, or it says how many there are.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Folders with result files below them, as `dream eval --tasks` and MTEB write them
    #[arg(required = true, value_name = "RESULTS")]
    results: Vec<PathBuf>,
    /// Groups or tasks to show [default: the tasks that have results, and the groups they belong to]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    group: Vec<String>,
    /// How to print it; --json is the same as --format json
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: TableFormat,
}

/// Reads and prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let models = read_results(&args.results)?;
    let groups = (!args.group.is_empty()).then_some(&args.group[..]);
    let board = leaderboard(&models, groups)?;
    if app.json || args.format == TableFormat::Json {
        return print_json(&board);
    }
    print_lines(table(&board).lines(args.format))
}

fn table(board: &Leaderboard) -> Table {
    let means = board.groups.iter().map(|group| format!("mean {group}"));
    let header = ["model", "revision"].map(str::to_owned).into_iter();
    let mut table = Table::new(header.chain(means).chain(board.tasks.iter().cloned()));
    for row in &board.rows {
        let revision: String = row.revision.chars().take(8).collect();
        let means = row.means.iter().map(|mean| match mean {
            Cell::Score(score) => percent(*score),
            Cell::Missing(what) => what.clone(),
        });
        let scores = row.scores.iter().map(|score| match score {
            Cell::Score(score) => percent(*score),
            Cell::Missing(_) => "missing".to_owned(),
        });
        let head = [row.model.clone(), revision].into_iter();
        table.row(head.chain(means).chain(scores));
    }
    table
}

/// MTEB's leaderboard counts from 0 to 100.
fn percent(score: f64) -> String {
    format!("{:.2}", 100.0 * score)
}
