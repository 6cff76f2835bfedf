//! The hub's layout of a retrieval set (MTEB's): configurations `corpus`, `queries` and `default` or `qrels`, with the
//! subset's name before or behind them where there are several, each in one or more files by split.
//!
//! Which files belong to which configuration stands in the front matter of `README.md`; where it says nothing, the
//! names of folders and files do. Departures from MTEB's reader: a file that is missing from a numbered sequence is an
//! error, so are judgements of queries that are not there and two different grades of one pair; instructions and
//! given candidates, which would make another task of it, are refused.

mod card;
mod names;
mod read;

use std::fs;
use std::path::{Path, PathBuf};

use super::{DEFAULT_SUBSET, Part};
use crate::beir::Dataset;
use crate::error::{Error, Result};

/// Largest `README.md` that is read.
const MAX_CARD_BYTES: u64 = 4 << 20;
/// Files and folders looked at below a set's folder.
const MAX_ENTRIES: usize = 100_000;
/// Folders within folders.
const MAX_DEPTH: usize = 4;

/// Which files of a repository hold what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubLayout {
    configs: Vec<Config>,
}

/// One configuration: a table in splits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    name: String,
    splits: Vec<Split>,
}

/// The files of one split, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Split {
    name: String,
    files: Vec<String>,
}

/// The files that hold one part of a set, by name inside its folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartFiles {
    /// Documents.
    pub corpus: Vec<String>,
    /// Queries.
    pub queries: Vec<String>,
    /// Judgements.
    pub qrels: Vec<String>,
}

impl PartFiles {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        let lists = [&self.corpus, &self.queries, &self.qrels];
        lists.into_iter().flatten().map(String::as_str)
    }
}

impl HubLayout {
    /// The layout of a repository with these files, whose `README.md` is `card`.
    pub fn new(card: Option<&str>, files: &[String]) -> Result<Self> {
        let stated = card.map(|card| card::configs(card, files)).transpose()?;
        let configs = match stated {
            Some(configs) if !configs.is_empty() => configs,
            _ => names::configs(files),
        };
        Ok(Self { configs })
    }

    /// The layout of a folder.
    pub(super) fn of_folder(folder: &Path) -> Result<Self> {
        let card = folder.join("README.md");
        let is_small = fs::metadata(&card).is_ok_and(|m| m.is_file() && m.len() <= MAX_CARD_BYTES);
        let card = is_small.then(|| fs::read(&card).ok()).flatten();
        let card = card.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let mut files = Vec::new();
        list(folder, "", MAX_DEPTH, &mut files)?;
        files.sort();
        Self::new(card.as_deref(), &files).map_err(|error| {
            let place = folder.display();
            Error::Invalid(format!("{place}: {error}"))
        })
    }

    /// Whether nothing in it looks like a table.
    pub fn is_empty(&self) -> bool {
        self.configs.is_empty()
    }

    /// The files of a part. None of them missing from a numbered sequence.
    pub fn files(&self, part: Part) -> Result<PartFiles> {
        let subset = (part.subset != DEFAULT_SUBSET).then_some(part.subset);
        let named = |role: &[&str]| candidates(role, subset);
        let corpus = self.config("corpus", &named(&["corpus"]))?;
        let queries = self.config("queries", &named(&["queries", "query"]))?;
        let qrels = self.config("judgements", &named(&["qrels", "default"]))?;
        if let Some(subset) = subset
            && [corpus, queries, qrels].iter().all(|c| !c.is_of(subset))
        {
            return Err(self.without(&format!("subset {subset:?}")));
        }
        for (role, what) in [
            ("instruction", "instructions"),
            ("top_ranked", "given candidates"),
        ] {
            let found = self
                .configs
                .iter()
                .find(|config| named(&[role]).contains(&config.name) && !config.splits.is_empty());
            if let Some(config) = found {
                return Err(Error::Invalid(format!(
                    "the set comes with {what} (configuration {:?}), which are not read here",
                    config.name
                )));
            }
        }
        Ok(PartFiles {
            corpus: corpus.split(part.split)?,
            queries: queries.split(part.split)?,
            qrels: qrels.split(part.split)?,
        })
    }

    /// Reads a part of the repository at `folder`.
    pub(super) fn open(&self, folder: &Path, part: Part) -> Result<Dataset> {
        let of_folder = |error| Error::Invalid(format!("{}: {error}", folder.display()));
        let files = self.files(part).map_err(of_folder)?;
        let path = |names: &[String]| -> Vec<PathBuf> {
            names.iter().map(|name| folder.join(name)).collect()
        };
        let qrels = read::qrels(&path(&files.qrels))?;
        let queries = read::queries(&path(&files.queries))?;
        let queries = Dataset::judged_queries(folder, &files.qrels.join(", "), queries, &qrels)?;
        let corpus = read::corpus(&path(&files.corpus))?;
        Ok(Dataset {
            corpus,
            queries,
            qrels,
        })
    }

    fn config(&self, what: &str, names: &[String]) -> Result<&Config> {
        let found = names
            .iter()
            .find_map(|name| self.configs.iter().find(|config| config.name == *name));
        found.ok_or_else(|| self.without(&format!("{what} (wanted {})", names.join(" or "))))
    }

    fn without(&self, what: &str) -> Error {
        let there: Vec<&str> = self.configs.iter().map(|c| c.name.as_str()).collect();
        let there = there.join(", ");
        Error::Invalid(format!("no {what} among the configurations {there}"))
    }
}

/// Names of a configuration: those of the subset first, then the plain ones.
fn candidates(roles: &[&str], subset: Option<&str>) -> Vec<String> {
    let of_subset = |subset: &str| -> Vec<String> {
        let both = |role: &&str| [format!("{subset}-{role}"), format!("{role}-{subset}")];
        roles.iter().flat_map(both).collect()
    };
    let mut names = subset.map(of_subset).unwrap_or_default();
    names.extend(roles.iter().map(|role| (*role).to_owned()));
    if subset.is_none() && roles.contains(&"default") {
        names.reverse(); // MTEB takes `default` before `qrels`
    }
    names
}

impl Config {
    fn is_of(&self, subset: &str) -> bool {
        let name = &self.name;
        name.strip_prefix(subset)
            .is_some_and(|rest| rest.starts_with('-'))
            || name
                .strip_suffix(subset)
                .is_some_and(|rest| rest.ends_with('-'))
    }

    /// Files of the split of this name; of the only split, whatever its name (MTEB's rule).
    fn split(&self, name: &str) -> Result<Vec<String>> {
        let found = self.splits.iter().find(|split| split.name == name);
        let ((Some(split), _) | (None, [split])) = (found, &self.splits[..]) else {
            let there: Vec<&str> = self.splits.iter().map(|s| s.name.as_str()).collect();
            return Err(Error::Invalid(format!(
                "no split {name:?} in configuration {:?}, which has {}",
                self.name,
                there.join(", ")
            )));
        };
        names::check_sequence(&split.files)?;
        Ok(split.files.clone())
    }
}

/// Adds the files below `folder` to `files`, as paths inside it with slashes. Links are followed: snapshots of the
/// hub's cache are made of them.
fn list(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<String>) -> Result<()> {
    let io = |source| Error::Io {
        path: folder.to_owned(),
        source,
    };
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        if files.len() >= MAX_ENTRIES {
            let folder = folder.display();
            return Err(Error::Invalid(format!(
                "{folder}: more than {MAX_ENTRIES} files, no retrieval set"
            )));
        }
        let path = entry.path();
        if path.is_file() {
            files.push(format!("{prefix}{name}"));
        } else if depth > 0 && path.is_dir() {
            list(&path, &format!("{prefix}{name}/"), depth - 1, files)?;
        }
    }
    Ok(())
}
