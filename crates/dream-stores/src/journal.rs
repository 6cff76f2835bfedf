//! How far a push has come, on disk.
//!
//! Rows are pushed in the order of the index, so that one number says everything: the first so many rows are
//! stored. The file's first line says what is pushed where; each line after it is such a number, written and
//! synced once the engine has acknowledged the rows. A line that a crash cut short does not count: its batch is
//! sent again, and every upsert is idempotent.

use crate::error::at;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Longest journal read: a number a batch, for 100 million batches.
const MAX_BYTES: u64 = 1 << 30;
/// Longest line of a journal.
const MAX_LINE: u64 = 1 << 16;

/// What is pushed where: with another key a journal says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Digest of the index.
    pub index: String,
    /// Rows of the index.
    pub rows: u64,
    /// Engine, address without credentials, collection, and what else must stay the same.
    pub target: String,
}

/// An open journal; no other process can open it.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    key: Key,
    done: u64,
}

impl Journal {
    /// Opens or begins the journal of a push. One of another key that is complete, or says
    /// nothing yet, is begun anew.
    ///
    /// # Errors
    /// It is of another key and not complete (unless `restart`), in use, or no journal.
    pub fn open(path: &Path, key: Key, restart: bool) -> Result<Self> {
        let io = at(path);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path).map_err(&io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let what = "is in use: another process pushes the same";
                return Err(Error::Invalid(format!("{} {what}", path.display())));
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        let mut journal = Self {
            path: path.into(),
            file,
            key,
            done: 0,
        };
        let found = if restart { None } else { journal.read()? };
        match found {
            Some((key, done)) if key == journal.key => journal.done = done,
            Some((key, done)) if (1..key.rows).contains(&done) => {
                return Err(Error::Invalid(format!(
                    "{}: a push of {} rows to {} stopped here after {done}; finish it, or begin anew with --restart or \
                     another --journal (wanted: {} rows of index {} to {})",
                    path.display(),
                    key.rows,
                    key.target,
                    journal.key.rows,
                    journal.key.index,
                    journal.key.target,
                )));
            }
            _ => journal.restart()?,
        }
        Ok(journal)
    }

    /// Rows stored, counted from the first.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that the first `done` rows are stored.
    pub fn acknowledge(&mut self, done: u64) -> Result<()> {
        if done <= self.done {
            return Ok(());
        }
        self.write(&format!("{done}\n"))?;
        self.done = done;
        Ok(())
    }

    /// Nothing is stored.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(at(&self.path))?;
        self.file.rewind().map_err(at(&self.path))?;
        self.done = 0;
        let key = serde_json::to_string(&self.key)
            .expect("a struct of plain fields is JSON. This is a bug.");
        self.write(&format!("{key}\n"))
    }

    fn write(&mut self, line: &str) -> Result<()> {
        let written = self.file.write_all(line.as_bytes());
        let synced = written.and_then(|()| self.file.sync_data());
        synced.map_err(at(&self.path))
    }

    /// Key and number of the file, which is left open at the end of its last whole line; nothing if it has
    /// no whole first line.
    fn read(&mut self) -> Result<Option<(Key, u64)>> {
        let malformed = |line: usize, what: &str| {
            let path = self.path.display();
            Error::Invalid(format!("{path}:{line}: {what}; this is no journal of ours"))
        };
        let io = at(&self.path);
        let mut lines = BufReader::new((&self.file).take(MAX_BYTES));
        let (mut key, mut done, mut whole) = (None, 0, 0);
        for number in 1.. {
            let mut line = Vec::new();
            let read = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
            let bytes = read.map_err(&io)? as u64;
            if line.pop() != Some(b'\n') {
                if bytes == MAX_LINE {
                    return Err(malformed(number, "a line is too long"));
                }
                break;
            }
            whole += bytes;
            match &key {
                None => {
                    let parsed: Key = serde_json::from_slice(&line)
                        .map_err(|_| malformed(number, "wanted what is pushed where, as JSON"))?;
                    key = Some(parsed);
                }
                Some(key) => {
                    let parsed = std::str::from_utf8(&line).ok().and_then(|l| l.parse().ok());
                    done = parsed
                        .filter(|n| (done + 1..=key.rows).contains(n))
                        .ok_or_else(|| malformed(number, "wanted a growing number of rows"))?;
                }
            }
        }
        self.file.set_len(whole).map_err(&io)?;
        self.file.seek(SeekFrom::Start(whole)).map_err(&io)?;
        Ok(key.map(|key| (key, done)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn key(index: &str) -> Key {
        Key {
            index: index.into(),
            rows: 100,
            target: "somewhere".into(),
        }
    }

    #[test]
    fn a_second_start_goes_on_and_a_cut_line_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let open = |index: &str| Journal::open(&path, key(index), false);
        let mut journal = open("a").unwrap();
        journal.acknowledge(10).unwrap();
        journal.acknowledge(10).unwrap();
        journal.acknowledge(20).unwrap();
        assert!(open("a").unwrap_err().to_string().contains("in use"));
        drop(journal);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"3").unwrap();
        let mut journal = open("a").unwrap();
        assert_eq!(journal.done(), 20);
        journal.acknowledge(100).unwrap();
        drop(journal);
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .ends_with("\n10\n20\n100\n")
        );
        assert_eq!(open("a").unwrap().done(), 100);
        assert_eq!(open("b").unwrap().done(), 0);
    }

    #[test]
    fn another_push_is_not_mixed_in_unless_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let mut journal = Journal::open(&path, key("a"), false).unwrap();
        journal.acknowledge(10).unwrap();
        drop(journal);
        let refused = Journal::open(&path, key("b"), false).unwrap_err();
        assert!(refused.to_string().contains("--restart"), "{refused}");
        assert_eq!(Journal::open(&path, key("a"), true).unwrap().done(), 0);
        // It says nothing now: whatever is pushed next may have it.
        assert_eq!(Journal::open(&path, key("b"), false).unwrap().done(), 0);
    }

    #[test]
    fn what_is_no_journal_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let begin = serde_json::to_string(&key("a")).unwrap();
        for text in [
            "hello\n".to_owned(),
            format!("{begin}\n7\n5\n"),
            format!("{begin}\n101\n"),
            format!("{begin}\n-1\n"),
            "x".repeat(MAX_LINE as usize),
        ] {
            std::fs::write(&path, &text).unwrap();
            let refused = Journal::open(&path, key("a"), false).unwrap_err();
            assert!(refused.to_string().contains("no journal"), "{refused}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
