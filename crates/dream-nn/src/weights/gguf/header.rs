//! The head of a GGUF file: parsed from bytes that a stranger may have sent.
//!
//! Rules, each checked before anything is allocated for it: a count fits the bytes that are left (every entry has a
//! least size), a string lies inside the file and is UTF-8, keys and names come once and are not over-long, arrays
//! do not nest, a shape has 1 to 4 non-zero dimensions whose product does not overflow, rows are whole blocks, tensor
//! bytes are aligned, inside the file and do not overlap.

use std::collections::BTreeMap;
use std::ops::Range;

use super::dequantise::TensorType;
use super::metadata::{MetaArray, MetaValue, Metadata};

const MAGIC: &[u8; 4] = b"GGUF";
const DEFAULT_ALIGNMENT: usize = 32;
/// The specification's limit for keys; names of tensors get the same.
const MAX_NAME_BYTES: usize = 65_535;
const MAX_DIMS: usize = 4;
/// Least bytes of one key-value pair: length, one letter, type, one byte.
const MIN_PAIR_BYTES: usize = 8 + 1 + 4 + 1;
/// Least bytes of one tensor info: length, one letter, rank, one dimension, type, offset.
const MIN_INFO_BYTES: usize = 8 + 1 + 4 + 8 + 4 + 8;

/// Everything before the tensors' bytes.
#[derive(Debug)]
pub(super) struct Header {
    pub version: u32,
    pub metadata: Metadata,
    pub tensors: BTreeMap<String, TensorInfo>,
}

/// Where a tensor lies and how to read it.
#[derive(Debug)]
pub(super) struct TensorInfo {
    /// Row-major: the file's order reversed.
    pub shape: Vec<usize>,
    pub tensor_type: TensorType,
    /// In the file.
    pub bytes: Range<usize>,
}

/// Parses and checks the head of `file`, which is the whole file. The error says which rule was broken.
pub(super) fn parse(file: &[u8]) -> Result<Header, String> {
    let mut cursor = Cursor { file, position: 0 };
    if cursor.take(4, "magic").ok() != Some(MAGIC) {
        return Err("does not begin with the letters GGUF".to_owned());
    }
    let version = cursor.u32("version")?;
    if !(2..=3).contains(&version) {
        return Err(format!("version {version}, wanted 2 or 3, little-endian"));
    }
    let n_tensors = cursor.count("tensor count", MIN_INFO_BYTES)?;
    let n_pairs = cursor.count("metadata count", MIN_PAIR_BYTES)?;

    let mut metadata = Metadata::new();
    for _ in 0..n_pairs {
        let key = cursor.name("metadata key")?;
        let value = cursor.value(&key)?;
        if metadata.insert(key.clone(), value).is_some() {
            return Err(format!("metadata key {key} comes twice"));
        }
    }
    let alignment = alignment(&metadata)?;

    let mut infos = Vec::new();
    for _ in 0..n_tensors {
        infos.push(cursor.info(alignment)?);
    }
    let data_start = cursor.position.next_multiple_of(alignment);
    let tensors = place(infos, data_start, file.len())?;
    Ok(Header {
        version,
        metadata,
        tensors,
    })
}

fn alignment(metadata: &Metadata) -> Result<usize, String> {
    let Some(value) = metadata.get("general.alignment") else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    match value.as_u64() {
        Some(n) if n.is_power_of_two() && n <= 1 << 20 => Ok(n as usize),
        _ => Err(format!(
            "general.alignment is {value:?}, wanted a power of two up to 2^20"
        )),
    }
}

/// A tensor info as it stands in the file.
struct RawInfo {
    name: String,
    shape: Vec<usize>,
    tensor_type: TensorType,
    /// From the start of the data section.
    offset: usize,
    n_bytes: usize,
}

/// Gives each tensor its place in the file; none may reach outside it or into another.
fn place(
    mut infos: Vec<RawInfo>,
    data_start: usize,
    file_bytes: usize,
) -> Result<BTreeMap<String, TensorInfo>, String> {
    infos.sort_by_key(|info| info.offset);
    let mut tensors = BTreeMap::new();
    let mut free_from = data_start;
    for info in infos {
        let name = info.name;
        let start = data_start.checked_add(info.offset);
        let end = start.and_then(|s| s.checked_add(info.n_bytes));
        let (Some(start), Some(end)) = (start, end) else {
            return Err(format!("offset of tensor {name} overflows"));
        };
        if end > file_bytes {
            return Err(format!(
                "tensor {name} ends at byte {end}, but the file has {file_bytes} (truncated?)"
            ));
        }
        if start < free_from {
            return Err(format!("tensor {name} overlaps another one"));
        }
        free_from = end;
        let placed = TensorInfo {
            shape: info.shape,
            tensor_type: info.tensor_type,
            bytes: start..end,
        };
        if tensors.insert(name.clone(), placed).is_some() {
            return Err(format!("tensor {name} comes twice"));
        }
    }
    Ok(tensors)
}

/// A reading position that never leaves the file.
struct Cursor<'a> {
    file: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    fn left(&self) -> usize {
        self.file.len() - self.position
    }

    fn take(&mut self, n_bytes: usize, what: &str) -> Result<&'a [u8], String> {
        if n_bytes > self.left() {
            return Err(format!(
                "{what} at byte {} needs {n_bytes} bytes, {} are left (truncated?)",
                self.position,
                self.left()
            ));
        }
        let start = self.position;
        self.position += n_bytes;
        Ok(&self.file[start..self.position])
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        let bytes = self.take(N, what)?;
        Ok(bytes
            .try_into()
            .expect("N bytes were taken. This is a bug."))
    }

    fn u32(&mut self, what: &str) -> Result<u32, String> {
        self.array(what).map(u32::from_le_bytes)
    }

    fn size(&mut self, what: &str) -> Result<usize, String> {
        let n = self.array(what).map(u64::from_le_bytes)?;
        usize::try_from(n).map_err(|_| format!("{what} {n} is too large"))
    }

    /// A number of entries of at least `min_bytes` each, all still to come.
    fn count(&mut self, what: &str, min_bytes: usize) -> Result<usize, String> {
        let n = self.size(what)?;
        if n > self.left() / min_bytes {
            return Err(format!(
                "{what} {n} cannot fit the {} bytes left (at least {min_bytes} each)",
                self.left()
            ));
        }
        Ok(n)
    }

    fn string(&mut self, what: &str) -> Result<String, String> {
        let n_bytes = self.size(what)?;
        let bytes = self.take(n_bytes, what)?;
        let text = std::str::from_utf8(bytes).map_err(|e| format!("{what} is not UTF-8: {e}"))?;
        Ok(text.to_owned())
    }

    /// A string that names something: not empty, not over-long.
    fn name(&mut self, what: &str) -> Result<String, String> {
        let start = self.position;
        let n_bytes = self.size(what)?;
        if !(1..=MAX_NAME_BYTES).contains(&n_bytes) {
            return Err(format!(
                "{what} of {n_bytes} bytes, wanted 1 to {MAX_NAME_BYTES}"
            ));
        }
        self.position = start;
        self.string(what)
    }

    fn value(&mut self, key: &str) -> Result<MetaValue, String> {
        let value_type = ValueType::from_id(self.u32(key)?, key)?;
        if value_type != ValueType::Array {
            return self.scalar(value_type, key);
        }
        let item = ValueType::from_id(self.u32(key)?, key)?;
        if item == ValueType::Array {
            return Err(format!("{key} is an array of arrays, wanted a flat array"));
        }
        let n = self.count(&format!("length of {key}"), item.min_bytes())?;
        self.items(item, n, key).map(MetaValue::Array)
    }

    fn items(&mut self, item: ValueType, n: usize, key: &str) -> Result<MetaArray, String> {
        use ValueType as T;
        let mut scalars = (0..n).map(|_| self.scalar(item, key));
        /// Collects the payloads of one variant; `scalar` gives no other for this item type.
        macro_rules! collect {
            ($variant:ident) => {
                MetaArray::$variant(
                    scalars
                        .by_ref()
                        .map(|scalar| match scalar? {
                            MetaValue::$variant(payload) => Ok(payload),
                            other => unreachable!("{other:?} read as {item:?}. This is a bug."),
                        })
                        .collect::<Result<_, String>>()?,
                )
            };
        }
        Ok(match item {
            T::U8 | T::U16 | T::U32 | T::U64 => collect!(Unsigned),
            T::I8 | T::I16 | T::I32 | T::I64 => collect!(Signed),
            T::F32 | T::F64 => collect!(Float),
            T::Bool => collect!(Bool),
            T::String => collect!(String),
            T::Array => unreachable!("nested arrays are refused above. This is a bug."),
        })
    }

    fn scalar(&mut self, value_type: ValueType, key: &str) -> Result<MetaValue, String> {
        use ValueType as T;
        Ok(match value_type {
            T::U8 => MetaValue::Unsigned(u8::from_le_bytes(self.array(key)?).into()),
            T::U16 => MetaValue::Unsigned(u16::from_le_bytes(self.array(key)?).into()),
            T::U32 => MetaValue::Unsigned(u32::from_le_bytes(self.array(key)?).into()),
            T::U64 => MetaValue::Unsigned(u64::from_le_bytes(self.array(key)?)),
            T::I8 => MetaValue::Signed(i8::from_le_bytes(self.array(key)?).into()),
            T::I16 => MetaValue::Signed(i16::from_le_bytes(self.array(key)?).into()),
            T::I32 => MetaValue::Signed(i32::from_le_bytes(self.array(key)?).into()),
            T::I64 => MetaValue::Signed(i64::from_le_bytes(self.array(key)?)),
            T::F32 => MetaValue::Float(f32::from_le_bytes(self.array(key)?).into()),
            T::F64 => MetaValue::Float(f64::from_le_bytes(self.array(key)?)),
            T::Bool => match self.array(key)? {
                [0] => MetaValue::Bool(false),
                [1] => MetaValue::Bool(true),
                [other] => return Err(format!("{key} is a truth value of {other}, wanted 0 or 1")),
            },
            T::String => MetaValue::String(self.string(key)?),
            T::Array => unreachable!("arrays are not scalars. This is a bug."),
        })
    }

    fn info(&mut self, alignment: usize) -> Result<RawInfo, String> {
        let name = self.name("tensor name")?;
        let rank = self.u32(&name)? as usize;
        if !(1..=MAX_DIMS).contains(&rank) {
            return Err(format!(
                "tensor {name} has {rank} dimensions, wanted 1 to {MAX_DIMS}"
            ));
        }
        let mut shape = Vec::with_capacity(rank);
        for _ in 0..rank {
            shape.push(self.size(&name)?);
        }
        let row = shape[0];
        shape.reverse();
        let id = self.u32(&name)?;
        let tensor_type = TensorType::from_id(id).ok_or_else(|| {
            format!(
                "tensor {name} is of type {id}, wanted one of {}",
                TensorType::ACCEPTED
            )
        })?;
        let offset = self.size(&name)?;
        if !offset.is_multiple_of(alignment) {
            return Err(format!(
                "tensor {name} is at offset {offset}, wanted a multiple of {alignment}"
            ));
        }
        let n_values = shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        let Some(n_values) = n_values.filter(|&n| n > 0 && n < isize::MAX as usize / 4) else {
            return Err(format!(
                "shape {shape:?} of tensor {name} is empty or too large"
            ));
        };
        let block = tensor_type.block_values();
        if !row.is_multiple_of(block) {
            return Err(format!(
                "tensor {name} has rows of {row} values, wanted a multiple of {block} for {tensor_type:?}"
            ));
        }
        // Cannot overflow: a block has at most 4 bytes a value.
        let n_bytes = n_values / block * tensor_type.block_bytes();
        Ok(RawInfo {
            name,
            shape,
            tensor_type,
            offset,
            n_bytes,
        })
    }
}

/// Type ids of metadata values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ValueType {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    String,
    Array,
    U64,
    I64,
    F64,
}

impl ValueType {
    fn from_id(id: u32, key: &str) -> Result<Self, String> {
        // The order of the specification's numbers, 0 to 12.
        use ValueType as T;
        const BY_ID: [ValueType; 13] = [
            T::U8,
            T::I8,
            T::U16,
            T::I16,
            T::U32,
            T::I32,
            T::F32,
            T::Bool,
            T::String,
            T::Array,
            T::U64,
            T::I64,
            T::F64,
        ];
        BY_ID
            .get(id as usize)
            .copied()
            .ok_or_else(|| format!("{key} is of type {id}, wanted 0 to 12"))
    }

    /// Bytes that one array item takes at least.
    fn min_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::String | Self::Array => 8,
        }
    }
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
