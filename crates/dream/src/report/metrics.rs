//! `metrics.jsonl`: what a run measured, one JSON object a line, appended as it happens.
//!
//! A training line is a [`StepRecord`], an evaluation line an [`EvalRecord`]. All that depends on
//! the clock sits under `timing`, so two runs of the same seed, configuration and data have the same
//! lines once that part is left out ([`Record::without_timing`]). A number that is not finite is
//! `null` in the file and NaN in memory.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use dream_ir::atomic_write::write_atomically;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Result};

/// One line of `metrics.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Record {
    /// An evaluation on held-out queries. First: it is the one with a key of its own, `eval`.
    Eval(EvalRecord),
    /// A search of candidates; its own key is `refresh`.
    Refresh(RefreshRecord),
    /// One optimiser step.
    Step(StepRecord),
}

/// What one optimiser step measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Optimiser steps done, from 1.
    pub step: u64,
    /// Queries trained on so far, repetitions counted.
    pub queries_seen: u64,
    /// Mean loss of the step's queries; for the DREAM objective in nats per target token.
    #[serde(deserialize_with = "nan_from_null")]
    pub loss: f64,
    /// Learning rate of the step.
    #[serde(deserialize_with = "nan_from_null")]
    pub lr: f64,
    /// Global norm of the gradient before clipping.
    #[serde(deserialize_with = "nan_from_null")]
    pub grad_norm: f64,
    /// Mean entropy of the document weights, in nats; `ln K` when all K candidates weigh the same.
    #[serde(deserialize_with = "nan_from_null")]
    pub weight_entropy: f64,
    /// Mean weight on the known positive, over the queries that have one in the pool.
    pub weight_on_positive: Option<f64>,
    /// Temperature of the softmax over scores.
    #[serde(deserialize_with = "nan_from_null")]
    pub tau: f64,
    /// Tokens the LLM read in this step.
    pub llm_tokens: u64,
    /// Tokens the retriever read in this step, each text once; runs of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retriever_tokens: Option<u64>,
    /// The clock's part.
    #[serde(default)]
    pub timing: Timing,
}

/// What one evaluation measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    /// Optimiser steps done before it; 0 is the untrained retriever.
    pub step: u64,
    /// The evaluation itself.
    pub eval: Evaluation,
    /// The clock's part.
    #[serde(default)]
    pub timing: Timing,
}

/// A search of candidates with the retriever as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefreshRecord {
    /// Optimiser steps done before it.
    pub step: u64,
    /// What was searched.
    pub refresh: Refresh,
    /// The clock's part.
    #[serde(default)]
    pub timing: Timing,
}

/// What a search of candidates went over, and what it found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// Rows whose candidates were searched.
    pub rows: usize,
    /// Documents that were embedded.
    pub documents: usize,
    /// Share of the rows with a known passage whose pool holds one; absent where no row has one.
    pub with_known_passage: Option<f64>,
}

/// Measures of one set of queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Name of the set.
    pub name: String,
    /// Measure (`nDCG@10`, `R@100`, `RR@10`) to its mean over queries.
    #[serde(flatten, deserialize_with = "nans_from_nulls")]
    pub measures: BTreeMap<String, f64>,
}

/// Numbers that differ between two runs of the same seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Seconds since the run began, those before a resume included.
    pub wall_secs: f64,
    /// LLM tokens a second during this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_sec: Option<f64>,
    /// Seconds that a search of candidates took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_secs: Option<f64>,
}

impl Record {
    /// Optimiser steps done when the line was written.
    pub fn step(&self) -> u64 {
        match self {
            Self::Eval(eval) => eval.step,
            Self::Refresh(refresh) => refresh.step,
            Self::Step(step) => step.step,
        }
    }

    /// The record with its `timing` zeroed: equal for equal runs.
    #[must_use]
    pub fn without_timing(mut self) -> Self {
        match &mut self {
            Self::Eval(eval) => eval.timing = Timing::default(),
            Self::Refresh(refresh) => refresh.timing = Timing::default(),
            Self::Step(step) => step.timing = Timing::default(),
        }
        self
    }
}

/// Appends records to a metrics file; each is a complete line in the file when the call returns.
#[derive(Debug)]
pub struct MetricsWriter {
    path: PathBuf,
    file: File,
}

impl MetricsWriter {
    /// Starts an empty file.
    pub fn create(path: &Path) -> Result<Self> {
        Self::open(
            path,
            OpenOptions::new().write(true).create(true).truncate(true),
        )
    }

    /// Continues the file of a run that goes on from the checkpoint of `step`: what was written
    /// after that checkpoint is cut first. A missing file is started.
    pub fn resume(path: &Path, step: u64) -> Result<Self> {
        if path.exists() {
            truncate_after(path, step)?;
        }
        Self::open(path, OpenOptions::new().append(true).create(true))
    }

    fn open(path: &Path, options: &OpenOptions) -> Result<Self> {
        let file = options.open(path).map_err(|e| Error::io(path, e))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Appends one line.
    pub fn write(&mut self, record: &Record) -> Result<()> {
        let line = to_line(record);
        self.file
            .write_all(line.as_bytes())
            .map_err(|e| Error::io(&self.path, e))
    }
}

/// Reads all records. A last line without line end, left by a killed process, is skipped; any other
/// line that is not a record is an error naming file and line.
pub fn read_metrics(path: &Path) -> Result<Vec<Record>> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut reader = BufReader::new(file);
    let mut records = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        reader
            .read_until(b'\n', &mut line)
            .map_err(|e| Error::io(path, e))?;
        if line.pop_if(|byte| *byte == b'\n').is_none() {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let record = serde_json::from_slice(&line).map_err(|_| dream_ir::Error::Line {
            path: path.to_owned(),
            line: number,
            what: format!(
                "wanted a metrics record with `step` and `loss` or `eval`, got {:?}",
                String::from_utf8_lossy(&line)
                    .chars()
                    .take(80)
                    .collect::<String>()
            ),
        })?;
        records.push(record);
    }
    Ok(records)
}

/// Cuts all lines of a step later than `step`, and evaluation and search of that step; the file is
/// replaced whole or not at all.
///
/// The checkpoint of a step is written after the step's line and before its evaluation and search, which
/// a run that goes on does again.
pub fn truncate_after(path: &Path, step: u64) -> Result<()> {
    let kept: String = read_metrics(path)?
        .iter()
        .filter(|record| match record {
            Record::Step(taken) => taken.step <= step,
            Record::Eval(eval) => eval.step < step,
            Record::Refresh(refresh) => refresh.step < step,
        })
        .map(to_line)
        .collect();
    write_atomically(path, |file| file.write_all(kept.as_bytes()))?;
    Ok(())
}

fn to_line(record: &Record) -> String {
    let mut line = serde_json::to_string(record)
        .expect("records hold numbers and string keys only. This is a bug.");
    line.push('\n');
    line
}

fn nan_from_null<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

fn nans_from_nulls<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<BTreeMap<String, f64>, D::Error> {
    let measures = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?;
    Ok(measures
        .into_iter()
        .map(|(name, value)| (name, value.unwrap_or(f64::NAN)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

    fn step(step: u64) -> Record {
        Record::Step(StepRecord {
            step,
            queries_seen: 8 * step,
            loss: 2.5 / step as f64,
            lr: 1e-4,
            grad_norm: 0.1,
            weight_entropy: 1.0 / 3.0,
            weight_on_positive: (step != 2).then_some(0.25),
            tau: 0.05,
            llm_tokens: 4096,
            retriever_tokens: Some(2048),
            timing: Timing {
                wall_secs: 1.5 * step as f64,
                tokens_per_sec: Some(2048.0),
                ..Timing::default()
            },
        })
    }

    fn eval(step: u64) -> Record {
        let measures = BTreeMap::from([("nDCG@10".to_owned(), 0.71)]);
        let eval = Evaluation {
            name: "held-out".into(),
            measures,
        };
        Record::Eval(EvalRecord {
            step,
            eval,
            timing: Timing::default(),
        })
    }

    fn refresh(step: u64) -> Record {
        Record::Refresh(RefreshRecord {
            step,
            refresh: Refresh {
                rows: 8,
                documents: 100,
                with_known_passage: (step > 0).then_some(0.75),
            },
            timing: Timing {
                refresh_secs: Some(1.5),
                ..Timing::default()
            },
        })
    }

    #[test]
    fn records_come_back_as_they_were_written() -> TestResult {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("metrics.jsonl");
        let records = vec![
            eval(0),
            refresh(0),
            step(1),
            step(2),
            eval(2),
            refresh(2),
            step(3),
        ];
        let mut writer = MetricsWriter::create(&path)?;
        for record in &records {
            writer.write(record)?;
        }
        assert_eq!(read_metrics(&path)?, records);
        Ok(())
    }

    #[test]
    fn a_resumed_run_loses_only_what_came_after_the_checkpoint() -> TestResult {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("metrics.jsonl");
        let mut writer = MetricsWriter::create(&path)?;
        for record in [eval(0), step(1), step(2), eval(2), refresh(2), step(3)] {
            writer.write(&record)?;
        }
        writer.file.write_all(b"{\"step\":4,\"lo")?; // killed in the middle of a line
        let mut writer = MetricsWriter::resume(&path, 2)?;
        writer.write(&eval(2))?;
        writer.write(&step(3))?;
        let all = [eval(0), step(1), step(2), eval(2), step(3)];
        assert_eq!(read_metrics(&path)?, all);
        // The checkpoint of step 0 comes before the first evaluation.
        MetricsWriter::resume(&path, 0)?;
        assert_eq!(read_metrics(&path)?, []);
        Ok(())
    }

    #[test]
    fn runs_that_differ_only_in_speed_are_equal_without_timing() {
        let slow = step(3);
        let mut fast = step(3);
        if let Record::Step(fast) = &mut fast {
            fast.timing = Timing {
                wall_secs: 0.1,
                ..Timing::default()
            };
        }
        assert_ne!(slow, fast);
        assert_eq!(slow.without_timing(), fast.without_timing());
    }

    #[test]
    fn a_number_that_is_not_finite_reads_back_as_nan() -> TestResult {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("metrics.jsonl");
        let mut bad = step(1);
        if let Record::Step(bad) = &mut bad {
            bad.loss = f64::INFINITY;
        }
        MetricsWriter::create(&path)?.write(&bad)?;
        let Record::Step(back) = &read_metrics(&path)?[0] else {
            panic!("not a step")
        };
        assert!(back.loss.is_nan());
        Ok(())
    }

    #[test]
    fn a_broken_line_is_named_with_file_and_number() -> TestResult {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("metrics.jsonl");
        std::fs::write(&path, format!("{}{{\"step\": 2}}\n", to_line(&step(1))))?;
        let message = read_metrics(&path).map_or_else(|e| e.to_string(), |_| String::new());
        assert!(message.contains("metrics.jsonl:2:"), "{message}");
        Ok(())
    }
}
