//! Rows from an index to an engine, batch by batch.

use crate::{Batch, Error, Journal, Result, Sink};
use std::time::Duration;

/// Times that something is tried before it counts as failed.
const ATTEMPTS: u32 = 9;
/// The same before the first row is sent: a wrong address should not take minutes.
const FIRST_ATTEMPTS: u32 = 3;
/// Wait after the first failure; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// No wait is longer, whatever the engine asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Where rows come from.
pub trait Source {
    /// Rows in all.
    fn rows(&self) -> u64;

    /// Fills `batch`, which is empty, with rows from `first` on: at least one, at most `rows`.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(
        &mut self,
        first: u64,
        rows: usize,
        batch: &mut Batch,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Who is told how it goes.
pub trait Observer {
    /// So many rows are stored.
    fn progress(&mut self, done: u64, rows: u64);

    /// Something failed and is tried again after `wait`.
    fn waits(&mut self, error: &Error, wait: Duration);

    /// Sleeps; a test may not.
    fn sleep(&mut self, wait: Duration) {
        std::thread::sleep(wait);
    }

    /// Whether to stop after the batch that is under way.
    fn stop_requested(&self) -> bool;
}

/// What a push did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Rows of the index, all of them stored now.
    pub rows: u64,
    /// Of these, what an earlier start had stored.
    pub before: u64,
    /// Batches sent now.
    pub batches: u64,
    /// Failures that another attempt mended.
    pub retries: u64,
    /// Titles and texts that were longer than the engine takes.
    pub texts_cut: u64,
    /// Rows that the collection holds now; more than `rows` if there were others in it.
    pub count: u64,
}

/// Pushes every row that the journal does not have yet.
///
/// # Errors
/// The rows cannot be read, the engine refuses them or stays away, the collection holds fewer rows in the end
/// than were pushed, or the observer stops it. The journal then has what is stored.
pub fn push(
    source: &mut dyn Source,
    dim: usize,
    sink: &mut dyn Sink,
    journal: &mut Journal,
    batch_rows: Option<usize>,
    observer: &mut dyn Observer,
) -> Result<Pushed> {
    let limits = sink.limits();
    let rows_by_bytes = (limits.bytes / (dim * size_of::<f32>())).max(1);
    let wanted = batch_rows.unwrap_or(limits.rows).clamp(1, rows_by_bytes);
    let rows = source.rows();
    let mut pushed = Pushed {
        rows,
        ..Pushed::default()
    };
    let is_new = retry(FIRST_ATTEMPTS, &mut pushed, observer, || {
        sink.prepare(journal.done())
    })?;
    if is_new && journal.done() > 0 {
        // What the journal speaks of is gone.
        journal.restart()?;
    }
    pushed.before = journal.done();
    let mut at = journal.done();
    observer.progress(at, rows);
    let mut batch = Batch::default();
    while at < rows {
        if observer.stop_requested() {
            return Err(Error::Stopped);
        }
        batch.clear();
        let read = source.read(at, wanted, &mut batch);
        read.map_err(Error::Source)?;
        check(&batch, dim, limits.id_bytes)?;
        pushed.texts_cut += cut(&mut batch, limits.text_bytes);
        retry(ATTEMPTS, &mut pushed, observer, || sink.upsert(&batch))?;
        pushed.batches += 1;
        at += batch.len() as u64;
        journal.acknowledge(sink.durable(at))?;
        observer.progress(at, rows);
    }
    pushed.count = retry(ATTEMPTS, &mut pushed, observer, || sink.finish())?;
    if pushed.count < rows {
        return Err(Error::Invalid(format!(
            "{rows} rows were pushed, but only {} are there: rows were deleted meanwhile; --restart pushes all of them again",
            pushed.count
        )));
    }
    journal.acknowledge(rows)?;
    Ok(pushed)
}

/// Does it again while it fails in a way that may pass.
fn retry<T>(
    attempts: u32,
    pushed: &mut Pushed,
    observer: &mut dyn Observer,
    mut work: impl FnMut() -> Result<T>,
) -> Result<T> {
    let mut wait = FIRST_WAIT;
    for _ in 1..attempts {
        let error = match work() {
            Err(error) if error.is_transient() => error,
            done => return done,
        };
        let asked = match &error {
            Error::Unavailable { after, .. } => after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let pause = wait.max(asked).min(LONGEST_WAIT);
        pushed.retries += 1;
        observer.waits(&error, pause);
        observer.sleep(pause);
        if observer.stop_requested() {
            return Err(Error::Stopped);
        }
        wait = (2 * wait).min(LONGEST_WAIT);
    }
    work()
}

fn check(batch: &Batch, dim: usize, id_bytes: usize) -> Result<()> {
    let texts = batch.texts.len();
    assert!(
        !batch.is_empty()
            && batch.vectors.len() == batch.len() * dim
            && (texts == 0 || texts == batch.len()),
        "sizes of a batch. This is a bug."
    );
    match batch.ids.iter().find(|id| id.len() > id_bytes) {
        Some(id) => Err(Error::Invalid(format!(
            "the engine takes ids of at most {id_bytes} bytes, document {id:?} has {}",
            id.len()
        ))),
        None => Ok(()),
    }
}

/// Cuts texts between two characters; how many.
fn cut(batch: &mut Batch, bytes: usize) -> u64 {
    let texts = batch.texts.iter_mut();
    let parts = texts.flat_map(|text| [&mut text.title, &mut text.text]);
    let mut n = 0;
    for part in parts.filter(|part| part.len() > bytes) {
        let end = (0..=bytes).rev().find(|end| part.is_char_boundary(*end));
        part.truncate(end.unwrap_or_default());
        n += 1;
    }
    n
}

#[cfg(test)]
mod tests;
