//! Parts of an index that is encoded by several processes, and the file in which each writes down what it
//! has done: `part-00001-of-00004.json`. An index that one process encodes is part 0 of 1.
//!
//! A part is every `N`th shard: shard `s` belongs to part `s % N`. So a document's place follows from its
//! position in the corpus alone, the length of the corpus need not be known, and a corpus whose documents
//! grow longer is dealt as evenly as any.

use super::data::Data;
use super::manifest::{
    FORMAT_VERSION, MAX_MANIFEST_BYTES, Manifest, Shard, check_version, shard_name, shard_number,
};
use super::recipe::Recipe;
use crate::files::{read_capped, write_json};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Most parts of an index.
const MAX_PARTS: usize = 100_000;

/// Which part of how many, counted from 0; as text `1/4`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartOf {
    index: usize,
    count: usize,
}

impl PartOf {
    /// All of an index.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Part `index` of `count`.
    ///
    /// # Errors
    /// There is no such part.
    pub fn new(index: usize, count: usize) -> Result<Self, String> {
        if count == 0 || count > MAX_PARTS {
            return Err(format!("there may be 1 to {MAX_PARTS} parts, not {count}"));
        }
        if index >= count {
            let last = count - 1;
            return Err(format!(
                "parts count from 0: of {count} there are 0/{count} to {last}/{count}, not {index}/{count}"
            ));
        }
        Ok(Self { index, count })
    }

    /// Which part.
    pub fn index(self) -> usize {
        self.index
    }

    /// Number of parts.
    pub fn count(self) -> usize {
        self.count
    }

    /// Whether a shard belongs to it.
    pub fn owns(self, shard: usize) -> bool {
        shard % self.count == self.index
    }

    /// Its documents, of so many in all in shards of a size.
    pub fn documents(self, all: usize, shard_size: usize) -> usize {
        let n_shards = all.div_ceil(shard_size);
        if n_shards <= self.index {
            return 0;
        }
        let own = (n_shards - self.index).div_ceil(self.count);
        // The last shard may be short.
        let lacks = if self.owns(n_shards - 1) {
            n_shards.saturating_mul(shard_size) - all
        } else {
            0
        };
        own.saturating_mul(shard_size).saturating_sub(lacks)
    }

    /// Name of its file.
    pub fn file_name(self) -> String {
        format!("part-{:05}-of-{:05}.json", self.index, self.count)
    }

    /// The part whose file has this name.
    pub(super) fn of_file_name(name: &str) -> Option<Self> {
        let numbers = name.strip_prefix("part-")?.strip_suffix(".json")?;
        let (index, count) = numbers.split_once("-of-")?;
        let part = Self::new(index.parse().ok()?, count.parse().ok()?).ok()?;
        (part.file_name() == name).then_some(part)
    }

    /// The parts that have files in a folder, in order.
    pub(super) fn all_in(folder: &Path) -> Result<Vec<Self>> {
        let io = |e| Error::io(folder, e);
        let mut parts = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            parts.extend(name.to_str().and_then(Self::of_file_name));
        }
        parts.sort_unstable_by_key(|part| (part.count, part.index));
        Ok(parts)
    }

    /// One of the parts that have files in a folder, if it is a folder and there are any.
    pub(super) fn any_in(folder: &Path) -> Result<Option<Self>> {
        if !folder.is_dir() {
            return Ok(None);
        }
        Ok(Self::all_in(folder)?.first().copied())
    }
}

impl fmt::Display for PartOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for PartOf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/');
        let parsed = numbers.and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        let (index, count) =
            parsed.ok_or_else(|| format!("a part is two numbers such as 0/4, not {text:?}"))?;
        Self::new(index, count)
    }
}

/// What a part has done: after each shard, and when it is complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// [`FORMAT_VERSION`] of the program that wrote it.
    pub format_version: u32,
    /// Which part, from 0.
    pub part: usize,
    /// Number of parts.
    pub of: usize,
    /// Whether all of its shards are done.
    pub complete: bool,
    /// How it is encoded.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// All documents, its own and the others': known from the start where they lie in a file, and at the end.
    pub data: Option<Data>,
    /// Its shards that are done, in order.
    pub shards: Vec<Shard>,
}

impl Part {
    /// Nothing done yet.
    pub(super) fn new(part: PartOf, recipe: Recipe, data: Option<Data>) -> Self {
        Self {
            format_version: FORMAT_VERSION,
            part: part.index,
            of: part.count,
            complete: false,
            recipe,
            data,
            shards: Vec::new(),
        }
    }

    /// The part of an index that is whole, if the program already wrote down what it was made of.
    pub(super) fn of_index(manifest: &Manifest, part: PartOf) -> Option<Self> {
        let shards = (0..).zip(&manifest.shards);
        let own = shards.filter(|(number, _)| part.owns(*number));
        Some(Self {
            complete: true,
            shards: own.map(|(_, shard)| shard.clone()).collect(),
            ..Self::new(part, manifest.recipe()?, Some(manifest.data.clone()?))
        })
    }

    /// Which part it is.
    pub fn part_of(&self) -> PartOf {
        PartOf {
            index: self.part,
            count: self.of,
        }
    }

    /// Documents in the shards that are done.
    pub fn documents(&self) -> usize {
        self.shards.iter().map(|shard| shard.count).sum()
    }

    /// Reads and checks the file of a part.
    ///
    /// # Errors
    /// It is missing, of another format, or says things that cannot be true together.
    pub fn read(path: &Path) -> Result<Self> {
        let malformed = |what: String| Error::Malformed {
            path: path.into(),
            what,
        };
        let bytes = read_capped(path, MAX_MANIFEST_BYTES)?;
        let part: Self = serde_json::from_slice(&bytes).map_err(|e| malformed(e.to_string()))?;
        part.check().map_err(malformed)?;
        Ok(part)
    }

    /// Writes it, atomically.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        write_json(&self.path(folder), self)
    }

    /// Its file.
    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(self.part_of().file_name())
    }

    fn check(&self) -> Result<(), String> {
        check_version(self.format_version)?;
        let part = PartOf::new(self.part, self.of)?;
        if self.recipe.dim == 0 {
            return Err("dim must be at least 1, not 0".into());
        }
        let size = self.recipe.encoding.shard_size.get();
        let mut wanted = part.index;
        for (i, shard) in self.shards.iter().enumerate() {
            // Names are never taken from the file: it could point anywhere.
            if shard_number(&shard.name) != Some(wanted) {
                let wanted = shard_name(wanted);
                return Err(format!(
                    "shard {i} of part {part} must be called {wanted}, not {:?}",
                    shard.name
                ));
            }
            let is_last = i + 1 == self.shards.len();
            if shard.count == 0 || shard.count > size || (shard.count < size && !is_last) {
                return Err(format!(
                    "{}: a shard holds {size} documents, or fewer if it is the last, not {}",
                    shard.name, shard.count
                ));
            }
            if shard.data_blake3.is_none() {
                return Err(format!("{}: data_blake3 is missing", shard.name));
            }
            shard.check(self.recipe.dtype)?;
            wanted = wanted.saturating_add(part.count);
        }
        match &self.data {
            None if self.complete => Err("a part that is complete needs data".into()),
            Some(data) if self.complete => {
                let (wanted, found) = (part.documents(data.documents, size), self.documents());
                (wanted == found).then_some(()).ok_or_else(|| {
                    let all = data.documents;
                    format!("part {part} of {all} documents must hold {wanted}, not {found}")
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
