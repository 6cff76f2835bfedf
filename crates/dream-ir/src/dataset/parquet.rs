//! Rows of a Parquet file. What it claims is checked before the library believes it; see [`super::thrift`].

use std::fs;
use std::path::Path;
use std::sync::Arc;

use ::parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use ::parquet::file::reader::FileReader;
use ::parquet::file::serialized_reader::SerializedFileReader;
use ::parquet::record::{Field, Row};
use ::parquet::schema::types::Type;
use bytes::Bytes;

use super::guard::guarded;
use super::rows::{OnRow, Value};
use super::thrift::{check_footer, page_sizes};
use crate::error::{Error, Result};

/// A page once unpacked; writers make pages of about 1 MiB.
const MAX_PAGE_BYTES: u64 = 1 << 30;
/// What a file of any size may unpack to, and what each of its bytes may be worth beside it.
const FREE_BYTES: u64 = 64 << 20;
const BYTES_A_BYTE: u64 = 200;
/// The same for values: a column of one value takes next to nothing in the file. Lists hold many values a row.
const FREE_VALUES: u64 = 1 << 20;
const VALUES_A_BYTE: u64 = 64;
const LIST_VALUES_A_BYTE: u64 = 8;
/// What a row costs in memory beside its texts.
const ROW_BYTES: u64 = 64;

/// Gives `on_row` the rows of a file with the values of `columns`.
pub(super) fn for_each_row(path: &Path, columns: &[&str], on_row: &mut OnRow) -> Result<()> {
    let bytes = fs::read(path).map_err(|source| Error::Io {
        path: path.to_owned(),
        source,
    })?;
    guarded(path, || {
        let damaged = |what: String| Error::Invalid(format!("{}: {what}", path.display()));
        let bytes = Bytes::from(bytes);
        check_footer(footer(&bytes).map_err(|what| damaged(what.into()))?)
            .map_err(|what| damaged(what.into()))?;
        let library = |error: ::parquet::errors::ParquetError| damaged(error.to_string());
        let reader = SerializedFileReader::new(bytes.clone()).map_err(library)?;
        let schema = reader.metadata().file_metadata().schema();
        let wanted = wanted_fields(schema, columns);
        if wanted.is_empty() {
            let what = format!("it has none of the columns {}", columns.join(", "));
            return Err(damaged(what));
        }
        check_chunks(&bytes, reader.metadata(), &wanted).map_err(damaged)?;
        let projection = Type::group_type_builder(schema.name())
            .with_fields(wanted)
            .build()
            .map_err(library)?;
        let rows = reader.get_row_iter(Some(projection)).map_err(library)?;
        let mut left = budget(&bytes, FREE_BYTES, BYTES_A_BYTE);
        for (row, number) in rows.zip(1..) {
            let of_row = |what: String| Error::Line {
                path: path.to_owned(),
                line: number,
                what,
            };
            let row = row.map_err(|error| of_row(error.to_string()))?;
            let values = values_of(row, columns);
            let cost = ROW_BYTES + values.iter().map(size).sum::<u64>();
            left = left
                .checked_sub(cost)
                .ok_or_else(|| of_row("the file unpacks to more than its size allows".into()))?;
            on_row(values).map_err(of_row)?;
        }
        Ok(())
    })
}

fn budget(bytes: &Bytes, free: u64, a_byte: u64) -> u64 {
    (bytes.len() as u64)
        .saturating_mul(a_byte)
        .saturating_add(free)
}

/// The footer's bytes: the file ends with them, their length in 4 bytes, and `PAR1`.
fn footer(bytes: &[u8]) -> std::result::Result<&[u8], &'static str> {
    const NO_PARQUET: &str = "not a Parquet file, or cut short";
    let body = bytes.strip_suffix(b"PAR1").ok_or(NO_PARQUET)?;
    let (body, length) = body.split_last_chunk::<4>().ok_or(NO_PARQUET)?;
    let length = u32::from_le_bytes(*length) as usize;
    let start = body.len().checked_sub(length).ok_or(NO_PARQUET)?;
    Ok(&body[start..])
}

fn wanted_fields(schema: &Type, columns: &[&str]) -> Vec<Arc<Type>> {
    let fields = schema.get_fields().iter();
    fields
        .filter(|field| columns.contains(&field.name()))
        .cloned()
        .collect()
}

/// Walks the page headers of the wanted columns and adds up what they unpack to.
fn check_chunks(
    bytes: &Bytes,
    metadata: &ParquetMetaData,
    wanted: &[Arc<Type>],
) -> std::result::Result<(), String> {
    let mut left = budget(bytes, FREE_BYTES, BYTES_A_BYTE);
    for group in metadata.row_groups() {
        for chunk in group.columns() {
            let path = chunk.column_path().parts();
            let is_wanted = path
                .first()
                .is_some_and(|first| wanted.iter().any(|field| field.name() == first));
            if is_wanted {
                let a_byte = if path.len() > 1 {
                    LIST_VALUES_A_BYTE
                } else {
                    VALUES_A_BYTE
                };
                let values = budget(bytes, FREE_VALUES, a_byte);
                let unpacked = check_pages(bytes, chunk, values)?;
                left = left
                    .checked_sub(unpacked)
                    .ok_or("it unpacks to more than its size allows")?;
            }
        }
    }
    Ok(())
}

/// Bytes that the pages of a column chunk unpack to.
fn check_pages(
    bytes: &Bytes,
    chunk: &ColumnChunkMetaData,
    max_values: u64,
) -> std::result::Result<u64, String> {
    let name = chunk.column_path().string();
    let start = match chunk.dictionary_page_offset() {
        Some(offset) if offset > 0 => offset.min(chunk.data_page_offset()),
        _ => chunk.data_page_offset(),
    };
    let outside = || format!("column {name} lies outside the file");
    let start = usize::try_from(start).map_err(|_| outside())?;
    let length = usize::try_from(chunk.compressed_size()).map_err(|_| outside())?;
    let end = start.checked_add(length).ok_or_else(outside)?;
    let mut rest = bytes.get(start..end).ok_or_else(outside)?;
    let (mut unpacked, mut values) = (0, 0);
    while !rest.is_empty() {
        let page = page_sizes(rest).map_err(|what| format!("column {name}: {what}"))?;
        if page.bytes > MAX_PAGE_BYTES {
            let bytes = page.bytes;
            return Err(format!(
                "column {name}: a page claims to unpack to {bytes} bytes"
            ));
        }
        unpacked += page.bytes;
        values += page.values;
        if values > max_values {
            return Err(format!(
                "column {name}: it claims {values} values, more than its size allows"
            ));
        }
        let page_end = (page.header_bytes as u64).saturating_add(page.compressed_bytes);
        let page_end = usize::try_from(page_end).map_err(|_| outside())?;
        rest = rest.get(page_end..).ok_or_else(outside)?;
    }
    Ok(unpacked)
}

fn values_of(row: Row, columns: &[&str]) -> Vec<Value> {
    let mut values = vec![Value::Absent; columns.len()];
    for (name, field) in row.into_columns() {
        if let Some(place) = columns.iter().position(|column| *column == name) {
            values[place] = of_field(field);
        }
    }
    values
}

fn of_field(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Str(text) => Value::Text(text),
        Field::Bytes(bytes) => match std::str::from_utf8(bytes.data()) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Other("bytes that are not UTF-8"),
        },
        Field::Byte(x) => Value::Int(x.into()),
        Field::Short(x) => Value::Int(x.into()),
        Field::Int(x) => Value::Int(x.into()),
        Field::Long(x) => Value::Int(x),
        Field::UByte(x) => Value::Int(x.into()),
        Field::UShort(x) => Value::Int(x.into()),
        Field::UInt(x) => Value::Int(x.into()),
        Field::ULong(x) => {
            i64::try_from(x).map_or(Value::Other("a number out of range"), Value::Int)
        }
        Field::Float(x) => Value::Float(x.into()),
        Field::Double(x) => Value::Float(x),
        Field::ListInternal(list) => {
            Value::List(list.elements().iter().cloned().map(of_field).collect())
        }
        Field::Bool(_) => Value::Other("true or false"),
        Field::Group(_) | Field::MapInternal(_) => Value::Other("a group of columns"),
        _ => Value::Other("a value of a type that no set uses"),
    }
}

fn size(value: &Value) -> u64 {
    match value {
        Value::Text(text) => text.len() as u64,
        Value::List(values) => values.iter().map(|value| 32 + size(value)).sum(),
        _ => 0,
    }
}
