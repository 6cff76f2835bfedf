//! From a file to runs: variants, their names, their configurations, and what makes each run itself.

use super::file::{BudgetKind, DATA, ExperimentFile, WORLD, check_name};
use super::overlay;
use crate::train::TrainConfig;
use crate::{Error, Result};
use dream_nn::DtypeChoice;
use serde::Deserialize as _;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Name of the only variant of a file without any other.
const ONLY: &str = "base";

/// Dotted keys and values.
type Settings = Vec<(String, Value)>;

/// One run to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedRun {
    /// Name of the variant.
    pub variant: String,
    /// Seed of everything drawn.
    pub seed: u64,
    /// What `dream train` would be given.
    pub config: TrainConfig,
    /// Digest of the configuration and the budget: another one is another run.
    pub digest: String,
}

impl PlannedRun {
    /// Name of the run and of its folder.
    pub fn name(&self) -> String {
        format!("{}-seed{}", self.variant, self.seed)
    }
}

/// Where things are on this machine.
#[derive(Clone, Debug)]
pub struct Places {
    /// The experiment's folder.
    pub out: PathBuf,
    /// What `{data}` stands for.
    pub data: PathBuf,
    /// What `{world}` stands for.
    pub world: PathBuf,
    /// Number type instead of the configurations'.
    pub dtype: Option<DtypeChoice>,
}

impl Places {
    /// A path of the file on this machine.
    ///
    /// # Errors
    /// A path that is not UTF-8.
    pub fn filled(&self, path: &Path) -> Result<PathBuf> {
        let text = path.to_string_lossy().into_owned();
        let mut value = Value::String(text);
        self.fill(&mut value)?;
        Ok(value.as_str().map_or_else(|| path.into(), PathBuf::from))
    }

    fn fill(&self, value: &mut Value) -> Result<()> {
        overlay::fill(value, &[(DATA, &self.data), (WORLD, &self.world)])
    }
}

/// All runs of a file: each variant with each seed, in order.
///
/// # Errors
/// Names the variant whose configuration cannot be.
pub fn plan(file: &ExperimentFile, places: &Places) -> Result<Vec<PlannedRun>> {
    let base = file.base()?;
    let seeds = file.seeds()?;
    let mut runs: Vec<PlannedRun> = Vec::new();
    for (name, settings) in variants(file)? {
        if runs.iter().any(|run| run.variant == name) || name == super::UNTRAINED {
            return Err(Error::Invalid(format!(
                "two variants are called {name}: name them with [[run]]"
            )));
        }
        let seeds: Vec<Option<u64>> = match &seeds {
            Some(seeds) => seeds.iter().copied().map(Some).collect(),
            None => vec![None],
        };
        for seed in seeds {
            let run = planned(&base, &name, &settings, seed, file, places);
            runs.push(run.map_err(|e| Error::Invalid(format!("variant {name}: {e}")))?);
        }
    }
    let mut known = runs.iter().map(|run| run.variant.as_str());
    if let Some(baseline) = file.baseline.as_deref().filter(|b| known.all(|v| v != *b)) {
        return Err(Error::Invalid(format!(
            "baseline is {baseline:?}, but the variants are {}",
            names(&runs).join(", ")
        )));
    }
    for expectation in &file.expectations {
        expectation.check_names(&names(&runs), file)?;
    }
    Ok(runs)
}

/// Names of the variants, each once, in order.
pub fn names(runs: &[PlannedRun]) -> Vec<&str> {
    let mut names: Vec<&str> = runs.iter().map(|run| run.variant.as_str()).collect();
    names.dedup();
    names
}

/// The base as a variant has it.
fn planned(
    base: &Table,
    variant: &str,
    settings: &[(String, Value)],
    seed: Option<u64>,
    file: &ExperimentFile,
    places: &Places,
) -> Result<PlannedRun> {
    let mut table = base.clone();
    for (key, value) in settings {
        overlay::set(&mut table, key, value)?;
    }
    if let Some(seed) = seed {
        let seed = i64::try_from(seed).map_err(|e| Error::Invalid(format!("seed {seed}: {e}")))?;
        overlay::set(&mut table, "seed", &Value::Integer(seed))?;
    }
    overlay::set(&mut table, "output", &Value::String(String::new()))?;
    let mut value = Value::Table(table);
    places.fill(&mut value)?;
    let mut config = TrainConfig::deserialize(value).map_err(|e| Error::Invalid(e.to_string()))?;
    config.dtype = places.dtype.unwrap_or(config.dtype);
    // The untrained start is evaluated once for all runs that share it.
    config.eval.at_start = false;
    if let Some(budget) = file.budget.filter(|b| b.kind == BudgetKind::Queries) {
        let batch = config.training.batch_size as u64;
        if batch == 0 || !budget.amount.is_multiple_of(batch) {
            return Err(Error::Invalid(format!(
                "a budget of {} queries is no whole number of steps of {batch}",
                budget.amount
            )));
        }
        config.training.steps = budget.amount / batch;
    }
    config.check()?;
    let text = serde_json::to_string(&(&config, file.budget))
        .map_err(|e| Error::Invalid(format!("cannot write the configuration: {e}")))?;
    let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
    let mut run = PlannedRun {
        variant: variant.into(),
        seed: config.seed,
        config,
        digest,
    };
    run.config.output = places.out.join(super::folder::RUNS).join(run.name());
    Ok(run)
}

/// Names and settings of all variants, without seeds: the grid's combinations, then the named ones.
fn variants(file: &ExperimentFile) -> Result<Vec<(String, Settings)>> {
    let mut keys = file.grid();
    keys.retain(|(key, _)| key != "seed");
    let mut found: Vec<Settings> = vec![Vec::new()];
    for (key, values) in &keys {
        let values = values.as_array().map_or(&[][..], Vec::as_slice);
        found = found
            .iter()
            .flat_map(|settings| {
                values.iter().map(move |value| {
                    let mut settings = settings.clone();
                    settings.push((key.clone(), value.clone()));
                    settings
                })
            })
            .collect();
    }
    if keys.is_empty() && !file.runs.is_empty() {
        found.clear();
    }
    let mut named: Vec<(String, Settings)> = found
        .into_iter()
        .map(|settings| (name_of(&settings), settings))
        .collect();
    for run in &file.runs {
        named.push((run.name.clone(), overlay::leaves(&run.set)));
    }
    for (name, _) in &named {
        check_name("variant", name)?;
    }
    Ok(named)
}

/// A combination's name: texts as they are, other values behind the last word of their key.
fn name_of(settings: &[(String, Value)]) -> String {
    let part = |(key, value): &(String, Value)| match value {
        Value::String(text) => Path::new(text)
            .file_name()
            .map_or_else(|| text.clone(), |name| name.to_string_lossy().into_owned()),
        other => format!("{}={other}", key.rsplit('.').next().unwrap_or(key)),
    };
    let parts: Vec<String> = settings.iter().map(part).collect();
    if parts.is_empty() {
        ONLY.into()
    } else {
        parts.join("-")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const BASE: &str = "[base.data]\npath = '{data}/nq'\n[base.llm]\nmodel = 'm'\n\
        [base.retriever]\nmodel = 'm'\n[base.training]\nbatch_size = 8\n";

    fn places(data: &str) -> Places {
        Places {
            out: "out".into(),
            data: data.into(),
            world: "w".into(),
            dtype: None,
        }
    }

    fn planned(rest: &str) -> Result<Vec<PlannedRun>> {
        let file = ExperimentFile::parse(&format!("{rest}\n{BASE}"), Path::new("x.toml"))?;
        plan(&file, &places("/d"))
    }

    #[test]
    fn a_grid_is_crossed_and_named_and_named_runs_get_the_seeds_alone() {
        let runs = planned(
            "grid.seed = [1, 2]\ngrid.'data.candidates' = [4, 8]\ngrid.objective.name = ['dream', 'infonce']\n\
             run = [{ name = 'few', set = { 'llm.detect.count' = 4 } }]",
        )
        .unwrap();
        let names: Vec<String> = runs.iter().map(PlannedRun::name).collect();
        let wanted = [
            "candidates=4-dream-seed1",
            "candidates=4-dream-seed2",
            "candidates=4-infonce-seed1",
            "candidates=4-infonce-seed2",
            "candidates=8-dream-seed1",
            "candidates=8-dream-seed2",
            "candidates=8-infonce-seed1",
            "candidates=8-infonce-seed2",
            "few-seed1",
            "few-seed2",
        ];
        assert_eq!(names, wanted);
        let last = &runs[9].config;
        assert_eq!((last.seed, last.data.candidates), (2, 8));
        assert_eq!(last.llm.as_ref().unwrap().detect.count, 4);
        assert_eq!(last.data.path, Path::new("/d/nq"));
        assert_eq!(last.output, Path::new("out/runs/few-seed2"));
        assert_eq!(runs[2].config.data.candidates, 4);
        // Without a grid, one run; with named runs alone, those.
        assert_eq!(planned("").unwrap()[0].name(), "base-seed0");
        let named = planned("run = [{ name = 'a' }, { name = 'b' }]").unwrap();
        assert_eq!(super::names(&named), ["a", "b"]);
    }

    #[test]
    fn a_variant_that_cannot_be_is_named() {
        let message = |rest: &str| planned(rest).unwrap_err().to_string();
        let bad = message("run = [{ name = 'odd', set = { 'data.candidate' = 4 } }]");
        assert!(
            bad.contains("variant odd") && bad.contains("candidate"),
            "{bad}"
        );
        let bad = message("run = [{ name = 'odd', set = { 'data.candidates' = 0 } }]");
        assert!(
            bad.contains("variant odd") && bad.contains("at least 1"),
            "{bad}"
        );
        let bad = message("run = [{ name = 'a' }, { name = 'a' }]");
        assert!(bad.contains("two variants"), "{bad}");
        let bad = message("baseline = 'z'\nrun = [{ name = 'a' }]");
        assert!(bad.contains("\"z\"") && bad.contains('a'), "{bad}");
    }

    #[test]
    fn a_budget_of_queries_sets_the_steps_and_must_be_whole() {
        let budget = |amount| format!("budget = {{ kind = 'queries', amount = {amount} }}");
        assert_eq!(planned(&budget(64)).unwrap()[0].config.training.steps, 8);
        let error = planned(&budget(65)).unwrap_err().to_string();
        assert!(
            error.contains("65 queries") && error.contains("steps of 8"),
            "{error}"
        );
    }

    #[test]
    fn a_digest_changes_with_settings_and_budget_and_not_with_the_folder() {
        let digest = |rest: &str| planned(rest).unwrap()[0].digest.clone();
        let plain = digest("");
        let file = ExperimentFile::parse(BASE, Path::new("x.toml")).unwrap();
        let moved = Places {
            out: "elsewhere".into(),
            ..places("/d")
        };
        assert_eq!(plan(&file, &moved).unwrap()[0].digest, plain);
        let changes = [
            "grid.'optimizer.lr' = [1e-3]",
            "grid.seed = [9]",
            "budget = { kind = 'seconds', amount = 9 }",
        ];
        for change in changes {
            assert_ne!(digest(change), plain, "{change}");
        }
    }
}
