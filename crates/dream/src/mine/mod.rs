//! Mining: training rows with candidates that a source found and filters left, written one by one.
//!
//! `train.jsonl` gets a row for each row that was read, in their order, with `candidate_ids` best first and
//! `candidates` that say of each where it comes from. While it is made it is called `train.jsonl.part`, and
//! `train.jsonl.mine.json` ([`Journal`]) says how many bytes of it are good: a later process with the same
//! settings and data goes on there, and ends in the same bytes, since what is drawn for a row follows from its
//! number and the seed, and rows are always searched in the same groups. The journal stays beside the rows
//! as the word of what made them.

mod data;
mod journal;
mod summary;

pub use data::Data;
pub use journal::{Journal, Recipe, RetrieverRecipe};
pub use summary::Summary;

use crate::candidates::Source;
use crate::evaluate::Progress;
use crate::files::{is_still_there, lock, sync_folder};
use crate::{Error, Result};
use dream_ir::pools::{Candidate, Numbered, Origin, PoolSource, Selection, select_all};
use dream_ir::{Corpus, TrainingRow};
use serde::Serialize;
use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Rows that are searched together.
pub const GROUP_ROWS: usize = 256;

/// Between two words in the journal.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// Rows that are being mined into a file, or were.
#[derive(Debug)]
pub struct Mining {
    out: PathBuf,
    part: PathBuf,
    file: File,
    journal: Journal,
}

impl Mining {
    /// Opens a file for rows of some data, new or where an earlier process left it. `force` starts anew.
    ///
    /// # Errors
    /// The file was made by something else, or by another recipe or of other data; it is the data's
    /// own; another process is at work on it.
    pub fn open(out: &Path, recipe: Recipe, data: &Data, force: bool) -> Result<Self> {
        data.refuse_as_output(out)?;
        let part = with_ending(out, "part");
        let Some(file) = lock(&part)?.filter(|file| is_still_there(file, &part)) else {
            let out = out.display();
            return Err(Error::Invalid(format!(
                "another process is at work on {out}"
            )));
        };
        let mut mining = Self {
            out: out.into(),
            part,
            file,
            journal: Journal::new(recipe, data),
        };
        let opened = mining.open_journal(force);
        if opened.is_err() && mining.file.metadata().is_ok_and(|m| m.len() == 0) {
            // Made by the lock; the first error is the one to report.
            let _ = std::fs::remove_file(&mining.part);
        }
        opened.map(|()| mining)
    }

    fn open_journal(&mut self, force: bool) -> Result<()> {
        let out = &self.out;
        if force {
            Journal::remove(out)?;
            if out.exists() {
                std::fs::remove_file(out).map_err(|e| Error::io(out, e))?;
            }
        }
        if let Some(found) = Journal::read(out)? {
            found.check_same(&self.journal, out)?;
            self.journal = found;
        } else if out.exists() {
            let out = out.display();
            return Err(Error::Invalid(format!(
                "{out} is there already, and nothing says that mining made it"
            )));
        }
        self.settle()
    }

    /// Makes the files agree with the journal.
    fn settle(&mut self) -> Result<()> {
        let io = |e| Error::io(&self.part, e);
        let length = self.file.metadata().map_err(io)?.len();
        let is_out = |bytes: u64| std::fs::metadata(&self.out).is_ok_and(|m| m.len() == bytes);
        // Killed between giving the name and saying so.
        if self.journal.is_read() && length == 0 && is_out(self.journal.bytes) {
            self.journal.complete = true;
            std::fs::remove_file(&self.part).map_err(io)?;
            return self.journal.write(&self.out);
        }
        if self.journal.complete || length < self.journal.bytes {
            let (out, wanted) = (self.out.display(), self.journal.bytes);
            return Err(Error::Invalid(format!(
                "{out} should have {wanted} bytes and has not: something else changed it"
            )));
        }
        let end = self.journal.bytes;
        self.file.set_len(end).map_err(io)?;
        self.file.seek(SeekFrom::Start(end)).map_err(io)?;
        Ok(())
    }

    /// Whether nothing is left to do.
    pub fn is_complete(&self) -> bool {
        self.journal.complete
    }

    /// Rows that were read so far.
    pub fn rows_done(&self) -> usize {
        self.journal.rows_done
    }

    /// What was found so far.
    pub fn summary(&self) -> &Summary {
        &self.journal.summary
    }

    /// Mines the rows that are left; `progress` gets the rows that are done and those in all.
    ///
    /// # Errors
    /// See [`Source::find`] and [`select_all`]; [`Error::Stopped`] if `progress` says so, after which another
    /// start goes on.
    pub fn run(&mut self, data: &Data, source: Source<'_>, progress: &mut Progress) -> Result<()> {
        if self.journal.complete {
            return Ok(());
        }
        let settings = self.journal.recipe.settings;
        let depth = settings.depth(0);
        let mut rows = data.rows(self.journal.rows_done)?;
        let mut last_commit = Instant::now();
        loop {
            let mut group: Vec<TrainingRow> = Vec::with_capacity(GROUP_ROWS);
            for row in rows.by_ref().take(GROUP_ROWS) {
                group.push(row?);
            }
            if group.is_empty() {
                break;
            }
            let numbered: Vec<Numbered<'_>> = (self.journal.rows_done..).zip(&group).collect();
            let found = source.find(&numbered, &data.corpus, depth)?;
            let selections = select_all(&numbered, &found, &data.corpus, &settings)?;
            self.append(&group, &selections, &data.corpus)?;
            let go_on = progress(self.journal.rows_done, data.n_rows());
            if !go_on || last_commit.elapsed() >= COMMIT_INTERVAL {
                self.commit()?;
                last_commit = Instant::now();
            }
            if !go_on {
                return Err(Error::Stopped);
            }
        }
        if !self.journal.is_read() {
            let (done, all) = (self.journal.rows_done, data.n_rows());
            return Err(Error::Invalid(format!(
                "the rows changed while they were mined: {done} of {all} are left"
            )));
        }
        self.finish()
    }

    fn append(
        &mut self,
        rows: &[TrainingRow],
        selections: &[Selection],
        corpus: &Corpus,
    ) -> Result<()> {
        let source = self.journal.recipe.settings.source;
        let io = |e| Error::io(&self.part, e);
        let mut writer = BufWriter::new(&self.file);
        for (row, selection) in rows.iter().zip(selections) {
            self.journal.summary.add(row, selection, corpus);
            if selection.candidates.is_empty() {
                continue;
            }
            let mut line = serde_json::to_vec(&MinedRow::new(row, selection, source, corpus))
                .expect("strings and finite numbers are JSON. This is a bug.");
            line.push(b'\n');
            writer.write_all(&line).map_err(io)?;
            self.journal.bytes += line.len() as u64;
        }
        writer.flush().map_err(io)?;
        self.journal.rows_done += rows.len();
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        let synced = self.file.sync_data();
        synced.map_err(|e| Error::io(&self.part, e))?;
        self.journal.write(&self.out)
    }

    fn finish(&mut self) -> Result<()> {
        self.commit()?;
        std::fs::rename(&self.part, &self.out).map_err(|e| Error::io(&self.out, e))?;
        sync_folder(folder_of(&self.out))?;
        self.journal.complete = true;
        self.journal.write(&self.out)
    }
}

/// A file beside another one: its name with more behind it.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{ending}"));
    path.with_file_name(name)
}

fn folder_of(path: &Path) -> &Path {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// A row as it is written.
#[derive(Serialize)]
struct MinedRow<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    query: &'a str,
    target: &'a str,
    positive_ids: &'a [String],
    candidate_ids: Vec<&'a str>,
    candidates: Vec<MinedCandidate<'a>>,
}

/// Where a candidate comes from: the source with its rank there, `known-passage` or `random`.
#[derive(Serialize)]
struct MinedCandidate<'a> {
    id: &'a str,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
}

impl<'a> MinedRow<'a> {
    fn new(
        row: &'a TrainingRow,
        selection: &Selection,
        source: PoolSource,
        corpus: &'a Corpus,
    ) -> Self {
        let id = |candidate: &Candidate| corpus.documents()[candidate.document].id.as_str();
        let mined = |candidate: &Candidate| {
            let (source, rank) = match candidate.origin {
                Origin::Found(rank) => (source.to_string(), Some(rank)),
                Origin::Known => ("known-passage".to_owned(), None),
                Origin::Fill => (PoolSource::Random.to_string(), None),
            };
            MinedCandidate {
                id: id(candidate),
                source,
                rank,
                score: candidate.score,
            }
        };
        Self {
            id: &row.id,
            query: &row.query,
            target: &row.target,
            positive_ids: &row.positive_ids,
            candidate_ids: selection.candidates.iter().map(id).collect(),
            candidates: selection.candidates.iter().map(mined).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
