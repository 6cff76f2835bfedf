//! Rows of an index, and the texts of their documents.

use anyhow::Result;
use dream::index::Index;
use dream_ir::Document;
use dream_ir::jsonl::{JsonLines, read_jsonl};
use dream_nn::Rows;
use dream_stores::{Batch, Source, Text};
use std::path::{Path, PathBuf};

/// A batch ends early once its texts take so many bytes.
const MAX_TEXT_BYTES: usize = 8 << 20;

/// An index as rows to push, a part of a shard at a time: memory is that of a batch.
pub struct IndexSource<'a> {
    index: &'a Index,
    /// Each shard with the position of its first document.
    shards: Vec<(usize, Rows<'a>)>,
    /// The shard that was read last.
    current: usize,
    widened: Vec<f32>,
    texts: Option<Texts>,
}

impl<'a> IndexSource<'a> {
    /// Rows alone, or with texts from a corpus.
    pub fn new(index: &'a Index, corpus: Option<&Path>) -> Result<Self> {
        let mut first = 0;
        let mut shards = Vec::new();
        for rows in index.rows() {
            shards.push((first, rows));
            first += rows.count();
        }
        let texts = corpus.map(|path| Texts::open(path, shards.len()));
        Ok(Self {
            index,
            shards,
            current: 0,
            widened: Vec::new(),
            texts: texts.transpose()?,
        })
    }
}

impl Source for IndexSource<'_> {
    fn rows(&self) -> u64 {
        self.index.len() as u64
    }

    fn read(
        &mut self,
        first: u64,
        rows: usize,
        batch: &mut Batch,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let first = first as usize;
        let after = self.shards.partition_point(|(start, _)| *start <= first);
        if after - 1 != self.current {
            self.index.release(self.current);
            self.current = after - 1;
        }
        let (start, shard) = self.shards[self.current];
        let wanted = rows.min(start + shard.count() - first);
        let mut bytes = 0;
        for position in first..first + wanted {
            let id = self.index.id(position);
            if let Some(texts) = &mut self.texts {
                let text = texts.of(id)?;
                bytes += text.title.len() + text.text.len();
                batch.texts.push(text);
            }
            batch.ids.push(id.to_owned());
            if bytes > MAX_TEXT_BYTES {
                break;
            }
        }
        let range = first - start..first - start + batch.len();
        let vectors = shard.block(range, &mut self.widened);
        batch.vectors.extend_from_slice(vectors);
        Ok(())
    }
}

/// Texts of a corpus, asked for in the order of an index. Nothing is kept: documents that the index does not
/// have are passed over. Shards are in the corpus's order each, but may not follow each other in it: then
/// the corpus is read from its beginning again.
struct Texts {
    path: PathBuf,
    documents: JsonLines<Document>,
    /// Times that it may still be read from its beginning.
    rewinds: usize,
}

impl Texts {
    fn open(path: &Path, shards: usize) -> dream_ir::Result<Self> {
        Ok(Self {
            path: path.into(),
            documents: read_jsonl(path)?,
            rewinds: shards,
        })
    }

    fn of(&mut self, id: &str) -> dream_ir::Result<Text> {
        for _ in 0..2 {
            for document in &mut self.documents {
                let document = document?;
                if document.id == id {
                    let Document { title, text, .. } = document;
                    return Ok(Text { title, text });
                }
            }
            if self.rewinds == 0 {
                break;
            }
            self.rewinds -= 1;
            self.documents = read_jsonl(&self.path)?;
        }
        Err(dream_ir::Error::Invalid(format!(
            "{}: document {id:?} of the index is not in it, or its documents are in another order than in the index",
            self.path.display()
        )))
    }
}
