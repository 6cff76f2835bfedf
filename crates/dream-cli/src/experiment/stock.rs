//! What several runs of an experiment share: models, data and test sets, each loaded once.

use crate::cli::App;
use crate::models;
use anyhow::Result;
use dream::experiment::folder::key;
use dream::model::Model;
use dream::train::{TrainConfig, TrainData};
use dream_ir::beir::Dataset;
use dream_nn::Dtype;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Everything that was loaded so far.
#[derive(Default)]
pub struct Stock {
    models: Vec<(PathBuf, Dtype, Arc<Model>)>,
    datasets: Vec<(PathBuf, String, Rc<Dataset>)>,
    /// Training data is kept for runs that follow each other only: pools differ by setting and seed.
    data: Option<(String, Rc<TrainData>)>,
}

impl Stock {
    /// A model by path or name.
    pub fn model(&mut self, name: &str, dtype: Dtype, app: &App) -> Result<Arc<Model>> {
        let path = models::resolve(name, &app.env)?;
        let known = self
            .models
            .iter()
            .find(|(p, d, _)| (p, *d) == (&path, dtype));
        if let Some((_, _, model)) = known {
            return Ok(Arc::clone(model));
        }
        let model = Arc::new(Model::load(&path, dtype)?);
        self.models.push((path, dtype, Arc::clone(&model)));
        Ok(model)
    }

    /// A BEIR set.
    pub fn dataset(&mut self, folder: &Path, split: &str) -> Result<Rc<Dataset>> {
        let known = self
            .datasets
            .iter()
            .find(|(f, s, _)| f == folder && s == split);
        if let Some((_, _, dataset)) = known {
            return Ok(Rc::clone(dataset));
        }
        let dataset = Rc::new(Dataset::open(folder, split)?);
        let entry = (folder.into(), split.into(), Rc::clone(&dataset));
        self.datasets.push(entry);
        Ok(dataset)
    }

    /// Rows, corpus and pools of a configuration.
    pub fn data(&mut self, config: &TrainConfig) -> Result<Rc<TrainData>> {
        let eval = &config.eval;
        let key = key(&(&config.data, eval.heldout, eval.data.is_some(), config.seed))?;
        match &self.data {
            Some((known, data)) if *known == key => Ok(Rc::clone(data)),
            _ => {
                let data = Rc::new(TrainData::open(config)?);
                self.data = Some((key, Rc::clone(&data)));
                Ok(data)
            }
        }
    }
}
