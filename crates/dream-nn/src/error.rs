//! What can go wrong in this crate: files that are not what they claim to be.

use std::path::PathBuf;

/// Errors of the engine. Shapes of tensors made by our own code are asserted, not reported here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be opened, mapped or read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be written. What stood there before is unchanged.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file breaks the rules of its own format.
    #[error("{path} is not a valid {format} file: {what}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// `GGUF` or `safetensors`.
        format: &'static str,
        /// The rule it broke, and what was found.
        what: String,
    },
    /// A tensor that the model needs is not in the file.
    #[error("tensor {name} not found in {path}")]
    MissingTensor {
        /// The tensor's name.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The caller's input cannot be used.
    #[error("{0}")]
    Invalid(String),
}

/// Result of this crate's fallible functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
