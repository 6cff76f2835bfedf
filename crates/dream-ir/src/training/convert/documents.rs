//! The corpus that rows share: each document is written once, whichever rows bring it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;

use super::super::format::Passage;
use super::super::msmarco;
use super::{RowError, TargetFrom};
use crate::atomic_write::AtomicFile;
use crate::delimited::Delimiter;
use crate::document::Document;
use crate::error::Result;
use crate::jsonl::JsonLines;
use crate::lines::LineReader;

/// Two hashes under random keys: among `n` values, two are taken for the same with a chance of `n^2 / 2^129`.
type Digest = (u64, u64);

/// Writes documents, and knows what was written.
pub(super) struct Documents {
    file: AtomicFile,
    keys: (RandomState, RandomState),
    /// What an id stands for.
    by_id: HashMap<Digest, Digest>,
    /// Names given to texts that had none.
    by_text: HashMap<Digest, u64>,
    /// Texts by id, where targets may be taken from them.
    texts: Option<HashMap<String, String>>,
}

impl Documents {
    pub(super) fn create(path: &Path, target: TargetFrom) -> Result<Self> {
        Ok(Self {
            file: AtomicFile::create(path)?,
            keys: (RandomState::new(), RandomState::new()),
            by_id: HashMap::new(),
            by_text: HashMap::new(),
            texts: (target == TargetFrom::Positive).then(HashMap::new),
        })
    }

    /// Number of documents.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Puts the file in its place.
    pub(super) fn commit(self) -> Result<()> {
        self.file.commit()
    }

    /// Adds a whole corpus: `id<TAB>text` in a `.tsv`, else JSON Lines.
    pub(super) fn add_corpus(&mut self, path: &Path) -> Result<()> {
        let mut lines = LineReader::open(path)?;
        if Delimiter::of(lines.path()) == Some(Delimiter::Tab) {
            loop {
                let parsed = match lines.next_line()? {
                    None => return Ok(()),
                    Some(line) if line.trim().is_empty() => continue,
                    Some(line) => msmarco::pair(line).map(|(id, text)| Document {
                        id: id.to_owned(),
                        title: String::new(),
                        text: text.to_owned(),
                    }),
                };
                let document = parsed.map_err(|what| lines.error(what))?;
                self.add_new(&document, |what| lines.error(what))?;
            }
        }
        let mut values = JsonLines::<Document>::new(lines);
        while let Some(document) = values.next() {
            self.add_new(&document?, |what| values.error(what))?;
        }
        Ok(())
    }

    fn add_new(
        &mut self,
        document: &Document,
        error: impl Fn(String) -> crate::Error,
    ) -> Result<()> {
        if self.by_id.contains_key(&self.digest(&document.id)) {
            return Err(error(format!(
                "document id {:?} was given before",
                document.id
            )));
        }
        match self.write(document) {
            Ok(()) => Ok(()),
            Err(RowError::Row(what)) => Err(error(what)),
            Err(RowError::Other(error)) => Err(error),
        }
    }

    /// The ids of a row's passages, which are written if they are new, and their texts if targets need them.
    pub(super) fn add_all(
        &mut self,
        passages: Vec<Passage>,
    ) -> Result<Vec<(String, Option<String>)>, RowError> {
        passages
            .into_iter()
            .map(|passage| self.add(passage))
            .collect()
    }

    fn add(&mut self, passage: Passage) -> Result<(String, Option<String>), RowError> {
        let (id, title, text) = match passage {
            Passage::Id(id) => {
                if !self.by_id.contains_key(&self.digest(&id)) {
                    return Err(format!("document {id:?} is not in the corpus").into());
                }
                let text = self
                    .texts
                    .as_ref()
                    .and_then(|texts| texts.get(&id))
                    .cloned();
                return Ok((id, text));
            }
            Passage::Text { id, title, text } => (id, title, text),
        };
        if id.is_none() && text.trim().is_empty() {
            return Err("a passage of the row is empty".to_owned().into());
        }
        let id = match id {
            Some(id) => id,
            None => self.name(&title, &text),
        };
        let document = Document { id, title, text };
        self.write(&document)?;
        Ok((document.id, Some(document.text)))
    }

    /// A name for a text: the same one whenever it comes.
    fn name(&mut self, title: &str, text: &str) -> String {
        let digest = self.digest(&(title, text));
        let mut next = self.by_text.len() as u64 + 1;
        if let Some(number) = self.by_text.get(&digest) {
            return format!("p{number}");
        }
        while self.by_id.contains_key(&self.digest(&format!("p{next}"))) {
            next += 1;
        }
        self.by_text.insert(digest, next);
        format!("p{next}")
    }

    fn write(&mut self, document: &Document) -> Result<(), RowError> {
        let id = self.digest(&document.id);
        let content = self.digest(&(document.title.as_str(), document.text.as_str()));
        match self.by_id.insert(id, content) {
            Some(before) if before == content => return Ok(()),
            Some(_) => {
                let id = &document.id;
                return Err(format!("document id {id:?} stands for two different texts").into());
            }
            None => {}
        }
        if let Some(texts) = &mut self.texts {
            texts.insert(document.id.clone(), document.text.clone());
        }
        Ok(self.file.json_line(document)?)
    }

    fn digest(&self, value: &(impl std::hash::Hash + ?Sized)) -> Digest {
        (self.keys.0.hash_one(value), self.keys.1.hash_one(value))
    }
}
