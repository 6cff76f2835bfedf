//! Vectors to search: random ones, or those of a file.

use crate::errors::usage;
use anyhow::{Context as _, Result};
use dream_nn::Matrix;
use dream_nn::ops::elementwise::l2_normalise;
use dream_nn::ops::lora::mix;
use rayon::prelude::*;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

/// Unit vectors that depend on their numbers alone, `[n, dim]`.
pub fn random(first: u64, n: usize, dim: usize) -> Matrix {
    let mut matrix = Matrix::zeros(n, dim);
    matrix
        .data_mut()
        .par_chunks_mut(dim.max(1))
        .enumerate()
        .for_each(|(row, vector)| {
            let seed = mix(first + row as u64);
            for (i, v) in vector.iter_mut().enumerate() {
                *v = (mix(seed ^ i as u64) >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
            }
            l2_normalise(vector);
        });
    matrix
}

/// Rows of a file of little-endian `f32` without a header.
pub struct RawVectors {
    reader: BufReader<File>,
    dim: usize,
    /// Rows in the file.
    pub count: u64,
    left: u64,
}

impl RawVectors {
    /// Opens a file of whole rows of `dim` numbers.
    pub fn open(path: &Path, dim: usize) -> Result<Self> {
        let cannot = || format!("cannot read {}", path.display());
        let file = File::open(path).with_context(cannot)?;
        let bytes = file.metadata().with_context(cannot)?.len();
        let row = (dim as u64).saturating_mul(4);
        if row == 0 || bytes == 0 || !bytes.is_multiple_of(row) {
            let path = path.display();
            let message = format!("{path} has {bytes} bytes, which are not rows of {dim} numbers");
            return Err(usage(message));
        }
        Ok(Self {
            reader: BufReader::new(file),
            dim,
            count: bytes / row,
            left: bytes / row,
        })
    }
}

impl Iterator for RawVectors {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let mut bytes = vec![0; 4 * self.dim];
        if let Err(error) = self.reader.read_exact(&mut bytes) {
            return Some(Err(error.into()));
        }
        let (numbers, _) = bytes.as_chunks();
        Some(Ok(numbers.iter().map(|b| f32::from_le_bytes(*b)).collect()))
    }
}
