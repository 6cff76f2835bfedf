//! A model from a hub: of the repository's files those that a decoder needs.

use std::path::Path;

use anyhow::{Result, bail};

use super::cache::{Source, SourceFile, shards};
use crate::env::Env;
use crate::errors::usage;
use crate::hub::{Hub, Kind, Progress, Repo, Sibling};

/// Larger configuration files are not what they claim to be.
const MAX_SMALL_FILE_BYTES: u64 = 256 << 20;
/// Above the largest weight file a hub allows (50 GB).
const MAX_WEIGHT_BYTES: u64 = 64 << 30;

/// Files beside the weights that are taken if the repository has them.
const SMALL_FILES: &[&str] = &[
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
];
const INDEX: &str = "model.safetensors.index.json";

/// Downloads the model `id` into `folder`, which is empty. Returns where it came from.
pub fn download(id: &str, env: &Env, folder: &Path, progress: &mut Progress) -> Result<String> {
    let hub = Hub::new(env)?;
    let branch = Repo {
        kind: Kind::Model,
        id,
        revision: "main",
    };
    let repository = hub.list(branch)?;
    let repo = Repo {
        revision: &repository.sha,
        ..branch
    };
    let wanted = choose(&repository.siblings)
        .map_err(|what| usage(format!("{id} at {}: {what}", env.hub_endpoint)))?;
    let total = wanted.iter().filter_map(|s| s.bytes()).sum();
    let mut source = Source {
        hub_id: Some(id.to_owned()),
        revision: repository.sha.clone(),
        files: Vec::new(),
    };
    let mut done = 0;
    progress(0, total);
    for sibling in wanted {
        let mut moved = |bytes| progress(done + bytes, total);
        let name = &sibling.rfilename;
        let limit = if name.ends_with(".safetensors") {
            MAX_WEIGHT_BYTES
        } else {
            MAX_SMALL_FILE_BYTES
        };
        let file = hub.file(repo, sibling, folder, limit, &mut moved)?;
        done += file.bytes;
        source.files.push(SourceFile {
            name: name.clone(),
            bytes: file.bytes,
            sha256: file.sha256,
        });
    }
    let index = folder.join(INDEX);
    if index.is_file()
        && let Some(absent) = shards(&index)?
            .iter()
            .find(|shard| !folder.join(shard).is_file())
    {
        bail!("{id}: the index names {absent}, which the repository does not have");
    }
    source.write(folder)?;
    Ok(format!("{}/{id} at {}", env.hub_endpoint, repository.sha))
}

/// The files to take: the small ones present, and one set of safetensors weights.
fn choose(siblings: &[Sibling]) -> Result<Vec<&Sibling>, String> {
    let named = |name: &str| siblings.iter().find(|s| s.rfilename == name);
    let mut chosen: Vec<&Sibling> = SMALL_FILES.iter().filter_map(|name| named(name)).collect();
    if named("config.json").is_none() {
        return Err("has no config.json".into());
    }
    if let Some(single) = named("model.safetensors") {
        chosen.push(single);
        return Ok(chosen);
    }
    let is_shard = |s: &&Sibling| {
        let middle = s
            .rfilename
            .strip_prefix("model-")
            .and_then(|n| n.strip_suffix(".safetensors"));
        middle.is_some_and(|m| {
            m.chars()
                .all(|c| c.is_ascii_digit() || matches!(c, '-' | 'o' | 'f'))
        })
    };
    let shards: Vec<&Sibling> = siblings.iter().filter(is_shard).collect();
    match named(INDEX) {
        Some(index) if !shards.is_empty() => chosen.push(index),
        _ => {
            return Err(
                "has no weights in safetensors (wanted model.safetensors, or shards with an index)"
                    .into(),
            );
        }
    }
    chosen.extend(shards);
    Ok(chosen)
}
