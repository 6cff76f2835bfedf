//! What can go wrong in this crate.

use std::path::PathBuf;

/// Errors of the library. Each message says what was wanted and what came.
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
    /// A weight file is unreadable.
    #[error(transparent)]
    Weights(#[from] dream_nn::Error),
    /// Documents, queries or judgements are unreadable.
    #[error(transparent)]
    Data(#[from] dream_ir::Error),
    /// A model is of a kind, or has a setting, that this program does not run.
    #[error("{path}: unsupported model: {what}")]
    UnsupportedModel {
        /// The file that says so.
        path: PathBuf,
        /// The setting and the values that would be accepted.
        what: String,
    },
    /// A file of ours or of a reference format is not what it should be.
    #[error("{path}: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was wanted, what came.
        what: String,
    },
    /// The caller asked to stop.
    #[error("stopped")]
    Stopped,
    /// A model gives infinities or no numbers at all.
    #[error("numbers that are not finite: {0}")]
    NotFinite(String),
    /// Training left the numbers behind.
    #[error("training diverged at step {step}: {what}")]
    Diverged {
        /// The step that was not taken.
        step: u64,
        /// Which number, and what it was.
        what: String,
    },
    /// The caller's input cannot be used.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// An [`Error::Io`] with its path.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }
}

/// Result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
