//! Reading safetensors: one file, or several listed by `model.safetensors.index.json`.
//!
//! The header is parsed and checked by the `safetensors` crate (size before allocation, offsets contiguous and inside
//! the file); this module adds the memory map, the shards and the conversion to f32.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ::safetensors::SafeTensors;
use ::safetensors::tensor::{Dtype, Metadata};
use memmap2::Mmap;
use serde::Deserialize;

use super::{Tensor, map_file, widen_bf16, widen_f16, widen_f32};
use crate::{Error, Result};

/// Larger index files are refused: the largest public ones are below one MiB.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// Memory-mapped safetensors files with one name space.
#[derive(Debug)]
pub struct Safetensors {
    files: Vec<Shard>,
    /// Tensor name to the number of its file.
    shard_of: BTreeMap<String, usize>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    map: Mmap,
    /// Where the tensors' bytes begin.
    data_start: usize,
    header: Metadata,
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Safetensors {
    /// Opens one or more files; no tensor name may come twice.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self> {
        let mut files = Vec::with_capacity(paths.len());
        let mut shard_of = BTreeMap::new();
        for path in paths {
            let shard = Shard::open(path.as_ref())?;
            for name in shard.header.offset_keys() {
                if let Some(first) = shard_of.insert(name.clone(), files.len()) {
                    let first: &Shard = files.get(first).unwrap_or(&shard);
                    return Err(shard
                        .malformed(format!("tensor {name} is also in {}", first.path.display())));
                }
            }
            files.push(shard);
        }
        Ok(Self { files, shard_of })
    }

    /// Opens the shards that an index file lists. They lie beside it, and each listed tensor must be in its shard.
    pub fn open_index(index: &Path) -> Result<Self> {
        let malformed = |what| Error::Malformed {
            path: index.to_owned(),
            format: "safetensors index",
            what,
        };
        let io = |source| Error::Io {
            path: index.to_owned(),
            source,
        };
        let size = std::fs::metadata(index).map_err(io)?.len();
        if size > MAX_INDEX_BYTES {
            return Err(malformed(format!(
                "{size} bytes, wanted at most {MAX_INDEX_BYTES}"
            )));
        }
        let text = std::fs::read(index).map_err(io)?;
        let parsed: Index = serde_json::from_slice(&text).map_err(|e| malformed(e.to_string()))?;

        let folder = index.parent().unwrap_or(Path::new(""));
        let mut shard_names: Vec<&String> = parsed.weight_map.values().collect();
        shard_names.sort();
        shard_names.dedup();
        let mut paths = Vec::with_capacity(shard_names.len());
        for name in shard_names {
            // A shard is a plain file name: no way out of the model's folder.
            if Path::new(name).file_name().and_then(|n| n.to_str()) != Some(name) {
                return Err(malformed(format!(
                    "shard {name:?} is not a plain file name"
                )));
            }
            paths.push(folder.join(name));
        }
        let opened = Self::open(&paths)?;
        for (tensor, shard) in &parsed.weight_map {
            let found = opened.shard_of.get(tensor).map(|&i| &opened.files[i].path);
            if found != Some(&folder.join(shard)) {
                return Err(malformed(format!(
                    "tensor {tensor} is listed in {shard} but not there"
                )));
            }
        }
        Ok(opened)
    }

    /// The files, in the order opened.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|f| f.path.as_path())
    }

    /// The raw bytes of each file, in the order opened.
    pub fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.files.iter().map(|f| &f.map[..])
    }

    /// The `__metadata__` entries of all files; a later file wins.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        self.files
            .iter()
            .filter_map(|f| f.header.metadata().as_ref())
            .flat_map(|m| m.iter().map(|(k, v)| (k.clone(), v.clone())))
            .collect()
    }

    /// All tensor names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.shard_of.keys().map(String::as_str)
    }

    /// The shape of a tensor, or `None` if there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let shard = &self.files[*self.shard_of.get(name)?];
        shard.header.info(name).map(|info| info.shape.clone())
    }

    /// Reads a tensor stored as F32, F16 or BF16.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let Some(&shard) = self.shard_of.get(name) else {
            return Err(Error::MissingTensor {
                name: name.to_owned(),
                path: self
                    .files
                    .first()
                    .map(|f| f.path.clone())
                    .unwrap_or_default(),
            });
        };
        let shard = &self.files[shard];
        let info = shard
            .header
            .info(name)
            .expect("the name came from this header. This is a bug.");
        let (start, end) = info.data_offsets;
        let bytes = &shard.map[shard.data_start + start..shard.data_start + end];
        let widen = match info.dtype {
            Dtype::F32 => widen_f32,
            Dtype::F16 => widen_f16,
            Dtype::BF16 => widen_bf16,
            other => {
                return Err(shard.malformed(format!(
                    "tensor {name} is stored as {other:?}, wanted F32, F16 or BF16"
                )));
            }
        };
        // The crate has checked that these bytes are there and that the shape fits them.
        let mut data = vec![0.0; info.shape.iter().product()];
        widen(bytes, &mut data);
        Ok(Tensor {
            shape: info.shape.clone(),
            data,
        })
    }
}

impl Shard {
    fn open(path: &Path) -> Result<Self> {
        let map = map_file(path)?;
        let (header_bytes, header) =
            SafeTensors::read_metadata(&map).map_err(|e| Error::Malformed {
                path: path.to_owned(),
                format: "safetensors",
                what: e.to_string(),
            })?;
        Ok(Self {
            path: path.to_owned(),
            map,
            data_start: header_bytes + size_of::<u64>(),
            header,
        })
    }

    fn malformed(&self, what: String) -> Error {
        Error::Malformed {
            path: self.path.clone(),
            format: "safetensors",
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::weights::{NamedTensor, write_safetensors};

    /// A file by hand: length of the header, header, data.
    fn file(folder: &Path, name: &str, header: &str, data: &[u8]) -> PathBuf {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn half_and_bfloat_become_the_same_f32() {
        let folder = tempfile::tempdir().unwrap();
        // 1.5 and -2 by their IEEE definitions: f16 0x3E00, 0xC000; bf16 0x3FC0, 0xC000.
        let header = r#"{"h":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},
            "b":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]}}"#;
        let data = [0x00, 0x3E, 0x00, 0xC0, 0xC0, 0x3F, 0x00, 0xC0];
        let path = file(folder.path(), "m.safetensors", header, &data);
        let read = Safetensors::open(&[path]).unwrap();
        assert_eq!(read.tensor("h").unwrap().data, [1.5, -2.0]);
        assert_eq!(read.tensor("b").unwrap().data, [1.5, -2.0]);
        assert_eq!(read.shape("b"), Some(vec![1, 2]));
        assert_eq!(read.names().collect::<Vec<_>>(), ["b", "h"]);
    }

    #[test]
    fn hostile_headers_are_refused_before_any_allocation() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            (
                r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#,
                "overflow",
            ),
            (
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}}"#,
                "invalid shape",
            ),
            (
                r#"{"a":{"dtype":"F32","shape":[100],"data_offsets":[0,400]}}"#,
                "not fully covered",
            ),
            (
                r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#,
                "offset",
            ),
            ("[]", "JSON"),
        ];
        for (header, wanted) in cases {
            let path = file(folder.path(), "bad.safetensors", header, &[0; 4]);
            let message = Safetensors::open(&[path]).unwrap_err().to_string();
            assert!(message.contains(wanted), "{message}");
        }
        let huge = folder.path().join("huge.safetensors");
        std::fs::write(&huge, u64::MAX.to_le_bytes()).unwrap();
        assert!(Safetensors::open(&[huge]).is_err());
    }

    #[test]
    fn integer_tensors_are_refused_by_name_and_type() {
        let folder = tempfile::tempdir().unwrap();
        let header = r#"{"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
        let path = file(folder.path(), "m.safetensors", header, &[0; 8]);
        let read = Safetensors::open(&[path]).unwrap();
        let message = read.tensor("ids").unwrap_err().to_string();
        assert!(message.contains("ids is stored as I64"), "{message}");
        assert!(matches!(
            read.tensor("x"),
            Err(Error::MissingTensor { name, .. }) if name == "x"
        ));
    }

    #[test]
    fn shards_are_found_through_the_index_and_only_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        for (name, value) in [("a", 1.0), ("b", 2.0)] {
            let tensor = NamedTensor {
                name: name.to_owned(),
                shape: &[1],
                data: &[value],
            };
            let path = folder.path().join(format!("{name}.safetensors"));
            write_safetensors(&path, &[tensor], &BTreeMap::new()).unwrap();
        }
        let index = folder.path().join("model.safetensors.index.json");
        let open = |json: &str| {
            std::fs::write(&index, json).unwrap();
            Safetensors::open_index(&index)
        };
        let both = r#"{"metadata":{},"weight_map":{"a":"a.safetensors","b":"b.safetensors"}}"#;
        let read = open(both).unwrap();
        assert_eq!(read.tensor("b").unwrap().data, [2.0]);
        assert_eq!(read.paths().count(), 2);

        for (json, wanted) in [
            (
                r#"{"weight_map":{"a":"../a.safetensors"}}"#,
                "plain file name",
            ),
            (
                r#"{"weight_map":{"a":"a.safetensors","c":"b.safetensors"}}"#,
                "tensor c is listed",
            ),
            (r#"{"weight_map":{"a":"z.safetensors"}}"#, "z.safetensors"),
            (r#"{"weight_map":3}"#, "weight_map"),
        ] {
            let message = open(json).unwrap_err().to_string();
            let wanted_or_type = message.contains(wanted) || message.contains("invalid type");
            assert!(wanted_or_type, "{message}");
        }
    }

    #[test]
    fn a_tensor_in_two_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
        let one = file(folder.path(), "1.safetensors", header, &[0; 4]);
        let two = file(folder.path(), "2.safetensors", header, &[0; 4]);
        let message = Safetensors::open(&[one, two]).unwrap_err().to_string();
        assert!(message.contains("tensor a is also in"), "{message}");
    }
}
