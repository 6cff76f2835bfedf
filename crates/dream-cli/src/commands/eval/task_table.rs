//! What `dream eval --tasks` did, as a table and as JSON.

use crate::cli::App;
use crate::output::{print_json, print_lines};
use crate::table::{Table, TableFormat};
use anyhow::Result;
use dream_ir::Measure;
use dream_ir::tasks::Task;
use dream_ir::tasks::leaderboard::Cell;
use dream_ir::tasks::result::PartProvenance;
use serde::Serialize;
use std::path::PathBuf;

/// Everything that was asked for.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The model's name.
    pub model: String,
    /// Its revision in the results.
    pub revision: String,
    /// Where the result files are.
    pub folder: PathBuf,
    /// One a task.
    pub tasks: Vec<TaskRow>,
    /// The means of the groups that were named.
    pub groups: Vec<(String, Cell)>,
}

/// A task and what became of it.
#[derive(Debug, Serialize)]
pub struct TaskRow {
    /// The task.
    pub task: String,
    /// What its score is.
    pub measure: Measure,
    /// The score; none where a part is missing.
    pub score: Option<f64>,
    /// Parts (subsets in splits) that were computed now.
    pub parts_computed: usize,
    /// Parts that were there already.
    pub parts_kept: usize,
    /// Why parts are missing.
    pub parts_missing: Vec<String>,
    /// Documents of all parts.
    pub documents: usize,
    /// Judged queries of all parts.
    pub queries: usize,
    /// Queries without any document found.
    pub queries_without_documents: usize,
    /// Documents taken out because their id was the query's; none where the task has no such rule.
    pub identical_ids: Option<usize>,
}

impl TaskRow {
    /// Nothing done yet.
    pub fn new(task: &Task) -> Self {
        Self {
            task: task.name.clone(),
            measure: task.main_measure,
            score: None,
            parts_computed: 0,
            parts_kept: 0,
            parts_missing: Vec::new(),
            documents: 0,
            queries: 0,
            queries_without_documents: 0,
            identical_ids: task.ignore_identical_ids.then_some(0),
        }
    }

    /// A part was computed.
    pub fn computed(&mut self) {
        self.parts_computed += 1;
    }

    /// A part was there.
    pub fn kept(&mut self) {
        self.parts_kept += 1;
    }

    /// A part is missing.
    pub fn lost(&mut self, reason: String) {
        self.parts_missing.push(reason);
    }

    /// Counts a part that is there.
    pub fn count(&mut self, part: Option<&PartProvenance>) {
        let Some(part) = part else {
            return;
        };
        self.documents += part.documents;
        self.queries += part.queries;
        self.queries_without_documents += part.missing;
        if let Some(count) = &mut self.identical_ids {
            *count += part.identical_ids.unwrap_or(0);
        }
    }

    fn state(&self) -> String {
        let parts = self.parts_computed + self.parts_kept + self.parts_missing.len();
        match (self.parts_missing.first(), parts) {
            (Some(reason), 1) => format!("missing: {reason}"),
            (Some(reason), _) => {
                let lost = self.parts_missing.len();
                format!("{lost} of {parts} parts missing: {reason}")
            }
            (None, _) if self.parts_computed == 0 => "there already".to_owned(),
            (None, _) => "computed".to_owned(),
        }
    }
}

impl Report {
    /// Names of the tasks without a score.
    pub fn missing(&self) -> Vec<&str> {
        let lost = self.tasks.iter().filter(|row| row.score.is_none());
        lost.map(|row| row.task.as_str()).collect()
    }

    /// Prints it.
    pub fn print(&self, app: &App) -> Result<()> {
        if app.json {
            return print_json(self);
        }
        let mut table = Table::new([
            "task",
            "measure",
            "score",
            "documents",
            "queries",
            "not found",
            "identical ids",
            "",
        ]);
        for row in &self.tasks {
            table.row([
                row.task.clone(),
                row.measure.to_string(),
                row.score.map_or("-".into(), |score| format!("{score:.4}")),
                row.documents.to_string(),
                row.queries.to_string(),
                row.queries_without_documents.to_string(),
                row.identical_ids
                    .map_or("kept".into(), |n| format!("{n} taken out")),
                row.state(),
            ]);
        }
        let mut lines = table.lines(TableFormat::Text);
        for (group, mean) in &self.groups {
            lines.push(match mean {
                Cell::Score(mean) => format!("mean of {group}: {mean:.4}"),
                Cell::Missing(what) => format!("mean of {group}: none, {what}"),
            });
        }
        lines.push(format!("{} in {}", self.model, self.folder.display()));
        print_lines(lines)
    }
}
