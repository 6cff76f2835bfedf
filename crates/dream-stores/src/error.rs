//! What can go wrong in this crate.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Errors of pushing and searching. Addresses in messages carry no credentials.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The caller's input cannot be used.
    #[error("{0}")]
    Invalid(String),
    /// The rows to push could not be read.
    #[error("{0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The engine answered, and the answer is no: trying again would not help.
    #[error("{engine}: {what}")]
    Refused {
        /// Name of the engine.
        engine: &'static str,
        /// What was asked, what came.
        what: String,
    },
    /// The engine could not be reached, or is too busy: trying again may help.
    #[error("{engine}: {what}")]
    Unavailable {
        /// Name of the engine.
        engine: &'static str,
        /// What was asked, what came.
        what: String,
        /// How long the engine asks to be left alone.
        after: Option<Duration>,
    },
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
}

/// Result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Io`] with its path.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        let path = path.into();
        Self::Io { path, source }
    }

    /// Whether the same may succeed a little later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn refused(engine: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self::Refused { engine, what }
    }

    pub(crate) fn unavailable(engine: &'static str, what: impl Into<String>) -> Self {
        Self::Unavailable {
            engine,
            what: what.into(),
            after: None,
        }
    }
}

/// To put a path to an error of the system.
pub(crate) fn at(path: &Path) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::io(path, source)
}

/// The beginning of what a server said, on one line: it may say anything.
pub(crate) fn excerpt(text: &str) -> String {
    const SHOWN: usize = 300;
    let line: Vec<&str> = text.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
