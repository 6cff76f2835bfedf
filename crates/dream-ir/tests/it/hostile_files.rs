//! Damaged files: every reader answers with an error or with a value, never with a panic.

use std::fs;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dream_ir::beir::read_queries;
use dream_ir::lines::LineReader;
use dream_ir::training::read_training_rows;
use dream_ir::{Corpus, DocumentStream, Qrels, Run, RunOptions};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CORPUS: &str =
    "{\"_id\":\"d1\",\"title\":\"T\",\"text\":\"some text\"}\n{\"id\":2,\"text\":\"é\"}\n";
const ROWS: &str = "{\"id\":\"r\",\"query\":\"q\",\"answers\":[\"t\"],\"context_id\":\"d1\",\
    \"candidates\":[{\"id\":\"a\",\"text\":\"x\"}]}\n";
const QRELS: &str = "query-id\tcorpus-id\tscore\nq1\td1\t1\n\"q 2\"\td2\t2\n";
const RUN: &str = "q1 Q0 d1 1 0.75 me\nq1 Q0 d2 2 1e-3 me\n";
const JSON: &str = "{\"q1\": {\"d1\": 2, \"d2\": 0}, \"q2\": {}}\n";

/// Whether each reader accepts the file; what matters is that it comes back.
fn read_with_all(path: &Path) -> [bool; 5] {
    [
        Corpus::read(path).is_ok(),
        read_queries(path).is_ok(),
        read_training_rows(path).is_ok(),
        Qrels::read(path).is_ok(),
        Run::read(path).is_ok(),
    ]
}

fn zst(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn damaged_files_are_errors_and_never_panics() -> std::io::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    let folder = tempfile::tempdir()?;
    for text in [CORPUS, ROWS, QRELS, RUN, JSON] {
        let forms = [
            ("a.txt", text.as_bytes().to_vec()),
            ("a.jsonl.zst", zst(text.as_bytes())),
        ];
        for (name, bytes) in forms {
            let path = folder.path().join(name);
            fs::write(&path, &bytes)?;
            assert!(read_with_all(&path).contains(&true), "{text}");
            for _ in 0..100 {
                let mut damaged = bytes.clone();
                for _ in 0..rng.random_range(1..4) {
                    let at = rng.random_range(0..damaged.len());
                    damaged[at] = rng.random();
                }
                damaged.truncate(rng.random_range(1..=2 * damaged.len()));
                fs::write(&path, damaged)?;
                read_with_all(&path);
            }
        }
    }
    Ok(())
}

/// A line that never ends, and how much of it was taken.
struct Endless {
    beginning: &'static [u8],
    taken: Arc<AtomicUsize>,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let taken = self.taken.fetch_add(buffer.len(), Ordering::Relaxed);
        for (at, byte) in buffer.iter_mut().enumerate() {
            *byte = self.beginning.get(taken + at).copied().unwrap_or(b'x');
        }
        Ok(buffer.len())
    }
}

/// How many bytes of an endless line each reader takes before it gives up.
fn taken_of(beginning: &'static [u8], read: impl Fn(LineReader) -> bool) -> usize {
    let taken = Arc::new(AtomicUsize::new(0));
    let endless = Endless {
        beginning,
        taken: Arc::clone(&taken),
    };
    let lines = LineReader::new("endless", Box::new(BufReader::new(endless)));
    assert!(!read(lines), "an endless line was accepted");
    taken.load(Ordering::Relaxed)
}

#[test]
fn a_line_or_a_string_without_end_is_refused_after_a_megabyte() {
    let beginnings: [&[u8]; 6] = [
        b"q Q0 d 1 ",
        b"q\td\t",
        b"{\"",
        b"{\"q\": {\"",
        b"{\"q\": {\"d\": 1",
        b"\xEF\xBB\xBF",
    ];
    for beginning in beginnings {
        let run = taken_of(beginning, |lines| {
            Run::read_from(lines, RunOptions::default()).is_ok()
        });
        let qrels = taken_of(beginning, |lines| Qrels::read_from(lines).is_ok());
        assert!(
            run.max(qrels) < 2 << 20,
            "{run} and {qrels} bytes were read"
        );
    }
    let corpus = taken_of(b"{\"_id\": \"", |lines| {
        DocumentStream::of_lines(lines).all(|document| document.is_ok())
    });
    assert!(corpus < 65 << 20, "{corpus} bytes were read");
}

#[test]
fn numbers_that_are_none_nul_bytes_and_marks_in_the_middle_are_refused() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a");
    let refused: [&[u8]; 9] = [
        b"q Q0 d 1 nan t\n",
        b"q Q0 d 1 -inf t\n",
        b"q\td\tinfinity\n",
        b"{\"q\": {\"d\": Infinity}}",
        b"q Q0 d\0 1 0.5 t\n",
        b"q\0\td\t1\n",
        b"q Q0 d 1 0.5 t\nq Q0 \xEF\xBB\xBFe 2 0.5 t\n",
        b"q 0 d 99999999999999999999\n",
        b"\xFF\xFEq\0\t\0d\0\t\x001\0", // UTF-16
    ];
    for bytes in refused {
        fs::write(&path, bytes)?;
        let text = String::from_utf8_lossy(bytes);
        assert!(Run::read(&path).is_err(), "{text:?}");
        assert!(Qrels::read(&path).is_err(), "{text:?}");
    }
    Ok(())
}

#[test]
fn crlf_and_a_byte_order_mark_at_the_beginning_change_nothing() -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a");
    let read = |text: String| {
        fs::write(&path, text)?;
        Ok::<_, std::io::Error>((Run::read(&path).ok(), Qrels::read(&path).ok()))
    };
    for text in [RUN, QRELS, "q 0 d 1\n", "{\"q\":\n{\"d\": 1}}\n"] {
        let plain = read(text.to_owned())?;
        assert!(plain.0.is_some() || plain.1.is_some());
        assert_eq!(read(text.replace('\n', "\r\n"))?, plain);
        assert_eq!(read(format!("\u{feff}{text}"))?, plain);
    }
    Ok(())
}

#[test]
fn binary_data_is_no_corpus_no_qrels_and_no_run() -> std::io::Result<()> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let folder = tempfile::tempdir()?;
    let bytes: Vec<u8> = (0..10_000).map(|_| rng.random()).collect();
    for name in ["a", "a.gz", "a.zst"] {
        let path = folder.path().join(name);
        fs::write(&path, &bytes)?;
        assert_eq!(read_with_all(&path), [false; 5], "{name}");
    }
    Ok(())
}
