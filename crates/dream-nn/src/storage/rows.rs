//! Rows of stored numbers, a block at a time as `f32`.

use super::Storage;
use super::widen::{widen_bf16, widen_f16, widen_f32, widen_i8};
use std::ops::Range;

/// Row-major numbers, `[rows, dim]`, in some storage type.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    dim: usize,
    values: Values<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Values<'a> {
    /// As they are.
    Plain(&'a [f32]),
    /// To be widened.
    Stored {
        storage: Storage,
        bytes: &'a [u8],
        scales: &'a [f32],
    },
}

impl<'a> Rows<'a> {
    /// Rows that are `f32` already.
    pub fn plain(values: &'a [f32], dim: usize) -> Self {
        assert_eq!(values.len() % dim, 0, "whole rows. This is a bug.");
        let values = Values::Plain(values);
        Self { dim, values }
    }

    /// Rows as they were stored, with one scale a row where `storage` has scales, else none.
    pub fn stored(storage: Storage, bytes: &'a [u8], scales: &'a [f32], dim: usize) -> Self {
        let row_bytes = dim * storage.bytes();
        assert_eq!(bytes.len() % row_bytes, 0, "whole rows. This is a bug.");
        let n_scales = usize::from(storage.has_scales()) * (bytes.len() / row_bytes);
        assert_eq!(scales.len(), n_scales, "a scale a row. This is a bug.");
        let plain = (storage == Storage::F32).then(|| as_f32(bytes)).flatten();
        let stored = Values::Stored {
            storage,
            bytes,
            scales,
        };
        let values = plain.map_or(stored, Values::Plain);
        Self { dim, values }
    }

    /// Size of a row.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        match self.values {
            Values::Plain(values) => values.len() / self.dim,
            Values::Stored { storage, bytes, .. } => bytes.len() / (self.dim * storage.bytes()),
        }
    }

    /// All rows where they lie as `f32`, `[rows, dim]`.
    pub fn as_plain(&self) -> Option<&'a [f32]> {
        match self.values {
            Values::Plain(values) => Some(values),
            Values::Stored { .. } => None,
        }
    }

    /// Some rows, `[range.len(), dim]`: plain ones as they lie there, others widened to `scratch`.
    pub fn block<'b>(&self, range: Range<usize>, scratch: &'b mut Vec<f32>) -> &'b [f32]
    where
        'a: 'b,
    {
        let numbers = range.start * self.dim..range.end * self.dim;
        match self.values {
            Values::Plain(values) => &values[numbers],
            Values::Stored {
                storage,
                bytes,
                scales,
            } => {
                let size = storage.bytes();
                let bytes = &bytes[numbers.start * size..numbers.end * size];
                // What an earlier block left is written over: nothing is set to zero twice.
                scratch.resize(numbers.len().max(scratch.len()), 0.0);
                let out = &mut scratch[..numbers.len()];
                match storage {
                    Storage::F32 => widen_f32(bytes, out),
                    Storage::F16 => widen_f16(bytes, out),
                    Storage::Bf16 => widen_bf16(bytes, out),
                    Storage::I8 => {
                        let rows = bytes.chunks_exact(self.dim);
                        let rows = rows.zip(out.chunks_exact_mut(self.dim));
                        for ((bytes, out), scale) in rows.zip(&scales[range]) {
                            widen_i8(bytes, *scale, out);
                        }
                    }
                }
                out
            }
        }
    }
}

/// Little-endian numbers where they lie, if this processor can read them there.
fn as_f32(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: every bit pattern is an f32.
    let (before, numbers, after) = unsafe { bytes.align_to::<f32>() };
    let whole = before.is_empty() && after.is_empty();
    (cfg!(target_endian = "little") && whole).then_some(numbers)
}
