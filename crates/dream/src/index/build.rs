//! Encoding a corpus, or a part of it, to a folder of shards, and going on where an earlier process stopped.
//!
//! After each shard its files are whole and named, and the part's file ([`super::part`]) says so. Whatever
//! happens in between, a later [`Build`] with the same recipe and documents makes the shards that are missing.
//! Batches begin anew in each shard, so it makes the same bits.

mod earlier;

use self::earlier::{check_data, is_json_in_the_making, read_earlier, remove_earlier};
use super::data::{Data, DataHasher};
use super::hashed_file::{Checker, Watch};
use super::manifest::{MANIFEST, Manifest, Shard, content_digest, shard_name};
use super::part::{Part, PartOf};
use super::part_lock::PartLock;
use super::recipe::Recipe;
use super::shard_writer::{ShardWriter, shard_of_file};
use super::writer::remove_files;
use crate::encode::EncodeStream;
use crate::retriever::{Retriever, Role};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Documents that are passed over between two looks at whether to stop.
const SKIPPED_AT_ONCE: usize = 1024;

/// A folder of shards in the making, ours alone (as far as this part goes) until it goes away.
#[derive(Debug)]
pub struct Build {
    folder: PathBuf,
    part: Part,
    /// Whether the documents were compared when it was opened.
    data_is_known: bool,
    remade: Option<String>,
    _lock: PartLock,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Built {
    /// Documents of this part.
    pub documents: usize,
    /// Shards of this part.
    pub shards: usize,
    /// [`Manifest::content_digest`] of the shards of this part.
    pub digest: String,
    /// All documents, those of other parts too.
    pub data: Data,
}

impl Build {
    /// Opens a folder, which is made if it is not there, and compares what was done in it before: recipe,
    /// documents (`data`, if they are known in advance), and the digests of the shards that are done. With
    /// `replace`, all that this part did before is removed first.
    ///
    /// # Errors
    /// The folder holds something else, another process is at work on the same part, [`Error::Stopped`] if
    /// `watch`, which is told the bytes read, says so.
    pub fn open(
        folder: &Path,
        recipe: Recipe,
        part: PartOf,
        data: Option<&Data>,
        replace: bool,
        watch: &mut Watch,
    ) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let lock = PartLock::take(folder, part)?;
        if replace {
            remove_earlier(folder, part)?;
        }
        let done = read_earlier(folder, part)?;
        if let Some(done) = &done {
            done.recipe.check_same(&recipe, folder)?;
            if let (Some(earlier), Some(data)) = (&done.data, data) {
                check_data(folder, earlier, data)?;
            }
        }
        let mut build = Self {
            folder: folder.into(),
            data_is_known: data.is_some(),
            part: done.unwrap_or_else(|| Part::new(part, recipe, None)),
            remade: None,
            _lock: lock,
        };
        if build.part.data.is_none() {
            build.part.data = data.cloned();
        }
        build.check_files(watch)?;
        build.remove_leftovers()?;
        Ok(build)
    }

    /// Documents of this part that are done.
    pub fn done(&self) -> usize {
        self.part.documents()
    }

    /// Whether nothing is left to do and to compare.
    pub fn is_done(&self) -> bool {
        self.part.complete && self.data_is_known
    }

    /// What is wrong with a shard that was done, if one is: it and those after it are made again.
    pub fn remade(&self) -> Option<&str> {
        self.remade.as_deref()
    }

    /// Encodes the documents of this part that are not done; ids and texts of the whole corpus come in order.
    /// `progress` is told how many documents of this part are done; `false` stops, and a later [`Build`] goes on.
    ///
    /// # Errors
    /// The documents are not those of before, or cannot be encoded; a full disk; [`Error::Stopped`].
    pub fn run(
        &mut self,
        retriever: &Retriever,
        documents: impl IntoIterator<Item = Result<(String, String)>>,
        progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Built> {
        if self.is_done() {
            return self.finish();
        }
        let size = self.part.recipe.encoding.shard_size.get();
        let mut documents = documents.into_iter().fuse();
        let mut all = DataHasher::default();
        let mut done = 0;
        for number in 0.. {
            let mut here = DataHasher::default();
            let shard = documents.by_ref().take(size).inspect(|document| {
                if let Ok((id, text)) = document {
                    all.add(id, text);
                    here.add(id, text);
                }
            });
            let is_ours = self.part.part_of().owns(number);
            let earlier = self.part.shards.get(number / self.part.of);
            let earlier = earlier.filter(|_| is_ours);
            let earlier = earlier.map(|shard| shard.data_blake3.clone().unwrap_or_default());
            if is_ours && earlier.is_none() && !self.part.complete {
                let mut told = |n| progress(done + n);
                if let Some(shard) = self.encode(number, retriever, shard, &mut told)? {
                    self.add(shard, &here.finish())?;
                }
            } else {
                skip(shard, &mut || progress(done))?;
            }
            let here = here.finish();
            if earlier.is_some_and(|digest| digest != here.blake3) {
                return Err(self.other_documents(&shard_name(number)));
            }
            done += if is_ours { here.documents } else { 0 };
            if here.documents < size {
                break;
            }
        }
        self.end(all.finish())
    }

    /// All documents went by.
    fn end(&mut self, data: Data) -> Result<Built> {
        if data.documents == 0 {
            let what = "there is no document to encode";
            return Err(Error::Invalid(what.into()));
        }
        match &self.part.data {
            Some(earlier) if self.data_is_known && !self.part.complete && *earlier != data => {
                let what = "the documents changed while they were read";
                return Err(Error::Invalid(what.into()));
            }
            Some(earlier) => check_data(&self.folder, earlier, &data)?,
            None => {}
        }
        let size = self.part.recipe.encoding.shard_size.get();
        let own = self.part.part_of().documents(data.documents, size);
        if own != self.part.documents() {
            let last = self.part.shards.last();
            return Err(self.other_documents(last.map_or("", |shard| &shard.name)));
        }
        self.part.data = Some(data);
        self.finish()
    }

    /// Writes the manifest, or that the part is complete.
    fn finish(&mut self) -> Result<Built> {
        let part = &mut self.part;
        let Some(data) = part.data.clone() else {
            unreachable!("documents are known at the end. This is a bug.");
        };
        let journal = part.path(&self.folder);
        if !self.folder.join(MANIFEST).exists() {
            part.complete = true;
            if part.of == 1 {
                let manifest = Manifest::of_parts(&part.recipe, &data, part.shards.clone());
                manifest.write(&self.folder)?;
            } else {
                part.write(&self.folder)?;
            }
        }
        if part.of == 1 && journal.exists() {
            std::fs::remove_file(&journal).map_err(|e| Error::io(&journal, e))?;
        }
        Ok(Built {
            documents: part.documents(),
            shards: part.shards.len(),
            digest: content_digest(&part.shards, part.recipe.dtype),
            data,
        })
    }

    /// One shard; nothing if there is no document for it.
    fn encode(
        &self,
        number: usize,
        retriever: &Retriever,
        documents: impl Iterator<Item = Result<(String, String)>>,
        progress: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Option<Shard>> {
        let recipe = &self.part.recipe;
        let mut documents = documents.peekable();
        if documents.peek().is_none() {
            return Ok(None);
        }
        let mut writer = ShardWriter::create(&self.folder, number, recipe.dtype)?;
        let batch_tokens = recipe.encoding.batch_tokens;
        let mut done = 0;
        for batch in EncodeStream::new(retriever, Role::Document, batch_tokens, documents) {
            let batch = batch?;
            for (row, id) in batch.keys.iter().enumerate() {
                writer.push(id, batch.embeddings.row(row))?;
            }
            done += batch.lengths.len();
            if !progress(done) {
                return Err(Error::Stopped);
            }
        }
        writer.finish().map(Some)
    }

    fn add(&mut self, shard: Shard, data: &Data) -> Result<()> {
        self.part.shards.push(Shard {
            data_blake3: Some(data.blake3.clone()),
            ..shard
        });
        self.part.write(&self.folder)
    }

    /// Compares the files of all shards that are done. Of a part in the making, what differs and what comes
    /// after it is forgotten; what is complete must be whole.
    fn check_files(&mut self, watch: &mut Watch) -> Result<()> {
        let dtype = self.part.recipe.dtype;
        let row = self.part.recipe.dim.saturating_mul(dtype.bytes()) as u64;
        let bytes = |shard: &Shard| row.saturating_mul(shard.count as u64) + shard.ids_bytes;
        let total = self
            .part
            .shards
            .iter()
            .map(bytes)
            .fold(0, u64::saturating_add);
        let mut checker = Checker::new(total, watch);
        let mut wrong = None;
        'shards: for (i, shard) in self.part.shards.iter().enumerate() {
            for (name, digest) in shard.files(dtype) {
                match checker.check(&self.folder.join(name), digest) {
                    Ok(()) => {}
                    Err(Error::Stopped) => return Err(Error::Stopped),
                    Err(error) if self.part.complete => return Err(error),
                    Err(error) => {
                        wrong = Some((i, error.to_string()));
                        break 'shards;
                    }
                }
            }
        }
        if let Some((i, what)) = wrong {
            self.part.shards.truncate(i);
            self.remade = Some(what);
            self.part.write(&self.folder)?;
        }
        Ok(())
    }

    /// Shards of this part that are not done, and files that a killed process did not finish.
    fn remove_leftovers(&self) -> Result<()> {
        let part = self.part.part_of();
        let done = part.index() + self.part.shards.len() * part.count();
        remove_files(&self.folder, |name| match shard_of_file(name) {
            Some(number) => part.owns(number) && (number >= done || name.starts_with('.')),
            None => is_json_in_the_making(name, part),
        })
    }

    fn other_documents(&self, shard: &str) -> Error {
        let folder = self.folder.display();
        Error::Invalid(format!("{folder}: {shard} was made of other documents"))
    }
}

/// Reads documents that are not to be encoded.
fn skip(
    documents: impl Iterator<Item = Result<(String, String)>>,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<()> {
    for (i, document) in documents.enumerate() {
        document?;
        if i % SKIPPED_AT_ONCE == 0 && !go_on() {
            return Err(Error::Stopped);
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
