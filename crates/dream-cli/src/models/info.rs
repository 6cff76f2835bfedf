//! What a model file says about itself: architecture, sizes, tensor types, tokenizer.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use dream::model::config::DecoderConfig;
use dream::tokenizer::Tokenizer;
use dream_nn::weights::{Gguf, Safetensors};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{cache, resolve};
use crate::env::Env;
use crate::errors::usage;
use crate::hub::hex;

/// A model's own description.
#[derive(Debug, Serialize)]
pub struct ModelInfo {
    /// The model: a checkpoint folder or a GGUF file.
    pub path: PathBuf,
    /// `GGUF` or `safetensors`.
    pub format: &'static str,
    /// As the file names it: `llama`, `qwen2`, ...
    pub architecture: Option<String>,
    /// Whether this program runs such a model.
    pub supported: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Decoder blocks.
    pub layers: Option<u64>,
    /// Query heads a layer.
    pub heads: Option<u64>,
    /// Key and value heads a layer.
    pub kv_heads: Option<u64>,
    /// Width of the residual stream.
    pub hidden: Option<u64>,
    /// Width inside the feed-forward part.
    pub ffn: Option<u64>,
    /// Longest context in tokens.
    pub context: Option<u64>,
    /// Numbers in all tensors together.
    pub parameters: u64,
    /// How many tensors are stored as each type.
    pub tensor_types: BTreeMap<String, usize>,
    /// Bytes on disk of the weights.
    pub weight_bytes: u64,
    /// The tokenizer, or why there is none.
    pub tokenizer: TokenizerInfo,
    /// SHA-256 of each weight file.
    pub sha256: BTreeMap<String, String>,
    /// Where it was fetched from, if `fetch` put it there.
    pub source: Option<String>,
}

/// The tokenizer of a model.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum TokenizerInfo {
    /// It can be read.
    Read {
        /// The file it comes from.
        from: String,
        /// Number of tokens.
        vocabulary: usize,
        /// Id that opens a text.
        bos: Option<u32>,
        /// Id that closes a text.
        eos: Option<u32>,
        /// Whether BOS is put before a text.
        adds_bos: bool,
    },
    /// It cannot.
    Failed {
        /// Why.
        error: String,
    },
}

/// Describes a model by path, short name or hub id.
pub fn info(name_or_path: &str, env: &Env) -> Result<ModelInfo> {
    let path = resolve(name_or_path, env)?;
    let model = match cache::complete_model(&path) {
        Some(inside) if path.is_dir() => inside,
        _ => path.clone(),
    };
    let mut info = if model.is_dir() {
        of_folder(&model)?
    } else if model
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
    {
        of_gguf(&model)?
    } else {
        let wanted = "wanted a .gguf file, or a folder with config.json and model.safetensors";
        return Err(usage(format!("{}: {wanted}", model.display())));
    };
    info.tokenizer = of_tokenizer(&model);
    let config = if model.is_dir() {
        DecoderConfig::from_json(&model.join("config.json"))
    } else {
        Gguf::open(&model)
            .map_err(Into::into)
            .and_then(|gguf| DecoderConfig::from_gguf(&gguf))
    };
    info.supported = config.is_ok();
    info.reason = config.err().map(|error| error.to_string());
    let folder = if model.is_dir() {
        Some(model.as_path())
    } else {
        model.parent()
    };
    info.source = folder
        .and_then(cache::source_of)
        .map(|source| source.revision);
    Ok(info)
}

fn of_gguf(path: &Path) -> Result<ModelInfo> {
    let gguf = Gguf::open(path)?;
    let architecture = gguf
        .metadata
        .get("general.architecture")
        .and_then(|v| v.as_str())
        .map(str::to_owned);
    let number = |key: &str| {
        let key = format!("{}.{key}", architecture.as_deref().unwrap_or_default());
        gguf.metadata
            .get(&key)
            .and_then(dream_nn::weights::MetaValue::as_u64)
    };
    let mut info = ModelInfo {
        layers: number("block_count"),
        heads: number("attention.head_count"),
        kv_heads: number("attention.head_count_kv"),
        hidden: number("embedding_length"),
        ffn: number("feed_forward_length"),
        context: number("context_length"),
        ..empty(path, "GGUF", architecture.clone())
    };
    for name in gguf.names() {
        let shape = gguf.shape(name).unwrap_or_default();
        let kind = gguf
            .tensor_type(name)
            .map(|t| format!("{t:?}"))
            .unwrap_or_default();
        count(&mut info, &shape, kind);
    }
    add_file(&mut info, path)?;
    Ok(info)
}

fn of_folder(folder: &Path) -> Result<ModelInfo> {
    let path = folder.join("config.json");
    let config: Value = serde_json::from_slice(&read_config(&path)?)
        .map_err(|e| usage(format!("{}: not JSON: {e}", path.display())))?;
    let number = |key: &str| config.get(key).and_then(Value::as_u64);
    let architecture = config
        .get("model_type")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let mut info = ModelInfo {
        layers: number("num_hidden_layers"),
        heads: number("num_attention_heads"),
        kv_heads: number("num_key_value_heads").or_else(|| number("num_attention_heads")),
        hidden: number("hidden_size"),
        ffn: number("intermediate_size"),
        context: number("max_position_embeddings"),
        ..empty(folder, "safetensors", architecture)
    };
    let single = folder.join("model.safetensors");
    let weights = if single.is_file() {
        Safetensors::open(&[single])?
    } else {
        Safetensors::open_index(&folder.join("model.safetensors.index.json"))?
    };
    for bytes in weights.bytes() {
        for (shape, kind) in header_entries(bytes) {
            count(&mut info, &shape, kind);
        }
    }
    for path in weights.paths() {
        add_file(&mut info, path)?;
    }
    Ok(info)
}

/// Shape and type of every tensor in a safetensors header, which the reader has checked: eight bytes of length
/// (little-endian), then JSON.
fn header_entries(file: &[u8]) -> Vec<(Vec<usize>, String)> {
    #[derive(serde::Deserialize)]
    struct Entry {
        dtype: String,
        shape: Vec<usize>,
    }
    let length = file
        .first_chunk::<8>()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes) as usize);
    let header = file
        .get(8..8_usize.saturating_add(length))
        .unwrap_or_default();
    let all: BTreeMap<String, Value> = serde_json::from_slice(header).unwrap_or_default();
    let tensors = all.into_iter().filter(|(name, _)| name != "__metadata__");
    let entries = tensors.filter_map(|(_, value)| serde_json::from_value::<Entry>(value).ok());
    entries.map(|entry| (entry.shape, entry.dtype)).collect()
}

fn of_tokenizer(model: &Path) -> TokenizerInfo {
    let folder = if model.is_dir() {
        model
    } else {
        model.parent().unwrap_or(Path::new(""))
    };
    let from = if folder.join("tokenizer.json").is_file() {
        "tokenizer.json"
    } else {
        "the GGUF file"
    };
    match Tokenizer::for_model(model) {
        Ok(tokenizer) => TokenizerInfo::Read {
            from: from.into(),
            vocabulary: tokenizer.vocab_size(),
            bos: tokenizer.bos_id(),
            eos: tokenizer.eos_id(),
            adds_bos: tokenizer.adds_bos(),
        },
        Err(error) => TokenizerInfo::Failed {
            error: error.to_string(),
        },
    }
}

fn empty(path: &Path, format: &'static str, architecture: Option<String>) -> ModelInfo {
    ModelInfo {
        path: path.to_owned(),
        format,
        architecture,
        supported: false,
        reason: None,
        layers: None,
        heads: None,
        kv_heads: None,
        hidden: None,
        ffn: None,
        context: None,
        parameters: 0,
        tensor_types: BTreeMap::new(),
        weight_bytes: 0,
        tokenizer: TokenizerInfo::Failed {
            error: String::new(),
        },
        sha256: BTreeMap::new(),
        source: None,
    }
}

fn count(info: &mut ModelInfo, shape: &[usize], kind: String) {
    info.parameters += shape.iter().map(|n| *n as u64).product::<u64>();
    *info.tensor_types.entry(kind).or_default() += 1;
}

fn add_file(info: &mut ModelInfo, path: &Path) -> Result<()> {
    let context = || path.display().to_string();
    let mut file = fs::File::open(path).with_context(context)?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let n = file.read(&mut buffer).with_context(context)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        info.weight_bytes += n as u64;
    }
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    info.sha256.insert(name, hex(&hasher.finalize()));
    Ok(())
}

fn read_config(path: &Path) -> Result<Vec<u8>> {
    let context = || path.display().to_string();
    if fs::metadata(path).with_context(context)?.len() > 16 << 20 {
        return Err(usage(format!(
            "{}: larger than a configuration can be",
            path.display()
        )));
    }
    fs::read(path).with_context(context)
}
