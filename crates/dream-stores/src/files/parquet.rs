//! Parquet: `id` as a string, `embedding` as a list of `float`, and `title` and `text` where texts are stored.
//!
//! Files have so many rows each that their vectors take a given number of bytes; a row group is a batch. Each is
//! written under another name and renamed when it is whole. A list has no fixed length in Parquet itself: readers
//! give lists of `dim` numbers each.

use crate::error::at;
use crate::{Batch, Collection, Error, Limits, Result, Sink};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows that are encoded at once: the level of each number takes as much room as the number.
const GROUP_ROWS: usize = 8192;

/// A folder of `part-00000.parquet` and so on.
pub struct Parquet {
    folder: PathBuf,
    dim: usize,
    with_text: bool,
    rows: u64,
    rows_a_file: u64,
    /// Rows written so far, those of earlier starts too.
    written: u64,
    open: Option<SerializedFileWriter<File>>,
    schema: TypePtr,
    properties: Arc<WriterProperties>,
}

impl Parquet {
    /// Nothing is written yet. `rows` will come, and vectors of `file_bytes` (in `f32`) go into a file.
    pub fn new(folder: &Path, collection: &Collection, rows: u64, file_bytes: u64) -> Self {
        let texts = if collection.with_text {
            "REQUIRED BYTE_ARRAY title (UTF8); REQUIRED BYTE_ARRAY text (UTF8);"
        } else {
            ""
        };
        let schema = format!(
            "message schema {{ REQUIRED BYTE_ARRAY id (UTF8); \
             REQUIRED GROUP embedding (LIST) {{ REPEATED GROUP list {{ REQUIRED FLOAT element; }} }} {texts} }}"
        );
        let schema = parse_message_type(&schema).expect("the schema is fixed. This is a bug.");
        let embedding = ColumnPath::new(vec!["embedding".into(), "list".into(), "element".into()]);
        let properties = WriterProperties::builder()
            .set_created_by(concat!("dream ", env!("CARGO_PKG_VERSION")).into())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            // No two numbers are alike.
            .set_column_dictionary_enabled(embedding, false)
            .build();
        Self {
            folder: folder.into(),
            dim: collection.dim,
            with_text: collection.with_text,
            rows,
            rows_a_file: (file_bytes / (4 * collection.dim as u64)).max(1),
            written: 0,
            open: None,
            schema: Arc::new(schema),
            properties: Arc::new(properties),
        }
    }

    fn file(&self, number: u64) -> PathBuf {
        self.folder.join(format!("part-{number:05}.parquet"))
    }

    fn part(&self, number: u64) -> PathBuf {
        self.folder.join(format!(".part-{number:05}.parquet.part"))
    }

    fn number(&self) -> u64 {
        self.written / self.rows_a_file
    }

    fn writer(&mut self) -> Result<&mut SerializedFileWriter<File>> {
        if self.open.is_none() {
            let path = self.part(self.number());
            let file = File::create(&path).map_err(at(&path))?;
            let (schema, properties) = (Arc::clone(&self.schema), Arc::clone(&self.properties));
            let writer = SerializedFileWriter::new(file, schema, properties);
            self.open = Some(writer.map_err(of_parquet(&path))?);
        }
        Ok(self
            .open
            .as_mut()
            .expect("it was put there. This is a bug."))
    }

    /// Writes the end of the open file and gives it its name.
    fn close(&mut self, number: u64) -> Result<()> {
        let Some(writer) = self.open.take() else {
            return Ok(());
        };
        let (part, path) = (self.part(number), self.file(number));
        let file = writer.into_inner().map_err(of_parquet(&part))?;
        file.sync_all().map_err(at(&part))?;
        std::fs::rename(&part, &path).map_err(at(&path))
    }
}

fn of_parquet(path: &Path) -> impl Fn(ParquetError) -> Error {
    move |error| match error {
        ParquetError::External(inner) if inner.is::<std::io::Error>() => {
            let source = *inner
                .downcast::<std::io::Error>()
                .expect("just asked. This is a bug.");
            Error::io(path, source)
        }
        other => Error::Invalid(format!("{}: {other}", path.display())),
    }
}

impl Sink for Parquet {
    fn limits(&self) -> Limits {
        Limits {
            rows: GROUP_ROWS,
            bytes: 64 << 20,
            id_bytes: 1 << 20,
            text_bytes: 64 << 20,
        }
    }

    fn prepare(&mut self, done: u64) -> Result<bool> {
        std::fs::create_dir_all(&self.folder).map_err(at(&self.folder))?;
        let whole = done.div_ceil(self.rows_a_file);
        let is_there = (0..whole).all(|number| self.file(number).exists());
        if done > 0 && is_there {
            self.written = done;
            return Ok(false);
        }
        let first = self.file(0);
        if first.exists() && done == 0 {
            let first = first.display();
            return Err(Error::Invalid(format!(
                "{first} is there already; choose another folder"
            )));
        }
        self.written = 0;
        Ok(true)
    }

    fn upsert(&mut self, batch: &Batch) -> Result<()> {
        let mut at = 0;
        while at < batch.len() {
            let number = self.number();
            let room = (number + 1) * self.rows_a_file - self.written;
            let rows = at..batch.len().min(at + room as usize).min(at + GROUP_ROWS);
            let (dim, with_text, part) = (self.dim, self.with_text, self.part(number));
            let group = self.writer()?.next_row_group();
            let group = group.map_err(of_parquet(&part))?;
            write(group, batch, rows.clone(), dim, with_text).map_err(of_parquet(&part))?;
            self.written += rows.len() as u64;
            at = rows.end;
            if self.number() != number || self.written == self.rows {
                self.close(number)?;
            }
        }
        Ok(())
    }

    fn durable(&self, sent: u64) -> u64 {
        if sent == self.rows {
            return sent;
        }
        sent / self.rows_a_file * self.rows_a_file
    }

    fn finish(&mut self) -> Result<u64> {
        let mut count = 0;
        for number in 0..self.rows.div_ceil(self.rows_a_file) {
            let path = self.file(number);
            let file = File::open(&path).map_err(at(&path))?;
            let reader = SerializedFileReader::new(file).map_err(of_parquet(&path))?;
            count += reader.metadata().file_metadata().num_rows() as u64;
        }
        Ok(count)
    }
}

/// Writes some rows of a batch as a row group.
fn write(
    mut group: SerializedRowGroupWriter<'_, File>,
    batch: &Batch,
    rows: Range<usize>,
    dim: usize,
    with_text: bool,
) -> Result<(), ParquetError> {
    strings(&mut group, batch.ids[rows.clone()].iter())?;
    let numbers = &batch.vectors[rows.start * dim..rows.end * dim];
    // Every number is there (definition 1) and continues a list (repetition 1), but the first of each list.
    let definitions = vec![1i16; numbers.len()];
    let repetitions: Vec<i16> = (0..numbers.len())
        .map(|i| i16::from(i % dim != 0))
        .collect();
    let mut column = group
        .next_column()?
        .expect("the schema has it. This is a bug.");
    let typed = column.typed::<FloatType>();
    typed.write_batch(numbers, Some(&definitions), Some(&repetitions))?;
    column.close()?;
    if with_text {
        let texts = &batch.texts[rows];
        strings(&mut group, texts.iter().map(|text| &text.title))?;
        strings(&mut group, texts.iter().map(|text| &text.text))?;
    }
    group.close()?;
    Ok(())
}

/// Writes the next column, of strings.
fn strings<'a>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: impl Iterator<Item = &'a String>,
) -> Result<(), ParquetError> {
    let values: Vec<ByteArray> = values
        .map(|value| ByteArray::from(value.as_str()))
        .collect();
    let mut column = group
        .next_column()?
        .expect("the schema has it. This is a bug.");
    let typed = column.typed::<ByteArrayType>();
    typed.write_batch(&values, None, None)?;
    column.close()
}
