//! Adapter folders: PEFT's `adapter_config.json` and `adapter_model.safetensors`, and beside them our
//! `retriever.json` (pooling, lengths, prompts, provenance) and `standardizer.safetensors`.
//!
//! Both spellings of PEFT's tensor names are read (`base_model.model.model.layers...` of a causal
//! model as base, `base_model.model.layers...` of a bare body); the first is written.

use super::config::RetrieverConfig;
use super::standardize::{Affine, Standardizer};
use crate::files::{read_capped, write_atomic, write_json};
use crate::model::config::DecoderConfig;
use crate::model::lora::{LoraAdapter, LoraConfig, Module};
use crate::{Error, Result};
use dream_nn::Matrix;
use dream_nn::ops::lora::Lora;
use dream_nn::weights::{NamedTensor, Safetensors, write_safetensors};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::Path;

/// Name of PEFT's configuration in an adapter folder.
pub const ADAPTER_CONFIG: &str = "adapter_config.json";
/// Name of PEFT's weights in an adapter folder.
pub const ADAPTER_WEIGHTS: &str = "adapter_model.safetensors";
/// Name of our settings in an adapter folder.
pub const RETRIEVER_CONFIG: &str = "retriever.json";
/// Name of the standardising layer in an adapter folder.
pub const STANDARDIZER_WEIGHTS: &str = "standardizer.safetensors";

/// Longest configuration file read.
const MAX_CONFIG_BYTES: u64 = 4 << 20;

/// Where an adapter comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The base model as it was named.
    pub base_model: String,
    /// Digest of the base model's weights.
    pub base_model_digest: String,
    /// Digest of the training data.
    pub data_digest: String,
    /// Optimisation steps taken.
    pub steps: u64,
    /// Version of this program.
    pub version: String,
}

/// `retriever.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrieverFile {
    /// How texts become embeddings.
    pub retriever: RetrieverConfig,
    /// Softmax temperature at the end of training.
    pub temperature: f32,
    /// What made it.
    pub provenance: Provenance,
}

/// An adapter folder in memory.
#[derive(Debug)]
pub struct AdapterFolder {
    /// The adapter.
    pub adapter: LoraAdapter,
    /// Our settings; absent in folders that PEFT wrote.
    pub file: Option<RetrieverFile>,
    /// The standardising layer, where the settings ask for one.
    pub standardizer: Option<Standardizer>,
}

/// The adapter of a language model that was tuned too, as it is written.
#[derive(Clone, Debug)]
pub struct LlmAdapter {
    /// The adapter.
    pub adapter: LoraAdapter,
    /// The model as it was named.
    pub base_model: String,
}

impl LlmAdapter {
    /// Writes a folder in PEFT's form, the configuration last.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        write_lora_weights(folder, &self.adapter)?;
        write_lora_config(folder, &self.adapter, &self.base_model, "CAUSAL_LM")
    }
}

impl AdapterFolder {
    /// Reads a folder that this program or PEFT wrote.
    ///
    /// # Errors
    /// A file is missing or malformed, or the adapter uses something other than plain LoRA.
    pub fn read(folder: &Path, model: &DecoderConfig) -> Result<Self> {
        let config = read_config(&folder.join(ADAPTER_CONFIG))?;
        let adapter = read_weights(&folder.join(ADAPTER_WEIGHTS), config, model)?;
        let path = folder.join(RETRIEVER_CONFIG);
        let file: Option<RetrieverFile> = if path.exists() {
            let bytes = read_capped(&path, MAX_CONFIG_BYTES)?;
            let file = serde_json::from_slice(&bytes).map_err(|e| Error::Malformed {
                path: path.clone(),
                what: e.to_string(),
            })?;
            Some(file)
        } else {
            None
        };
        let path = folder.join(STANDARDIZER_WEIGHTS);
        let standardizer = if path.exists() {
            Some(read_standardizer(&path, model.hidden_size)?)
        } else {
            None
        };
        Ok(Self {
            adapter,
            file,
            standardizer,
        })
    }

    /// Writes the folder, each file atomically; the configuration, which makes a folder an adapter, last.
    pub fn write(&self, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        write_lora_weights(folder, &self.adapter)?;
        if let Some(standardizer) = &self.standardizer {
            let shape = [standardizer.query.scale.len()];
            let tensors: Vec<NamedTensor<'_>> = Standardizer::NAMES
                .iter()
                .zip(standardizer.parts())
                .map(|(name, data)| NamedTensor {
                    name: (*name).into(),
                    shape: &shape,
                    data,
                })
                .collect();
            write_safetensors(&folder.join(STANDARDIZER_WEIGHTS), &tensors, &format_pt())?;
        }
        if let Some(file) = &self.file {
            write_json(&folder.join(RETRIEVER_CONFIG), file)?;
        }
        let base = self
            .file
            .as_ref()
            .map_or("", |f| f.provenance.base_model.as_str());
        write_lora_config(folder, &self.adapter, base, "FEATURE_EXTRACTION")
    }
}

fn write_lora_weights(folder: &Path, adapter: &LoraAdapter) -> Result<()> {
    let names = adapter.names();
    let matrices = adapter.parameters();
    let shapes: Vec<[usize; 2]> = matrices.iter().map(|m| [m.rows(), m.cols()]).collect();
    let tensors: Vec<NamedTensor<'_>> = names
        .iter()
        .zip(&matrices)
        .zip(&shapes)
        .map(|((name, matrix), shape)| NamedTensor {
            name: name.clone(),
            shape,
            data: matrix.data(),
        })
        .collect();
    write_safetensors(&folder.join(ADAPTER_WEIGHTS), &tensors, &format_pt())?;
    Ok(())
}

fn write_lora_config(
    folder: &Path,
    adapter: &LoraAdapter,
    base_model: &str,
    task_type: &str,
) -> Result<()> {
    let text = serde_json::to_vec_pretty(&peft_config(&adapter.config, base_model, task_type))
        .expect("a JSON value prints. This is a bug.");
    write_atomic(&folder.join(ADAPTER_CONFIG), &text)
}

fn format_pt() -> std::collections::BTreeMap<String, String> {
    [("format".to_string(), "pt".to_string())].into()
}

fn peft_config(config: &LoraConfig, base_model: &str, task_type: &str) -> Value {
    let targets: Vec<String> = config
        .target_modules
        .iter()
        .map(ToString::to_string)
        .collect();
    serde_json::json!({
        "peft_type": "LORA",
        "task_type": task_type,
        "base_model_name_or_path": base_model,
        "r": config.r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "bias": "none",
        "target_modules": targets,
        "fan_in_fan_out": false,
        "use_rslora": config.use_rslora,
        "use_dora": false,
        "rank_pattern": {},
        "alpha_pattern": {},
        "modules_to_save": null,
        "inference_mode": true,
        "init_lora_weights": true,
    })
}

/// Keys of `adapter_config.json` that change nothing about the weights' meaning, whatever they hold.
const HARMLESS: [&str; 10] = [
    "peft_type",
    "task_type",
    "base_model_name_or_path",
    "inference_mode",
    "init_lora_weights",
    "peft_version",
    "auto_mapping",
    "revision",
    "lora_dropout",
    "runtime_config",
];

fn read_config(path: &Path) -> Result<LoraConfig> {
    let malformed = |what: String| Error::Malformed {
        path: path.into(),
        what,
    };
    let bytes = read_capped(path, MAX_CONFIG_BYTES)?;
    let map: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
    if let Some(kind) = map.get("peft_type").filter(|kind| *kind != "LORA") {
        return Err(malformed(format!("peft_type must be \"LORA\", not {kind}")));
    }
    let number = |key: &str| {
        let value = map.get(key).and_then(Value::as_f64);
        value.ok_or_else(|| malformed(format!("{key} must be a number, not {:?}", map.get(key))))
    };
    let flag = |key: &str| map.get(key).and_then(Value::as_bool).unwrap_or(false);
    let targets = map
        .get("target_modules")
        .and_then(Value::as_array)
        .ok_or_else(|| malformed("target_modules must be a list of module names".into()))?;
    let target_modules = targets
        .iter()
        .map(|name| name.as_str().unwrap_or_default().parse::<Module>())
        .collect::<Result<Vec<_>>>()
        .map_err(|e| malformed(e.to_string()))?;
    let understood = ["r", "lora_alpha", "use_rslora", "target_modules"];
    for (key, value) in map.iter().map(|(key, value)| (key.as_str(), value)) {
        let known = HARMLESS.contains(&key) || understood.contains(&key);
        let neutral = match value {
            Value::Null => true,
            Value::Bool(b) => !b,
            Value::String(s) => {
                s.is_empty()
                    || [("bias", "none"), ("megatron_core", "megatron.core")]
                        .contains(&(key, s.as_str()))
            }
            Value::Array(a) => a.is_empty(),
            Value::Object(o) => o.is_empty(),
            // PEFT writes defaults of other methods here; they mean nothing unless switched on.
            Value::Number(_) => key.starts_with("qalora") || key.starts_with("lora_"),
        };
        if !known && !neutral {
            let what = format!("{key} = {value} is not supported; plain LoRA is");
            return Err(malformed(what));
        }
    }
    let r = number("r")?;
    if r < 1.0 || r.fract() != 0.0 || r > 65536.0 {
        return Err(malformed(format!(
            "r must be a whole number from 1, not {r}"
        )));
    }
    Ok(LoraConfig {
        r: r as usize,
        lora_alpha: number("lora_alpha")? as f32,
        lora_dropout: map
            .get("lora_dropout")
            .and_then(Value::as_f64)
            .unwrap_or(0.0) as f32,
        use_rslora: flag("use_rslora"),
        target_modules,
    })
}

fn read_weights(path: &Path, config: LoraConfig, model: &DecoderConfig) -> Result<LoraAdapter> {
    let malformed = |what: String| Error::Malformed {
        path: path.into(),
        what,
    };
    let file = Safetensors::open(&[path])?;
    let mut read = 0;
    let mut part = |layer: usize, module: Module, part: &str, shape: (usize, usize)| {
        let rest = format!("layers.{layer}.{}.lora_{part}.weight", module.path());
        let names = [
            format!("base_model.model.model.{rest}"),
            format!("base_model.model.{rest}"),
        ];
        let name = names.iter().find(|name| file.shape(name).is_some());
        let name = name.ok_or_else(|| malformed(format!("tensor {} is missing", names[0])))?;
        let tensor = file.tensor(name)?;
        if tensor.shape != [shape.0, shape.1] {
            let what = format!("{name} should be {shape:?}, but is {:?}", tensor.shape);
            return Err(malformed(what));
        }
        read += 1;
        Ok(Matrix::from_vec(shape.0, shape.1, tensor.data))
    };
    let mut layers = Vec::with_capacity(model.num_hidden_layers);
    for layer in 0..model.num_hidden_layers {
        let mut modules = [const { None }; 7];
        for module in config.target_modules.iter().copied() {
            let (out_features, in_features) = module.shape(model);
            let a = part(layer, module, "A", (config.r, in_features))?;
            let b = part(layer, module, "B", (out_features, config.r))?;
            modules[module as usize] = Some(Lora {
                a,
                b,
                scale: config.scale(),
            });
        }
        layers.push(modules);
    }
    let held = file.names().count();
    if held != read {
        let what = format!("holds {held} tensors, of which the configuration explains {read}");
        return Err(malformed(what));
    }
    Ok(LoraAdapter { config, layers })
}

fn read_standardizer(path: &Path, dim: usize) -> Result<Standardizer> {
    let file = Safetensors::open(&[path])?;
    let part = |name: &str| {
        let tensor = file.tensor(name)?;
        if tensor.shape != [dim] {
            let what = format!("{name} should be [{dim}], but is {:?}", tensor.shape);
            return Err(Error::Malformed {
                path: path.into(),
                what,
            });
        }
        Ok(tensor.data)
    };
    let [a, b, c, d] = Standardizer::NAMES.map(part);
    Ok(Standardizer {
        query: Affine {
            scale: a?,
            shift: b?,
        },
        document: Affine {
            scale: c?,
            shift: d?,
        },
    })
}
