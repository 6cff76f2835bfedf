//! The training loop: steps, metrics, evaluation, checkpoints, resume.
//!
//! The trainer prints nothing; it tells an [`Observer`] what happens and asks it whether to stop.
//! State is a function of the configuration's seed and the step's number, plus what a checkpoint
//! holds, so a run that stops after a step and resumes computes the same bits as one that does not.

mod refresh;

use super::checkpoint::{self, Adapters, State};
use super::config::{TEMPERATURE_RANGE, TrainConfig};
use super::data::TrainData;
use super::evaluation::{EvalSet, EvalSets, Measured};
use super::identity::{data_digest, fingerprint};
use super::lock::{METRICS, RunLock};
use super::objective::Objective;
use super::observer::{Event, Observer, Outcome};
use super::parameters::{self, Rates};
use super::searched::Searched;
use super::step::{self, StepInput, StepResult};
use super::tuned::{Tuned, TunedModel};
use crate::model::Model;
use crate::report::metrics::{EvalRecord, MetricsWriter, Record, StepRecord, Timing};
use crate::retriever::adapter::{AdapterFolder, Provenance, RetrieverFile};
use crate::retriever::{Retriever, Standardize};
use crate::{Error, Result};
use dream_ir::{Bm25, PoolSource};
use dream_nn::ops::lora::mix;
use dream_nn::optim::{AdamW, AdamWConfig, Parameter, clip_grad_norm};
use std::sync::Arc;
use std::time::Instant;

/// A run in progress.
pub struct Trainer<'a> {
    config: &'a TrainConfig,
    data: &'a TrainData,
    objective: &'a dyn Objective,
    retriever: Retriever,
    /// The language model's own adapter and its optimiser, if it is tuned too.
    tuned: Option<Tuned>,
    optimizer: AdamW,
    temperature_optimizer: AdamW,
    log_temperature: f32,
    step: u64,
    wall_secs: f64,
    llm_tokens: u64,
    fingerprint: String,
    provenance: Provenance,
    metrics: MetricsWriter,
    eval: Option<EvalSets<'a>>,
    /// Candidates of the steps to come, where they are searched while training.
    searched: Option<Searched>,
    /// The words of the corpus, for hybrid candidates.
    words: Option<Bm25>,
    measured: Vec<Measured>,
    _lock: RunLock,
    started: Instant,
}

/// What a trainer is made of.
pub struct Setup<'a> {
    /// The configuration.
    pub config: &'a TrainConfig,
    /// Rows, corpus, pools.
    pub data: &'a TrainData,
    /// A BEIR set to evaluate on instead of held-out rows.
    pub eval_data: Option<&'a dream_ir::beir::Dataset>,
    /// What is minimised.
    pub objective: &'a dyn Objective,
    /// The base of the retriever.
    pub base: Arc<Model>,
    /// The language model; needed where the configuration tunes it too.
    pub llm: Option<&'a Model>,
    /// Go on from the newest checkpoint of the run folder; start over if there is none.
    pub resume: bool,
}

impl<'a> Trainer<'a> {
    /// A fresh run, or one that goes on.
    ///
    /// # Errors
    /// The run folder holds another run or is another process's, or a part cannot be read.
    pub fn new(setup: Setup<'a>) -> Result<Self> {
        let Setup {
            config,
            data,
            eval_data,
            objective,
            base,
            llm,
            resume,
        } = setup;
        let mut retriever = parameters::start(config, base)?;
        let provenance = Provenance {
            base_model: config.retriever.model.clone(),
            base_model_digest: retriever.model.digest.clone(),
            data_digest: data_digest(data),
            steps: 0,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let tuned_model = TunedModel::of(config, llm)?;
        let llm_digest = tuned_model.map(|tuned| tuned.model.digest.as_str());
        let fingerprint = fingerprint(config, &provenance, llm_digest);
        let eval = EvalSets::open(config, data, eval_data)?;
        let lock = RunLock::take(&config.output, resume)?;
        let metrics_path = config.output.join(METRICS);
        // A run that died before its first checkpoint starts over.
        let resumed = if resume {
            let llm = tuned_model.map(|tuned| &tuned.model.decoder.config);
            checkpoint::latest(&config.output, &retriever.model.decoder.config, llm)?
        } else {
            None
        };
        let mut state = State {
            step: 0,
            optimizer_step: 0,
            fingerprint: fingerprint.clone(),
            wall_secs: 0.0,
            llm_tokens: 0,
            version: provenance.version.clone(),
        };
        let mut log_temperature = config.objective.temperature.ln();
        let (mut moments, mut llm_adapter, mut searched) = (None, None, None);
        if let Some(found) = resumed {
            if found.state.fingerprint != fingerprint {
                return Err(Error::Invalid(format!(
                    "the checkpoint in {} was made by another configuration, model or data: \
                     resume with what it was started with",
                    config.output.display()
                )));
            }
            retriever.adapter = Some(found.folder.adapter);
            retriever.standardizer = found.folder.standardizer;
            llm_adapter = found.llm_adapter;
            log_temperature = found.log_temperature;
            moments = Some((
                found.state.optimizer_step,
                found.first_moments,
                found.second_moments,
            ));
            state = found.state;
            searched = found.searched;
        } else {
            parameters::standardize(&mut retriever, config, data)?;
        }
        let lengths = parameters::lengths(&mut retriever);
        let adamw = AdamWConfig {
            weight_decay: config.optimizer.weight_decay,
            ..AdamWConfig::default()
        };
        let mut optimizer = AdamW::new(adamw, &lengths);
        let tuned = tuned_model.map(|tuned| Tuned::new(tuned, llm_adapter, config));
        let mut tuned = tuned.transpose()?;
        let mut temperature_optimizer = AdamW::new(AdamWConfig::default(), &[1]);
        if let Some((steps, mut first, mut second)) = moments {
            // The last pair of moments is the temperature's, before it come the language model's.
            let pair = (
                first.pop().unwrap_or_default(),
                second.pop().unwrap_or_default(),
            );
            temperature_optimizer.restore(steps, vec![pair.0], vec![pair.1])?;
            if let Some(tuned) = &mut tuned {
                let n = lengths.len().min(first.len()).min(second.len());
                tuned.restore(steps, first.split_off(n), second.split_off(n))?;
            }
            optimizer.restore(steps, first, second)?;
        }
        let metrics = if resume {
            MetricsWriter::resume(&metrics_path, state.step)?
        } else {
            MetricsWriter::create(&metrics_path)?
        };
        let pools = data.pool_settings();
        let words = (pools.source == PoolSource::Hybrid)
            .then(|| Bm25::of_corpus(&data.set.corpus, pools.bm25))
            .transpose()?;
        let mut trainer = Self {
            eval,
            searched: None,
            words,
            measured: Vec::new(),
            _lock: lock,
            config,
            data,
            objective,
            retriever,
            tuned,
            optimizer,
            temperature_optimizer,
            log_temperature,
            step: state.step,
            wall_secs: state.wall_secs,
            llm_tokens: state.llm_tokens,
            fingerprint,
            provenance,
            metrics,
            started: Instant::now(),
        };
        trainer.resume_searched(searched)?;
        Ok(trainer)
    }

    /// The retriever as it is now.
    pub fn retriever(&self) -> &Retriever {
        &self.retriever
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Seconds of training and evaluation, those before a resume included.
    pub fn wall_secs(&self) -> f64 {
        self.wall()
    }

    /// What is evaluated, if anything is.
    pub fn eval_set(&self) -> Option<&EvalSet<'a>> {
        self.eval.as_ref().map(|sets| &sets.whole)
    }

    /// What the last evaluation of this process measured, query by query.
    pub fn measured(&self) -> &[Measured] {
        &self.measured
    }

    /// The temperature as it is now.
    pub fn temperature(&self) -> f32 {
        self.log_temperature.exp()
    }

    /// Trains to the end, or until the observer stops it.
    ///
    /// # Errors
    /// A number stopped being one (the last good checkpoint stays), or a file could not be written.
    pub fn run(&mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let steps = self.config.training.steps;
        let of_llm: usize = self.tuned.as_ref().map_or(0, Tuned::n_parameters);
        let of_retriever: usize = parameters::lengths(&mut self.retriever).iter().sum();
        let trainable = of_retriever + of_llm;
        let mut go_on = observer.event(&Event::Started {
            step: self.step,
            steps,
            trainable,
        });
        if self.step == 0 {
            // Whatever happens from here on, there is something to resume.
            go_on &= self.save(observer)?;
        }
        loop {
            if go_on && self.is_evaluation_due() {
                go_on = self.evaluate(observer)?;
            }
            if go_on && self.is_search_due() {
                go_on = self.search(observer)?;
            }
            if !go_on || self.step == steps {
                break;
            }
            go_on = self.one_step(observer)?;
            let save_every = self.config.training.save_every;
            // Before evaluations and searches too: they take long, and must not cost steps if they are stopped.
            let due = (save_every > 0 && self.step.is_multiple_of(save_every))
                || self.is_evaluation_due()
                || self.is_search_due();
            if due || !go_on || self.step == steps {
                go_on &= self.save(observer)?;
            }
        }
        Ok(if self.step == steps && go_on {
            Outcome::Finished
        } else {
            Outcome::Stopped
        })
    }

    fn diverged(&self, step: u64, what: &str) -> Error {
        let checkpoints = checkpoint::list(&self.config.output).unwrap_or_default();
        let last = checkpoints.last().map_or_else(String::new, |place| {
            format!("; the last good checkpoint is {}", place.display())
        });
        let lr = self.config.optimizer.lr;
        Error::Diverged {
            step,
            what: format!("{what}{last}; start a new run with an optimizer.lr below {lr}"),
        }
    }

    fn is_evaluation_due(&self) -> bool {
        let every = self.config.eval.every;
        match self.step {
            0 => self.config.eval.at_start,
            step => step == self.config.training.steps || (every > 0 && step.is_multiple_of(every)),
        }
    }

    fn one_step(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        let began = Instant::now();
        let tokens_before = self.objective.llm_tokens();
        let batch_size = self.config.training.batch_size;
        let groups = self
            .data
            .step(self.step, batch_size, self.searched.as_ref());
        let dropout_seed = mix(self.config.seed ^ mix(self.step + 1));
        let StepResult {
            loss,
            mut gradients,
            mut llm_gradients,
            d_log_temperature,
            weight_entropy,
            weight_on_positive,
            retriever_tokens,
        } = step::compute(StepInput {
            retriever: &self.retriever,
            llm_adapter: self.tuned.as_ref().map(Tuned::adapter),
            objective: self.objective,
            data: self.data,
            groups: &groups,
            temperature: self.temperature(),
            chunk_tokens: self.config.training.chunk_tokens,
            dropout_seed: Some(dropout_seed),
        })?;
        let number = self.step + 1;
        if !loss.is_finite() {
            return Err(self.diverged(number, &format!("the loss is {loss}")));
        }
        let train_layer = self.retriever.config.standardize == Standardize::Trainable;
        let mut parts = gradients.adapter.parts_mut();
        if let Some(layer) = gradients.standardizer.as_mut().filter(|_| train_layer) {
            parts.extend(layer.parts_mut());
        }
        let n_retriever = parts.len();
        if let Some(gradients) = &mut llm_gradients {
            parts.extend(gradients.parts_mut());
        }
        let grad_norm = clip_grad_norm(&mut parts, self.config.optimizer.max_grad_norm);
        if !grad_norm.is_finite() {
            let what = format!("the gradient's norm is {grad_norm}");
            return Err(self.diverged(number, &what));
        }
        let Rates { lr, temperature_lr } = parameters::rates(self.config, self.step);
        let grads: Vec<&[f32]> = parts.iter().map(|part| &**part).collect();
        let (grads, llm_grads) = grads.split_at(n_retriever);
        let n_adapter = parameters::decayed(&self.retriever);
        let mut parameters: Vec<Parameter<'_>> = parameters::trainable(&mut self.retriever)
            .into_iter()
            .zip(grads)
            .enumerate()
            .map(|(i, (value, grad))| Parameter {
                value,
                grad,
                decay: i < n_adapter,
            })
            .collect();
        self.optimizer.step(lr, &mut parameters);
        if let Some(tuned) = &mut self.tuned {
            tuned.step(lr, llm_grads);
        }
        if self.config.objective.learn_temperature {
            let mut value = [self.log_temperature];
            let grad = [d_log_temperature];
            let parameter = Parameter {
                value: &mut value,
                grad: &grad,
                decay: false,
            };
            self.temperature_optimizer
                .step(temperature_lr, &mut [parameter]);
            let (low, high) = TEMPERATURE_RANGE;
            self.log_temperature = value[0].clamp(low.ln(), high.ln());
        }
        let finite = |part: &&mut [f32]| part.iter().all(|value| value.is_finite());
        let tuned = self.tuned.as_mut();
        let of_llm = tuned.map_or_else(Vec::new, Tuned::parameters_mut);
        if !parameters::trainable(&mut self.retriever)
            .iter()
            .chain(&of_llm)
            .all(finite)
            || !self.log_temperature.is_finite()
        {
            let what = "the update gives parameters that are not finite";
            return Err(self.diverged(number, what));
        }
        self.step = number;
        let llm_tokens = self.objective.llm_tokens() - tokens_before;
        self.llm_tokens += llm_tokens;
        let record = StepRecord {
            step: number,
            queries_seen: number * batch_size as u64,
            loss,
            lr,
            grad_norm,
            weight_entropy,
            weight_on_positive,
            tau: f64::from(self.temperature()),
            llm_tokens,
            retriever_tokens: Some(retriever_tokens),
            timing: Timing {
                wall_secs: self.wall(),
                tokens_per_sec: Some(llm_tokens as f64 / began.elapsed().as_secs_f64()),
                ..Timing::default()
            },
        };
        let record = Record::Step(record);
        self.metrics.write(&record)?;
        let Record::Step(record) = record else {
            unreachable!("made two lines above")
        };
        Ok(observer.event(&Event::Step(&record)))
    }

    /// Evaluates now, first and last on all documents; `false` if the observer asked to stop meanwhile.
    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        let all = self.step == 0 || self.step == self.config.training.steps;
        let Some(sets) = &self.eval else {
            return Ok(true);
        };
        let mut progress =
            |done: usize, total: usize| observer.event(&Event::Evaluating { done, total });
        let measured = match sets.evaluate(&self.retriever, all, &mut progress) {
            Err(Error::Stopped) => return Ok(false),
            Err(Error::NotFinite(what)) if self.step > 0 => {
                // The checkpoint just saved gives no numbers either.
                checkpoint::remove(&self.config.output, self.step)?;
                let what = format!("numbers that are not finite: {what}");
                return Err(self.diverged(self.step, &what));
            }
            other => other?,
        };
        let mut go_on = true;
        for measured in &measured {
            let record = EvalRecord {
                step: self.step,
                eval: measured.means(),
                timing: Timing {
                    wall_secs: self.wall(),
                    ..Timing::default()
                },
            };
            self.metrics.write(&Record::Eval(record.clone()))?;
            go_on &= observer.event(&Event::Evaluated(&record));
        }
        self.measured = measured;
        Ok(go_on)
    }

    fn save(&mut self, observer: &mut dyn Observer) -> Result<bool> {
        let (optimizer_step, _, _) = self.optimizer.state();
        let state = State {
            step: self.step,
            optimizer_step,
            fingerprint: self.fingerprint.clone(),
            wall_secs: self.wall(),
            llm_tokens: self.llm_tokens,
            version: self.provenance.version.clone(),
        };
        let mut optimizers = vec![&self.optimizer];
        optimizers.extend(self.tuned.as_ref().map(Tuned::optimizer));
        optimizers.push(&self.temperature_optimizer);
        let adapters = self.adapters();
        let place = checkpoint::save(
            &self.config.output,
            &adapters,
            &state,
            self.log_temperature,
            &optimizers,
            self.searched_to_save(),
        )?;
        Ok(observer.event(&Event::Saved(&place)))
    }

    /// What is trained, as it would be saved.
    pub fn adapters(&self) -> Adapters {
        Adapters {
            retriever: self.adapter_folder(),
            llm: self.tuned.as_ref().map(Tuned::to_be_saved),
        }
    }

    fn adapter_folder(&self) -> AdapterFolder {
        AdapterFolder {
            adapter: self
                .retriever
                .adapter
                .clone()
                .expect("made in new(). This is a bug."),
            file: Some(RetrieverFile {
                retriever: self.retriever.config.clone(),
                temperature: self.temperature(),
                provenance: Provenance {
                    steps: self.step,
                    ..self.provenance.clone()
                },
            }),
            standardizer: self.retriever.standardizer.clone(),
        }
    }

    fn wall(&self) -> f64 {
        self.wall_secs + self.started.elapsed().as_secs_f64()
    }
}
