//! Rows to push, and somebody who watches.

use dream_stores::{
    Access, Batch, Collection, Error, Journal, Key, Observer, Pushed, Secret, Sink, Source, Text,
    push,
};
use std::path::Path;
use std::time::Duration;

pub const DIM: usize = 3;

/// Ids, vectors and texts that depend on their number alone.
pub struct Rows {
    pub n: u64,
    pub with_text: bool,
}

pub fn id(row: u64) -> String {
    format!("doc {row}/é")
}

pub fn vector(row: u64) -> [f32; DIM] {
    let x = row as f32 / 10.0;
    [x.cos(), x.sin(), 0.1 * x]
}

impl Source for Rows {
    fn rows(&self) -> u64 {
        self.n
    }

    fn read(
        &mut self,
        first: u64,
        rows: usize,
        batch: &mut Batch,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for row in first..self.n.min(first + rows as u64) {
            batch.ids.push(id(row));
            batch.vectors.extend(vector(row));
            if self.with_text {
                batch.texts.push(Text {
                    title: format!("title {row}"),
                    text: "line\n\"quoted\" \u{1}".into(),
                });
            }
        }
        Ok(())
    }
}

/// Does not sleep.
#[derive(Default)]
pub struct Quiet {
    pub waits: usize,
    /// Stops before this many rows are stored.
    pub stop_at: Option<u64>,
    pub done: u64,
}

impl Observer for Quiet {
    fn progress(&mut self, done: u64, _rows: u64) {
        self.done = done;
    }

    fn waits(&mut self, _error: &Error, _wait: Duration) {
        self.waits += 1;
    }

    fn sleep(&mut self, _wait: Duration) {}

    fn stop_requested(&self) -> bool {
        self.stop_at.is_some_and(|at| self.done >= at)
    }
}

pub fn access(url: &str, key: Option<&str>) -> Access {
    Access {
        url: Secret::new(url),
        key: key.map(Secret::new),
        authorities: None,
    }
}

/// Pushes rows in batches of 4, with a journal in this folder.
pub fn push_all(
    rows: &mut Rows,
    sink: &mut dyn Sink,
    folder: &Path,
    observer: &mut Quiet,
) -> Result<Pushed, Error> {
    let key = Key {
        index: "digest".into(),
        rows: rows.n,
        target: "here".into(),
    };
    let mut journal = Journal::open(&folder.join("journal"), key, false)?;
    push(rows, DIM, sink, &mut journal, Some(4), observer)
}

/// A collection, with texts or an approximate index if wanted.
pub fn collection(dim: usize, with_text: bool, with_index: bool) -> Collection {
    let mut collection = Collection::new("docs", dim).expect("a name");
    (collection.with_text, collection.with_index) = (with_text, with_index);
    collection
}
