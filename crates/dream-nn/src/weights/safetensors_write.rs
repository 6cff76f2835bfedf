//! Writing f32 tensors as a safetensors file: whole or not at all.
//!
//! The same tensors and metadata always give the same bytes (the header's keys are sorted), so a checkpoint can be
//! compared byte by byte; the `safetensors` crate writes its metadata in a random order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// A tensor to be written.
#[derive(Debug, Clone)]
pub struct NamedTensor<'a> {
    /// Unique in the file.
    pub name: String,
    /// Sizes, slowest dimension first.
    pub shape: &'a [usize],
    /// `shape.iter().product()` numbers, row-major.
    pub data: &'a [f32],
}

/// Writes `tensors` as F32, with `metadata` as the header's `__metadata__`, to a temporary file beside `path`, syncs
/// it and renames it. On an error (a full disk, say) an older file at `path` stays as it was.
///
/// # Panics
/// If a shape does not fit its data or two tensors share a name.
pub fn write_safetensors(
    path: &Path,
    tensors: &[NamedTensor],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    let header = header(tensors, metadata);
    let temporary = temporary_beside(path);
    let written = write_synced(&temporary, &header, tensors)
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| sync_folder(path));
    written.map_err(|source| {
        // Already renamed or never created: then there is nothing to remove.
        let _ = std::fs::remove_file(&temporary);
        Error::Write {
            path: path.to_owned(),
            source,
        }
    })
}

/// The length prefix and the JSON header, padded with spaces to a multiple of 8 bytes.
fn header(tensors: &[NamedTensor], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let mut entries = Map::new();
    if !metadata.is_empty() {
        entries.insert("__metadata__".to_owned(), json!(metadata));
    }
    let mut offset = 0;
    for tensor in tensors {
        let values: usize = tensor.shape.iter().product();
        assert_eq!(values, tensor.data.len(), "shape of {}", tensor.name);
        let end = offset + size_of_val(tensor.data);
        let info = json!({"dtype": "F32", "shape": tensor.shape, "data_offsets": [offset, end]});
        let earlier = entries.insert(tensor.name.clone(), info);
        assert!(earlier.is_none(), "{} is written twice", tensor.name);
        offset = end;
    }
    let mut text = Value::Object(entries).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut header = (text.len() as u64).to_le_bytes().to_vec();
    header.extend(text);
    header
}

fn write_synced(path: &Path, header: &[u8], tensors: &[NamedTensor]) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(header)?;
    for tensor in tensors {
        for value in tensor.data {
            file.write_all(&value.to_le_bytes())?;
        }
    }
    file.into_inner()
        .map_err(std::io::IntoInnerError::into_error)?
        .sync_all()
}

/// In the same folder, so that renaming stays on one file system.
fn temporary_beside(path: &Path) -> PathBuf {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Makes the rename itself durable.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::weights::Safetensors;

    fn example<'a>(name: &str, shape: &'a [usize], data: &'a [f32]) -> NamedTensor<'a> {
        NamedTensor {
            name: name.to_owned(),
            shape,
            data,
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let tensors = [
            example("z", &[2, 2], &[1.0, -0.0, f32::MIN_POSITIVE, 3.25]),
            example("a", &[], &[7.0]),
            example("empty", &[0, 3], &[]),
        ];
        write_safetensors(&path, &tensors, &metadata).unwrap();
        let read = Safetensors::open(&[&path]).unwrap();
        for tensor in &tensors {
            let found = read.tensor(&tensor.name).unwrap();
            assert_eq!(found.shape, tensor.shape);
            let bits = |data: &[f32]| data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&found.data), bits(tensor.data));
        }
        assert_eq!(read.metadata(), metadata);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_same_tensors_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let metadata: BTreeMap<_, _> = (0..20)
            .map(|i| (format!("key {i}"), format!("value {i}")))
            .collect();
        let bytes = ["one", "two"].map(|name| {
            let path = folder.path().join(name);
            write_safetensors(&path, &[example("t", &[1], &[2.5])], &metadata).unwrap();
            std::fs::read(path).unwrap()
        });
        assert_eq!(bytes[0], bytes[1]);
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind_and_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        // A folder stands where the file should go: the rename fails after all bytes are written.
        let path = folder.path().join("taken");
        std::fs::create_dir_all(path.join("inside")).unwrap();
        let error = write_safetensors(&path, &[], &BTreeMap::new()).unwrap_err();
        assert!(error.to_string().starts_with("cannot write"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
