//! A hub over HTTPS: listing a repository's files, and downloading one with its size and, where the hub states it
//! (large files), its SHA-256 checked.
//!
//! The addresses are the hub's public ones: `/api/models/ID/revision/REV?blobs=true` and `/ID/resolve/COMMIT/FILE`,
//! for data sets `/api/datasets/ID/...` and `/datasets/ID/resolve/...`.

use std::fs::File;
use std::io::{Read, Write as _};
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use ureq::Agent;
use ureq::http::Response;
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::env::Env;
use crate::errors::usage;

/// Called with the bytes that have arrived and the bytes expected (0 while unknown).
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// Short, so that a machine without a hub goes on to the package at once.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Larger answers to a listing are not what they claim to be.
const MAX_LISTING_BYTES: u64 = 16 << 20;

/// What a repository holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A model.
    Model,
    /// A data set.
    Dataset,
}

/// A repository at a commit or a branch.
#[derive(Clone, Copy, Debug)]
pub struct Repo<'a> {
    /// What it holds.
    pub kind: Kind,
    /// `org/name`.
    pub id: &'a str,
    /// Commit or branch.
    pub revision: &'a str,
}

/// A repository's files.
#[derive(Deserialize)]
pub struct Listing {
    /// The commit.
    pub sha: String,
    /// The files.
    pub siblings: Vec<Sibling>,
}

/// A file of a listing.
#[derive(Deserialize)]
pub struct Sibling {
    /// Name inside the repository.
    pub rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Option<String>,
    size: Option<u64>,
}

impl Sibling {
    /// Its size, where the hub states it.
    pub fn bytes(&self) -> Option<u64> {
        self.lfs.as_ref().and_then(|lfs| lfs.size).or(self.size)
    }
}

/// What was downloaded.
pub struct Downloaded {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the contents, hexadecimal.
    pub sha256: String,
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

/// A hub, and how to talk to it.
pub struct Hub<'a> {
    agent: Agent,
    env: &'a Env,
}

impl<'a> Hub<'a> {
    /// The hub that the environment names.
    pub fn new(env: &'a Env) -> Result<Self> {
        let agent = agent(env)?;
        Ok(Self { agent, env })
    }

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
                "{url}: access denied with {token}; the repository does not exist, or is gated and wants its terms accepted"
            ))),
            404 => Err(usage(format!("{url}: not found"))),
            status => Err(anyhow!("{url}: the server answered {status}")),
        }
    }

    /// The files of a repository.
    pub fn list(&self, repo: Repo) -> Result<Listing> {
        let kind = match repo.kind {
            Kind::Model => "models",
            Kind::Dataset => "datasets",
        };
        let url = format!(
            "{}/api/{kind}/{}/revision/{}?blobs=true",
            self.env.hub_endpoint, repo.id, repo.revision
        );
        let body = self
            .get(&url)?
            .into_body()
            .into_with_config()
            .limit(MAX_LISTING_BYTES)
            .read_to_vec();
        let body = body.with_context(|| format!("cannot read {url}"))?;
        let listing: Listing = serde_json::from_slice(&body)
            .with_context(|| format!("{url}: not a listing of a repository's files"))?;
        let is_hash = !listing.sha.is_empty() && listing.sha.chars().all(|c| c.is_ascii_hexdigit());
        if !is_hash {
            bail!("{url}: {:?} is not a commit", listing.sha);
        }
        Ok(listing)
    }

    /// Downloads one file of a repository at `commit` into `folder`, where it keeps its name, and checks it; refuses
    /// more than `max_bytes`. Names that lead out of the folder are refused.
    pub fn file(
        &self,
        repo: Repo,
        sibling: &Sibling,
        folder: &Path,
        max_bytes: u64,
        moved: &mut dyn FnMut(u64),
    ) -> Result<Downloaded> {
        let name = &sibling.rfilename;
        if !is_plain(name) {
            bail!("{}: {name:?} is no plain name of a file", repo.id);
        }
        let prefix = match repo.kind {
            Kind::Model => "",
            Kind::Dataset => "datasets/",
        };
        let url = format!(
            "{}/{prefix}{}/resolve/{}/{name}",
            self.env.hub_endpoint, repo.id, repo.revision
        );
        let target = folder.join(name);
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        let body = self.get(&url)?.into_body();
        let expected = sibling.bytes().or_else(|| body.content_length());
        let limit = expected.map_or(max_bytes, |bytes| bytes.min(max_bytes));
        let (bytes, sha256) = copy_hashed(body.into_reader(), &target, limit, moved)
            .with_context(|| format!("cannot download {url}"))?;
        if let Some(expected) = expected.filter(|expected| *expected != bytes) {
            bail!("{url}: wanted {expected} bytes, {bytes} came");
        }
        let stated = sibling.lfs.as_ref().and_then(|lfs| lfs.sha256.as_deref());
        if let Some(stated) = stated.filter(|stated| !stated.eq_ignore_ascii_case(&sha256)) {
            bail!("{url}: wanted SHA-256 {stated}, {sha256} came");
        }
        Ok(Downloaded { bytes, sha256 })
    }
}

/// Whether a name stays inside the folder that it is put into.
pub fn is_plain(name: &str) -> bool {
    let parts = Path::new(name).components();
    !name.is_empty()
        && !name.contains('\\')
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'))
        && parts
            .into_iter()
            .all(|part| matches!(part, Component::Normal(_)))
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
