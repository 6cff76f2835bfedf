//! Running the built program on the tiny models, with an environment of its own.

use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The program with arguments, in an environment without caches and network.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dream"));
    command
        .args(arguments)
        .env_clear()
        .env("HF_HUB_OFFLINE", "1")
        .env("DREAM_CACHE", "/nonexistent/cache")
        .env("HF_HUB_CACHE", "/nonexistent/hub");
    command
}

/// Runs the program with bytes on its standard input.
pub fn dream_with(arguments: &[&str], stdin: &[u8]) -> Outcome {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().expect("piped");
    let bytes = stdin.to_vec();
    // A program that refuses its arguments does not read: a broken pipe is no failure of the test.
    let feeder = std::thread::spawn(move || drop(pipe.write_all(&bytes)));
    let output = child.wait_with_output().expect("the program ends");
    feeder.join().expect("the feeder does not panic");
    let outcome = Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    };
    assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
    outcome
}

/// Runs the program with nothing on its standard input.
pub fn dream(arguments: &[&str]) -> Outcome {
    dream_with(arguments, b"")
}

impl Outcome {
    /// What it printed, if it did what it should.
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// The JSON values it printed, one a line.
    pub fn json(self) -> Vec<Value> {
        let text = self.ok();
        let parse = |line| serde_json::from_str(line).expect("a line of JSON");
        text.lines().map(parse).collect()
    }

    /// Demands a failure's exit code and every part of the message.
    pub fn failed(self, parts: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {}", self.stderr);
        }
    }

    /// Demands bad input's exit code and every part of the message.
    pub fn refused(self, parts: &[&str]) {
        assert_eq!(self.code, Some(2), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in {}", self.stderr);
        }
    }
}

/// A file among the library's fixtures.
pub fn fixture(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dream/fixtures");
    text(&root.join(name))
}

/// A path as an argument.
pub fn text(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

/// A folder that goes away.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Writes a file into a folder.
pub fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("writable");
    std::fs::write(&path, bytes).expect("writable");
    path
}

/// Copies the files of a folder, without its sub-folders.
pub fn copy(from: &str, to: &Path) {
    std::fs::create_dir_all(to).expect("writable");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("readable");
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("writable");
        }
    }
}

/// A tiny model whose weights are no numbers.
pub fn model_without_numbers() -> tempfile::TempDir {
    let dir = folder();
    copy(&fixture("tiny-llama"), dir.path());
    let path = dir.path().join("model.safetensors");
    let mut bytes = std::fs::read(&path).expect("weights");
    let length = bytes.first_chunk::<8>().expect("a length");
    let header = u64::from_le_bytes(*length) as usize;
    bytes[8 + header..].fill(0xff);
    std::fs::write(&path, bytes).expect("writable");
    dir
}

/// A BEIR folder of three documents, each the text of the query that it answers.
pub fn tiny_beir() -> tempfile::TempDir {
    const TEXTS: [&str; 3] = ["iron rusts", "the Rhine flows north", "x"];
    let lines = |of: &dyn Fn(usize, &str) -> String| -> String {
        TEXTS
            .iter()
            .enumerate()
            .map(|(i, text)| of(i, text))
            .collect()
    };
    let corpus =
        lines(&|i, text| format!("{{\"_id\":\"d{i}\",\"title\":\"\",\"text\":\"{text}\"}}\n"));
    let queries = lines(&|i, text| format!("{{\"_id\":\"q{i}\",\"text\":\"{text}\"}}\n"));
    let qrels = lines(&|i, _| format!("q{i}\td{i}\t1\n"));
    let qrels = format!("query-id\tcorpus-id\tscore\n{qrels}");
    let dir = folder();
    write(dir.path(), "corpus.jsonl", corpus);
    write(dir.path(), "queries.jsonl", queries);
    write(dir.path(), "qrels/test.tsv", qrels);
    dir
}
