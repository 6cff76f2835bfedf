//! The measures against trec_eval's own code, by way of pytrec_eval, on random runs
//! (`fixtures/make_measures.py`): ties, f32 ties, graded and negative judgements, queries that were
//! not found, that nobody judged, and that have no relevant document.
//!
//! `DREAM_MEASURES` names another folder of the same files; `checks/pytrec_eval_random.py` does, with
//! 10,000 runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dream_ir::{
    Error, EvaluationOptions, Measure, Qrels, Result, Run, RunOptions, ScoreWidth, evaluate_with,
};
use serde::Deserialize;

/// How far a value may be from trec_eval's.
const TOLERANCE: f64 = 1e-9;

/// What the runs are worth.
#[derive(Deserialize)]
struct Expected {
    missing: usize,
    unjudged: usize,
    /// Score width and relevance level (`f32 1`), then query, then measure.
    values: BTreeMap<String, BTreeMap<String, BTreeMap<String, f64>>>,
}

fn folder() -> PathBuf {
    let fixtures = || Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/measures");
    std::env::var_os("DREAM_MEASURES").map_or_else(fixtures, PathBuf::from)
}

fn expected() -> Result<Expected> {
    let path = folder().join("expected.json");
    let json = std::fs::read_to_string(&path).map_err(|source| Error::Io { path, source })?;
    serde_json::from_str(&json).map_err(|error| Error::Invalid(error.to_string()))
}

#[test]
fn every_value_and_every_mean_is_the_one_of_trec_eval() -> Result<()> {
    let expected = expected()?;
    let qrels = Qrels::read(folder().join("qrels.trec"))?;
    let mut compared = 0;
    for (score_width, relevance_level) in [
        (ScoreWidth::F32, 1),
        (ScoreWidth::F32, 2),
        (ScoreWidth::F64, 1),
        (ScoreWidth::F64, 2),
    ] {
        let form = None;
        let run = Run::read_with(folder().join("run.trec"), RunOptions { form, score_width })?;
        let wanted = &expected.values[&format!("{score_width} {relevance_level}")];
        let names = wanted.values().next().into_iter().flat_map(BTreeMap::keys);
        let measures: Vec<Measure> = names.map(|name| name.parse()).collect::<Result<_>>()?;
        let options = EvaluationOptions {
            relevance_level,
            ..EvaluationOptions::default()
        };
        let got = evaluate_with(&qrels, &run, &measures, options)?;
        assert_eq!(
            (got.n_queries, got.n_missing, got.n_unjudged),
            (wanted.len(), expected.missing, expected.unjudged)
        );
        for scores in &got.scores {
            let name = scores.measure.to_string();
            let mut sum = 0.0;
            for (query, value) in &scores.per_query {
                let wanted = wanted[query][&name];
                assert!(
                    (value - wanted).abs() <= TOLERANCE,
                    "{query} {name}: wanted {wanted}, got {value}"
                );
                sum += wanted;
                compared += 1;
            }
            assert!((scores.mean - sum / wanted.len() as f64).abs() <= TOLERANCE);
        }
    }
    #[expect(clippy::print_stdout, reason = "read by checks/pytrec_eval_random.py")]
    {
        println!("compared {compared} values");
    }
    assert!(compared > 1000);
    Ok(())
}

#[test]
fn a_run_written_and_read_again_is_worth_the_same() -> Result<()> {
    let run = Run::read(folder().join("run.trec"))?;
    let again = tempfile::tempdir().map_err(|error| Error::Invalid(error.to_string()))?;
    let path = again.path().join("again.run");
    run.write(&path, "again")?;
    assert_eq!(Run::read(&path)?, run);
    Ok(())
}
