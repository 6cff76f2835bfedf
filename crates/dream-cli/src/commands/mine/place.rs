//! Where mined rows go: a file, or a folder that may get the corpus too.

use crate::errors::usage;
use crate::output::check_place;
use anyhow::Result;
use dream::mine::{Data, Journal, Mining, Recipe};
use dream_ir::jsonl::write_jsonl;
use std::path::{Path, PathBuf};

/// A file of rows, and maybe one of documents.
pub struct Place {
    /// The rows.
    pub rows: PathBuf,
    /// The documents.
    pub corpus: Option<PathBuf>,
}

impl Place {
    /// Of `--out` and `--with-corpus`.
    pub fn new(out: &Path, with_corpus: bool) -> Result<Self> {
        let is_file = !out.is_dir() && out.extension().is_some_and(|ending| ending == "jsonl");
        if is_file {
            if with_corpus {
                return Err(usage(format!(
                    "--with-corpus makes a folder whole, but {} is a file",
                    out.display()
                )));
            }
            check_place(out)?;
            return Ok(Self {
                rows: out.into(),
                corpus: None,
            });
        }
        Ok(Self {
            rows: out.join("train.jsonl"),
            corpus: with_corpus.then(|| out.join("corpus.jsonl")),
        })
    }

    /// Refuses a place where rows would be read without their documents, or would stand beside others'.
    pub fn check(&self, data: &Data, force: bool) -> Result<()> {
        data.refuse_as_output(&self.rows)?;
        let Some(corpus) = &self.corpus else {
            if data.only_in_rows > 0 {
                return Err(usage(format!(
                    "{} documents stand in rows and not in corpus.jsonl: only --with-corpus, with a folder as \
                     --out, writes them",
                    data.only_in_rows
                )));
            }
            return Ok(());
        };
        data.refuse_as_output(corpus)?;
        if corpus.exists() && !force && Journal::read(&self.rows)?.is_none() {
            return Err(usage(format!(
                "{} is there already; --force writes over it",
                corpus.display()
            )));
        }
        Ok(())
    }

    /// Opens the rows, in a folder that is made if it is not there.
    pub fn open(&self, recipe: Recipe, data: &Data, force: bool) -> Result<Mining> {
        if let Some(folder) = self.rows.parent().filter(|f| !f.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|e| dream::Error::io(folder, e))?;
        }
        Mining::open(&self.rows, recipe, data, force).map_err(|error| match error {
            dream::Error::Invalid(what) => usage(format!("{what}; --force starts anew")),
            other => other.into(),
        })
    }

    /// Writes the documents if they were asked for and are not there.
    pub fn write_corpus(&self, data: &Data, force: bool) -> Result<()> {
        match &self.corpus {
            Some(path) if force || !path.exists() => {
                Ok(write_jsonl(path, data.corpus.documents())?)
            }
            _ => Ok(()),
        }
    }
}
