use super::*;
use crate::{Key, Limits, Text};
use std::collections::BTreeMap;

/// Rows `0..n` with one dimension and a text.
struct Numbers(u64);

impl Source for Numbers {
    fn rows(&self) -> u64 {
        self.0
    }

    fn read(
        &mut self,
        first: u64,
        rows: usize,
        batch: &mut Batch,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for row in first..self.0.min(first + rows as u64) {
            batch.ids.push(row.to_string());
            batch.vectors.push(row as f32);
            let text = "é".repeat(row as usize);
            batch.texts.push(Text {
                title: String::new(),
                text,
            });
        }
        Ok(())
    }
}

/// Keeps rows in memory, and fails as told.
#[derive(Default)]
struct Memory {
    rows: BTreeMap<String, (f32, Text)>,
    /// Calls of `upsert` that fail, by number.
    busy: Vec<usize>,
    broken: Option<usize>,
    calls: usize,
    is_made: bool,
}

impl Sink for Memory {
    fn limits(&self) -> Limits {
        Limits {
            rows: 4,
            bytes: 1 << 10,
            id_bytes: 8,
            text_bytes: 5,
        }
    }

    fn prepare(&mut self, _done: u64) -> Result<bool> {
        Ok(!std::mem::replace(&mut self.is_made, true))
    }

    fn upsert(&mut self, batch: &Batch) -> Result<()> {
        self.calls += 1;
        for (id, vector, text) in batch.rows(1) {
            let row = (vector[0], text.cloned().unwrap_or_default());
            self.rows.insert(id.into(), row);
        }
        if self.busy.contains(&self.calls) {
            return Err(Error::unavailable("memory", "busy"));
        }
        if self.broken == Some(self.calls) {
            return Err(Error::refused("memory", "broken"));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<u64> {
        Ok(self.rows.len() as u64)
    }
}

/// Notes the waits and does not sleep.
#[derive(Default)]
struct Notes {
    waits: Vec<Duration>,
    stop: bool,
}

impl Observer for Notes {
    fn progress(&mut self, _done: u64, _rows: u64) {}

    fn waits(&mut self, _error: &Error, wait: Duration) {
        self.waits.push(wait);
    }

    fn sleep(&mut self, _wait: Duration) {}

    fn stop_requested(&self) -> bool {
        self.stop
    }
}

fn journal(folder: &tempfile::TempDir, rows: u64) -> Journal {
    let key = Key {
        index: "i".into(),
        rows,
        target: "memory".into(),
    };
    Journal::open(&folder.path().join("journal"), key, false).expect("writable")
}

#[test]
fn every_row_arrives_once_in_batches_and_long_texts_are_cut_between_characters() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut sink, mut notes) = (Memory::default(), Notes::default());
    let mut journal = journal(&folder, 10);
    let pushed = push(
        &mut Numbers(10),
        1,
        &mut sink,
        &mut journal,
        None,
        &mut notes,
    );
    let pushed = pushed.expect("it works");
    assert_eq!((pushed.batches, pushed.count, pushed.before), (3, 10, 0));
    // 3 to 9 characters of two bytes are longer than 5 bytes.
    assert_eq!(pushed.texts_cut, 7);
    assert_eq!(
        sink.rows["9"],
        (
            9.0,
            Text {
                title: String::new(),
                text: "éé".into()
            }
        )
    );
}

#[test]
fn what_may_pass_is_tried_again_with_longer_waits_and_what_will_not_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut notes = Notes::default();
    let mut sink = Memory {
        busy: vec![1, 2, 3],
        broken: Some(6),
        ..Memory::default()
    };
    let mut journal_ = journal(&folder, 10);
    let failed = push(
        &mut Numbers(10),
        1,
        &mut sink,
        &mut journal_,
        None,
        &mut notes,
    );
    assert_eq!(failed.expect_err("broken").to_string(), "memory: broken");
    let waits: Vec<u128> = notes.waits.iter().map(Duration::as_millis).collect();
    assert_eq!((waits, sink.calls), (vec![250, 500, 1000], 6));
    drop(journal_);
    // A second start goes on after the two batches that were acknowledged.
    let mut journal_ = journal(&folder, 10);
    let pushed = push(
        &mut Numbers(10),
        1,
        &mut sink,
        &mut journal_,
        None,
        &mut notes,
    );
    let pushed = pushed.expect("it works");
    assert_eq!((pushed.before, pushed.batches, pushed.count), (8, 1, 10));
}

#[test]
fn an_engine_that_stays_away_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut notes, mut journal) = (Notes::default(), journal(&folder, 10));
    let mut sink = Memory {
        busy: (1..100).collect(),
        ..Memory::default()
    };
    let failed = push(
        &mut Numbers(10),
        1,
        &mut sink,
        &mut journal,
        None,
        &mut notes,
    );
    assert_eq!(failed.expect_err("busy").to_string(), "memory: busy");
    assert_eq!(notes.waits.len() as u32, ATTEMPTS - 1);
    assert!(notes.waits.iter().all(|wait| *wait <= LONGEST_WAIT));
}

#[test]
fn rows_of_a_collection_that_is_gone_are_pushed_again_and_missing_ones_are_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut notes = Notes::default();
    let mut journal = journal(&folder, 10);
    let mut all = |sink: &mut Memory, journal: &mut Journal| {
        push(&mut Numbers(10), 1, sink, journal, Some(1), &mut notes)
    };
    all(&mut Memory::default(), &mut journal).expect("it works");
    let mut sink = Memory::default();
    let again = all(&mut sink, &mut journal).expect("it works");
    assert_eq!((again.before, again.count), (0, 10));
    sink.rows.clear();
    let missing = all(&mut sink, &mut journal).expect_err("rows are gone");
    assert!(
        missing.to_string().contains("only 0 are there"),
        "{missing}"
    );
}

#[test]
fn a_stop_ends_after_the_batch_and_a_long_id_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut notes = Notes {
        stop: true,
        ..Notes::default()
    };
    let mut sink = Memory::default();
    let mut journal = journal(&folder, 10);
    let stopped = push(
        &mut Numbers(10),
        1,
        &mut sink,
        &mut journal,
        None,
        &mut notes,
    );
    assert!(matches!(stopped, Err(Error::Stopped)));
    let batch = Batch {
        ids: vec!["123456789".into()],
        vectors: vec![0.0],
        texts: vec![],
    };
    let refused = check(&batch, 1, 8).expect_err("too long");
    assert!(refused.to_string().contains("at most 8 bytes"), "{refused}");
}
