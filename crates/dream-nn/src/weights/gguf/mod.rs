//! Reading GGUF (versions 2 and 3, little-endian), the weight format of llama.cpp and its relatives.
//!
//! Layout: header, metadata, tensor infos, padding to `general.alignment`, tensor bytes. The whole head is checked when
//! the file is opened, so that reading a tensor can only fail because it is not there. GGUF lists the fastest
//! dimension first; shapes here are row-major, slowest first.

mod dequantise;
mod header;
mod k_quants;
mod metadata;

use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::{Tensor, map_file};
use crate::{Error, Result};
use header::Header;

pub use dequantise::TensorType;
pub use metadata::{MetaArray, MetaValue, Metadata};

/// A memory-mapped GGUF file.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    map: Mmap,
    /// Format version, 2 or 3.
    pub version: u32,
    /// The key-value pairs of the head: architecture, sizes, vocabulary.
    pub metadata: Metadata,
    tensors: std::collections::BTreeMap<String, header::TensorInfo>,
}

impl Gguf {
    /// Maps the file and checks its head against its length.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let map = map_file(path)?;
        let Header {
            version,
            metadata,
            tensors,
        } = header::parse(&map).map_err(|what| Error::Malformed {
            path: path.to_owned(),
            format: "GGUF",
            what,
        })?;
        Ok(Self {
            path: path.to_owned(),
            map,
            version,
            metadata,
            tensors,
        })
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The raw bytes of the file.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// All tensor names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The row-major shape of a tensor, or `None` if there is no such tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|info| info.shape.clone())
    }

    /// How a tensor is stored, or `None` if there is no such tensor.
    pub fn tensor_type(&self, name: &str) -> Option<TensorType> {
        self.tensors.get(name).map(|info| info.tensor_type)
    }

    /// Reads a tensor and dequantises it to f32.
    pub fn tensor(&self, name: &str) -> Result<Tensor> {
        let info = self.tensors.get(name).ok_or_else(|| Error::MissingTensor {
            name: name.to_owned(),
            path: self.path.clone(),
        })?;
        // `header::parse` has checked that these bytes are in the file and that the shape fits them.
        let mut data = vec![0.0; info.shape.iter().product()];
        info.tensor_type
            .dequantise(&self.map[info.bytes.clone()], &mut data);
        Ok(Tensor {
            shape: info.shape.clone(),
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    /// Written by the Python package `gguf` 0.19.0: fixtures/make_quants_gguf.py.
    fn fixture() -> Gguf {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/quants.gguf");
        Gguf::open(path).unwrap()
    }

    /// The expected numbers are `gguf.quants.dequantize` of the same bytes, stored in the fixture as F32 tensors.
    /// No operation here may round differently, so the comparison is exact.
    #[track_caller]
    fn check(name: &str, tensor_type: TensorType) {
        let file = fixture();
        assert_eq!(file.tensor_type(name), Some(tensor_type));
        let found = file.tensor(name).unwrap();
        let expected = file.tensor(&format!("{name}.expected")).unwrap();
        assert_eq!(found.shape, [2, 512]);
        assert!(found.data.iter().any(|&v| v != 0.0));
        for (i, (f, e)) in found.data.iter().zip(&expected.data).enumerate() {
            assert_eq!(f.to_bits(), e.to_bits(), "value {i}: {f} instead of {e}");
        }
    }

    #[test]
    fn f16_equals_the_python_reader() {
        check("f16", TensorType::F16);
    }
    #[test]
    fn bf16_equals_the_python_reader() {
        check("bf16", TensorType::Bf16);
    }
    #[test]
    fn q4_0_equals_the_python_reader() {
        check("q4_0", TensorType::Q4_0);
    }
    #[test]
    fn q4_1_equals_the_python_reader() {
        check("q4_1", TensorType::Q4_1);
    }
    #[test]
    fn q5_0_equals_the_python_reader() {
        check("q5_0", TensorType::Q5_0);
    }
    #[test]
    fn q5_1_equals_the_python_reader() {
        check("q5_1", TensorType::Q5_1);
    }
    #[test]
    fn q8_0_equals_the_python_reader() {
        check("q8_0", TensorType::Q8_0);
    }
    #[test]
    fn q4_k_equals_the_python_reader() {
        check("q4_k", TensorType::Q4K);
    }
    #[test]
    fn q5_k_equals_the_python_reader() {
        check("q5_k", TensorType::Q5K);
    }
    #[test]
    fn q6_k_equals_the_python_reader() {
        check("q6_k", TensorType::Q6K);
    }

    #[test]
    fn f32_is_read_as_it_was_written() {
        let tensor = fixture().tensor("f32").unwrap();
        // numpy.arange(6).reshape(3, 2) in the script.
        assert_eq!(tensor.shape, [3, 2]);
        assert_eq!(tensor.data, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn metadata_of_every_type_equals_what_python_wrote() {
        let file = fixture();
        let get = |key: &str| file.metadata.get(key).unwrap();
        for key in ["u8", "u16", "u32", "u64"] {
            assert_eq!(get(key), &MetaValue::Unsigned(200), "{key}");
        }
        for key in ["i8", "i16", "i32", "i64"] {
            assert_eq!(get(key), &MetaValue::Signed(-100), "{key}");
        }
        assert_eq!(get("f32"), &MetaValue::Float(1.5));
        assert_eq!(get("f64"), &MetaValue::Float(-0.1));
        assert_eq!(get("bool"), &MetaValue::Bool(true));
        assert_eq!(get("string").as_str(), Some("naïve Ġ"));
        assert_eq!(get("strings").as_strings().unwrap(), ["a", "", "ß"]);
        assert_eq!(get("ints").as_ints(), Some(vec![3, -1, 0]));
        assert_eq!(
            get("floats"),
            &MetaValue::Array(MetaArray::Float(vec![0.5, -2.0]))
        );
        assert_eq!(
            get("bools"),
            &MetaValue::Array(MetaArray::Bool(vec![true, false]))
        );
        assert_eq!(
            file.metadata.len(),
            16 + 1,
            "the keys above and the architecture"
        );
    }

    #[test]
    fn an_empty_or_missing_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.gguf");
        let message = Gguf::open(&path).unwrap_err().to_string();
        assert!(message.contains("empty.gguf"), "{message}");
        std::fs::write(&path, []).unwrap();
        let message = Gguf::open(&path).unwrap_err().to_string();
        assert!(message.contains("empty.gguf"), "{message}");
        assert!(Gguf::open(folder.path()).is_err());
    }
}
