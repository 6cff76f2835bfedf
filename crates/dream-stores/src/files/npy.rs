//! NumPy's `.npy`, version 1.0: a header that says type and shape, then the numbers, little-endian, row by row.
//!
//! `embeddings.npy` can be mapped (`numpy.load(path, mmap_mode="r")`); `ids.txt` has the id of each row on a line of
//! its own. Both are written under another name, grow batch by batch, and are renamed when they are whole.

use crate::error::at;
use crate::{Batch, Collection, Error, Limits, Result, Sink};
use half::f16;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

const EMBEDDINGS: &str = "embeddings.npy";
const IDS: &str = "ids.txt";
/// Bytes of the header: a multiple of 64, as the format wants it, and enough for every shape.
const HEADER_BYTES: usize = 128;
/// Longest line of ids looked at.
const MAX_ID_BYTES: u64 = 1 << 16;

/// Number types of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NpyDtype {
    /// 4 bytes.
    #[default]
    F32,
    /// 2 bytes, IEEE half precision; numbers are rounded to the nearest.
    F16,
}

impl NpyDtype {
    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

impl fmt::Display for NpyDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        })
    }
}

impl FromStr for NpyDtype {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "f32" => Ok(Self::F32),
            "f16" => Ok(Self::F16),
            _ => Err(format!(
                "a number type of .npy must be f32 or f16, not {text:?}"
            )),
        }
    }
}

/// A folder with `embeddings.npy` and `ids.txt`.
pub struct Npy {
    folder: PathBuf,
    dtype: NpyDtype,
    dim: usize,
    rows: u64,
    /// Numbers and ids, while they grow.
    open: Option<(File, File)>,
}

impl Npy {
    /// Nothing is written yet; `rows` is the number that will come.
    pub fn new(folder: &Path, collection: &Collection, rows: u64, dtype: NpyDtype) -> Self {
        Self {
            folder: folder.into(),
            dtype,
            dim: collection.dim,
            rows,
            open: None,
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn part(&self, name: &str) -> PathBuf {
        self.folder.join(format!(".{name}.part"))
    }

    fn row_bytes(&self) -> u64 {
        (self.dim * self.dtype.bytes()) as u64
    }

    fn header(&self) -> Vec<u8> {
        let descr = match self.dtype {
            NpyDtype::F32 => "<f4",
            NpyDtype::F16 => "<f2",
        };
        let (rows, dim) = (self.rows, self.dim);
        let text =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
        let mut header = b"\x93NUMPY\x01\x00".to_vec();
        header.extend((HEADER_BYTES as u16 - 10).to_le_bytes());
        header.extend(text.as_bytes());
        header.resize(HEADER_BYTES - 1, b' ');
        header.push(b'\n');
        header
    }

    /// Both files with exactly the first `done` rows, if they have as many.
    fn reopen(&self, done: u64) -> Result<Option<(File, File)>> {
        let (numbers_path, ids_path) = (self.part(EMBEDDINGS), self.part(IDS));
        let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path);
        let (Ok(mut numbers), Ok(mut ids)) = (open(&numbers_path), open(&ids_path)) else {
            return Ok(None);
        };
        let bytes = HEADER_BYTES as u64 + done * self.row_bytes();
        let mut header = vec![0; HEADER_BYTES];
        let length = numbers.metadata().map_err(at(&numbers_path))?.len();
        if length < bytes || numbers.read_exact(&mut header).is_err() || header != self.header() {
            return Ok(None);
        }
        let Some(id_bytes) = bytes_of_lines(&ids, done).map_err(at(&ids_path))? else {
            return Ok(None);
        };
        for (file, path, bytes) in [
            (&mut numbers, &numbers_path, bytes),
            (&mut ids, &ids_path, id_bytes),
        ] {
            file.set_len(bytes).map_err(at(path))?;
            file.seek(SeekFrom::Start(bytes)).map_err(at(path))?;
        }
        Ok(Some((numbers, ids)))
    }
}

/// Bytes of the first so many lines, if there are as many.
fn bytes_of_lines(file: &File, lines: u64) -> std::io::Result<Option<u64>> {
    let mut reader = BufReader::new(file);
    let (mut bytes, mut line) = (0, Vec::new());
    for _ in 0..lines {
        line.clear();
        let mut capped = reader.by_ref().take(MAX_ID_BYTES);
        bytes += capped.read_until(b'\n', &mut line)? as u64;
        if line.last() != Some(&b'\n') {
            return Ok(None);
        }
    }
    Ok(Some(bytes))
}

impl Sink for Npy {
    fn limits(&self) -> Limits {
        Limits {
            rows: 8192,
            bytes: 64 << 20,
            id_bytes: MAX_ID_BYTES as usize - 1,
            text_bytes: 0,
        }
    }

    fn prepare(&mut self, done: u64) -> Result<bool> {
        std::fs::create_dir_all(&self.folder).map_err(at(&self.folder))?;
        let whole = [EMBEDDINGS, IDS].map(|name| self.file(name));
        let is_whole = whole.iter().all(|path| path.exists());
        if done == self.rows && is_whole {
            return Ok(false);
        }
        if done == 0
            && let Some(path) = whole.iter().find(|path| path.exists())
        {
            let path = path.display();
            return Err(Error::Invalid(format!(
                "{path} is there already; choose another folder"
            )));
        }
        if done > 0 {
            self.open = self.reopen(done)?;
            if self.open.is_some() {
                return Ok(false);
            }
        }
        let create = |name: &str| {
            let path = self.part(name);
            File::create(&path).map_err(at(&path))
        };
        let (mut numbers, ids) = (create(EMBEDDINGS)?, create(IDS)?);
        let written = numbers.write_all(&self.header());
        written.map_err(at(&self.part(EMBEDDINGS)))?;
        self.open = Some((numbers, ids));
        Ok(true)
    }

    fn upsert(&mut self, batch: &Batch) -> Result<()> {
        let numbers: Vec<u8> = match self.dtype {
            NpyDtype::F32 => batch.vectors.iter().flat_map(|x| x.to_le_bytes()).collect(),
            NpyDtype::F16 => {
                let halves = batch.vectors.iter().map(|x| f16::from_f32(*x));
                halves.flat_map(f16::to_le_bytes).collect()
            }
        };
        let mut ids = batch.ids.join("\n");
        ids.push('\n');
        let paths = [self.part(EMBEDDINGS), self.part(IDS)];
        let files = self.open.as_mut();
        let (numbers_file, ids_file) = files.expect("prepared first. This is a bug.");
        for (file, bytes, path) in [
            (numbers_file, numbers.as_slice(), &paths[0]),
            (ids_file, ids.as_bytes(), &paths[1]),
        ] {
            let written = file.write_all(bytes).and_then(|()| file.sync_data());
            written.map_err(at(path))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<u64> {
        if let Some((numbers, ids)) = self.open.take() {
            for (file, name) in [(numbers, EMBEDDINGS), (ids, IDS)] {
                file.sync_all().map_err(at(&self.part(name)))?;
                let path = self.file(name);
                std::fs::rename(self.part(name), &path).map_err(at(&path))?;
            }
        }
        let path = self.file(EMBEDDINGS);
        let length = std::fs::metadata(&path).map_err(at(&path))?.len();
        Ok(length.saturating_sub(HEADER_BYTES as u64) / self.row_bytes())
    }
}
