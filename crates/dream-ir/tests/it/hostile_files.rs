//! Damaged files: every reader answers with an error or with a value, never with a panic.

use std::fs;
use std::path::Path;

use dream_ir::beir::read_queries;
use dream_ir::training::read_training_rows;
use dream_ir::{Corpus, Qrels, Run};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const CORPUS: &str =
    "{\"_id\":\"d1\",\"title\":\"T\",\"text\":\"some text\"}\n{\"id\":2,\"text\":\"é\"}\n";
const ROWS: &str = "{\"id\":\"r\",\"query\":\"q\",\"answers\":[\"t\"],\"context_id\":\"d1\",\
    \"candidates\":[{\"id\":\"a\",\"text\":\"x\"}]}\n";
const QRELS: &str = "query-id\tcorpus-id\tscore\nq1\td1\t1\n\"q 2\"\td2\t2\n";
const RUN: &str = "q1 Q0 d1 1 0.75 me\nq1 Q0 d2 2 1e-3 me\n";

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
    for text in [CORPUS, ROWS, QRELS, RUN] {
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
