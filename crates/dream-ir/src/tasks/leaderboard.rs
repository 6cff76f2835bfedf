//! Many models' results side by side: a score for each task, a mean for each group.
//!
//! A mean is over all tasks of its group or it is not there: a model that skipped the hard tasks must not look better
//! for it.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::result::{MODEL_META, TaskResult, mean, read_capped};
use super::{Selected, registry, select};
use crate::error::{Error, Result};

/// Folders below the one that is named.
const MAX_DEPTH: usize = 4;
/// Files looked at.
const MAX_FILES: usize = 200_000;

/// One model's results.
#[derive(Debug, Clone)]
pub struct ModelResults {
    /// The model's name.
    pub model: String,
    /// The model's revision.
    pub revision: String,
    /// Results by task.
    pub tasks: BTreeMap<String, TaskResult>,
}

/// The table.
#[derive(Debug, Serialize)]
pub struct Leaderboard {
    /// Tasks, as `NAME` or, where not all of its subsets are meant, `NAME:SUBSET,SUBSET`.
    pub tasks: Vec<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// One a model, the best by the first group first.
    pub rows: Vec<Row>,
}

/// One model.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The model's name.
    pub model: String,
    /// The model's revision.
    pub revision: String,
    /// A score for each of the table's tasks.
    pub scores: Vec<Cell>,
    /// A mean for each of the table's groups.
    pub means: Vec<Cell>,
}

/// A score, from 0 to 1, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// The score.
    Score(f64),
    /// What is missing, in words.
    Missing(String),
}

/// Reads all results below these folders or files.
pub fn read_results(places: &[PathBuf]) -> Result<Vec<ModelResults>> {
    let mut files = Vec::new();
    for place in places {
        json_files(place, MAX_DEPTH, &mut files)?;
    }
    files.sort();
    files.dedup();
    let mut models: BTreeMap<(String, String), ModelResults> = BTreeMap::new();
    for file in files {
        let result = TaskResult::read(&file)?;
        let (model, revision) = model_of(&file)?;
        let entry = models.entry((model.clone(), revision.clone()));
        let results = entry.or_insert_with(|| ModelResults {
            model,
            revision,
            tasks: BTreeMap::new(),
        });
        results.tasks.insert(result.task_name.clone(), result);
    }
    if models.is_empty() {
        let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
        return Err(Error::Invalid(format!(
            "no result files below {}; dream eval --tasks writes them",
            places.join(", ")
        )));
    }
    Ok(models.into_values().collect())
}

/// The table of the tasks in `groups`, or of all tasks that any model has a result of.
pub fn leaderboard(models: &[ModelResults], groups: Option<&[String]>) -> Result<Leaderboard> {
    let (columns, groups) = match groups {
        Some(groups) => (select(&groups.join(","))?, groups.to_vec()),
        None => (columns_found(models), groups_touched(models)),
    };
    let members: Vec<(String, Vec<Selected>)> = groups
        .into_iter()
        .filter(|group| registry().groups.contains_key(&group.to_lowercase()))
        .map(|group| select(&group).map(|tasks| (group, tasks)))
        .collect::<Result<_>>()?;
    let mut rows: Vec<Row> = models
        .iter()
        .map(|model| Row {
            model: model.model.clone(),
            revision: model.revision.clone(),
            scores: columns.iter().map(|column| score(model, column)).collect(),
            means: members
                .iter()
                .map(|(_, tasks)| group_mean(model, tasks))
                .collect(),
        })
        .collect();
    rows.sort_by(best_first);
    Ok(Leaderboard {
        tasks: columns.iter().map(title).collect(),
        groups: members.into_iter().map(|(group, _)| group).collect(),
        rows,
    })
}

/// By the first group that tells two models apart, then by the first task; what is missing stays behind.
fn best_first(a: &Row, b: &Row) -> Ordering {
    let key = |cell: &Cell| match cell {
        Cell::Score(score) => -score,
        Cell::Missing(_) => f64::INFINITY,
    };
    let cells = |row: &Row| -> Vec<f64> { row.means.iter().chain(&row.scores).map(key).collect() };
    let (a, b) = (cells(a), cells(b));
    let mut orders = a.iter().zip(&b).map(|(a, b)| a.total_cmp(b));
    orders
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// A task's score for a model; an aggregate's from its own file, else from those of all its parts.
fn score(model: &ModelResults, column: &Selected) -> Cell {
    let task = column.task;
    if let Some(result) = model.tasks.get(&task.name) {
        match result.main_score(task, &column.subsets) {
            Ok(score) => return Cell::Score(score),
            Err(what) if !task.is_aggregate() => return Cell::Missing(what),
            Err(_) => {}
        }
    }
    if !task.is_aggregate() {
        return Cell::Missing("no result".to_owned());
    }
    let parts = task.leaves().into_iter().map(|task| {
        let subsets = task.subsets.iter().collect();
        score(model, &Selected { task, subsets })
    });
    mean_of(parts.collect())
}

fn group_mean(model: &ModelResults, tasks: &[Selected]) -> Cell {
    mean_of(tasks.iter().map(|task| score(model, task)).collect())
}

fn mean_of(cells: Vec<Cell>) -> Cell {
    let total = cells.len();
    let scores: Vec<f64> = cells
        .into_iter()
        .filter_map(|cell| match cell {
            Cell::Score(score) => Some(score),
            Cell::Missing(_) => None,
        })
        .collect();
    if scores.len() == total {
        return Cell::Score(mean(&scores));
    }
    Cell::Missing(format!("{} of {total} tasks", scores.len()))
}

fn title(column: &Selected) -> String {
    let name = &column.task.name;
    if column.subsets.len() == column.task.subsets.len() {
        return name.clone();
    }
    let subsets: Vec<&str> = column.subsets.iter().map(|s| s.name.as_str()).collect();
    format!("{name}:{}", subsets.join(","))
}

/// The registry's tasks that any model has a result of, with the subsets that any model has.
fn columns_found(models: &[ModelResults]) -> Vec<Selected> {
    let found = |task: &'static super::Task| {
        let results: Vec<&TaskResult> = models
            .iter()
            .filter_map(|m| m.tasks.get(&task.name))
            .collect();
        let has = |name: &str| {
            let entries = results.iter().flat_map(|r| r.scores.values().flatten());
            entries.into_iter().any(|entry| entry.hf_subset == name)
        };
        let mut subsets: Vec<_> = task.subsets.iter().filter(|s| has(&s.name)).collect();
        if subsets.is_empty() && !results.is_empty() {
            subsets = task.subsets.iter().collect();
        }
        (!subsets.is_empty()).then_some(Selected { task, subsets })
    };
    registry().tasks.iter().filter_map(found).collect()
}

fn groups_touched(models: &[ModelResults]) -> Vec<String> {
    let mut groups: Vec<String> = models
        .iter()
        .flat_map(|model| model.tasks.keys())
        .flat_map(|task| registry().groups_of(task))
        .map(str::to_owned)
        .collect();
    groups.sort();
    groups.dedup();
    groups
}

/// Result files below a place, which may be one itself.
fn json_files(place: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let io = |source| Error::Io {
        path: place.to_owned(),
        source,
    };
    if fs::metadata(place).map_err(io)?.is_file() {
        files.push(place.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(place).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') || *name == *MODEL_META {
            continue;
        }
        if files.len() >= MAX_FILES {
            let place = place.display();
            return Err(Error::Invalid(format!(
                "{place}: more than {MAX_FILES} files"
            )));
        }
        if path.is_dir() {
            if depth > 0 {
                json_files(&path, depth - 1, files)?;
            }
        } else if path.extension().is_some_and(|e| e == "json") {
            files.push(path);
        }
    }
    Ok(())
}

/// Name and revision of the model that a result file is of: from `model_meta.json`, else from the folders.
fn model_of(file: &Path) -> Result<(String, String)> {
    #[derive(Deserialize)]
    struct Meta {
        name: Option<String>,
        revision: Option<String>,
    }
    let folder = file.parent().unwrap_or(Path::new("."));
    let path = folder.join(MODEL_META);
    let named = |path: Option<&Path>| {
        let name = path.and_then(Path::file_name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let meta = if path.is_file() {
        serde_json::from_slice(&read_capped(&path)?).map_err(|error| {
            let path = path.display();
            Error::Invalid(format!("{path}: {error}"))
        })?
    } else {
        Meta {
            name: None,
            revision: None,
        }
    };
    let of_folder = || named(folder.parent()).replace("__", "/");
    Ok((
        meta.name.unwrap_or_else(of_folder),
        meta.revision.unwrap_or_else(|| named(Some(folder))),
    ))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
#[path = "leaderboard_tests.rs"]
mod tests;
