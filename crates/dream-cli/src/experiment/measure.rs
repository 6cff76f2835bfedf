//! Evaluations of an experiment: an untrained start once, a trained retriever after its run.

use super::Session;
use crate::interrupt;
use crate::progress::{Progress, Unit};
use anyhow::Result;
use dream::experiment::folder::{key, read_json};
use dream::experiment::{HELDOUT, PerQuery, start_set};
use dream::files::write_json;
use dream::geometry::{self, Geometry};
use dream::model::Model;
use dream::retriever::{Retriever, Standardize};
use dream::train::evaluation::EvalSet;
use dream::train::{TrainConfig, TrainData, untrained};
use dream_ir::beir::Dataset;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// An untrained start and what it was worth.
pub struct Start {
    /// Name of its folder.
    pub key: String,
    /// Name of the held-out rows.
    pub heldout: String,
    /// Its geometry.
    pub geometry: Geometry,
}

/// The sets that a run is evaluated on, held-out rows first.
pub fn sets<'a>(
    config: &TrainConfig,
    data: &'a TrainData,
    tests: &'a [(String, Rc<Dataset>)],
) -> Result<Vec<EvalSet<'a>>> {
    let mut sets = Vec::new();
    if !data.heldout.is_empty() {
        sets.push(EvalSet::heldout(data, 0)?);
        if config.eval.documents > 0 {
            sets.push(EvalSet::heldout(data, config.eval.documents)?);
        }
    }
    let tests = tests.iter();
    sets.extend(tests.map(|(name, dataset)| EvalSet::of_dataset(name, dataset)));
    Ok(sets)
}

impl Session<'_> {
    /// Evaluates a run's untrained start, unless another run has the same one.
    pub fn start(
        &self,
        config: &TrainConfig,
        data: &TrainData,
        base: &Arc<Model>,
        sets: &[EvalSet<'_>],
    ) -> Result<Start> {
        let heldout = key(&(&config.data.path, config.eval.heldout, config.seed))?;
        let retriever = &config.retriever;
        let is_plain = retriever.encoding.standardize == Standardize::None;
        // Statistics of a standardising layer are those of the training data.
        let statistics = (!is_plain).then_some((&heldout, retriever.standardize_texts));
        let parts = (&base.digest, &retriever.encoding, config.dtype, statistics);
        let key = key(&parts)?;
        let place = |set: &str| self.folder.start_per_query(&key, &start_set(set, &heldout));
        let geometry_file = self
            .folder
            .start(&key)
            .join(format!("geometry.{heldout}.json"));
        let known: Option<Geometry> = read_json(&geometry_file)?;
        let is_known = known.is_some() && sets.iter().all(|set| place(&set.name).exists());
        let geometry = match known {
            Some(geometry) if is_known => geometry,
            _ => {
                let retriever = untrained(config, data, Arc::clone(base))?;
                self.evaluate("untrained", &retriever, sets, &place)?;
                geometry_of(&retriever, data, config.seed, &geometry_file)?
            }
        };
        Ok(Start {
            key,
            heldout,
            geometry,
        })
    }

    /// Evaluates a retriever on the sets that have no values yet.
    pub fn evaluate(
        &self,
        what: &str,
        retriever: &Retriever,
        sets: &[EvalSet<'_>],
        place: &dyn Fn(&str) -> PathBuf,
    ) -> Result<()> {
        for set in sets {
            let path = place(&set.name);
            if path.exists() {
                continue;
            }
            let title = format!("{what}: {}", set.name);
            let mut progress = Progress::new(title, Unit::Of("texts"), self.app);
            let measured = set.evaluate(retriever, &mut |done, total| {
                progress.update(done as u64, total as u64);
                !interrupt::requested()
            })?;
            progress.finish();
            let values = PerQuery {
                scores: measured.evaluation.scores,
            };
            values.write(&path)?;
        }
        Ok(())
    }
}

/// Measures a retriever's geometry, unless it is known.
pub fn geometry_of(
    retriever: &Retriever,
    data: &TrainData,
    seed: u64,
    path: &Path,
) -> Result<Geometry> {
    if let Some(known) = read_json(path)? {
        return Ok(known);
    }
    let measured = geometry::measure(retriever, data, seed)?;
    write_json(path, &measured)?;
    Ok(measured)
}

/// Whether a set is of held-out rows, which training evaluates itself.
pub fn is_heldout(set: &str) -> bool {
    set.starts_with(HELDOUT)
}
