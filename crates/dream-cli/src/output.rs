//! Results on the standard output; nothing else of the program writes there.

use crate::errors::usage;
use anyhow::Result;
use serde::Serialize;
use std::fmt::Display;
use std::io::{BufWriter, ErrorKind, StdoutLock, Write};
use std::path::Path;

/// The reader of our output went away: the program ends quietly.
#[derive(Debug)]
pub struct Closed;

impl Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the standard output was closed")
    }
}

impl std::error::Error for Closed {}

/// The standard output, buffered.
pub struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Takes the standard output; [`Self::flush`] at the end.
    pub fn stdout() -> Self {
        Self(BufWriter::new(std::io::stdout().lock()))
    }

    /// A line of text.
    pub fn line(&mut self, text: impl Display) -> Result<()> {
        writeln!(self.0, "{text}").map_err(closed)
    }

    /// A value as JSON on one line.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value)?;
        self.line(text)
    }

    /// Sends everything on.
    pub fn flush(&mut self) -> Result<()> {
        self.0.flush().map_err(closed)
    }
}

/// Prints one value as JSON.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    let mut output = Output::stdout();
    output.json(value)?;
    output.flush()
}

/// Prints some lines.
pub fn print_lines(lines: impl IntoIterator<Item = impl Display>) -> Result<()> {
    let mut output = Output::stdout();
    for line in lines {
        output.line(line)?;
    }
    output.flush()
}

/// Refuses a place for a file whose folder is not there, before the work whose result it shall hold.
pub fn check_place(path: &Path) -> Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let what = match folder {
        Some(folder) if !folder.is_dir() => format!("there is no folder {}", folder.display()),
        _ if path.is_dir() => "it is a folder".into(),
        _ => return Ok(()),
    };
    Err(usage(format!("cannot write {}: {what}", path.display())))
}

fn closed(error: std::io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::Error::new(error).context("cannot write to the standard output"),
    }
}
