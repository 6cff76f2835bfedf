//! Weight files: safetensors and GGUF, memory-mapped, read as f32 tensors by name.
//!
//! Both readers have the same verbs: `open`, `names`, `shape`, `tensor`, `bytes`. Storage may be f32, f16, bf16 or
//! (GGUF) block-quantised; what comes out is always f32, row-major.

pub mod gguf;
mod safetensors;
mod safetensors_write;

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;
use rayon::prelude::*;

use crate::storage;
use crate::{Error, Result};

pub use gguf::{Gguf, MetaArray, MetaValue};
pub use safetensors::Safetensors;
pub use safetensors_write::{NamedTensor, write_safetensors};

/// A file, mapped and not copied.
#[derive(Debug, Default)]
pub struct MappedFile(Option<Mmap>);

impl MappedFile {
    /// Maps a whole file.
    pub fn open(path: &Path) -> Result<Self> {
        // An empty file cannot be mapped.
        let is_empty = std::fs::metadata(path).is_ok_and(|m| m.len() == 0);
        let map = (!is_empty).then(|| map_file(path)).transpose()?;
        Ok(Self(map))
    }

    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Lets the system have the memory of what was read so far; what is looked at again is read again.
    pub fn release(&self) {
        #[cfg(unix)]
        if let Some(map) = &self.0 {
            // SAFETY: nothing can be written through a map for reading, so every page comes back from the file.
            let released = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
            released.ok(); // a hint
        }
    }
}

/// A dense f32 tensor, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Sizes, slowest dimension first; a linear layer is `[out_features, in_features]`.
    pub shape: Vec<usize>,
    /// `shape.iter().product()` numbers.
    pub data: Vec<f32>,
}

/// Values converted per parallel task: large enough that a task outweighs its scheduling.
const VALUES_PER_TASK: usize = 1 << 16;

/// Maps a whole file for reading. The path is named in every error.
fn map_file(path: &Path) -> Result<Mmap> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    if file.metadata().map_err(io)?.is_dir() {
        return Err(io(std::io::Error::new(
            std::io::ErrorKind::IsADirectory,
            "wanted a weight file, found a folder",
        )));
    }
    // SAFETY: the map is only read. Another process that shortens the file while it is mapped would end this one
    // (SIGBUS), as with every reader that maps model files; our own writers replace files by renaming instead.
    unsafe { Mmap::map(&file) }.map_err(io)
}

/// Widens values of `size` bytes with one of `crate::storage`'s functions, on all threads.
fn widen(bytes: &[u8], out: &mut [f32], size: usize, convert: fn(&[u8], &mut [f32])) {
    assert_eq!(bytes.len(), out.len() * size, "caller checks the size");
    out.par_chunks_mut(VALUES_PER_TASK)
        .zip(bytes.par_chunks(VALUES_PER_TASK * size))
        .for_each(|(out, bytes)| convert(bytes, out));
}

/// Little-endian f32 bytes to numbers. `bytes.len()` is `4 * out.len()`.
fn widen_f32(bytes: &[u8], out: &mut [f32]) {
    widen(bytes, out, 4, storage::widen_f32);
}

/// Little-endian IEEE half precision bytes to f32. `bytes.len()` is `2 * out.len()`.
fn widen_f16(bytes: &[u8], out: &mut [f32]) {
    widen(bytes, out, 2, storage::widen_f16);
}

/// Little-endian bfloat16 bytes to f32. `bytes.len()` is `2 * out.len()`.
fn widen_bf16(bytes: &[u8], out: &mut [f32]) {
    widen(bytes, out, 2, storage::widen_bf16);
}
