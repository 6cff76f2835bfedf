//! What can go wrong in this crate: unreadable or inconsistent data files.

use std::path::PathBuf;

/// Errors of reading and combining retrieval data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of a file is not what its format asks for.
    #[error("{path}:{line}: {what}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What was wanted, what came.
        what: String,
    },
    /// The caller's input cannot be used.
    #[error("{0}")]
    Invalid(String),
}

/// Result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
