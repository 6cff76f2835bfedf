//! The tasks that retrievers are compared on: BEIR, the open tasks of RTEB, NanoBEIR.
//!
//! Names, hub ids, revisions, splits, prompts and identical-id rules are MTEB's, whose figures ours shall stand
//! beside (Muennighoff et al. 2022, <https://arxiv.org/abs/2210.07316>). `registry.json` is written and compared by
//! `checks/mteb_tasks.py`.

pub mod leaderboard;
pub mod result;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::measures::Measure;

/// All tasks and groups.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The release of mteb that the facts are of.
    pub mteb_version: String,
    /// Groups by name.
    pub groups: BTreeMap<String, Group>,
    /// Tasks, the parts of an aggregate behind it.
    pub tasks: Vec<Task>,
}

/// Tasks whose mean is reported.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What it is, in a line.
    pub about: String,
    /// Names of tasks; `NAME:SUBSET` where only some subsets belong to it.
    pub tasks: Vec<String>,
}

/// A task: a retrieval set and how it is evaluated.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// MTEB's name.
    pub name: String,
    /// Its main score.
    pub main_measure: Measure,
    /// Splits that are evaluated; the score is the mean over them and the subsets.
    pub splits: Vec<String>,
    /// The set's licence, where known.
    pub licence: Option<String>,
    /// What one should know of it.
    pub note: Option<String>,
    /// The data set's id on the hub; none for an aggregate.
    pub hub_id: Option<String>,
    /// The commit on the hub.
    pub revision: Option<String>,
    /// What a query is asked with, for models that take instructions.
    pub query_prompt: Option<String>,
    /// Whether a document with the query's own id is taken out of its ranking.
    #[serde(default)]
    pub ignore_identical_ids: bool,
    /// Whether documents come with their titles.
    #[serde(default = "yes")]
    pub titles: bool,
    /// Subsets, mostly one called `default`.
    pub subsets: Vec<Subset>,
    /// The name of the folder in BEIR's archives.
    pub folder: Option<String>,
    /// The tasks whose mean this one is; empty for others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
}

/// A part of a task's data with queries of its own, for example those of one language.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subset {
    /// Its name in the hub's layout and in result files.
    pub name: String,
    /// Languages with their scripts, as `eng-Latn`.
    pub languages: Vec<String>,
    /// Documents of the first split, where known.
    pub documents: Option<u64>,
    /// Judged queries of the first split, where known.
    pub queries: Option<u64>,
}

fn yes() -> bool {
    true
}

/// A task that was asked for, with the subsets that were.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The task.
    pub task: &'static Task,
    /// In the registry's order, never empty.
    pub subsets: Vec<&'static Subset>,
}

/// The registry that comes with the program.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        serde_json::from_str(include_str!("registry.json"))
            .expect("the registry is checked by a test. This is a bug.")
    })
}

impl Registry {
    /// A task by MTEB's name or BEIR's folder, in any case.
    pub fn task(&self, name: &str) -> Option<&Task> {
        let mut tasks = self.tasks.iter();
        tasks.find(|task| task.names().any(|known| known.eq_ignore_ascii_case(name)))
    }

    /// The names of the groups that a task is a member of.
    pub fn groups_of(&self, task: &str) -> Vec<&str> {
        let is_member = |group: &Group| {
            let mut members = group.tasks.iter();
            members.any(|member| split_member(member).0 == task)
        };
        let groups = self.groups.iter().filter(|(_, group)| is_member(group));
        groups.map(|(name, _)| name.as_str()).collect()
    }
}

impl Task {
    /// The names it is known by: MTEB's and BEIR's folder.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.folder.as_deref())
    }

    /// Names of folders and archives that may hold its data, in the order in which they are looked for.
    pub fn folders(&self) -> Vec<String> {
        let lower = self.name.to_lowercase();
        let short = lower.trim_end_matches("retrieval").to_owned();
        let of_hub = self.hub_id.as_deref().and_then(|id| id.split('/').nth(1));
        let mut names = vec![self.name.clone()];
        for name in [self.folder.as_deref(), Some(&lower), Some(&short), of_hub] {
            names.extend(name.filter(|name| !name.is_empty()).map(str::to_owned));
        }
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Whether it is the mean of other tasks and has no data of its own.
    pub fn is_aggregate(&self) -> bool {
        !self.parts.is_empty()
    }

    /// The tasks to evaluate for it: its parts, or itself.
    pub fn leaves(&'static self) -> Vec<&'static Task> {
        if !self.is_aggregate() {
            return vec![self];
        }
        let part = |name: &String| registry().task(name);
        self.parts.iter().filter_map(part).collect()
    }

    /// Documents of the first split in all subsets, where known.
    pub fn n_documents(&self) -> Option<u64> {
        self.subsets.iter().map(|subset| subset.documents).sum()
    }

    /// Queries of the first split in all subsets, where known.
    pub fn n_queries(&self) -> Option<u64> {
        self.subsets.iter().map(|subset| subset.queries).sum()
    }
}

/// Name and subset of a group's member.
fn split_member(member: &str) -> (&str, Option<&str>) {
    match member.split_once(':') {
        Some((name, subset)) => (name, Some(subset)),
        None => (member, None),
    }
}

/// The tasks that a list of names means: groups, tasks, or `TASK:SUBSET`, between commas. Each task once, in the order
/// of the names.
pub fn select(names: &str) -> Result<Vec<Selected>> {
    let mut selected: Vec<Selected> = Vec::new();
    for name in names.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let group = registry().groups.get(&name.to_lowercase());
        match group {
            Some(group) => {
                for member in &group.tasks {
                    add(&mut selected, member)?;
                }
            }
            None => add(&mut selected, name)?,
        }
    }
    if selected.is_empty() {
        return Err(Error::Invalid(format!(
            "wanted names of tasks, got {names:?}"
        )));
    }
    Ok(selected)
}

fn add(selected: &mut Vec<Selected>, member: &str) -> Result<()> {
    let (name, subset) = split_member(member);
    let task = registry().task(name).ok_or_else(|| {
        let groups: Vec<&str> = registry().groups.keys().map(String::as_str).collect();
        Error::Invalid(format!(
            "no task or group {name:?}; groups are {}, tasks are listed by: dream tasks list",
            groups.join(", ")
        ))
    })?;
    let chosen = |s: &&Subset| subset.is_none_or(|subset| s.name == subset);
    let subsets: Vec<&'static Subset> = task.subsets.iter().filter(chosen).collect();
    if subsets.is_empty() {
        let there: Vec<&str> = task.subsets.iter().map(|s| s.name.as_str()).collect();
        return Err(Error::Invalid(format!(
            "task {} has no subset {:?}, but {}",
            task.name,
            subset.unwrap_or_default(),
            there.join(", ")
        )));
    }
    match selected.iter_mut().find(|s| s.task.name == task.name) {
        Some(before) => {
            let mut all = task.subsets.iter().collect::<Vec<_>>();
            all.retain(|s| {
                let named = |other: &&'static Subset| other.name == s.name;
                before.subsets.iter().any(named) || subsets.iter().any(named)
            });
            before.subsets = all;
        }
        None => selected.push(Selected { task, subsets }),
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
