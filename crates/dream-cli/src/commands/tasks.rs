//! `dream tasks`: the tasks of the benchmarks, what they are, and getting their data.

use crate::cli::App;
use crate::datasets::{self, Fetched, locate};
use crate::errors::{describe, usage};
use crate::output::{print_json, print_lines};
use crate::progress::{Progress, Unit};
use crate::table::{Table, TableFormat};
use anyhow::{Result, bail};
use dream_ir::dataset::Part;
use dream_ir::tasks::{Selected, Task, registry, select};
use indicatif::HumanBytes;
use serde::Serialize;
use std::path::PathBuf;

/// List, describe and fetch the tasks of BEIR, RTEB and NanoBEIR.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  dream tasks fetch beir-small")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// All tasks: sizes, groups, and whether their data is here
    #[command(after_help = "Example:\n  dream tasks list --data-root ~/beir")]
    List {
        /// Only these tasks or groups
        names: Option<String>,
        /// Folder with data as DIR/NAME or DIR/NAME.zip
        #[arg(long, value_name = "DIR")]
        data_root: Option<PathBuf>,
    },
    /// Everything that is known about a task
    #[command(after_help = "Example:\n  dream tasks show ArguAna --json")]
    Show {
        /// MTEB's name, or the folder's in BEIR
        name: String,
        /// Folder with data as DIR/NAME or DIR/NAME.zip
        #[arg(long, value_name = "DIR")]
        data_root: Option<PathBuf>,
    },
    /// Get the data of tasks from the hub, unless it is here already
    #[command(after_help = "Example:\n  dream tasks fetch SciFact nfcorpus rteb-open")]
    Fetch {
        /// Tasks or groups
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// Lists, describes or fetches.
pub fn run(args: &Args, app: &App) -> Result<()> {
    match &args.what {
        What::List { names, data_root } => list(names.as_deref(), data_root.as_ref(), app),
        What::Show { name, data_root } => show(name, data_root.as_ref(), app),
        What::Fetch { names } => fetch(&names.join(","), app),
    }
}

/// A task as `list` shows it.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    documents: Option<u64>,
    queries: Option<u64>,
    groups: Vec<&'static str>,
    /// Parts of which the data is here, and all parts.
    parts_here: usize,
    parts: usize,
}

fn list(names: Option<&str>, root: Option<&PathBuf>, app: &App) -> Result<()> {
    let all = || {
        let tasks = registry().tasks.iter();
        let selected = tasks.map(|task| Selected {
            task,
            subsets: task.subsets.iter().collect(),
        });
        Ok(selected.collect())
    };
    let selected: Vec<Selected> = names.map_or_else(all, select)?;
    let listed: Vec<Listed> = selected.iter().map(|s| listed(s, root, app)).collect();
    if app.json {
        return print_json(&listed);
    }
    let mut table = Table::new(["task", "documents", "queries", "data", "groups"]);
    let count = |n: Option<u64>| n.map_or("-".to_owned(), |n| n.to_string());
    for task in &listed {
        let here = match task.parts_here {
            0 => "not here".to_owned(),
            n if n == task.parts => "here".to_owned(),
            n => format!("{n} of {} parts here", task.parts),
        };
        let groups = task.groups.join(", ");
        let (documents, queries) = (count(task.documents), count(task.queries));
        table.row([task.name.to_owned(), documents, queries, here, groups]);
    }
    print_lines(table.lines(TableFormat::Text))
}

fn listed(selected: &Selected, root: Option<&PathBuf>, app: &App) -> Listed {
    let task = selected.task;
    let places: Vec<bool> = parts(selected)
        .into_iter()
        .map(|(task, part)| locate(task, part, root.map(PathBuf::as_path), &app.env).is_ok())
        .collect();
    Listed {
        name: &task.name,
        documents: task.n_documents(),
        queries: task.n_queries(),
        groups: registry().groups_of(&task.name),
        parts_here: places.iter().filter(|here| **here).count(),
        parts: places.len(),
    }
}

/// The parts of a task, of all of an aggregate's tasks.
fn parts(selected: &Selected) -> Vec<(&'static Task, Part<'static>)> {
    let mut parts = Vec::new();
    for task in selected.task.leaves() {
        let subsets = if selected.task.is_aggregate() {
            task.subsets.iter().collect()
        } else {
            selected.subsets.clone()
        };
        for split in &task.splits {
            for subset in &subsets {
                let subset = &subset.name;
                parts.push((task, Part { subset, split }));
            }
        }
    }
    parts
}

/// A task as `show` shows it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    task: &'static Task,
    groups: Vec<&'static str>,
    /// Names under which its data is looked for in a folder of the user's.
    folders: Vec<String>,
    /// Where the data of each part is, or why it is not here.
    data: Vec<ShownPart>,
}

#[derive(Serialize)]
struct ShownPart {
    task: &'static str,
    split: &'static str,
    subset: &'static str,
    path: Option<PathBuf>,
    missing: Option<String>,
}

fn show(name: &str, root: Option<&PathBuf>, app: &App) -> Result<()> {
    let Some(task) = registry().task(name) else {
        select(name)?; // says what there is
        return Err(usage(format!("{name} is a group: dream tasks list {name}")));
    };
    let all = Selected {
        task,
        subsets: task.subsets.iter().collect(),
    };
    let data = parts(&all).into_iter().map(|(task, part)| {
        let found = locate(task, part, root.map(PathBuf::as_path), &app.env);
        let (path, missing) = match found {
            Ok(found) => (Some(found.path), None),
            Err(missing) => (None, Some(missing.to_string())),
        };
        ShownPart {
            task: &task.name,
            split: part.split,
            subset: part.subset,
            path,
            missing,
        }
    });
    let shown = Shown {
        task,
        groups: registry().groups_of(&task.name),
        folders: task.folders(),
        data: data.collect(),
    };
    if app.json {
        return print_json(&shown);
    }
    print_lines(lines(&shown))
}

fn lines(shown: &Shown) -> Vec<String> {
    let task = shown.task;
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let subset = |s: &dream_ir::tasks::Subset| {
        let count = |n: Option<u64>| n.map_or("?".to_owned(), |n| n.to_string());
        format!(
            "{} ({}): {} documents, {} queries",
            s.name,
            s.languages.join(", "),
            count(s.documents),
            count(s.queries)
        )
    };
    let rule = if task.ignore_identical_ids {
        "taken out of the ranking"
    } else {
        "kept"
    };
    let mut lines = vec![
        format!("name             {}", task.name),
        format!("groups           {}", shown.groups.join(", ")),
        format!("main measure     {}", task.main_measure),
        format!("hub id           {}", text(&task.hub_id)),
        format!("revision         {}", text(&task.revision)),
        format!("splits           {}", task.splits.join(", ")),
        format!("query prompt     {}", text(&task.query_prompt)),
        format!("identical ids    {rule}"),
        format!("licence          {}", text(&task.licence)),
        format!("folders          {}", shown.folders.join(", ")),
    ];
    if task.is_aggregate() {
        lines.push(format!("mean of          {}", task.parts.join(", ")));
    } else {
        let subsets = task.subsets.iter();
        lines.extend(subsets.map(|s| format!("subset           {}", subset(s))));
    }
    if let Some(note) = &task.note {
        lines.push(format!("note             {note}"));
    }
    for part in &shown.data {
        let place = match (&part.path, &part.missing) {
            (Some(path), _) => path.display().to_string(),
            (None, missing) => format!("not here: {}", text(missing)),
        };
        let ShownPart {
            task,
            split,
            subset,
            ..
        } = part;
        lines.push(format!("data             {task} {split} {subset}: {place}"));
    }
    lines
}

/// What became of a task that was to be fetched.
#[derive(Serialize)]
struct FetchedTask {
    task: &'static str,
    #[serde(flatten)]
    fetched: Option<Fetched>,
    failed: Option<String>,
}

fn fetch(names: &str, app: &App) -> Result<()> {
    let mut outcomes: Vec<FetchedTask> = Vec::new();
    for selected in select(names)? {
        for task in selected.task.leaves() {
            if outcomes.iter().any(|outcome| outcome.task == task.name) {
                continue;
            }
            let subsets = if selected.task.is_aggregate() {
                task.subsets.iter().collect()
            } else {
                selected.subsets.clone()
            };
            let mut progress = Progress::new(format!("fetching {}", task.name), Unit::Bytes, app);
            let fetched = datasets::fetch(task, &subsets, &app.env, &mut |done, total| {
                progress.update(done, total);
            });
            progress.finish();
            let (fetched, failed) = match fetched {
                Ok(fetched) => (Some(fetched), None),
                Err(error) => (None, Some(describe(&error))),
            };
            outcomes.push(FetchedTask {
                task: &task.name,
                fetched,
                failed,
            });
        }
    }
    if app.json {
        print_json(&outcomes)?;
    } else {
        print_lines(outcomes.iter().map(fetched_line))?;
    }
    let failed = outcomes.iter().filter(|outcome| outcome.failed.is_some());
    match failed.count() {
        0 => Ok(()),
        n => bail!("{n} of {} tasks could not be fetched", outcomes.len()),
    }
}

fn fetched_line(outcome: &FetchedTask) -> String {
    let name = outcome.task;
    match (&outcome.fetched, &outcome.failed) {
        (Some(fetched), _) => {
            let (path, bytes) = (fetched.path.display(), HumanBytes(fetched.bytes));
            format!("{name}: {path}: {bytes}, from {}", fetched.source)
        }
        (None, failed) => format!("{name}: FAILED: {}", failed.as_deref().unwrap_or_default()),
    }
}
