//! One run of an experiment: heads, start, training within the budget, evaluation.

use super::Session;
use super::measure::{Start, geometry_of, is_heldout, sets};
use super::stock::Stock;
use crate::load::{RetrieverArgs, retriever_on};
use crate::memory::{forget_peak, peak_rss_bytes};
use crate::training::{Stop, Training, TrainingResult, find_heads};
use anyhow::Result;
use dream::experiment::folder::{key, read_json};
use dream::experiment::{BudgetKind, PerQuery, PlannedRun, RunResult, SetResult, Spent, start_set};
use dream::files::{write_atomic, write_json};
use dream::heads::detect::packer;
use dream::heads::{HeadList, Selector};
use dream::model::Model;
use dream::report::metrics::read_metrics;
use dream::train::config::LlmConfig;
use dream::train::evaluation::EvalSet;
use dream::train::{TrainConfig, TrainData};
use dream_ir::beir::Dataset;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// Steps that are looked at before a budget of tokens or seconds is planned.
const PROBED_STEPS: u64 = 2;
/// Share of steps planned beyond a budget: prompts differ in length, and the budget stops the run.
const PLANNED_BEYOND: f64 = 1.1;

/// Steps of a run whose budget counts no queries: written before it starts, so that it stays the same.
#[derive(Serialize, Deserialize)]
struct StepsPlan {
    steps: u64,
}

/// What a run is made of.
struct Parts {
    data: Rc<TrainData>,
    base: Arc<Model>,
    llm: Option<Arc<Model>>,
    eval_data: Option<Rc<Dataset>>,
}

fn parts(run: &PlannedRun, stock: &mut Stock, session: &Session<'_>) -> Result<Parts> {
    let config = &run.config;
    let dtype = config.dtype.resolve();
    let llm = config.llm.as_ref();
    // What asks no language model gets none, whatever the base configuration of the experiment says.
    let llm = llm.filter(|_| config.objective.needs_llm());
    let eval = &config.eval;
    let eval_data = eval.data.as_ref();
    Ok(Parts {
        data: stock.data(config)?,
        base: stock.model(&config.retriever.model, dtype, session.app)?,
        llm: llm
            .map(|llm| stock.model(&llm.model, dtype, session.app))
            .transpose()?,
        eval_data: eval_data
            .map(|folder| stock.dataset(folder, &eval.split))
            .transpose()?,
    })
}

impl Session<'_> {
    /// Refuses a run that cannot be, as far as that shows before any training.
    pub fn check(&self, run: &PlannedRun, stock: &mut Stock) -> Result<()> {
        let parts = parts(run, stock, self)?;
        let config = &run.config;
        let (Some(model), Some(llm)) = (&parts.llm, &config.llm) else {
            return Ok(());
        };
        // Single documents fit where prompts do; candidates to be searched are not known yet.
        if !config.objective.needs_heads() || parts.data.is_searched() {
            return Ok(());
        }
        let packer = packer(model, &llm.template, llm.limits());
        for group in parts.data.step(0, config.training.batch_size, None) {
            let texts = parts.data.texts(&group);
            let prefix = packer.prefix(texts.documents.iter().copied())?;
            for query in &texts.queries {
                let suffix = packer.suffix(query.question, query.target)?;
                packer.fits(prefix.ids.len(), suffix.ids.len())?;
            }
        }
        Ok(())
    }

    /// Makes a run, or what is missing of it.
    pub fn one(
        &self,
        run: &PlannedRun,
        stock: &mut Stock,
        tests: &[(String, Rc<Dataset>)],
    ) -> Result<RunResult> {
        forget_peak();
        let folder = &run.config.output;
        let parts = parts(run, stock, self)?;
        let sets = sets(&run.config, &parts.data, tests)?;
        let start = self.start(&run.config, &parts.data, &parts.base, &sets)?;
        self.folder.begin(run)?;
        let place = |set: &str| self.folder.per_query(run, set);
        let trained_file = folder.join("training.json");
        let known: Option<TrainingResult> = read_json(&trained_file)?;
        let trained = if let Some(trained) = known {
            trained
        } else {
            let trained = self.train(run, &parts)?;
            for measured in &trained.measured {
                if is_heldout(&measured.set) {
                    let scores = measured.evaluation.scores.clone();
                    PerQuery { scores }.write(&place(&measured.set))?;
                }
            }
            write_json(&trained_file, &trained)?;
            trained
        };
        let adapter = RetrieverArgs {
            adapter: Some(trained.adapter.clone()),
            ..RetrieverArgs::default()
        };
        let retriever = retriever_on(Arc::clone(&parts.base), &adapter)?;
        self.evaluate(&run.name(), &retriever, &sets, &place)?;
        let geometry_file = folder.join("geometry.json");
        let geometry_after = geometry_of(&retriever, &parts.data, run.seed, &geometry_file)?;
        let set_results = sets.iter().map(|set| self.set_result(run, set, &start));
        let result = RunResult {
            variant: run.variant.clone(),
            seed: run.seed,
            digest: run.digest.clone(),
            spent: Spent::of(&read_metrics(&folder.join("metrics.jsonl"))?),
            peak_memory_bytes: peak_rss_bytes(),
            heads: trained.heads,
            bm25: trained.bm25,
            sets: set_results.collect::<Result<_>>()?,
            geometry_before: start.geometry.clone(),
            geometry_after,
            start: start.key,
            heldout: start.heldout,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        self.folder.finish(run, &result)?;
        Ok(result)
    }

    fn set_result(&self, run: &PlannedRun, set: &EvalSet<'_>, start: &Start) -> Result<SetResult> {
        let name = &set.name;
        let before = start_set(name, &start.heldout);
        let before = PerQuery::read(&self.folder.start_per_query(&start.key, &before))?;
        let after = PerQuery::read(&self.folder.per_query(run, name))?;
        Ok(SetResult {
            set: name.clone(),
            queries: after.n_queries(),
            before: before.means(),
            after: after.means(),
        })
    }

    /// Trains, or goes on training, as far as the budget goes.
    fn train(&self, run: &PlannedRun, parts: &Parts) -> Result<TrainingResult> {
        let mut config = run.config.clone();
        let heads = match (&parts.llm, &config.llm) {
            (Some(model), Some(llm)) => self.heads(model, llm, &config, &parts.data)?,
            _ => None,
        };
        let budget = self.file.budget;
        let stop = match budget.map(|budget| (budget.kind, budget.amount)) {
            Some((BudgetKind::LlmTokens, amount)) => Some(Stop::LlmTokens(amount)),
            Some((BudgetKind::Seconds, amount)) => Some(Stop::Seconds(amount)),
            Some((BudgetKind::Queries, _)) | None => None,
        };
        if let Some(stop) = stop {
            config.training.steps = self.planned_steps(&config, stop, parts, heads.as_ref())?;
        }
        training(&config, parts, heads, stop).run(self.app)
    }

    /// Steps that a budget of tokens or seconds lasts for, and a few more: so that the learning rate
    /// goes down within it. Found by a probe of two steps.
    fn planned_steps(
        &self,
        config: &TrainConfig,
        stop: Stop,
        parts: &Parts,
        heads: Option<&HeadList>,
    ) -> Result<u64> {
        let file = config.output.join("steps.json");
        if let Some(plan) = read_json::<StepsPlan>(&file)? {
            return Ok(plan.steps);
        }
        let mut probe = config.clone();
        probe.output = config.output.join("probe");
        probe.training.steps = PROBED_STEPS + 1;
        probe.eval.every = 0;
        remove(&probe.output)?;
        let steps = PROBED_STEPS;
        let stop_probe = Some(Stop::Probe { steps });
        training(&probe, parts, heads.cloned(), stop_probe).run(self.app)?;
        let records = read_metrics(&probe.output.join("metrics.jsonl"))?;
        remove(&probe.output)?;
        let spent = Spent::of(&records);
        // The first step is slower: everything is touched for the first time.
        let first = Spent::of(&records[..records.len().min(1)]);
        let (amount, a_step) = match stop {
            Stop::Seconds(amount) => (amount, spent.training_secs - first.training_secs),
            Stop::LlmTokens(amount) => (amount, spent.llm_tokens as f64 / steps as f64),
            Stop::Probe { steps } => (steps, 1.0),
        };
        let steps = if a_step > 0.0 {
            (PLANNED_BEYOND * amount as f64 / a_step).ceil() as u64
        } else {
            tracing::warn!(
                "a run that asks no language model does not use up a budget of its tokens: it takes \
                 the configuration's {} steps",
                config.training.steps
            );
            config.training.steps
        };
        let steps = steps.max(1);
        write_json(&file, &StepsPlan { steps })?;
        Ok(steps)
    }

    /// The configuration's head list found once for all runs that share model, rows and settings; `None`
    /// where nothing has to be found.
    fn heads(
        &self,
        model: &Model,
        llm: &LlmConfig,
        config: &TrainConfig,
        data: &TrainData,
    ) -> Result<Option<HeadList>> {
        if llm.heads.is_some() || llm.detect.selector == Selector::Random {
            return Ok(None);
        }
        let mut detect = llm.detect.clone();
        // All heads are scored whatever is asked for.
        detect.count = 0;
        let rows = (&config.data.path, config.eval.heldout, config.seed);
        let prompt = (&llm.template, llm.document_tokens, llm.question_tokens);
        let key = key(&(&model.digest, config.dtype, rows, detect, prompt))?;
        let path = self.folder.heads(&key);
        let mut list = if path.exists() {
            HeadList::read(&path)?
        } else {
            let list = find_heads(model, llm, &data.set, self.app)?;
            write_json(&path, &list)?;
            list
        };
        list.selected = llm.detect.count.min(list.heads.len());
        Ok(Some(list))
    }
}

/// A training of the experiment: always one that goes on.
fn training<'a>(
    config: &'a TrainConfig,
    parts: &'a Parts,
    heads: Option<HeadList>,
    stop: Option<Stop>,
) -> Training<'a> {
    Training {
        config,
        data: &parts.data,
        eval_data: parts.eval_data.as_deref(),
        base: Arc::clone(&parts.base),
        llm: parts.llm.clone(),
        resume: true,
        config_path: None,
        examples: &[],
        heads,
        stop,
    }
}

/// Takes a folder away, if it is there.
fn remove(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(dream::Error::io(folder, e).into())
        }
        _ => Ok(()),
    }
}

/// Writes a text file whole or not at all.
pub fn write_lines(path: &Path, lines: &[String]) -> Result<()> {
    let text = lines.join("\n") + "\n";
    Ok(write_atomic(path, text.as_bytes())?)
}
