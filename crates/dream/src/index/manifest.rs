//! `manifest.json` of an embedding folder: what made the embeddings, of which documents, how many there
//! are, and the BLAKE3 digest of every file beside it.
//!
//! Files are named by their position and addressed by their digests: `digest` is the address of the whole,
//! the BLAKE3 of what `LC_ALL=C b3sum shard-*` prints in the folder ([`Manifest::content_digest`]).

use super::data::Data;
use super::encoder::Encoder;
use super::part::PartOf;
use super::recipe::{Encoding, Recipe};
use crate::files::{read_capped, write_json};
use crate::{Error, Result};
use dream_nn::Storage;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the file that makes a folder an index; it is written last.
pub const MANIFEST: &str = "manifest.json";
/// Ending of a shard's file of ids.
pub(super) const IDS: &str = "ids";
/// Ending of a shard's file of scales.
pub(super) const SCALES: &str = "scales";
/// What this program writes and reads. A program that knows `f32` alone refuses the others by their `dtype`.
pub const FORMAT_VERSION: u32 = 1;
/// Longest manifest read: room for 100,000 shards.
pub(super) const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`] of the program that wrote it.
    pub format_version: u32,
    /// What made the embeddings.
    #[serde(flatten)]
    pub encoder: Encoder,
    /// Size of an embedding.
    pub dim: usize,
    /// How the embeddings are stored.
    pub dtype: Storage,
    /// Documents in all shards.
    pub count: usize,
    /// What else decided the bits, where a retriever made them.
    #[serde(flatten)]
    pub encoding: Option<Encoding>,
    /// The documents that were encoded, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Data>,
    /// [`Manifest::content_digest`]; absent in indexes of before there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The shards, in the order of the corpus.
    pub shards: Vec<Shard>,
    /// Version of the program that wrote it.
    pub version: String,
}

/// Files of one name: row-major embeddings, their scales if `dtype` has such, and the ids of the documents, one a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// `shard-00000`: the files' name without its ending: `.ids`, `.scales` or the `dtype`.
    pub name: String,
    /// Documents in it.
    pub count: usize,
    /// BLAKE3 of the embeddings.
    pub embeddings_blake3: String,
    /// BLAKE3 of the scales.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scales_blake3: Option<String>,
    /// Bytes of the ids file.
    pub ids_bytes: u64,
    /// BLAKE3 of the ids.
    pub ids_blake3: String,
    /// [`Data::blake3`] of its documents, where a retriever encoded them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_blake3: Option<String>,
}

/// Name of a shard by its number.
pub fn shard_name(number: usize) -> String {
    format!("shard-{number:05}")
}

/// Number of a shard by its name.
pub(super) fn shard_number(name: &str) -> Option<usize> {
    let number = name.strip_prefix("shard-")?.parse().ok()?;
    (shard_name(number) == name).then_some(number)
}

impl Shard {
    /// Names of its files with their digests, in order of the names.
    pub fn files(&self, dtype: Storage) -> impl Iterator<Item = (String, &str)> {
        let dtype = dtype.to_string();
        let mut files = vec![
            (dtype.as_str(), self.embeddings_blake3.as_str()),
            (IDS, self.ids_blake3.as_str()),
        ];
        files.extend(self.scales_blake3.as_deref().map(|digest| (SCALES, digest)));
        files.sort_unstable();
        let named = |(ending, digest)| (format!("{}.{ending}", self.name), digest);
        files.into_iter().map(named).collect::<Vec<_>>().into_iter()
    }

    /// Refuses scales where the number type has none, and none where it has.
    pub(super) fn check(&self, dtype: Storage) -> Result<(), String> {
        if self.scales_blake3.is_some() == dtype.has_scales() {
            return Ok(());
        }
        let needs = if dtype.has_scales() {
            "needs"
        } else {
            "has no"
        };
        let name = &self.name;
        Err(format!(
            "{name}: an index of dtype {dtype} {needs} scales_blake3"
        ))
    }
}

impl Manifest {
    /// The manifest of an index that a retriever encoded.
    pub(super) fn of_parts(recipe: &Recipe, data: &Data, shards: Vec<Shard>) -> Self {
        let mut manifest = Self {
            format_version: FORMAT_VERSION,
            encoder: recipe.encoder.clone(),
            dim: recipe.dim,
            dtype: recipe.dtype,
            count: shards.iter().map(|shard| shard.count).sum(),
            encoding: Some(recipe.encoding.clone()),
            data: Some(data.clone()),
            digest: None,
            shards,
            version: recipe.version.clone(),
        };
        manifest.digest = Some(manifest.content_digest());
        manifest
    }

    /// Reads and checks the manifest of a folder.
    ///
    /// # Errors
    /// It is missing, of another format, or says things that cannot be true together.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(MANIFEST);
        let malformed = |what: String| Error::Malformed {
            path: path.clone(),
            what,
        };
        if !path.exists() && PartOf::any_in(folder)?.is_some() {
            let what = "holds parts of an index, which must be merged before they are searched";
            return Err(Error::Invalid(format!("{} {what}", folder.display())));
        }
        let bytes = read_capped(&path, MAX_MANIFEST_BYTES)?;
        let manifest: Self =
            serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        manifest.check().map_err(malformed)?;
        Ok(manifest)
    }

    /// Writes it, atomically: the folder is an index from here on.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_json(&folder.join(MANIFEST), self)
    }

    /// What made it, if a retriever did and the program already wrote that down.
    pub fn recipe(&self) -> Option<Recipe> {
        Some(Recipe {
            encoder: self.encoder.clone(),
            dim: self.dim,
            dtype: self.dtype,
            encoding: self.encoding.clone()?,
            version: self.version.clone(),
        })
    }

    /// Address of what the index holds: BLAKE3 over a line `DIGEST  NAME` for each file of each shard, in the
    /// order of the names' bytes. In the folder, `LC_ALL=C b3sum shard-* | b3sum` gives the same.
    pub fn content_digest(&self) -> String {
        content_digest(&self.shards, self.dtype)
    }

    fn check(&self) -> Result<(), String> {
        check_version(self.format_version)?;
        if self.dim == 0 || self.count == 0 {
            let (dim, count) = (self.dim, self.count);
            return Err(format!(
                "dim and count must be at least 1, not {dim} and {count}"
            ));
        }
        let mut count = 0usize;
        for (number, shard) in self.shards.iter().enumerate() {
            let wanted = shard_name(number);
            if shard.name != wanted {
                // Names are never taken from the file: it could point anywhere.
                return Err(format!(
                    "shard {number} must be called {wanted}, not {:?}",
                    shard.name
                ));
            }
            shard.check(self.dtype)?;
            count = count.saturating_add(shard.count);
        }
        if count != self.count {
            return Err(format!(
                "count is {}, but its shards hold {count} documents",
                self.count
            ));
        }
        if let Some(data) = self.data.as_ref().filter(|data| data.documents != count) {
            let documents = data.documents;
            return Err(format!(
                "{documents} documents of data were encoded, but its shards hold {count}"
            ));
        }
        let found = self.content_digest();
        match &self.digest {
            Some(wanted) if *wanted != found => Err(format!(
                "digest is {wanted}, but the digests of its shards make {found}"
            )),
            _ => Ok(()),
        }
    }
}

/// Refuses what another program wrote.
pub(super) fn check_version(found: u32) -> Result<(), String> {
    if found == FORMAT_VERSION {
        return Ok(());
    }
    Err(format!(
        "format_version must be {FORMAT_VERSION}, not {found}"
    ))
}

/// See [`Manifest::content_digest`].
pub(super) fn content_digest(shards: &[Shard], dtype: Storage) -> String {
    let mut files: Vec<_> = shards.iter().flat_map(|shard| shard.files(dtype)).collect();
    files.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    for (name, digest) in files {
        hasher.update(format!("{digest}  {name}\n").as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
