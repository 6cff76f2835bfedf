//! What an experiment file says: a base configuration, what varies, budgets, test sets, expectations.
//!
//! This is the first stage: what was written. [`super::plan()`] makes runs of it.

use super::expect::Expectation;
use super::overlay;
use crate::files::read_capped;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Longest file read.
const MAX_BYTES: u64 = 4 << 20;

/// Text that stands for the folder of data sets at the start of a path.
pub const DATA: &str = "{data}";
/// Text that stands for the folder of a made-up world at the start of a path.
pub const WORLD: &str = "{world}";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentFile {
    /// Heading of the report.
    #[serde(default)]
    pub title: String,
    /// What the experiment asks, for the report and lists.
    #[serde(default)]
    pub about: String,
    /// Makes data and a language model before the runs.
    pub world: Option<Table>,
    /// A configuration of `dream train`, as a table or the path of one (relative to this file).
    base: Value,
    /// Dotted keys to lists of values; each combination is a variant, but `seed` repeats variants.
    #[serde(default)]
    grid: Table,
    /// Single variants.
    #[serde(default, rename = "run")]
    pub runs: Vec<NamedRun>,
    /// Where every run stops.
    pub budget: Option<Budget>,
    /// Test sets.
    #[serde(default, rename = "eval")]
    pub evals: Vec<EvalSpec>,
    /// The variant that the others are compared with; the first if none is named.
    pub baseline: Option<String>,
    /// What must come out.
    #[serde(default, rename = "expect")]
    pub expectations: Vec<Expectation>,
    /// Folder that a path in `base` is relative to.
    #[serde(skip)]
    folder: PathBuf,
}

/// `[[run]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRun {
    /// Name of the variant.
    pub name: String,
    /// Dotted keys to values.
    #[serde(default)]
    pub set: Table,
}

/// `[[eval]]`: a BEIR folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalSpec {
    /// Name in tables and expectations.
    pub name: String,
    /// The folder.
    pub data: PathBuf,
    /// Which judgements.
    #[serde(default = "test")]
    pub split: String,
}

fn test() -> String {
    "test".into()
}

/// `[budget]`: what every run may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// What is counted.
    pub kind: BudgetKind,
    /// How much of it.
    pub amount: u64,
}

/// What a budget counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetKind {
    /// Training queries, repetitions counted.
    Queries,
    /// Tokens the language model reads.
    LlmTokens,
    /// Seconds of training, evaluations left out.
    Seconds,
}

impl BudgetKind {
    /// As it stands in files and tables.
    pub fn label(self) -> &'static str {
        match self {
            Self::Queries => "queries",
            Self::LlmTokens => "LLM tokens",
            Self::Seconds => "seconds of training",
        }
    }
}

impl ExperimentFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Names the file, and line and column where its text is at fault.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            String::from_utf8(read_capped(path, MAX_BYTES)?).map_err(|_| Error::Malformed {
                path: path.into(),
                what: "not UTF-8".into(),
            })?;
        Self::parse(&text, path)
    }

    /// Parses a file's text; `path` is for messages, and its folder for `base`.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let malformed = |what: String| Error::Malformed {
            path: path.into(),
            what,
        };
        let mut file: Self = toml::from_str(text).map_err(|e| malformed(e.to_string()))?;
        path.parent()
            .unwrap_or(Path::new(""))
            .clone_into(&mut file.folder);
        file.check().map_err(|e| malformed(e.to_string()))?;
        Ok(file)
    }

    fn check(&self) -> Result<()> {
        let invalid = |what: String| Err(Error::Invalid(what));
        for (key, values) in self.grid() {
            match values.as_array() {
                Some(values) if !values.is_empty() => {}
                _ => return invalid(format!("grid: {key} must be a list with a value or more")),
            }
        }
        if self.seeds()?.is_some_and(|seeds| has_twice(&seeds)) {
            return invalid("grid: a seed stands there twice".into());
        }
        for run in &self.runs {
            check_name("[[run]]", &run.name)?;
        }
        for eval in &self.evals {
            check_name("[[eval]]", &eval.name)?;
        }
        let names: Vec<&str> = self.evals.iter().map(|eval| eval.name.as_str()).collect();
        if has_twice(&names) {
            return invalid("two [[eval]] sets have the same name".into());
        }
        if names.iter().any(|name| name.starts_with(super::HELDOUT)) {
            return invalid(format!(
                "[[eval]]: names that begin with {} are those of held-out rows",
                super::HELDOUT
            ));
        }
        if self.budget.is_some_and(|budget| budget.amount == 0) {
            return invalid("budget.amount must be at least 1".into());
        }
        self.expectations.iter().try_for_each(Expectation::check)
    }

    /// What varies, with dotted keys; `seed` among it if seeds are given.
    pub(super) fn grid(&self) -> Vec<(String, Value)> {
        overlay::leaves(&self.grid)
    }

    /// The seeds of every variant, if the grid names some.
    pub(super) fn seeds(&self) -> Result<Option<Vec<u64>>> {
        let Some((_, values)) = self.grid().into_iter().find(|(key, _)| key == "seed") else {
            return Ok(None);
        };
        let seed = |value: &Value| value.as_integer().and_then(|seed| u64::try_from(seed).ok());
        let seeds: Option<Vec<u64>> = values.as_array().into_iter().flatten().map(seed).collect();
        seeds.map(Some).ok_or_else(|| {
            Error::Invalid(format!(
                "grid: seed must be a list of whole numbers, not {values}"
            ))
        })
    }

    /// The base configuration.
    ///
    /// # Errors
    /// It is neither a table nor the path of a TOML file.
    pub(super) fn base(&self) -> Result<Table> {
        match &self.base {
            Value::Table(table) => Ok(table.clone()),
            Value::String(path) => {
                let path = self.folder.join(path);
                let text = String::from_utf8(read_capped(&path, MAX_BYTES)?);
                let malformed = |what: String| Error::Malformed {
                    path: path.clone(),
                    what,
                };
                let text = text.map_err(|_| malformed("not UTF-8".into()))?;
                text.parse()
                    .map_err(|e: toml::de::Error| malformed(e.to_string()))
            }
            other => Err(Error::Invalid(format!(
                "base must be a table or the path of a configuration, not a {}",
                other.type_str()
            ))),
        }
    }
}

/// Refuses names that cannot be those of folders, or that an expectation could not spell.
pub(super) fn check_name(place: &str, name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.,+=".contains(c);
    let is_good =
        !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(fits);
    if is_good {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{place}: a name is 1 to 100 letters, digits or -_.,+= and begins with no dot, not {name:?}"
    )))
}

fn has_twice<T: PartialEq>(values: &[T]) -> bool {
    (1..values.len()).any(|i| values[..i].contains(&values[i]))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let parsed = ExperimentFile::parse(text, Path::new("x.toml"));
        parsed.unwrap_err().to_string()
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_place() {
        let cases = [
            ("base = 'a.toml'\nbudgets = 1", "unknown field `budgets`"),
            (
                "[base]\n[grid]\n'data.candidates' = 4",
                "data.candidates must be a list",
            ),
            ("[base]\n[grid]\nseed = []", "seed must be a list"),
            ("[base]\n[grid]\nseed = [1, 1]", "twice"),
            ("[base]\n[grid]\nseed = [-1]", "whole numbers"),
            ("[base]\n[[run]]\nname = 'a/b'", "a/b"),
            (
                "[base]\n[[run]]\nname = 'a'\nsets = {}",
                "unknown field `sets`",
            ),
            (
                "[base]\n[budget]\nkind = 'steps'\namount = 1",
                "unknown variant `steps`",
            ),
            (
                "[base]\n[budget]\nkind = 'seconds'\namount = 0",
                "at least 1",
            ),
            (
                "[base]\n[[eval]]\nname = 'a'\ndata = 'x'\n[[eval]]\nname = 'a'\ndata = 'y'",
                "same name",
            ),
            ("[base]\n[[eval]]\nname = 'heldout'\ndata = 'x'", "held-out"),
        ];
        for (text, wanted) in cases {
            let message = error(text);
            assert!(
                message.contains(wanted) && message.contains("x.toml"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_base_is_a_table_or_a_file_beside_the_experiment() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("base.toml"), "seed = 7").unwrap();
        let path = folder.path().join("x.toml");
        let named = ExperimentFile::parse("base = 'base.toml'", &path).unwrap();
        let inline = ExperimentFile::parse("[base]\nseed = 7", &path).unwrap();
        assert_eq!(named.base().unwrap(), inline.base().unwrap());
        let absent = ExperimentFile::parse("base = 'none.toml'", &path).unwrap();
        assert!(absent.base().unwrap_err().to_string().contains("none.toml"));
    }
}
