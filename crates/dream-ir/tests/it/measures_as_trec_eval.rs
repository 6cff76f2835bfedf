//! The measures against trec_eval's own code, by way of pytrec_eval
//! (`fixtures/make_measures.py`): ties, f32 ties, graded and negative judgements, a query that
//! was not found, one without relevant documents.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dream_ir::{Error, Measure, Qrels, Result, Run, evaluate};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

#[test]
fn every_value_is_the_one_of_trec_eval() -> Result<()> {
    let qrels = Qrels::read(fixture("measures.qrels"))?;
    let run = Run::read(fixture("measures.run"))?;
    let path = fixture("measures.json");
    let json = std::fs::read_to_string(&path).map_err(|source| Error::Io { path, source })?;
    let expected: BTreeMap<String, BTreeMap<String, f64>> =
        serde_json::from_str(&json).map_err(|error| Error::Invalid(error.to_string()))?;

    let mut compared = 0;
    for (query, values) in &expected {
        for (name, &wanted) in values {
            let measure: Measure = match name.as_str() {
                "recip_rank" => Measure::Rr(1000),
                other => other.parse()?,
            };
            let result = evaluate(&qrels, &run, &[measure])?;
            assert_eq!(
                (result.n_queries, result.n_missing, result.n_unjudged),
                (12, 1, 1)
            );
            let got = result.scores[0].per_query[query];
            assert!(
                (got - wanted).abs() < 1e-12,
                "{query} {name}: wanted {wanted}, got {got}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 12 * 8);
    Ok(())
}

#[test]
fn a_run_written_and_read_again_is_worth_the_same() -> Result<()> {
    let run = Run::read(fixture("measures.run"))?;
    let folder = tempfile::tempdir().map_err(|error| Error::Invalid(error.to_string()))?;
    let path = folder.path().join("again.run");
    run.write(&path, "again")?;
    assert_eq!(Run::read(&path)?, run);
    Ok(())
}
