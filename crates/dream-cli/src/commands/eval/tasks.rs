//! `dream eval --tasks`: every part of every task is computed once, whatever happens in between.
//!
//! A result file is written after each part. What a later call finds computed by the same retriever from the same data
//! stays. A task without data is named with its reason, and the exit code says so.

use super::part::{Job, Outcome};
use super::ranker::{Ranker, RankerArgs};
use super::results::{ResultsFolder, put};
use super::task_table::{Report, TaskRow};
use crate::cli::App;
use crate::errors::usage;
use anyhow::{Result, bail};
use dream_ir::tasks::leaderboard::{ModelResults, leaderboard};
use dream_ir::tasks::result::TaskResult;
use dream_ir::tasks::{Selected, Task, registry, select};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

/// Options of the tasks.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Task options")]
pub struct TaskArgs {
    /// Tasks or groups of tasks between commas (see: dream tasks list)
    #[arg(long, value_name = "NAMES")]
    pub tasks: Option<String>,
    /// Folder with the tasks' data as DIR/NAME or DIR/NAME.zip; what it has not is taken from the hub's cache
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "data"])]
    pub data_root: Option<PathBuf>,
    /// Where the result files go: DIR/MODEL/REVISION/TASK.json
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub results: PathBuf,
    /// Compute what is there already again
    #[arg(long, conflicts_with_all = ["run", "data"])]
    pub force: bool,
    /// What queries get before them, {prompt} standing for the task's own, as 'Instruct: {prompt}\nQuery: '
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["run", "data", "query_prompt", "retriever"])]
    pub task_prompt: Option<String>,
    /// What to call the model in the results [default: its hub id or folder]
    #[arg(long, value_name = "ORG/NAME", conflicts_with_all = ["run", "data"])]
    pub model_name: Option<String>,
    /// Leave evaluation times out, so that the same work gives the same bytes
    #[arg(long, conflicts_with_all = ["run", "data"])]
    pub no_times: bool,
}

/// Evaluates, prints, and fails where a task has no result.
pub fn run(names: &str, args: &TaskArgs, ranker: &RankerArgs, app: &App) -> Result<()> {
    let selected = select(names)?;
    if args
        .task_prompt
        .as_ref()
        .is_some_and(|text| !text.contains("{prompt}"))
    {
        return Err(usage(
            "--task-prompt has no {prompt} in it: --query-prompt is the same for all tasks",
        ));
    }
    let mut ranker = ranker.load(app)?;
    let identity = ranker.identity(args.task_prompt.as_deref(), app);
    let name = args.model_name.as_deref().unwrap_or_else(|| ranker.name());
    let folder = ResultsFolder::new(&args.results, name, identity)?;
    folder.write_meta(&ranker)?;
    let mut work = Work {
        args,
        app,
        folder: &folder,
        results: BTreeMap::new(),
        rows: Vec::new(),
    };
    for selected in &selected {
        work.task(selected, &mut ranker)?;
    }
    let report = work.report(names)?;
    report.print(app)?;
    let lost = report.missing();
    if !lost.is_empty() {
        bail!(
            "{} of {} tasks have no result: {}",
            lost.len(),
            report.tasks.len(),
            lost.join(", ")
        );
    }
    Ok(())
}

struct Work<'a> {
    args: &'a TaskArgs,
    app: &'a App,
    folder: &'a ResultsFolder,
    /// What was computed or kept in this call, and nothing else that the files may hold.
    results: BTreeMap<String, TaskResult>,
    rows: Vec<TaskRow>,
}

impl Work<'_> {
    fn task(&mut self, selected: &Selected, ranker: &mut Ranker) -> Result<()> {
        if !selected.task.is_aggregate() {
            return self.leaf(selected, ranker);
        }
        for task in selected.task.leaves() {
            let subsets = task.subsets.iter().collect();
            self.leaf(&Selected { task, subsets }, ranker)?;
        }
        self.aggregate(selected)
    }

    /// A task with data of its own.
    fn leaf(&mut self, selected: &Selected, ranker: &mut Ranker) -> Result<()> {
        let task = selected.task;
        if self.rows.iter().any(|row| row.task == task.name) {
            return Ok(());
        }
        let existing = self.folder.existing(task).filter(|_| !self.args.force);
        let mut result = existing.unwrap_or_else(|| self.folder.empty(task));
        let mut row = TaskRow::new(task);
        let mut valid = Vec::new();
        for split in &task.splits {
            for &subset in &selected.subsets {
                let job = Job {
                    task,
                    split,
                    subset,
                };
                let started = Instant::now();
                match job.run(&result, ranker, self.args, self.app)? {
                    Outcome::Missing(reason) => {
                        let name = job.name();
                        tracing::warn!("{name} is missing: {reason}");
                        row.lost(reason);
                        continue;
                    }
                    Outcome::Kept => row.kept(),
                    Outcome::Computed(computed) => {
                        let (scores, part) = *computed;
                        put(&mut result, scores, part);
                        let before = result.evaluation_time.unwrap_or(0.0);
                        let time = before + started.elapsed().as_secs_f64();
                        result.evaluation_time = Some(time).filter(|_| !self.args.no_times);
                        self.folder.write(task, &result)?;
                        row.computed();
                    }
                }
                row.count(result.part(split, &subset.name));
                valid.push((split.as_str(), subset.name.as_str()));
            }
        }
        for (split, entries) in &mut result.scores {
            entries.retain(|entry| valid.contains(&(split.as_str(), entry.hf_subset.as_str())));
        }
        row.score = result.main_score(task, &selected.subsets).ok();
        self.results.insert(task.name.clone(), result);
        self.rows.push(row);
        Ok(())
    }

    /// A mean of tasks, written where all of them have results.
    fn aggregate(&mut self, selected: &Selected) -> Result<()> {
        let task = selected.task;
        let mut row = TaskRow::new(task);
        let leaves = task.leaves();
        let score = |leaf: &&Task| {
            let row = self.rows.iter().find(|row| row.task == leaf.name);
            row.and_then(|row| row.score)
        };
        let scores: Vec<f64> = leaves.iter().filter_map(score).collect();
        if scores.len() == leaves.len() {
            let parts: Vec<&TaskResult> = leaves
                .iter()
                .filter_map(|leaf| self.results.get(&leaf.name))
                .collect();
            let result = self.folder.aggregate(task, &parts, &scores);
            self.folder.write(task, &result)?;
            row.score = result.main_score(task, &selected.subsets).ok();
            row.computed();
            self.results.insert(task.name.clone(), result);
        } else {
            row.lost(format!(
                "{} of {} parts have a score",
                scores.len(),
                leaves.len()
            ));
        }
        self.rows.push(row);
        Ok(())
    }

    /// What was done, with the means of the groups that were named.
    fn report(self, names: &str) -> Result<Report> {
        let named = names.split(',').map(|name| name.trim().to_lowercase());
        let groups: Vec<String> = named
            .filter(|name| registry().groups.contains_key(name))
            .collect();
        let model = ModelResults {
            model: self.folder.model.clone(),
            revision: self.folder.revision.clone(),
            tasks: self.results,
        };
        let mut means = Vec::new();
        if !groups.is_empty() {
            let table = leaderboard(&[model], Some(&groups))?;
            let cells = table.rows.into_iter().flat_map(|row| row.means);
            means = table.groups.into_iter().zip(cells).collect();
        }
        Ok(Report {
            model: self.folder.model.clone(),
            revision: self.folder.revision.clone(),
            folder: self.folder.path.clone(),
            tasks: self.rows,
            groups: means,
        })
    }
}
