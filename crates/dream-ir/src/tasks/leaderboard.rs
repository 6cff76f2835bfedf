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
mod tests {
    use super::*;

    fn put(root: &Path, model: &str, task: &str, split: &str, entries: &[(&str, f64)]) {
        let folder = root.join(model).join("r1");
        fs::create_dir_all(&folder).unwrap();
        let entries: Vec<_> = entries
            .iter()
            .map(|(subset, score)| {
                serde_json::json!({"hf_subset": subset, "languages": ["eng-Latn"], "main_score": score})
            })
            .collect();
        let mut scores = serde_json::Map::new();
        for split in split.split(',') {
            scores.insert(split.to_owned(), entries.clone().into());
        }
        let result = serde_json::json!({"dataset_revision": "x", "task_name": task, "mteb_version": "2",
            "scores": scores, "evaluation_time": 1.0, "kg_co2_emissions": null});
        fs::write(folder.join(format!("{task}.json")), result.to_string()).unwrap();
    }

    #[test]
    fn a_mean_is_over_all_tasks_of_its_group_or_missing() {
        let root = tempfile::tempdir().unwrap();
        for task in ["NFCorpus", "FiQA2018", "ArguAna", "SCIDOCS", "SciFact"] {
            put(root.path(), "org__whole", task, "test", &[("default", 0.4)]);
        }
        put(
            root.path(),
            "org__half",
            "SciFact",
            "test",
            &[("default", 0.9)],
        );
        let models = read_results(&[root.path().to_owned()]).unwrap();
        let table = leaderboard(&models, Some(&["beir-small".to_owned()])).unwrap();
        assert_eq!(table.tasks.len(), 5);
        assert_eq!(table.rows[0].model, "org/whole");
        assert!(matches!(table.rows[0].means[0], Cell::Score(s) if (s - 0.4).abs() < 1e-12));
        assert_eq!(table.rows[1].means[0], Cell::Missing("1 of 5 tasks".into()));
        assert_eq!(table.rows[1].scores[4], Cell::Score(0.9));
        assert_eq!(table.rows[1].scores[0], Cell::Missing("no result".into()));
        let all = leaderboard(&models, None).unwrap();
        assert_eq!(all.groups, ["beir", "beir-small"]);
        assert_eq!(all.rows[0].means[0], Cell::Missing("5 of 15 tasks".into()));
    }

    #[test]
    fn an_aggregate_is_the_mean_of_all_its_parts() {
        let root = tempfile::tempdir().unwrap();
        let task = registry().task("CQADupstackRetrieval").unwrap();
        for (part, score) in task.parts.iter().zip(1..) {
            let model = "m";
            put(
                root.path(),
                model,
                part,
                "test",
                &[("default", f64::from(score) / 12.0)],
            );
        }
        let models = read_results(&[root.path().to_owned()]).unwrap();
        let column = &select("CQADupstackRetrieval").unwrap()[0];
        // (1 + ... + 12) / 12 / 12
        assert!(
            matches!(score(&models[0], column), Cell::Score(s) if (s - 78.0 / 144.0).abs() < 1e-12)
        );
        fs::remove_file(root.path().join("m/r1/CQADupstackGisRetrieval.json")).unwrap();
        let models = read_results(&[root.path().to_owned()]).unwrap();
        assert_eq!(
            score(&models[0], column),
            Cell::Missing("11 of 12 tasks".into())
        );
    }

    #[test]
    fn a_group_may_want_some_subsets_only() {
        let root = tempfile::tempdir().unwrap();
        let splits = registry().task("CUREv1").unwrap().splits.join(",");
        put(root.path(), "m", "CUREv1", &splits, &[("en", 0.5)]);
        let models = read_results(&[root.path().to_owned()]).unwrap();
        let score_of = |names| score(&models[0], &select(names).unwrap()[0]);
        assert_eq!(score_of("CUREv1:en"), Cell::Score(0.5));
        assert!(matches!(score_of("CUREv1"), Cell::Missing(what) if what.contains("subset es")));
        assert_eq!(leaderboard(&models, None).unwrap().tasks, ["CUREv1:en"]);
    }

    #[test]
    fn a_place_without_results_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let error = read_results(&[root.path().to_owned()])
            .unwrap_err()
            .to_string();
        assert!(error.contains("no result files below"), "{error}");
    }
}
