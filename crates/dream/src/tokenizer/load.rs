//! Finding a model's tokenizer: `tokenizer.json` with the configuration files beside it, or a GGUF file's vocabulary.

use std::path::{Path, PathBuf};

use dream_nn::weights::{Gguf, MetaValue};
use serde_json::Value;

use super::byte_level::Vocabulary;
use super::{SpecialIds, Tokenizer};
use crate::files::read_capped;
use crate::{Error, Result};

/// Larger than any published tokenizer.json (Gemma's 33 MB is the largest known).
const MAX_TOKENIZER_BYTES: u64 = 256 << 20;
const MAX_CONFIG_BYTES: u64 = 16 << 20;

pub(super) fn for_model(path: &Path) -> Result<Tokenizer> {
    let is_file = std::fs::metadata(path)
        .map_err(|e| Error::io(path, e))?
        .is_file();
    let folder = match path.parent() {
        Some(parent) if is_file => parent,
        _ => path,
    };
    let json = folder.join("tokenizer.json");
    if json.is_file() {
        return from_file(&json);
    }
    let gguf = if is_file {
        path.to_owned()
    } else {
        only_gguf(path)?
    };
    from_gguf_file(&gguf)
}

/// The one GGUF file of a folder.
fn only_gguf(folder: &Path) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let paths = entries.filter_map(|entry| entry.ok().map(|e| e.path()));
    let mut found: Vec<PathBuf> = paths
        .filter(|p| {
            p.extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("gguf"))
        })
        .collect();
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (_, more) => Err(Error::Malformed {
            path: folder.to_owned(),
            what: format!(
                "wanted tokenizer.json or one .gguf file, found no tokenizer.json and {} .gguf files",
                if more == 0 { 0 } else { more + 1 }
            ),
        }),
    }
}

pub(super) fn from_file(path: &Path) -> Result<Tokenizer> {
    let malformed = |what: String| Error::Malformed {
        path: path.to_owned(),
        what,
    };
    let bytes = read_capped(path, MAX_TOKENIZER_BYTES)?;
    let inner = tokenizers::Tokenizer::from_bytes(&bytes)
        .map_err(|e| malformed(format!("not a tokenizer.json: {e}")))?;
    let special = special_ids(path.parent().unwrap_or(Path::new("")), &inner)?;
    Tokenizer::wrap(inner, special, 0).map_err(|e| malformed(e.to_string()))
}

/// BOS, EOS and padding from the first file that speaks of each. A `null` in tokenizer_config.json is an answer: the
/// model has no such token (Qwen2.5 has no BOS, though its generation_config.json names an id).
fn special_ids(folder: &Path, inner: &tokenizers::Tokenizer) -> Result<SpecialIds> {
    let tokenizer = read_json(&folder.join("tokenizer_config.json"))?;
    let by_id = [
        read_json(&folder.join("generation_config.json"))?,
        read_json(&folder.join("config.json"))?,
    ];
    let find = |role: &str| -> Option<u32> {
        if let Some(token) = tokenizer
            .as_ref()
            .and_then(|c| c.get(format!("{role}_token")))
        {
            let spelling = token.as_str().or_else(|| token.get("content")?.as_str());
            return inner.token_to_id(spelling?);
        }
        let ids = by_id
            .iter()
            .flatten()
            .filter_map(|c| c.get(format!("{role}_token_id")));
        // Instruct models list several closing ids; the first one closes a text.
        let ids = ids.filter_map(|id| id.as_u64().or_else(|| id.get(0)?.as_u64()));
        ids.map(|id| id as u32)
            .find(|id| inner.id_to_token(*id).is_some())
    };
    Ok(SpecialIds {
        bos: find("bos"),
        eos: find("eos"),
        pad: find("pad"),
    })
}

/// The JSON value of a file, or `None` where there is no such file.
fn read_json(path: &Path) -> Result<Option<Value>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_capped(path, MAX_CONFIG_BYTES)?;
    let malformed = |e: serde_json::Error| Error::Malformed {
        path: path.to_owned(),
        what: format!("not JSON: {e}"),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(malformed)
}

fn from_gguf_file(path: &Path) -> Result<Tokenizer> {
    Tokenizer::from_gguf(&Gguf::open(path)?)
}

impl Tokenizer {
    /// The tokenizer inside a GGUF file. Only byte-level BPE (`tokenizer.ggml.model = gpt2`) is known.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let malformed = |what: String| Error::Malformed {
            path: gguf.path().to_owned(),
            what,
        };
        vocabulary_of(gguf)
            .and_then(Vocabulary::build)
            .map_err(malformed)
    }
}

/// The `tokenizer.ggml.*` keys. A key of the wrong type is an error, an optional one may be absent.
fn vocabulary_of(gguf: &Gguf) -> Result<Vocabulary, String> {
    fn get<'a, T>(
        gguf: &'a Gguf,
        name: &str,
        wanted: &str,
        read: impl Fn(&'a MetaValue) -> Option<T>,
    ) -> Result<Option<T>, String> {
        let key = format!("tokenizer.ggml.{name}");
        let Some(value) = gguf.metadata.get(&key) else {
            return Ok(None);
        };
        read(value)
            .map(Some)
            .ok_or_else(|| format!("{key}: wanted {wanted}, found {}", value.kind()))
    }
    let id = |name: &str| {
        get(gguf, name, "a token id", |v| {
            u32::try_from(v.as_u64()?).ok()
        })
    };
    let flag = |name: &str| get(gguf, name, "a truth value", MetaValue::as_bool);
    let strings = |name: &str| {
        let found = get(gguf, name, "an array of strings", MetaValue::as_strings)?;
        found
            .map(<[String]>::to_vec)
            .ok_or_else(|| format!("there is no tokenizer.ggml.{name}"))
    };
    match get(gguf, "model", "a string", MetaValue::as_str)? {
        Some("gpt2") => {}
        Some(other) => {
            return Err(format!(
                "tokenizer.ggml.model is {other:?}, wanted \"gpt2\" (byte-level BPE); put the model's tokenizer.json beside the file"
            ));
        }
        None => {
            return Err(
                "there is no tokenizer in it; put the model's tokenizer.json beside the file"
                    .into(),
            );
        }
    }
    let types = get(
        gguf,
        "token_type",
        "an array of integers",
        MetaValue::as_ints,
    )?
    .unwrap_or_default();
    let special = SpecialIds {
        bos: id("bos_token_id")?,
        eos: id("eos_token_id")?,
        pad: id("padding_token_id")?,
    };
    Ok(Vocabulary {
        tokens: strings("tokens")?,
        merges: strings("merges")?,
        types: types.into_iter().map(|t| t as i32).collect(),
        pre: get(gguf, "pre", "a string", MetaValue::as_str)?
            .unwrap_or("default")
            .to_owned(),
        special,
        add_bos: flag("add_bos_token")?,
        add_eos: flag("add_eos_token")?.unwrap_or(false),
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn folder_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        Tokenizer::bytes()
            .save(&folder.path().join("tokenizer.json"))
            .unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_first_file_that_speaks_of_a_special_token_decides() {
        let generation =
            r#"{"bos_token_id": 256, "eos_token_id": [258, 257], "pad_token_id": 99999}"#;
        let config = r#"{"bos_token_id": 1, "pad_token_id": 258}"#;
        let folder = folder_with(&[
            ("generation_config.json", generation),
            ("config.json", config),
        ]);
        let read = Tokenizer::for_model(folder.path()).unwrap();
        assert_eq!(
            (read.bos_id(), read.eos_id(), read.pad_id()),
            (Some(256), Some(258), Some(258))
        );

        let told = r#"{"bos_token": null, "eos_token": {"content": "<|eos|>", "lstrip": false}}"#;
        let folder = folder_with(&[
            ("generation_config.json", generation),
            ("tokenizer_config.json", told),
        ]);
        let read = Tokenizer::for_model(folder.path()).unwrap();
        assert_eq!(
            (read.bos_id(), read.eos_id(), read.pad_id()),
            (None, Some(257), None)
        );
    }

    #[test]
    fn truncation_and_padding_of_a_tokenizer_file_are_dropped() {
        let folder = folder_with(&[]);
        let path = folder.path().join("tokenizer.json");
        let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        json["truncation"] = serde_json::json!(
            {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0});
        json["padding"] = serde_json::json!({"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 258, "pad_type_id": 0, "pad_token": "<|pad|>"});
        std::fs::write(&path, json.to_string()).unwrap();
        let read = Tokenizer::from_file(&path).unwrap();
        assert_eq!(read.encode("abcdef").unwrap(), [97, 98, 99, 100, 101, 102]); // ASCII codes
        assert_eq!(read.encode("a").unwrap(), [97]);
    }

    #[test]
    fn a_model_without_a_tokenizer_says_what_was_looked_for() {
        let empty = tempfile::tempdir().unwrap();
        let message = Tokenizer::for_model(empty.path()).unwrap_err().to_string();
        assert!(
            message.ends_with("found no tokenizer.json and 0 .gguf files"),
            "{message}"
        );
        assert!(Tokenizer::for_model(&empty.path().join("absent")).is_err());
        let broken = folder_with(&[("tokenizer.json", "{\"version\": \"1.0\"")]);
        let message = Tokenizer::for_model(broken.path()).unwrap_err().to_string();
        assert!(
            message.contains("tokenizer.json: not a tokenizer.json"),
            "{message}"
        );
    }
}
