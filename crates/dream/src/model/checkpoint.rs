//! A model on disk: its configuration and its tensors by the names of a transformers `ForCausalLM` model.
//!
//! Accepted: a folder with `config.json` and safetensors (one file, or shards with an index), with or without the
//! `model.` prefix; a `.safetensors` file beside its `config.json`; a `.gguf` file, or a folder with exactly one.

mod names;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dream_nn::weights::{Gguf, Safetensors, Tensor};

use super::config::DecoderConfig;
use crate::{Error, Result};
use names::Place;

const CONFIG: &str = "config.json";
const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// An opened model: the heads of its files are read and checked, its tensors are read when asked for.
#[derive(Debug)]
pub struct Checkpoint {
    /// Sizes and switches.
    pub config: DecoderConfig,
    /// The weight files.
    pub source: Source,
    folder: PathBuf,
    digest: OnceLock<String>,
}

/// Where the weights come from.
#[derive(Debug)]
pub enum Source {
    /// One safetensors file or several.
    Safetensors(Safetensors),
    /// A GGUF file, which holds configuration and vocabulary too.
    Gguf(Gguf),
}

impl Checkpoint {
    /// Opens a model folder or weight file. If nothing usable is there, the error says what was looked for.
    pub fn open(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|e| {
            let what = format!(
                "{e}; wanted a folder with {CONFIG} and {SINGLE} or {INDEX}, a folder with one .gguf file, \
                 a .gguf file, or a .safetensors file beside its {CONFIG}"
            );
            Error::io(path, std::io::Error::new(e.kind(), what))
        })?;
        if metadata.is_dir() {
            return Self::open_folder(path);
        }
        match path.extension().and_then(|e| e.to_str()) {
            Some("gguf") => Self::open_gguf(path),
            Some("safetensors") => {
                let folder = folder_of(path);
                let config = DecoderConfig::from_json(&folder.join(CONFIG))?;
                Ok(Self::new(
                    config,
                    Source::Safetensors(Safetensors::open(&[path])?),
                    folder,
                ))
            }
            _ => Err(Error::Malformed {
                path: path.to_owned(),
                what: "wanted a .gguf or .safetensors file, or a model folder".to_owned(),
            }),
        }
    }

    fn open_folder(folder: &Path) -> Result<Self> {
        let config = folder.join(CONFIG);
        let index = folder.join(INDEX);
        if config.is_file() {
            let weights = if index.is_file() {
                Some(Safetensors::open_index(&index)?)
            } else {
                let files = plain_safetensors(folder)?;
                (!files.is_empty())
                    .then(|| Safetensors::open(&files))
                    .transpose()?
            };
            if let Some(weights) = weights {
                let config = DecoderConfig::from_json(&config)?;
                return Ok(Self::new(config, Source::Safetensors(weights), folder));
            }
        }
        let ggufs = files_ending(folder, ".gguf")?;
        match &ggufs[..] {
            [gguf] => Self::open_gguf(gguf),
            [] => {
                let state = if config.is_file() {
                    "is there"
                } else {
                    "is missing"
                };
                Err(Error::Malformed {
                    path: folder.to_owned(),
                    what: format!(
                        "no model found: looked for {CONFIG} ({state}) with {INDEX}, {SINGLE} or other .safetensors \
                         files, then for one .gguf file"
                    ),
                })
            }
            several => {
                let names: Vec<_> = several
                    .iter()
                    .filter_map(|p| p.file_name())
                    .map(|n| n.to_string_lossy())
                    .collect();
                Err(Error::Malformed {
                    path: folder.to_owned(),
                    what: format!(
                        "holds {} .gguf files, wanted one; name the file itself: {}",
                        several.len(),
                        names.join(", ")
                    ),
                })
            }
        }
    }

    fn open_gguf(path: &Path) -> Result<Self> {
        let gguf = Gguf::open(path)?;
        let config = DecoderConfig::from_gguf(&gguf)?;
        Ok(Self::new(config, Source::Gguf(gguf), folder_of(path)))
    }

    fn new(config: DecoderConfig, source: Source, folder: impl Into<PathBuf>) -> Self {
        Self {
            config,
            source,
            folder: folder.into(),
            digest: OnceLock::new(),
        }
    }

    /// The GGUF file, if that is what the model is: it holds the vocabulary.
    pub fn gguf(&self) -> Option<&Gguf> {
        match &self.source {
            Source::Gguf(gguf) => Some(gguf),
            Source::Safetensors(_) => None,
        }
    }

    /// The folder in which the weight files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the model has this tensor. `lm_head.weight` of a tied model is its embedding.
    pub fn has(&self, name: &str) -> bool {
        names::place(&self.config, name).is_some_and(|place| self.stored(name, &place).is_some())
    }

    /// Reads a tensor by its name in a transformers `ForCausalLM` model, as in
    /// `model.layers.0.self_attn.q_proj.weight`. Its shape is what the configuration says.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let place = names::place(&self.config, name).ok_or_else(|| {
            Error::Invalid(format!(
                "a {} model of {} layers has no tensor {name}",
                self.config.architecture, self.config.num_hidden_layers
            ))
        })?;
        let Some(stored) = self.stored(name, &place) else {
            return Err(Error::Weights(dream_nn::Error::MissingTensor {
                name: match &self.source {
                    Source::Safetensors(_) => name.to_owned(),
                    Source::Gguf(_) => format!("{} ({name})", place.gguf),
                },
                path: self.path_of_weights(),
            }));
        };
        let found = self.shape(&stored);
        if found.as_ref() != Some(&place.shape) {
            return Err(Error::Malformed {
                path: self.path_of_weights(),
                what: format!(
                    "tensor {stored} has shape {:?}, wanted {:?}",
                    found.unwrap_or_default(),
                    place.shape
                ),
            });
        }
        let mut tensor = match &self.source {
            Source::Safetensors(files) => files.tensor(&stored)?,
            Source::Gguf(gguf) => gguf.tensor(&stored)?,
        };
        if self.gguf().is_some() && place.gguf_interleaves_rope {
            tensor.data = split_halves(&tensor.data, self.config.head_dim, self.config.hidden_size);
        }
        Ok(tensor)
    }

    /// BLAKE3 of the weight files' bytes, one after the other in the order of their names; in hexadecimal.
    /// For a single file that is what `b3sum` prints. Computed once, when first asked for.
    pub fn digest(&self) -> String {
        let compute = || {
            let mut hasher = blake3::Hasher::new();
            match &self.source {
                Source::Safetensors(files) => {
                    for bytes in files.bytes() {
                        hasher.update_rayon(bytes);
                    }
                }
                Source::Gguf(gguf) => {
                    hasher.update_rayon(gguf.bytes());
                }
            }
            hasher.finalize().to_hex().to_string()
        };
        self.digest.get_or_init(compute).clone()
    }

    /// The name under which the file holds the tensor, if it does.
    fn stored(&self, name: &str, place: &Place) -> Option<String> {
        let candidates = match &self.source {
            Source::Gguf(_) => vec![place.gguf.clone()],
            Source::Safetensors(_) => {
                let mut names = vec![name];
                if place.is_tied_head {
                    names.push(names::EMBEDDING);
                }
                let bare = |n: &&'_ str| n.strip_prefix("model.").map(str::to_owned);
                let without_prefix: Vec<String> = names.iter().filter_map(bare).collect();
                let with_prefix = names.into_iter().map(str::to_owned);
                with_prefix.chain(without_prefix).collect()
            }
        };
        candidates
            .into_iter()
            .find(|candidate| self.shape(candidate).is_some())
    }

    fn shape(&self, stored: &str) -> Option<Vec<usize>> {
        match &self.source {
            Source::Safetensors(files) => files.shape(stored),
            Source::Gguf(gguf) => gguf.shape(stored),
        }
    }

    /// The weight file, or the folder if there are several.
    fn path_of_weights(&self) -> PathBuf {
        match &self.source {
            Source::Gguf(gguf) => gguf.path().to_owned(),
            Source::Safetensors(files) => {
                let mut paths = files.paths();
                match (paths.next(), paths.next()) {
                    (Some(only), None) => only.to_owned(),
                    _ => self.folder.clone(),
                }
            }
        }
    }
}

/// GGUF files of Llama models keep the rows of q and k in the order of interleaved RoPE, pairs side by side:
/// row `2 i + p` of a head is row `i + p * head_dim / 2` of the half-split order that this program computes with.
fn split_halves(interleaved: &[f32], head_dim: usize, row_len: usize) -> Vec<f32> {
    let half = head_dim / 2;
    let mut split = Vec::with_capacity(interleaved.len());
    for head in interleaved.chunks_exact(head_dim * row_len) {
        for p in 0..2 {
            for i in 0..half {
                split.extend_from_slice(&head[(2 * i + p) * row_len..][..row_len]);
            }
        }
    }
    split
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// `model.safetensors`, or else every safetensors file that is not an adapter.
fn plain_safetensors(folder: &Path) -> Result<Vec<PathBuf>> {
    let single = folder.join(SINGLE);
    if single.is_file() {
        return Ok(vec![single]);
    }
    let mut files = files_ending(folder, ".safetensors")?;
    files.retain(|f| {
        f.file_name()
            .is_some_and(|n| n != "adapter_model.safetensors")
    });
    Ok(files)
}

/// Files of the folder with this ending, sorted.
fn files_ending(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let io = |e| Error::io(folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Hidden files are temporary ones, of ours or of the system.
        if name.ends_with(ending) && !name.starts_with('.') && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
