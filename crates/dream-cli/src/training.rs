//! What `dream train` and `dream quickstart` share: heads, objective, the run with its progress, and
//! the report at the end.

use crate::cli::App;
use crate::commands::train::figure;
use crate::interrupt;
use crate::progress::{Progress, Unit};
use anyhow::Result;
use dream::experiment::Spent;
use dream::heads::detect::{self, DetectSettings, detect, packer, probes};
use dream::heads::{HeadList, Selector};
use dream::llm::InjectionConfig;
use dream::model::Model;
use dream::report::html::Fact;
use dream::report::metrics::{Record, read_metrics};
use dream::report::svg::Reference;
use dream::train::config::{LlmConfig, TrainConfig};
use dream::train::evaluation::{EvalSet, Measured};
use dream::train::objective::{self, LanguageModel};
use dream::train::run_folder::{ADAPTER, HEADS, ReportParts, RunFolder, explain_row};
use dream::train::{Event, Observer, Outcome, Setup, TrainData, Trainer, checkpoint};
use dream_ir::beir::Dataset;
use dream_ir::{Bm25, Bm25Params, Document, Hit, Measure, Run, TrainingRow, TrainingSet, evaluate};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Explained questions in a report.
const EXAMPLES: usize = 3;
/// Documents of an explained question.
const EXAMPLE_DOCUMENTS: usize = 5;

/// A training to be run.
pub struct Training<'a> {
    /// The configuration.
    pub config: &'a TrainConfig,
    /// Rows, corpus, pools.
    pub data: &'a TrainData,
    /// A BEIR set to evaluate on.
    pub eval_data: Option<&'a Dataset>,
    /// The retriever's base.
    pub base: Arc<Model>,
    /// The language model.
    pub llm: Option<Arc<Model>>,
    /// Go on from the newest checkpoint.
    pub resume: bool,
    /// Where the configuration was read, for the report's commands.
    pub config_path: Option<&'a Path>,
    /// Rows that the report explains; held-out (else training) rows if there are none.
    pub examples: &'a [TrainingRow],
    /// Heads to use instead of the configuration's, or of finding some.
    pub heads: Option<HeadList>,
    /// Where to stop before the last step.
    pub stop: Option<Stop>,
}

/// A place to stop at before the last step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stop {
    /// After so many steps, to see what a step takes; nothing is measured, explained or reported.
    Probe {
        /// Steps to take.
        steps: u64,
    },
    /// When the language model has read so many tokens.
    LlmTokens(u64),
    /// After so many seconds of training, evaluations left out.
    Seconds(u64),
}

impl Stop {
    fn is_reached(self, spent: &Spent) -> bool {
        match self {
            Self::Probe { steps } => spent.steps >= steps,
            Self::LlmTokens(tokens) => spent.llm_tokens >= tokens,
            Self::Seconds(secs) => spent.training_secs >= secs as f64,
        }
    }
}

/// Says that prompts hold fewer documents than asked for.
pub fn warn_of_small_corpus(setting: &str, asked: usize, documents: usize) {
    if asked > documents {
        tracing::warn!(
            "{setting} is {asked}, but the corpus holds {documents} documents: all are used"
        );
    }
}

/// What a training came to; the JSON of `dream train --json`.
#[derive(Debug, Serialize, Deserialize)]
pub struct TrainingResult {
    /// Steps taken in all.
    pub steps: u64,
    /// Seconds of training and evaluation.
    pub wall_secs: f64,
    /// nDCG@10 of BM25 on the evaluated queries; like those below, absent without evaluation.
    pub bm25: Option<f64>,
    /// nDCG@10 before training.
    pub before: Option<f64>,
    /// nDCG@10 after training.
    pub after: Option<f64>,
    /// Heads that carried the weights.
    pub heads: Option<String>,
    /// The trained adapter.
    pub adapter: PathBuf,
    /// The page about the run.
    pub report: PathBuf,
    /// What the evaluation after the last step measured, query by query.
    #[serde(skip)]
    pub measured: Vec<Measured>,
}

impl Training<'_> {
    /// Finds heads, trains, writes the report.
    pub fn run(&self, app: &App) -> Result<TrainingResult> {
        let Self { config, data, .. } = self;
        let documents = data.set.corpus.len();
        warn_of_small_corpus("data.candidates", config.data.candidates, documents);
        let heads = match (&self.llm, &config.llm) {
            (Some(model), Some(llm)) if config.objective.needs_heads() || llm.heads.is_some() => {
                let mut list = self.heads(model, llm, app)?;
                let selected = list.for_model(model)?;
                Some((list, selected))
            }
            _ => None,
        };
        let (list, selected) = heads.unzip();
        let injection = match (&config.llm, &selected) {
            (Some(llm), Some(heads)) => Some(InjectionConfig {
                heads: heads.clone(),
                rows: llm.rows,
                budget: llm.budget,
                gate: llm.gate,
            }),
            _ => None,
        };
        let pair = self.llm.as_deref().zip(config.llm.as_ref());
        let language_model = pair.map(|(model, llm)| LanguageModel {
            model,
            packer: packer(model, &llm.template, llm.limits()),
        });
        let objective = objective::build(&config.objective, language_model, injection.as_ref())?;
        let mut trainer = Trainer::new(Setup {
            config,
            data,
            eval_data: self.eval_data,
            objective: &objective,
            base: Arc::clone(&self.base),
            llm: self.llm.as_deref(),
            resume: self.resume,
        })?;
        let resumed_after = self.resume.then(|| trainer.step());
        let folder = RunFolder::open(config, resumed_after, "dream")?;
        if let Some(list) = &list {
            folder.write_heads(list)?;
        }
        let mut watcher = Watcher::new(folder, self.stop, app)?;
        let outcome = trainer.run(&mut watcher)?;
        let is_spent = watcher.is_spent();
        let folder = watcher.finish()?;
        if outcome == Outcome::Stopped && !is_spent {
            let at = trainer.step();
            tracing::warn!("stopped after step {at}; a resumed run goes on from there");
            return Err(dream::Error::Stopped.into());
        }
        let mut result = TrainingResult {
            steps: trainer.step(),
            wall_secs: trainer.wall_secs(),
            bm25: None,
            before: None,
            after: None,
            heads: selected.as_ref().map(ToString::to_string),
            adapter: config.output.join(ADAPTER),
            report: config.output.join("report.html"),
            measured: Vec::new(),
        };
        if matches!(self.stop, Some(Stop::Probe { .. })) {
            return Ok(result);
        }
        result.bm25 = match trainer.eval_set() {
            Some(set) => Some(self.bm25(set)?),
            None => None,
        };
        let records = read_metrics(&folder.path().join("metrics.jsonl"))?;
        let ndcg: Vec<f64> = records
            .iter()
            .filter_map(|r| match r {
                Record::Eval(e) if trainer.eval_set().is_some_and(|s| s.name == e.eval.name) => {
                    e.eval.measures.get("nDCG@10").copied()
                }
                _ => None,
            })
            .collect();
        result.before = ndcg.first().copied().filter(|_| config.eval.at_start);
        // A run that was stopped before its last step has no evaluation after it.
        if outcome == Outcome::Finished {
            result.after = ndcg.last().copied();
            result.measured = trainer.measured().to_vec();
        }
        let mut explanations = Vec::new();
        if let (Some(LanguageModel { model, packer }), Some(injection)) =
            (&language_model, &injection)
        {
            for (row, documents) in self.examples()? {
                let explained = explain_row(
                    model,
                    packer,
                    injection,
                    trainer.retriever(),
                    trainer.temperature(),
                    row,
                    &documents,
                );
                // Too long a prompt, say: no reason to lose the trained adapter.
                match explained {
                    Ok(explained) => explanations.push(explained),
                    Err(error) => tracing::warn!("row {:?} is not explained: {error}", row.id),
                }
            }
        }
        let parts = ReportParts {
            title: format!("Training run {}", config.output.display()),
            intro: intro(config),
            heads: list.as_ref(),
            references: result.bm25.map(reference).into_iter().collect(),
            facts: facts(&result),
            explanations,
            commands: self.commands(),
        };
        folder.finish(&trainer, parts)?;
        Ok(result)
    }

    /// The heads of the run that goes on, of the configuration, or found now.
    fn heads(&self, model: &Model, llm: &LlmConfig, app: &App) -> Result<HeadList> {
        let output = &self.config.output;
        let stored = output.join(HEADS);
        if let Some(heads) = &self.heads {
            return Ok(heads.clone());
        }
        // Without a checkpoint nothing depends on them yet.
        if self.resume && stored.exists() && !checkpoint::list(output)?.is_empty() {
            return Ok(HeadList::read(&stored)?);
        }
        if let Some(text) = &llm.heads {
            return Ok(HeadList::parse_or_read(text)?);
        }
        let list = find_heads(model, llm, &self.data.set, app)?;
        tracing::info!("selected heads {}", list.selection()?);
        Ok(list)
    }

    /// BM25's nDCG@10 on what the trainer evaluates.
    fn bm25(&self, set: &EvalSet<'_>) -> Result<f64> {
        let EvalSet {
            documents,
            queries,
            qrels,
            ..
        } = set;
        let params = Bm25Params {
            k1: self.config.data.bm25_k1,
            b: self.config.data.bm25_b,
            language: self.config.data.language,
        };
        let texts: Vec<String> = documents.iter().map(|d| d.full_text()).collect();
        let index = Bm25::of_texts(&texts, params)?;
        let asked: Vec<&str> = queries.iter().map(|(_, text)| text.as_str()).collect();
        let mut run = Run::default();
        for ((id, _), hits) in queries.iter().zip(index.search_all(&asked, 100)) {
            let hits = hits.into_iter().map(|(d, score)| Hit {
                document: documents[d].id.clone(),
                score,
            });
            run.insert(id.clone(), hits.collect())?;
        }
        let measure = Measure::Ndcg(10);
        Ok(evaluate(qrels, &run, &[measure])?
            .mean(measure)
            .unwrap_or(0.0))
    }

    /// Held-out rows (else training rows), each with BM25's best documents and its known one.
    fn examples(&self) -> Result<Vec<(&TrainingRow, Vec<&Document>)>> {
        let TrainingSet { rows, corpus } = &self.data.set;
        let rows = [self.examples, &self.data.heldout, rows]
            .into_iter()
            .find(|rows| !rows.is_empty())
            .unwrap_or_default();
        let index = Bm25::of_corpus(corpus, Bm25Params::default())?;
        let examples = rows.iter().take(EXAMPLES).map(|row| {
            let mut found: Vec<usize> = index
                .search(&row.query, EXAMPLE_DOCUMENTS)
                .into_iter()
                .map(|(d, _)| d)
                .collect();
            let known = row.positive_ids.iter().find_map(|id| corpus.index_of(id));
            if let Some(known) = known.filter(|known| !found.contains(known)) {
                found.truncate(EXAMPLE_DOCUMENTS - 1);
                found.push(known);
            }
            (
                row,
                found.into_iter().map(|d| &corpus.documents()[d]).collect(),
            )
        });
        Ok(examples.collect())
    }

    fn commands(&self) -> Vec<(String, String)> {
        let model = &self.config.retriever.model;
        let adapter = self.config.output.join(ADAPTER);
        let adapter = adapter.display();
        let data = self.config.data.path.display();
        let search = format!(
            "dream encode --model {model} --adapter {adapter} --data {data} --out index\n\
             dream search --model {model} --adapter {adapter} --index index --query \"...\""
        );
        let mut commands = vec![("Search with what was trained".to_string(), search)];
        if let Some(path) = self.config_path {
            let code = format!("dream train {}", path.display());
            commands.push(("Train again".into(), code));
        }
        commands
    }
}

/// Scores all heads on some rows as the configuration says.
pub fn find_heads(
    model: &Model,
    llm: &LlmConfig,
    set: &TrainingSet,
    app: &App,
) -> Result<HeadList> {
    if llm.detect.selector == Selector::Random {
        let DetectSettings { count, seed, .. } = llm.detect;
        return Ok(detect::random_heads(model, count, seed)?);
    }
    let packer = packer(model, &llm.template, llm.limits());
    let wanted = llm.detect.candidates;
    warn_of_small_corpus("llm.detect.candidates", wanted, set.corpus.len());
    let probes = probes(set, &llm.detect)?;
    let mut progress = Progress::new("scoring heads", Unit::Of("prompts"), app);
    let total = probes.len() as u64;
    let list = detect(model, &packer, &probes, &llm.detect, |done| {
        progress.update(done as u64, total);
        !interrupt::requested()
    })?;
    progress.finish();
    Ok(list)
}

fn reference(bm25: f64) -> Reference {
    Reference {
        label: "BM25".into(),
        value: bm25,
    }
}

fn intro(config: &TrainConfig) -> String {
    let name = &config.objective.name;
    let what: Vec<&str> = name.entries().map(|entry| entry.report).collect();
    let sum = if what.len() > 1 {
        format!("The loss was the sum {name}. ")
    } else {
        String::new()
    };
    let tuned = match config.llm.as_ref().and_then(|llm| llm.lora.as_ref()) {
        Some(_) => {
            " The language model was tuned too, by an adapter of its own; explanations below are \
                    by the model without it."
        }
        None => "",
    };
    format!(
        "{sum}{}{tuned} {} steps of {} queries; each prompt held {} documents and {} queries.",
        what.join(" "),
        config.training.steps,
        config.training.batch_size,
        config.data.candidates,
        config.data.queries_per_pool
    )
}

fn facts(result: &TrainingResult) -> Vec<Fact> {
    let fact = |label: &str, value: Option<f64>, note: &str, emphasis| Fact {
        label: label.into(),
        value: figure(value),
        note: note.into(),
        emphasis,
    };
    vec![
        fact("Before training", result.before, "held-out nDCG@10", false),
        fact("After training", result.after, "held-out nDCG@10", true),
        fact("BM25", result.bm25, "the same queries and documents", false),
    ]
}

/// Shows progress, writes TensorBoard events, listens to Ctrl-C.
struct Watcher<'a> {
    folder: RunFolder,
    app: &'a App,
    steps: Option<Progress>,
    /// Evaluations, searches.
    away: Option<Progress>,
    away_since: Option<Instant>,
    total_steps: u64,
    stop: Option<Stop>,
    spent: Spent,
    failed: Option<dream::Error>,
}

impl<'a> Watcher<'a> {
    /// Watches a run that starts, or goes on after what its metrics say.
    fn new(folder: RunFolder, stop: Option<Stop>, app: &'a App) -> Result<Self> {
        let spent = Spent::of(&read_metrics(&folder.path().join("metrics.jsonl"))?);
        Ok(Self {
            folder,
            app,
            stop,
            spent,
            steps: None,
            away: None,
            away_since: None,
            total_steps: 0,
            failed: None,
        })
    }

    /// Whether the run has come to the place to stop at.
    fn is_spent(&self) -> bool {
        self.stop.is_some_and(|stop| stop.is_reached(&self.spent))
    }

    /// Work other than steps moves on.
    fn go_away(&mut self, what: &str, unit: &'static str, done: usize, total: usize) {
        let app = self.app;
        self.away_since.get_or_insert_with(Instant::now);
        let progress = self
            .away
            .get_or_insert_with(|| Progress::new(what, Unit::Of(unit), app));
        progress.update(done as u64, total as u64);
    }

    /// Work other than steps is done.
    fn come_back(&mut self) {
        if let Some(progress) = self.away.take() {
            progress.finish();
        }
        if let (Some(since), Some(steps)) = (self.away_since.take(), &mut self.steps) {
            steps.was_away(since.elapsed());
        }
    }

    fn finish(mut self) -> Result<RunFolder> {
        if let Some(steps) = self.steps.take() {
            steps.finish();
        }
        match self.failed {
            Some(error) => Err(error.into()),
            None => Ok(self.folder),
        }
    }
}

impl Observer for Watcher<'_> {
    fn event(&mut self, event: &Event<'_>) -> bool {
        if let Err(error) = self.folder.record(event) {
            self.failed = Some(error);
            return false;
        }
        match event {
            Event::Started {
                step,
                steps,
                trainable,
            } => {
                self.total_steps = *steps;
                tracing::info!("{trainable} trainable parameters, step {step} of {steps}");
                let mut progress = Progress::new("training", Unit::Of("steps"), self.app);
                progress.start_at(*step);
                self.steps = Some(progress);
            }
            Event::Step(record) => {
                self.spent.add(&Record::Step((*record).clone()));
                if let Some(progress) = &mut self.steps {
                    let positive = record
                        .weight_on_positive
                        .map_or(String::new(), |w| format!(", on known {w:.2}"));
                    let rate = record
                        .timing
                        .tokens_per_sec
                        .map_or(String::new(), |rate| format!(", {rate:.0} LLM tokens/s"));
                    progress.note(&format!(
                        "loss {:.3}, weight entropy {:.2}{positive}{rate}",
                        record.loss, record.weight_entropy
                    ));
                    progress.update(record.step, self.total_steps);
                }
            }
            Event::Evaluating { done, total } => self.go_away("evaluating", "texts", *done, *total),
            Event::Searching { done, total } => {
                self.go_away("searching candidates", "documents", *done, *total);
            }
            Event::Searched(record) => {
                self.come_back();
                let with = record.refresh.with_known_passage;
                let with = with.map_or(String::new(), |share| {
                    format!(", {share:.3} of the pools hold the known passage")
                });
                tracing::info!(
                    "step {}: candidates of {} rows searched among {} documents in {:.1} s{with}",
                    record.step,
                    record.refresh.rows,
                    record.refresh.documents,
                    record.timing.refresh_secs.unwrap_or_default(),
                );
            }
            Event::Evaluated(record) => {
                self.spent.add(&Record::Eval((*record).clone()));
                self.come_back();
                let measures: Vec<String> = record
                    .eval
                    .measures
                    .iter()
                    .map(|(m, v)| format!("{m} {v:.4}"))
                    .collect();
                tracing::info!(
                    "step {}: {}: {}",
                    record.step,
                    record.eval.name,
                    measures.join(", ")
                );
            }
            Event::Saved(place) => tracing::debug!("saved {}", place.display()),
            _ => {}
        }
        !self.is_spent() && !interrupt::requested()
    }
}
