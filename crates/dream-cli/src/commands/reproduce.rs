//! `dream reproduce`: claims about the method, measured again.

use crate::cli::App;
use crate::errors::usage;
use crate::experiment::{self, ExperimentArgs};
use crate::output::{print_json, print_lines};
use crate::table::{Table, TableFormat, text};
use anyhow::{Result, bail};
use dream::experiment::{ExperimentFile, tables};
use std::path::{Path, PathBuf};

/// The files that come with the program.
const FILES: &[(&str, &str)] = &[
    (
        "label-free",
        include_str!("../../../../reproduce/label-free.toml"),
    ),
    (
        "nq-candidates",
        include_str!("../../../../reproduce/nq-candidates.toml"),
    ),
    (
        "nq-heads",
        include_str!("../../../../reproduce/nq-heads.toml"),
    ),
    (
        "nq-objectives",
        include_str!("../../../../reproduce/nq-objectives.toml"),
    ),
    (
        "nq-rows-budget",
        include_str!("../../../../reproduce/nq-rows-budget.toml"),
    ),
    (
        "nq-temperature",
        include_str!("../../../../reproduce/nq-temperature.toml"),
    ),
];

const EXAMPLE: &str = "Examples:
  dream reproduce --list
  dream reproduce nq-heads --data-root ~/data
  dream reproduce --file mine.toml --json";

/// Run an experiment that comes with claims, and say which of them hold.
///
/// The files are in the program (reproduce/ of its source). Exit code 1 if a claim does not hold. Runs
/// are kept as `dream experiment` keeps them, so the same command goes on where it was stopped.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Which; --list shows all
    #[arg(value_name = "NAME", required_unless_present_any = ["list", "file"])]
    name: Option<String>,
    /// Show what there is
    #[arg(long, conflicts_with_all = ["name", "file"])]
    list: bool,
    /// A file of your own: an experiment with `[[expect]]` rows
    #[arg(long, value_name = "FILE.toml", conflicts_with = "name")]
    file: Option<PathBuf>,
    #[command(flatten)]
    experiment: ExperimentArgs,
}

/// Runs, prints the claims.
pub fn run(args: &Args, app: &App) -> Result<()> {
    if args.list {
        return list(app);
    }
    let (file, name, command) = match (&args.file, &args.name) {
        (Some(path), _) => {
            let command = format!("dream reproduce --file {}", path.display());
            (
                ExperimentFile::read(path)?,
                experiment::name_of(path)?,
                command,
            )
        }
        (None, Some(name)) => {
            let command = format!("dream reproduce {name}");
            (built_in(name)?, name.clone(), command)
        }
        (None, None) => return list(app),
    };
    if file.expectations.is_empty() {
        return Err(usage(format!(
            "{name} has no [[expect]] rows: dream experiment runs it"
        )));
    }
    let finished = experiment::run(&file, &name, &command, &args.experiment, app)?;
    let Some(finished) = finished else {
        return Ok(());
    };
    let held = finished.judged.iter().filter(|judged| judged.holds).count();
    if app.json {
        print_json(&serde_json::json!({
            "name": name,
            "holds": held == finished.judged.len(),
            "claims": finished.judged,
            "summary": finished.summary,
        }))?;
    } else {
        let mut lines = text(&tables::claims(&finished.judged));
        lines.push(String::new());
        let report = finished.folder.join("report.html");
        lines.push(format!("report: {}", report.display()));
        print_lines(lines)?;
    }
    let all = finished.judged.len();
    if held < all {
        bail!("{} of {all} claims do not hold", all - held);
    }
    Ok(())
}

fn built_in(name: &str) -> Result<ExperimentFile> {
    let known = FILES.iter().find(|(known, _)| *known == name);
    let Some((_, text)) = known else {
        let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
        return Err(usage(format!(
            "there is no {name:?}, only {}; --file takes others",
            names.join(", ")
        )));
    };
    let path = format!("reproduce/{name}.toml");
    Ok(ExperimentFile::parse(text, Path::new(&path))?)
}

fn list(app: &App) -> Result<()> {
    let mut table = Table::new(["name", "claims", "title"]);
    let mut rows = Vec::new();
    for (name, _) in FILES {
        let file = built_in(name)?;
        let claims: Vec<&str> = file.expectations.iter().map(|e| e.claim.as_str()).collect();
        table.row([
            (*name).to_owned(),
            claims.len().to_string(),
            file.title.clone(),
        ]);
        rows.push(serde_json::json!({
            "name": name, "title": file.title, "about": file.about, "claims": claims,
        }));
    }
    if app.json {
        return print_lines(rows);
    }
    print_lines(table.lines(TableFormat::Text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dream::experiment::{Places, plan};

    #[test]
    fn every_file_that_comes_with_the_program_can_be_planned() -> Result<()> {
        let places = Places {
            out: "out".into(),
            data: "data".into(),
            world: "world".into(),
            dtype: None,
        };
        for (name, _) in FILES {
            let file = built_in(name)?;
            assert!(
                !file.title.is_empty() && !file.expectations.is_empty(),
                "{name}"
            );
            assert!(plan(&file, &places)?.len() > 1, "{name}");
        }
        Ok(())
    }
}
