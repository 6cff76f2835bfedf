//! A corpus: documents in file order, found by index or by id.

use std::collections::HashMap;
use std::path::Path;

use crate::document::Document;
use crate::error::{Error, Result};
use crate::jsonl::JsonLines;
use crate::lines::LineReader;

/// Documents with distinct ids, in file order.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    documents: Vec<Document>,
    index: HashMap<String, usize>,
}

impl Corpus {
    /// A corpus of these documents; a repeated id is an error.
    pub fn new(documents: impl IntoIterator<Item = Document>) -> Result<Self> {
        let mut corpus = Self::default();
        for document in documents {
            corpus.push(document).map_err(Error::Invalid)?;
        }
        Ok(corpus)
    }

    /// Reads a `corpus.jsonl` (BEIR: `_id`, `title`, `text`); an empty one is an error.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_from(LineReader::open(path)?)
    }

    /// The same from lines that are no file of their own.
    pub fn read_from(lines: LineReader) -> Result<Self> {
        let path = lines.path().to_owned();
        let mut corpus = Self::default();
        let mut values = JsonLines::<Document>::new(lines);
        while let Some(document) = values.next() {
            corpus.push(document?).map_err(|what| values.error(what))?;
        }
        if corpus.is_empty() {
            let path = path.display();
            return Err(Error::Invalid(format!(
                "{path}: the corpus holds no document"
            )));
        }
        Ok(corpus)
    }

    /// Adds a document; a repeated id is an error.
    pub(crate) fn push(&mut self, document: Document) -> Result<(), String> {
        let next = self.documents.len();
        if let Some(first) = self.index.insert(document.id.clone(), next) {
            let id = document.id;
            return Err(format!(
                "document id {id:?} was given before, as document {}",
                first + 1
            ));
        }
        self.documents.push(document);
        Ok(())
    }

    /// Adds a document unless it is there already, and gives its index. The same id with another
    /// text is an error.
    pub fn add(&mut self, document: Document) -> Result<usize, String> {
        match self.index_of(&document.id) {
            Some(index) if self.documents[index] == document => Ok(index),
            Some(_) => Err(format!(
                "document id {:?} stands for two different texts",
                document.id
            )),
            None => self.push(document).map(|()| self.len() - 1),
        }
    }

    /// The documents, in file order.
    pub fn documents(&self) -> &[Document] {
        &self.documents
    }

    /// Position of the document with this id.
    pub fn index_of(&self, id: &str) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// The document with this id.
    pub fn get(&self, id: &str) -> Option<&Document> {
        self.index_of(id).map(|index| &self.documents[index])
    }

    /// Number of documents.
    pub fn len(&self) -> usize {
        self.documents.len()
    }

    /// Whether there is no document.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty()
    }
}
