//! Downloading a model from a hub over HTTPS: list the repository's files, take those a decoder needs, check each one's
//! size and, where the hub states it (large files), its SHA-256.
//!
//! The addresses are the hub's public ones: `/api/models/ID/revision/main?blobs=true` and `/ID/resolve/COMMIT/FILE`.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use super::Progress;
use super::cache::{Source, SourceFile, shards};
use crate::env::Env;
use crate::errors::usage;

/// Short, so that a machine without a hub goes on to the package at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Larger answers to a listing, or larger configuration files, are not what they claim to be.
const MAX_LISTING_BYTES: u64 = 16 << 20;
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

#[derive(Deserialize)]
struct Repository {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl Sibling {
    fn bytes(&self) -> Option<u64> {
        self.lfs.as_ref().and_then(|lfs| lfs.size).or(self.size)
    }
}

/// Downloads the model `id` into `folder`, which is empty. Returns where it came from.
pub fn download(id: &str, env: &Env, folder: &Path, progress: &mut Progress) -> Result<String> {
    let hub = Hub {
        agent: agent(env)?,
        env,
    };
    let repository = hub.list(id)?;
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
        let file = hub.file(id, &repository.sha, sibling, folder, &mut moved)?;
        done += file.bytes;
        source.files.push(file);
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

/// Everything goes direct for a hub on this machine, and through the system's proxy otherwise.
fn agent(env: &Env) -> Result<Agent> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(env.answer_timeout))
        .timeout_per_read(Some(env.read_timeout))
        .accept_encoding("identity")
        .user_agent(concat!("dream/", env!("CARGO_PKG_VERSION")));
    let host = env
        .hub_endpoint
        .split_once("://")
        .map_or("", |(_, rest)| rest);
    if ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|local| host.starts_with(local))
    {
        config = config.proxy(None);
    }
    if let Some(path) = &env.ca_bundle {
        let pem = std::fs::read(path).with_context(|| path.display().to_string())?;
        let certificates = parse_pem(&pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let roots = RootCerts::Specific(Arc::new(certificates.collect()));
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    Ok(config.build().into())
}

struct Hub<'a> {
    agent: Agent,
    env: &'a Env,
}

impl Hub<'_> {
    fn get(&self, url: &str) -> Result<Response<ureq::Body>> {
        let mut request = self.agent.get(url);
        if let Some(token) = &self.env.hub_token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request
            .call()
            .with_context(|| format!("cannot reach {url}"))?;
        let token = if self.env.hub_token.is_some() {
            "the HF_TOKEN given"
        } else {
            "no HF_TOKEN"
        };
        match response.status().as_u16() {
            200 => Ok(response),
            401 | 403 => Err(usage(format!(
                "{url}: access denied with {token}; the model does not exist, or is gated and wants its terms accepted"
            ))),
            404 => Err(usage(format!("{url}: not found"))),
            status => Err(anyhow!("{url}: the server answered {status}")),
        }
    }

    fn list(&self, id: &str) -> Result<Repository> {
        let url = format!(
            "{}/api/models/{id}/revision/main?blobs=true",
            self.env.hub_endpoint
        );
        let body = self
            .get(&url)?
            .into_body()
            .into_with_config()
            .limit(MAX_LISTING_BYTES)
            .read_to_vec();
        let body = body.with_context(|| format!("cannot read {url}"))?;
        let repository: Repository = serde_json::from_slice(&body)
            .with_context(|| format!("{url}: not a listing of a model's files"))?;
        let is_hash =
            !repository.sha.is_empty() && repository.sha.chars().all(|c| c.is_ascii_hexdigit());
        if !is_hash {
            bail!("{url}: {:?} is not a commit", repository.sha);
        }
        Ok(repository)
    }

    /// Downloads one file and checks it. `choose` has made sure that its name is a plain one.
    fn file(
        &self,
        id: &str,
        commit: &str,
        sibling: &Sibling,
        folder: &Path,
        moved: &mut dyn FnMut(u64),
    ) -> Result<SourceFile> {
        let name = &sibling.rfilename;
        let url = format!("{}/{id}/resolve/{commit}/{name}", self.env.hub_endpoint);
        let body = self.get(&url)?.into_body();
        let limit = if name.ends_with(".safetensors") {
            MAX_WEIGHT_BYTES
        } else {
            MAX_SMALL_FILE_BYTES
        };
        let expected = sibling.bytes().or_else(|| body.content_length());
        let limit = expected.map_or(limit, |bytes| bytes.min(limit));
        let (bytes, sha256) = copy_hashed(body.into_reader(), &folder.join(name), limit, moved)
            .with_context(|| format!("cannot download {url}"))?;
        if let Some(expected) = expected.filter(|expected| *expected != bytes) {
            bail!("{url}: wanted {expected} bytes, {bytes} came");
        }
        let stated = sibling.lfs.as_ref().and_then(|lfs| lfs.sha256.as_deref());
        if let Some(stated) = stated.filter(|stated| !stated.eq_ignore_ascii_case(&sha256)) {
            bail!("{url}: wanted SHA-256 {stated}, {sha256} came");
        }
        Ok(SourceFile {
            name: name.clone(),
            bytes,
            sha256,
        })
    }
}

/// Writes a stream to a new file, flushed to the disk. Fails as soon as more than `limit` bytes come.
/// Returns the bytes and their SHA-256.
pub fn copy_hashed(
    mut from: impl Read,
    to: &Path,
    limit: u64,
    moved: &mut dyn FnMut(u64),
) -> Result<(u64, String)> {
    let mut file = File::create_new(to).with_context(|| to.display().to_string())?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut bytes = 0;
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(anyhow!(e).context(format!("after {bytes} bytes"))),
        };
        bytes += n as u64;
        if bytes > limit {
            bail!("more than the {limit} bytes expected");
        }
        hasher.update(&buffer[..n]);
        file.write_all(&buffer[..n])
            .with_context(|| to.display().to_string())?;
        moved(bytes);
    }
    file.sync_all().with_context(|| to.display().to_string())?;
    Ok((bytes, hex(&hasher.finalize())))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}
