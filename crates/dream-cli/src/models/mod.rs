//! The model store: which models have short names, where a model lies, and how one gets here.
//!
//! A local path always wins; then our cache, then the cache of `huggingface_hub` (only read); the network only when a
//! model is fetched. Everything fetched lands in a temporary folder and is renamed into place, so a model is there
//! whole or not at all.

mod cache;
mod hub;
pub mod info;
mod package;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::env::Env;
use crate::errors::usage;
use crate::hub::Progress;

/// The model every command takes when none is named.
pub const DEFAULT_MODEL: &str = "smollm2-135m-instruct";

/// A model with a short name.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The short name, also the folder in our cache.
    pub name: &'static str,
    /// The id on the hub.
    pub hub_id: &'static str,
    /// A pinned package that carries the same model, for machines that reach a package index but no hub.
    package: Option<&'static package::Package>,
}

/// The models with short names.
pub const KNOWN: &[Known] = &[
    Known {
        name: DEFAULT_MODEL,
        hub_id: "HuggingFaceTB/SmolLM2-135M-Instruct",
        package: Some(&package::SMOLLM2_135M_INSTRUCT),
    },
    known("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B"),
    known("qwen2.5-0.5b-instruct", "Qwen/Qwen2.5-0.5B-Instruct"),
    known("llama-3.2-1b", "meta-llama/Llama-3.2-1B"),
    known("llama-3.2-1b-instruct", "meta-llama/Llama-3.2-1B-Instruct"),
    known("qwen3-0.6b", "Qwen/Qwen3-0.6B"),
];

const fn known(name: &'static str, hub_id: &'static str) -> Known {
    Known {
        name,
        hub_id,
        package: None,
    }
}

/// A model by name: one of [`KNOWN`], or any hub id.
struct Named {
    hub_id: String,
    /// Folder in our cache: the short name, else `org--name`.
    folder: String,
    package: Option<&'static package::Package>,
}

impl Named {
    /// `None` where the text is neither a short name nor of the form `org/name`.
    fn parse(text: &str) -> Option<Self> {
        let same =
            |k: &&Known| k.name.eq_ignore_ascii_case(text) || k.hub_id.eq_ignore_ascii_case(text);
        if let Some(known) = KNOWN.iter().find(same) {
            let (hub_id, folder) = (known.hub_id.to_owned(), known.name.to_owned());
            return Some(Self {
                hub_id,
                folder,
                package: known.package,
            });
        }
        let part = |p: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !p.is_empty() && !p.starts_with('.') && p.chars().all(allowed)
        };
        let (org, name) = text.split_once('/')?;
        let is_file = Path::new(name)
            .extension()
            .is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        (part(org) && part(name) && !is_file).then(|| Self {
            hub_id: text.to_owned(),
            folder: format!("{org}--{name}"),
            package: None,
        })
    }
}

/// A model as `models list` shows it.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Short name, or `org--name` for a model fetched by its hub id.
    pub name: String,
    /// The id on the hub, where known.
    pub hub_id: Option<String>,
    /// Where it lies, if it is here.
    pub path: Option<PathBuf>,
    /// Bytes on disk, if it is here.
    pub bytes: Option<u64>,
    /// Whether `fetch` can also get it from a package index.
    pub in_package: bool,
}

/// All models with short names, then what else lies in our cache.
pub fn list(env: &Env) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for known in KNOWN {
        let named = Named::parse(known.name).expect("a short name parses. This is a bug.");
        let path = locate(&named, env)
            .into_iter()
            .find_map(|place| place.found);
        listed.push(Listed {
            name: known.name.into(),
            hub_id: Some(known.hub_id.into()),
            bytes: path.as_deref().map(cache::bytes_of),
            path,
            in_package: known.package.is_some(),
        });
    }
    for folder in cache::folders(&env.models())? {
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let Some(path) =
            cache::complete_model(&folder).filter(|_| KNOWN.iter().all(|k| k.name != name))
        else {
            continue;
        };
        let bytes = Some(cache::bytes_of(&path));
        listed.push(Listed {
            hub_id: cache::source_of(&folder).and_then(|s| s.hub_id),
            name,
            path: Some(path),
            bytes,
            in_package: false,
        });
    }
    Ok(listed)
}

/// A place where a model may lie, and what lies there.
struct Place {
    folder: PathBuf,
    found: Option<PathBuf>,
}

/// The places to look in, in order.
fn locate(named: &Named, env: &Env) -> [Place; 2] {
    let ours = env.models().join(&named.folder);
    let theirs = env
        .hub_cache
        .join(format!("models--{}", named.hub_id.replace('/', "--")));
    [
        Place {
            found: cache::complete_model(&ours),
            folder: ours,
        },
        Place {
            found: cache::hub_snapshot(&theirs),
            folder: theirs,
        },
    ]
}

/// The path of a model on this machine: a local path, a short name or a hub id. Uses no network.
pub fn resolve(name_or_path: &str, env: &Env) -> Result<PathBuf> {
    let path = Path::new(name_or_path);
    if path.exists() {
        return Ok(path.to_owned());
    }
    let Some(named) = Named::parse(name_or_path) else {
        let names = KNOWN.iter().map(|k| k.name).collect::<Vec<_>>().join(", ");
        return Err(usage(format!(
            "no model {name_or_path}: there is no such file or folder, and it is neither a hub id (org/name) nor one of {names}"
        )));
    };
    let places = locate(&named, env);
    if let Some(found) = places.iter().find_map(|place| place.found.clone()) {
        return Ok(found);
    }
    let looked_in = places.map(|place| {
        let state = if place.folder.exists() {
            " (no complete model in it)"
        } else {
            ""
        };
        format!("{}{state}", place.folder.display())
    });
    let next = match env.offline {
        Some(variable) => format!("and did not ask the network, since {variable} is set"),
        None => format!("get it with: dream models fetch {name_or_path}"),
    };
    Err(usage(format!(
        "model {name_or_path} is not on this machine; looked at\n  {name_or_path}\n  {}\n{next}",
        looked_in.join("\n  ")
    )))
}

/// [`resolve`], and [`fetch`] where the model is not on this machine.
pub fn resolve_or_fetch(name_or_path: &str, env: &Env, progress: &mut Progress) -> Result<PathBuf> {
    let missing = match resolve(name_or_path, env) {
        Ok(path) => return Ok(path),
        Err(error) => error,
    };
    if env.offline.is_some() || Named::parse(name_or_path).is_none() {
        return Err(missing);
    }
    Ok(fetch(name_or_path, env, progress)?.path)
}

/// What `fetch` did.
#[derive(Debug, Serialize)]
pub struct Fetched {
    /// The model: a checkpoint folder or a GGUF file.
    pub path: PathBuf,
    /// `cache`, or where it was downloaded from.
    pub source: String,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Makes a model available here: from the caches if it is there, else from the hub, else (where the model has one) from
/// its pinned package.
pub fn fetch(name: &str, env: &Env, progress: &mut Progress) -> Result<Fetched> {
    let Some(named) = Named::parse(name) else {
        return Err(usage(format!(
            "{name} is neither a short name nor a hub id (org/name); see: dream models list"
        )));
    };
    let places = locate(&named, env);
    if let Some(path) = places.iter().find_map(|place| place.found.clone()) {
        return Ok(Fetched {
            bytes: cache::bytes_of(&path),
            path,
            source: "cache".into(),
        });
    }
    if env.offline.is_some() {
        return Err(resolve(name, env)
            .err()
            .unwrap_or_else(|| usage(format!("{name} appeared meanwhile; try again"))));
    }
    let work = cache::Work::new(&env.models())?;
    let source = match (
        hub::download(&named.hub_id, env, work.folder(), progress),
        named.package,
    ) {
        (Ok(source), _) => source,
        (Err(error), None) => return Err(error.context(format!("cannot fetch {name}"))),
        (Err(error), Some(package)) => {
            tracing::info!("{error:#}; trying package {} instead", package.requirement);
            work.clear()?;
            package::download(package, work.folder(), progress)
                .with_context(|| format!("the hub did not answer either: {error:#}"))
                .with_context(|| format!("cannot fetch {name}"))?
        }
    };
    let path = work.install(&named.folder)?;
    Ok(Fetched {
        bytes: cache::bytes_of(&path),
        path,
        source,
    })
}

#[cfg(test)]
mod tests;
