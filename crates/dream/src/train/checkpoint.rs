//! Checkpoints: everything a run needs to go on as if it had never stopped.
//!
//! `checkpoints/step-000050/` holds the adapter folder (usable as it is by every other command), `llm_adapter/` if
//! the language model is tuned too, `optimizer.safetensors` (AdamW's moments, the temperature), `state.json`, and where
//! candidates are searched while training `candidates.json`. A checkpoint is written beside its place and renamed
//! into it, so what has the name is whole.
//!
//! Candidates are saved and not searched again because they follow from the weights at the start of their
//! period, which no checkpoint need hold any more; and because a search costs more than the file.

use super::searched::Searched;
use crate::files::{read_capped, write_atomic, write_json};
use crate::model::config::DecoderConfig;
use crate::model::lora::LoraAdapter;
use crate::retriever::adapter::{AdapterFolder, LlmAdapter};
use crate::{Error, Result};
use dream_nn::optim::AdamW;
use dream_nn::weights::{NamedTensor, Safetensors, write_safetensors};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Checkpoints kept; older ones are removed once a newer one is whole.
const KEEP: usize = 2;

const CANDIDATES: &str = "candidates.json";
const MAX_CANDIDATES_BYTES: u64 = 1 << 32;

/// `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Steps done.
    pub step: u64,
    /// Steps the optimiser has counted.
    pub optimizer_step: u64,
    /// Digest of everything that must be the same to go on: configuration, models, data.
    pub fingerprint: String,
    /// Seconds of training so far.
    pub wall_secs: f64,
    /// Tokens the language model has read so far.
    pub llm_tokens: u64,
    /// Version of this program.
    pub version: String,
}

/// Name of the folder with the language model's own adapter, in checkpoints and run folders.
pub const LLM_ADAPTER: &str = "llm_adapter";

/// The adapters of a checkpoint.
#[derive(Debug)]
pub struct Adapters {
    /// The retriever's, with settings and standardising layer.
    pub retriever: AdapterFolder,
    /// The language model's, if it is tuned too.
    pub llm: Option<LlmAdapter>,
}

impl Adapters {
    /// Writes the language model's into its folder beside what else stands in `parent`.
    pub fn write_llm(&self, parent: &Path) -> Result<()> {
        match &self.llm {
            Some(llm) => llm.write(&parent.join(LLM_ADAPTER)),
            None => Ok(()),
        }
    }
}

/// A checkpoint in memory.
#[derive(Debug)]
pub struct Checkpoint {
    /// The retriever's adapter, settings, standardising layer.
    pub folder: AdapterFolder,
    /// The language model's adapter, if it is tuned too.
    pub llm_adapter: Option<LoraAdapter>,
    /// Counters.
    pub state: State,
    /// Logarithm of the temperature.
    pub log_temperature: f32,
    /// First moments, one vector a parameter.
    pub first_moments: Vec<Vec<f32>>,
    /// Second moments, one vector a parameter.
    pub second_moments: Vec<Vec<f32>>,
    /// Candidates of the steps that follow, if they were searched before the checkpoint.
    pub searched: Option<Searched>,
}

/// Writes a checkpoint of the optimisers (the temperature's last) and removes old ones; gives its folder.
pub fn save(
    run: &Path,
    adapters: &Adapters,
    state: &State,
    log_temperature: f32,
    optimizers: &[&AdamW],
    searched: Option<&Searched>,
) -> Result<PathBuf> {
    let all = run.join("checkpoints");
    fs::create_dir_all(&all).map_err(|e| Error::io(&all, e))?;
    let temporary = folder_builder()
        .prefix(".writing-")
        .tempdir_in(&all)
        .map_err(|e| Error::io(&all, e))?;
    adapters.retriever.write(temporary.path())?;
    adapters.write_llm(temporary.path())?;
    let states = || optimizers.iter().map(|optimizer| optimizer.state());
    let first: Vec<&Vec<f32>> = states().flat_map(|(_, first, _)| first).collect();
    let second: Vec<&Vec<f32>> = states().flat_map(|(_, _, second)| second).collect();
    let shapes: Vec<[usize; 1]> = first.iter().map(|m| [m.len()]).collect();
    let mut tensors = Vec::new();
    for (kind, moments) in [("first", &first), ("second", &second)] {
        for (i, (moment, shape)) in moments.iter().zip(&shapes).enumerate() {
            tensors.push(NamedTensor {
                name: format!("{kind}.{i:04}"),
                shape,
                data: moment,
            });
        }
    }
    let log_temperature = [log_temperature];
    let name = "log_temperature".to_string();
    tensors.push(NamedTensor {
        name,
        shape: &[1],
        data: &log_temperature,
    });
    let path = temporary.path().join("optimizer.safetensors");
    write_safetensors(&path, &tensors, &std::collections::BTreeMap::new())?;
    write_json(&temporary.path().join("state.json"), state)?;
    if let Some(searched) = searched {
        let text = serde_json::to_vec(searched).expect("numbers are JSON. This is a bug.");
        write_atomic(&temporary.path().join(CANDIDATES), &text)?;
    }
    let place = place_of(run, state.step);
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|e| Error::io(&place, e))?;
    }
    let temporary = temporary.keep();
    fs::rename(&temporary, &place).map_err(|e| Error::io(&place, e))?;
    for old in list(run)?.into_iter().rev().skip(KEEP) {
        fs::remove_dir_all(&old).map_err(|e| Error::io(&old, e))?;
    }
    Ok(place)
}

/// Removes the checkpoint of a step, if there is one.
pub fn remove(run: &Path, step: u64) -> Result<()> {
    let place = place_of(run, step);
    if place.exists() {
        fs::remove_dir_all(&place).map_err(|e| Error::io(&place, e))?;
    }
    Ok(())
}

fn place_of(run: &Path, step: u64) -> PathBuf {
    run.join("checkpoints").join(format!("step-{step:06}"))
}

/// As open as the user's other folders; the process's umask still applies.
fn folder_builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    builder
}

/// Folders of whole checkpoints, oldest first.
pub fn list(run: &Path) -> Result<Vec<PathBuf>> {
    let all = run.join("checkpoints");
    if !all.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(&all).map_err(|e| Error::io(&all, e))? {
        let path = entry.map_err(|e| Error::io(&all, e))?.path();
        let named = path
            .file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|n| n.starts_with("step-"));
        if named && path.join("state.json").exists() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads the newest checkpoint of a run; `None` if there is none. `llm` describes the language model
/// where it is tuned too.
pub fn latest(
    run: &Path,
    model: &DecoderConfig,
    llm: Option<&DecoderConfig>,
) -> Result<Option<Checkpoint>> {
    let Some(place) = list(run)?.pop() else {
        return Ok(None);
    };
    let state: State = read_json(&place.join("state.json"), 1 << 20)?;
    let path = place.join(CANDIDATES);
    let searched = path
        .exists()
        .then(|| read_json(&path, MAX_CANDIDATES_BYTES))
        .transpose()?;
    let folder = AdapterFolder::read(&place, model)?;
    let read_llm = |config| AdapterFolder::read(&place.join(LLM_ADAPTER), config);
    let llm_adapter = llm.map(read_llm).transpose()?.map(|read| read.adapter);
    let file = Safetensors::open(&[place.join("optimizer.safetensors")])?;
    let moments = |kind: &str| {
        let mut names: Vec<String> = file
            .names()
            .filter(|n| n.starts_with(kind))
            .map(str::to_string)
            .collect();
        names.sort();
        names
            .iter()
            .map(|name| Ok(file.tensor(name)?.data))
            .collect::<Result<Vec<_>>>()
    };
    let log_temperature = file.tensor("log_temperature")?.data[0];
    Ok(Some(Checkpoint {
        folder,
        llm_adapter,
        state,
        log_temperature,
        first_moments: moments("first.")?,
        second_moments: moments("second.")?,
        searched,
    }))
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path, max_bytes: u64) -> Result<T> {
    serde_json::from_slice(&read_capped(path, max_bytes)?).map_err(|e| Error::Malformed {
        path: path.into(),
        what: e.to_string(),
    })
}
