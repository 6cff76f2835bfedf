//! Training on a tiny model: gradients of a whole step, determinism, resume.

use crate::tiny_models::fixture;
use crate::tolerance::GRADIENT;
use dream::heads::HeadSet;
use dream::heads::detect::packer;
use dream::llm::InjectionConfig;
use dream::model::Model;
use dream::model::lora::LoraAdapter;
use dream::prompt::Template;
use dream::report::metrics::{Record, read_metrics};
use dream::retriever::adapter::AdapterFolder;
use dream::retriever::standardize::Affine;
use dream::retriever::{Pooling, Retriever, RetrieverConfig, Standardize, Standardizer};
use dream::train::objective::{Dream, InfoNce, Objective, QueryLoss, Request, WeightedSum};
use dream::train::searched::Searched;
use dream::train::step::StepInput;
use dream::train::{
    Event, Observer, Outcome, Setup, TrainConfig, TrainData, Trainer, checkpoint, step,
};
use dream_ir::{Corpus, Document, KnownPassage, PoolSource, TrainingRow, TrainingSet};
use dream_nn::Dtype;
use std::path::Path;
use std::sync::Arc;

fn set() -> TrainingSet {
    let documents = (0..12).map(|i| Document {
        id: format!("d{i}"),
        title: String::new(),
        text: format!(
            "town {i} lies by river {} and sells {}",
            i * 7 % 12,
            i * 5 % 12
        ),
    });
    let rows = (0..8).map(|i| TrainingRow {
        id: format!("q{i}"),
        query: format!("what sells town {i}"),
        target: format!("{}", i * 5 % 12),
        positive_ids: vec![format!("d{i}")],
        candidate_ids: Vec::new(),
        candidate_scores: Vec::new(),
        candidates: Vec::new(),
    });
    let corpus = Corpus::new(documents).expect("a corpus");
    TrainingSet::new(rows.collect(), corpus).expect("a training set")
}

fn config(output: &Path, objective: &str, extra: &str) -> TrainConfig {
    let text = format!(
        "seed = 3\noutput = '{}'\n[data]\npath = \"unused\"\ncandidates = 4\n\
         queries_per_pool = 2\nknown_passage = \"include\"\n\
         [llm]\nmodel = \"tiny\"\nheads = \"0-1,1-2,2-3\"\ndocument_tokens = 64\ntarget_tokens = 16\n\
         [retriever]\nmodel = \"tiny\"\n[retriever.lora]\nr = 4\n{extra}\n\
         [objective]\nname = \"{objective}\"\ntemperature = 0.1\nlearn_temperature = true\n\
         [optimizer]\nlr = 1e-3\nwarmup_steps = 2\n\
         [training]\nsteps = 10\nbatch_size = 4\nsave_every = 4\n[eval]\nheldout = 2\nevery = 5\n",
        output.display()
    );
    TrainConfig::parse(&text, Path::new("test.toml")).expect("the configuration")
}

fn objective<'a>(model: &'a Model, config: &TrainConfig, template: &'a Template) -> Dream<'a> {
    let llm = config.llm.as_ref().expect("a language model");
    let injection = InjectionConfig {
        heads: llm
            .heads
            .as_deref()
            .unwrap_or_default()
            .parse::<HeadSet>()
            .expect("heads"),
        rows: llm.rows,
        budget: llm.budget,
        gate: llm.gate,
    };
    Dream::new(model, packer(model, template, llm.limits()), injection)
}

fn tiny() -> Arc<Model> {
    Arc::new(Model::load(&fixture("tiny-llama"), Dtype::F32).expect("the fixture model"))
}

#[test]
fn gradients_of_a_whole_step_equal_differences_with_and_without_gradient_caching() {
    let model = tiny();
    let template = Template::question_answer();
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), "dream", "");
    let data = TrainData::new(set(), &config.data, 2, 3).expect("data");
    let dream = objective(&model, &config, &template);
    let pool = InfoNce::default();
    let in_batch = InfoNce { in_batch: true };
    // Terms of both scopes.
    let sum = WeightedSum::new(vec![
        (0.7, Box::new(self::objective(&model, &config, &template))),
        (0.2, Box::new(in_batch)),
    ]);
    let objectives: [&dyn Objective; 4] = [&dream, &pool, &in_batch, &sum];
    for objective in objectives {
        for (pooling, standardized, dim) in [
            (Pooling::LastToken, false, None),
            (Pooling::Mean, true, None),
            (Pooling::Mean, true, Some(13)),
        ] {
            let mut adapter =
                LoraAdapter::new(config.retriever.lora.clone(), &model.decoder.config, 5)
                    .expect("an adapter");
            for (i, part) in adapter.parameters_mut().into_iter().enumerate() {
                for (j, v) in part.iter_mut().enumerate() {
                    *v += ((i * 31 + j * 17) as f32).sin() * 0.05;
                }
            }
            let width = model.decoder.config.hidden_size;
            let affine = |by: f32| Affine {
                scale: (0..width).map(|i| 1.0 + by * (i as f32).cos()).collect(),
                shift: (0..width).map(|i| by * (i as f32).sin()).collect(),
            };
            let standardizer = Standardizer {
                query: affine(0.3),
                document: affine(-0.2),
            };
            let mut retriever = Retriever {
                model: Arc::clone(&model),
                config: RetrieverConfig {
                    pooling,
                    dim,
                    standardize: if standardized {
                        Standardize::Trainable
                    } else {
                        Standardize::None
                    },
                    ..RetrieverConfig::default()
                },
                adapter: Some(adapter),
                standardizer: standardized.then_some(standardizer),
            };
            let groups = data.step(0, 4, None);
            let compute = |retriever: &Retriever, chunk_tokens: usize, tau: f32| {
                step::compute(StepInput {
                    retriever,
                    llm_adapter: None,
                    objective,
                    data: &data,
                    groups: &groups,
                    temperature: tau,
                    chunk_tokens,
                    dropout_seed: None,
                })
                .expect("a step")
            };
            let whole = compute(&retriever, 100_000, 0.1);
            let cached = compute(&retriever, 64, 0.1);
            let gradient: Vec<Vec<f32>> = whole
                .gradients
                .adapter
                .parts()
                .iter()
                .map(|p| p.to_vec())
                .collect();
            let largest = gradient
                .iter()
                .flatten()
                .fold(0.0f32, |m, v| m.max(v.abs()));
            for (a, b) in gradient
                .iter()
                .flatten()
                .zip(cached.gradients.adapter.parts().concat())
            {
                assert!(
                    (a - b).abs() <= GRADIENT as f32 * largest,
                    "gradient caching: {a} {b}"
                );
            }
            // Along the gradient and along single coordinates.
            let n = gradient.len();
            for part in [0, 1, n / 2, n - 2, n - 1] {
                let (at, _) = gradient[part]
                    .iter()
                    .enumerate()
                    .fold(
                        (0, 0.0f32),
                        |m, (i, v)| if v.abs() > m.1 { (i, v.abs()) } else { m },
                    );
                let mut loss_at = |by: f32| {
                    retriever
                        .adapter
                        .as_mut()
                        .expect("adapter")
                        .parameters_mut()[part][at] += by;
                    let loss = compute(&retriever, 100_000, 0.1).loss;
                    retriever
                        .adapter
                        .as_mut()
                        .expect("adapter")
                        .parameters_mut()[part][at] -= by;
                    loss
                };
                let want = (loss_at(5e-3) - loss_at(-5e-3)) / 1e-2;
                let got = f64::from(gradient[part][at]);
                assert!(
                    (want - got).abs() < 0.02 * f64::from(largest).max(want.abs()),
                    "{pooling:?} part {part}: differences {want}, backward {got}"
                );
            }
            let up = compute(&retriever, 100_000, 0.1 * 0.01f32.exp()).loss;
            let down = compute(&retriever, 100_000, 0.1 * (-0.01f32).exp()).loss;
            let want = (up - down) / 0.02;
            let got = f64::from(whole.d_log_temperature);
            assert!(
                (want - got).abs() < 0.02 * want.abs().max(0.01),
                "temperature: {want} {got}"
            );
        }
    }
}

/// Stops after some steps.
struct StopAt(u64);

impl Observer for StopAt {
    fn event(&mut self, event: &Event<'_>) -> bool {
        !matches!(event, Event::Step(record) if record.step == self.0)
    }
}

fn run(output: &Path, stop_at: u64, resume: bool, extra: &str) -> Outcome {
    run_with(output, &mut StopAt(stop_at), resume, extra)
}

fn run_with(output: &Path, observer: &mut dyn Observer, resume: bool, extra: &str) -> Outcome {
    run_config(&config(output, "dream", extra), observer, resume).expect("a run")
}

fn run_config(
    config: &TrainConfig,
    observer: &mut dyn Observer,
    resume: bool,
) -> dream::Result<Outcome> {
    let model = tiny();
    let template = Template::question_answer();
    let data = TrainData::new(set(), &config.data, 2, config.seed).expect("data");
    let dream = objective(&model, config, &template);
    let setup = Setup {
        config,
        data: &data,
        eval_data: None,
        objective: &dream,
        base: Arc::clone(&model),
        llm: Some(&model),
        resume,
    };
    Trainer::new(setup)?.run(observer)
}

fn lines(output: &Path) -> Vec<Record> {
    let records = read_metrics(&output.join("metrics.jsonl")).expect("metrics");
    records.into_iter().map(Record::without_timing).collect()
}

#[test]
fn ten_steps_equal_five_a_stop_and_five_more_bit_for_bit() {
    let extra = "lora_dropout = 0.1\n[retriever.encoding]\npooling = \"mean\"\n\
                 standardize = \"trainable\"\n";
    resumes_to_the_same_bits(extra, "standardizer.safetensors");
}

#[test]
fn with_a_tuned_language_model_too() {
    let extra = "lora_dropout = 0.1\n[llm.lora]\nr = 2\nlora_dropout = 0.2\nlr_factor = 0.5\n";
    resumes_to_the_same_bits(extra, "llm_adapter/adapter_model.safetensors");
}

fn resumes_to_the_same_bits(extra: &str, file: &str) {
    let (whole, parts) = (tempfile::tempdir(), tempfile::tempdir());
    let (whole, parts) = (whole.expect("a folder"), parts.expect("a folder"));
    assert_eq!(run(whole.path(), u64::MAX, false, extra), Outcome::Finished);
    assert_eq!(run(parts.path(), 5, false, extra), Outcome::Stopped);
    assert_eq!(run(parts.path(), u64::MAX, true, extra), Outcome::Finished);
    assert_eq!(lines(whole.path()), lines(parts.path()));
    let newest = |run: &Path| {
        checkpoint::list(run)
            .expect("checkpoints")
            .pop()
            .expect("one")
    };
    for file in ["adapter_model.safetensors", "optimizer.safetensors", file] {
        let read = |run: &Path| std::fs::read(newest(run).join(file)).expect("a checkpoint file");
        assert!(read(whole.path()) == read(parts.path()), "{file} differs");
    }
}

/// Candidates searched with the retriever that is trained, anew after some steps.
fn searching(output: &Path, pool: PoolSource, refresh_every: u64) -> TrainConfig {
    let mut config = config(output, "dream", "");
    config.data.pool = pool;
    config.data.known_passage = KnownPassage::AsFound;
    config.data.refresh_every = refresh_every;
    config.optimizer.lr = 0.02;
    config.check().expect("a configuration");
    config
}

#[test]
fn searched_candidates_resume_to_the_same_bits_wherever_the_run_stops() {
    /// Stops in the nth search.
    struct StopSearch(u32);
    impl Observer for StopSearch {
        fn event(&mut self, event: &Event<'_>) -> bool {
            self.0 -= u32::from(matches!(event, Event::Searching { .. }));
            self.0 > 0
        }
    }
    let newest = |run: &Path, file: &str| {
        let all = checkpoint::list(run).expect("checkpoints");
        std::fs::read(all[all.len() - 1].join(file)).expect("a checkpoint file")
    };
    // Stops in a period, at its end, in the first step of the next.
    for (pool, every, searches, stops) in [
        (PoolSource::Dense, 4, &[0, 4, 8][..], &[2, 4, 5][..]),
        (PoolSource::Hybrid, 3, &[0, 3, 6, 9], &[5]),
        (PoolSource::Dense, 0, &[0], &[5]),
    ] {
        let whole = tempfile::tempdir().expect("a folder");
        let config = |output: &Path| searching(output, pool, every);
        let ran = run_config(&config(whole.path()), &mut StopAt(u64::MAX), false);
        assert_eq!(ran.expect("a run"), Outcome::Finished);
        let wanted = lines(whole.path());
        let of_searches = wanted.iter().filter(|r| matches!(r, Record::Refresh(_)));
        let steps: Vec<u64> = of_searches.map(Record::step).collect();
        assert_eq!(steps, searches);
        let goes_on = |observer: &mut dyn Observer| {
            let parts = tempfile::tempdir().expect("a folder");
            let config = config(parts.path());
            let stopped = run_config(&config, observer, false).expect("a run");
            assert_eq!(stopped, Outcome::Stopped);
            let finished = run_config(&config, &mut StopAt(u64::MAX), true).expect("a run");
            assert_eq!(finished, Outcome::Finished);
            assert_eq!(lines(parts.path()), wanted);
            for file in ["adapter_model.safetensors", "optimizer.safetensors"] {
                let same = newest(whole.path(), file) == newest(parts.path(), file);
                assert!(same, "{file} differs");
            }
        };
        for stop in stops {
            goes_on(&mut StopAt(*stop));
        }
        // A search is at least two events.
        for nth in [1, 3] {
            if nth < 2 * searches.len() as u32 {
                goes_on(&mut StopSearch(nth));
            }
        }
    }
}

#[test]
fn a_period_has_the_candidates_of_the_retriever_at_its_start_and_of_no_other_rows() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = searching(folder.path(), PoolSource::Dense, 4);
    run_config(&config, &mut StopAt(5), false).expect("a run");
    let data = TrainData::new(set(), &config.data, 2, config.seed).expect("data");
    let places = checkpoint::list(folder.path()).expect("checkpoints");
    assert!(places[0].ends_with("step-000004") && places[1].ends_with("step-000005"));
    let saved = std::fs::read(places[1].join("candidates.json")).expect("candidates");
    let saved: Searched = serde_json::from_slice(&saved).expect("candidates");
    assert!(
        !places[0].join("candidates.json").exists(),
        "of a period that is over"
    );
    let model = tiny();
    let at = |place: &Path| {
        let adapter = AdapterFolder::read(place, &model.decoder.config).expect("an adapter");
        let retriever = Retriever {
            model: Arc::clone(&model),
            config: config.retriever.encoding.clone(),
            adapter: Some(adapter.adapter),
            standardizer: None,
        };
        let rows = data.rows_of(4..8, config.training.batch_size);
        Searched::search(&data, 4, &rows, (&retriever, None), &mut |_, _| true).expect("found")
    };
    assert_eq!(saved, at(&places[0]));
    // Four rows a step, of six in all.
    assert_eq!(data.rows_of(0..1, 4).len(), 4);
    assert_eq!(saved.len(), data.rows_of(4..8, 4).len());
    // Damaged candidates are refused.
    let path = places[1].join("candidates.json");
    for bad in [
        r#"{"step":4,"documents":{"0":[99]}}"#,
        r#"{"step":4,"documents":{}}"#,
        "{",
    ] {
        std::fs::write(&path, bad).expect("writable");
        let resumed = run_config(&config, &mut StopAt(u64::MAX), true);
        let message = resumed.err().map(|e| e.to_string()).unwrap_or_default();
        assert!(
            message.contains("no usable candidates of row") || message.contains("candidates.json"),
            "{message}"
        );
    }
    std::fs::remove_file(&path).expect("it is there");
    let resumed = run_config(&config, &mut StopAt(u64::MAX), true);
    let message = resumed.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(message.contains("step 5 lacks the candidates"), "{message}");
}

#[test]
fn every_pool_is_a_configuration_and_what_would_do_nothing_is_refused() {
    let parse = |data: &str| {
        let text = toml::to_string(&config(Path::new("run"), "infonce", "")).expect("a text");
        let text = text.replacen("pool = \"bm25\"", data, 1);
        TrainConfig::parse(&text, Path::new("test.toml"))
    };
    for pool in PoolSource::ALL {
        let config = parse(&format!("pool = \"{pool}\"")).expect("a configuration");
        assert_eq!(config.data.pool, pool);
        if pool == PoolSource::AsGiven || pool.is_embedding() {
            continue;
        }
        let data = TrainData::new(set(), &config.data, 2, 3).expect("data");
        let groups = data.step(0, 4, None);
        assert!(
            groups.iter().all(|group| group.documents.len() == 4),
            "{pool}"
        );
    }
    let filtered =
        parse("pool = \"dense\"\nrefresh_every = 5\nfilters = { ranks = \"2-9\", margin = 0.95 }");
    let filtered = filtered.expect("a configuration");
    assert_eq!(filtered.data.pool_settings(0).depth(1), 9);
    // What is written is read back, and nothing is written where nothing was said.
    let text = toml::to_string(&filtered).expect("a text");
    assert_eq!(
        TrainConfig::parse(&text, Path::new("again")).expect("the same"),
        filtered
    );
    let plain =
        toml::to_string(&parse("pool = \"bm25\"").expect("a configuration")).expect("a text");
    assert!(
        !plain.contains("refresh_every") && !plain.contains("filters"),
        "{plain}"
    );
    for (data, part) in [
        (
            "pool = \"bm25\"\nrefresh_every = 5",
            "pool = \"dense\" or \"hybrid\"",
        ),
        (
            "pool = \"in-batch\"\nfilters = { margin = 0.9 }",
            "neither ranks nor scores",
        ),
        ("pool = \"bm25\"\ndepth = 3", "depth of at least 4, not 3"),
        (
            "pool = \"bm25\"\nfilters = { ranks = \"9-2\" }",
            "ranks count from 1",
        ),
        (
            "pool = \"bm25\"\nfilters = { rank = \"1-9\" }",
            "unknown field",
        ),
    ] {
        let message = parse(data).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(message.contains(part), "{data}: {message}");
    }
}

#[test]
fn a_run_stopped_in_any_evaluation_resumes_to_the_same_metrics() {
    /// Stops in the nth evaluation.
    struct StopIn(u32);
    impl Observer for StopIn {
        fn event(&mut self, event: &Event<'_>) -> bool {
            self.0 -= u32::from(matches!(event, Event::Evaluating { done: 0, .. }));
            self.0 > 0
        }
    }
    let whole = tempfile::tempdir().expect("a folder");
    assert_eq!(run(whole.path(), u64::MAX, false, ""), Outcome::Finished);
    // Before step 1, after step 5, after the last step.
    for nth in 1..=3 {
        let parts = tempfile::tempdir().expect("a folder");
        let stopped = run_with(parts.path(), &mut StopIn(nth), false, "");
        assert_eq!(stopped, Outcome::Stopped);
        assert_eq!(run(parts.path(), u64::MAX, true, ""), Outcome::Finished);
        assert_eq!(lines(whole.path()), lines(parts.path()));
    }
    // A run that died before its first checkpoint starts over.
    let dead = tempfile::tempdir().expect("a folder");
    std::fs::write(dead.path().join("metrics.jsonl"), "").expect("writable");
    assert_eq!(run(dead.path(), u64::MAX, true, ""), Outcome::Finished);
    assert_eq!(lines(whole.path()), lines(dead.path()));
}

#[test]
fn another_configuration_does_not_resume_and_a_run_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), 2, false, "");
    let model = tiny();
    let template = Template::question_answer();
    let attempt = |resume: bool, extra: &str| {
        let config = config(folder.path(), "dream", extra);
        let data = TrainData::new(set(), &config.data, 2, config.seed).expect("data");
        let dream = objective(&model, &config, &template);
        let setup = Setup {
            config: &config,
            data: &data,
            eval_data: None,
            objective: &dream,
            base: Arc::clone(&model),
            llm: Some(&model),
            resume,
        };
        Trainer::new(setup)
            .err()
            .map(|e| e.to_string())
            .unwrap_or_default()
    };
    assert!(attempt(true, "lora_alpha = 64").contains("another configuration"));
    assert!(attempt(false, "").contains("holds a run already"));
    // Nor do two processes write to one folder: a lock of this process keeps out this process too.
    let lock = dream::train::lock::RunLock::take(folder.path(), true).expect("free");
    assert!(attempt(true, "").contains("in use by another process"));
    drop(lock);
    assert_eq!(attempt(true, ""), "");
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint() {
    struct Broken(std::cell::Cell<u32>);
    impl Objective for Broken {
        fn evaluate(&self, request: Request<'_, '_>) -> dream::Result<Vec<QueryLoss>> {
            self.0.set(self.0.get() + 1);
            let mut losses = InfoNce::default().evaluate(request)?;
            if self.0.get() > 10 {
                losses[0].loss = f32::NAN;
            }
            Ok(losses)
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(folder.path(), "infonce", "");
    let data = TrainData::new(set(), &config.data, 2, config.seed).expect("data");
    let objective = Broken(0.into());
    let setup = Setup {
        config: &config,
        data: &data,
        eval_data: None,
        objective: &objective,
        base: tiny(),
        llm: None,
        resume: false,
    };
    let ended = Trainer::new(setup)
        .expect("a trainer")
        .run(&mut StopAt(u64::MAX));
    let message = ended.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(
        message.contains("step-000005; start a new run"),
        "{message}"
    );
    // Two groups a step: the eleventh is in step 6.
    assert!(message.contains("diverged at step 6"), "{message}");
    let newest = checkpoint::list(folder.path())
        .expect("checkpoints")
        .pop()
        .expect("one");
    assert!(newest.ends_with("step-000005"));
}

#[test]
fn an_update_that_leaves_the_numbers_is_never_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    // Finite where they are trained, infinite where they are used: the evaluation finds out.
    for (lr, found) in [("1e39", "parameters"), ("1e30", "not finite")] {
        let output = folder.path().join(lr);
        let mut config = config(&output, "infonce", "");
        config.optimizer.lr = lr.parse().expect("a number");
        config.optimizer.warmup_steps = 0;
        config.eval.every = 1;
        let data = TrainData::new(set(), &config.data, 2, config.seed).expect("data");
        let setup = Setup {
            config: &config,
            data: &data,
            eval_data: None,
            objective: &InfoNce::default(),
            base: tiny(),
            llm: None,
            resume: false,
        };
        let ended = Trainer::new(setup)
            .expect("a trainer")
            .run(&mut StopAt(u64::MAX));
        let error = ended.expect_err("it diverges");
        assert!(
            matches!(error, dream::Error::Diverged { step: 1, .. }),
            "{error}"
        );
        let message = error.to_string();
        assert!(message.contains(found), "{message}");
        assert!(
            message.contains("step-000000; start a new run"),
            "{message}"
        );
        let left = checkpoint::list(&output).expect("checkpoints");
        assert!(
            left.len() == 1 && left[0].ends_with("step-000000"),
            "{left:?}"
        );
    }
}

#[test]
fn save_every_0_saves_the_start_and_the_last_step_only() {
    struct Saved(Vec<String>);
    impl Observer for Saved {
        fn event(&mut self, event: &Event<'_>) -> bool {
            if let Event::Saved(place) = event {
                let name = place.file_name().unwrap_or_default();
                self.0.push(name.to_string_lossy().into_owned());
            }
            true
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(folder.path(), "infonce", "");
    config.training.save_every = 0;
    config.eval.every = 0;
    let data = TrainData::new(set(), &config.data, 2, config.seed).expect("data");
    let setup = Setup {
        config: &config,
        data: &data,
        eval_data: None,
        objective: &InfoNce::default(),
        base: tiny(),
        llm: None,
        resume: false,
    };
    let mut saved = Saved(Vec::new());
    let ended = Trainer::new(setup).expect("a trainer").run(&mut saved);
    assert_eq!(ended.expect("a run"), Outcome::Finished);
    assert_eq!(saved.0, ["step-000000", "step-000010"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let any = folder.path().join("any");
        std::fs::create_dir(&any).expect("writable");
        let mode = |place: &Path| {
            let data = std::fs::metadata(place).expect("it is there");
            data.permissions().mode()
        };
        let newest = folder.path().join("checkpoints/step-000010");
        assert_eq!(mode(&newest), mode(&any));
    }
}

#[test]
fn known_passages_that_are_excluded_are_hidden_where_another_query_brought_them() {
    let model = tiny();
    let template = Template::question_answer();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(folder.path(), "dream", "");
    config.data.known_passage = dream_ir::KnownPassage::Exclude;
    config.data.candidates = 8;
    config.data.queries_per_pool = 4;
    let data = TrainData::new(set(), &config.data, 2, 3).expect("data");
    let groups = data.step(0, 4, None);
    let hidden: usize = groups[0].queries.iter().map(|q| q.hidden.len()).sum();
    assert!(hidden > 0, "the case does not occur: {groups:?}");
    for query in &groups[0].queries {
        assert!(query.positives.is_empty());
        let known = &data.set.rows[query.row].positive_ids;
        for (place, document) in groups[0].documents.iter().enumerate() {
            let is_known = known.contains(&data.set.corpus.documents()[*document].id);
            assert_eq!(is_known, query.hidden.contains(&place));
        }
    }
    let batch = data.batch(&data.step(0, 6, None));
    let mut documents = batch.documents.clone();
    documents.sort_unstable();
    documents.dedup();
    assert_eq!(
        (documents.len(), batch.queries.len()),
        (batch.documents.len(), 6)
    );
    let dream = objective(&model, &config, &template);
    let retriever = Retriever {
        adapter: Some(
            LoraAdapter::new(config.retriever.lora.clone(), &model.decoder.config, 5)
                .expect("an adapter"),
        ),
        config: RetrieverConfig::default(),
        standardizer: None,
        model: Arc::clone(&model),
    };
    let compute = |groups: &[dream::train::data::GroupIndex]| {
        step::compute(StepInput {
            retriever: &retriever,
            llm_adapter: None,
            objective: &dream,
            data: &data,
            groups,
            temperature: 0.1,
            chunk_tokens: 1000,
            dropout_seed: None,
        })
    };
    let result = compute(&groups).expect("a step");
    assert!(result.loss.is_finite() && result.weight_on_positive.is_none());
    // Nothing left to weigh.
    let mut none = groups;
    none[0].queries[1].hidden = (0..8).collect();
    let error = compute(&none).expect_err("no document").to_string();
    assert!(
        error.contains("what sells town") && error.contains("candidates"),
        "{error}"
    );
}
