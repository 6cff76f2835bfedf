//! BEIR zip archives, read where they lie: one folder with `corpus.jsonl`, `queries.jsonl` and `qrels/<split>.tsv`,
//! or several, one a subset (CQADupStack).

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ::zip::{CompressionMethod, ZipArchive};
use flate2::Crc;
use flate2::bufread::DeflateDecoder;

use super::guard::guarded;
use super::{DEFAULT_SUBSET, Part};
use crate::beir::{self, Dataset};
use crate::corpus::Corpus;
use crate::error::{Error, Result};
use crate::lines::LineReader;
use crate::qrels::Qrels;

/// What an entry of any size may unpack to, and what each of its bytes may be worth beside it. Texts become a third
/// to a fifth; a deflate bomb a thousandth.
const FREE_BYTES: u64 = 64 << 20;
const BYTES_A_BYTE: u64 = 200;
/// Entries of an archive.
const MAX_ENTRIES: usize = 100_000;

/// Reads the part that is the folder of this name, or the only folder there is.
pub(super) fn open(file: &Path, part: Part) -> Result<Dataset> {
    guarded(file, || {
        let mut archive = Archive::open(file)?;
        let folder = archive.folder(part.subset)?;
        let qrels_name = format!("{folder}qrels/{}.tsv", part.split);
        let qrels = Qrels::read_from(archive.lines(&qrels_name)?)?;
        let queries = beir::read_queries_from(archive.lines(&format!("{folder}queries.jsonl"))?)?;
        let queries = Dataset::judged_queries(file, &qrels_name, queries, &qrels)?;
        let corpus = Corpus::read_from(archive.lines(&format!("{folder}corpus.jsonl"))?)?;
        Ok(Dataset {
            corpus,
            queries,
            qrels,
        })
    })
}

struct Archive<'a> {
    path: &'a Path,
    archive: ZipArchive<BufReader<File>>,
}

impl<'a> Archive<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let file = File::open(path).map_err(|source| Error::Io {
            path: path.to_owned(),
            source,
        })?;
        let archive = ZipArchive::new(BufReader::new(file))
            .map_err(|error| Error::Invalid(format!("{}: {error}", path.display())))?;
        if archive.len() > MAX_ENTRIES {
            let (path, count) = (path.display(), archive.len());
            return Err(Error::Invalid(format!(
                "{path}: {count} entries, no retrieval set"
            )));
        }
        Ok(Self { path, archive })
    }

    fn error(&self, what: impl std::fmt::Display) -> Error {
        Error::Invalid(format!("{}: {what}", self.path.display()))
    }

    /// The folder with a corpus, with a slash behind it: the subset's, or the only one.
    fn folder(&self, subset: &str) -> Result<String> {
        let folders: Vec<&str> = self
            .archive
            .file_names()
            .filter(|name| !name.starts_with("__MACOSX/"))
            .filter_map(|name| name.strip_suffix("corpus.jsonl"))
            .filter(|folder| folder.is_empty() || folder.ends_with('/'))
            .collect();
        let is_subset = |folder: &&&str| {
            let trimmed = folder.trim_end_matches('/');
            trimmed.rsplit('/').next() == Some(subset)
        };
        match (folders.iter().find(is_subset), &folders[..]) {
            (Some(folder), _) if subset != DEFAULT_SUBSET => Ok((*folder).to_owned()),
            (_, [only]) if subset == DEFAULT_SUBSET => Ok((*only).to_owned()),
            (_, []) => Err(self.error("no corpus.jsonl in it")),
            _ if subset == DEFAULT_SUBSET => Err(self.error(format!(
                "it holds several sets, name one of {}",
                folders.join(", ")
            ))),
            _ => Err(self.error(format!(
                "no folder {subset:?} with a corpus.jsonl in it, but {}",
                folders.join(", ")
            ))),
        }
    }

    /// An entry as facts, so that a reader of its own may outlive the archive.
    fn entry(&mut self, name: &str) -> Result<Entry, String> {
        let index = self.archive.index_for_name(name);
        let index = index.ok_or("not in the archive")?;
        let entry = self.archive.by_index_raw(index);
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.encrypted() {
            return Err("encrypted".to_owned());
        }
        Ok(Entry {
            start: entry
                .data_start()
                .ok_or("its data is not where it should be")?,
            compressed: entry.compressed_size(),
            size: entry.size(),
            crc: entry.crc32(),
            method: entry.compression(),
        })
    }

    /// The lines of an entry.
    fn lines(&mut self, name: &str) -> Result<LineReader> {
        let path = self.path.join(name);
        let failed = |what: String| Error::Invalid(format!("{}: {what}", path.display()));
        let entry = self.entry(name).map_err(failed)?;
        let bytes = entry.compressed.saturating_mul(BYTES_A_BYTE);
        if entry.size > bytes.saturating_add(FREE_BYTES) {
            let what = format!("claims to unpack to {} bytes", entry.size);
            return Err(failed(what));
        }
        let io = |source| Error::Io {
            path: path.clone(),
            source,
        };
        let mut file = File::open(self.path).map_err(io)?;
        file.seek(SeekFrom::Start(entry.start)).map_err(io)?;
        let packed = BufReader::new(file.take(entry.compressed));
        let unpacked: Box<dyn Read + Send> = match entry.method {
            CompressionMethod::Stored => Box::new(packed),
            CompressionMethod::Deflated => Box::new(DeflateDecoder::new(packed)),
            other => return Err(failed(format!("packed as {other}, wanted deflate"))),
        };
        let checked = Checked {
            source: unpacked,
            crc: Crc::new(),
            left: entry.size,
            wanted_crc: entry.crc,
        };
        let reader: Box<dyn BufRead + Send> = Box::new(BufReader::with_capacity(1 << 16, checked));
        Ok(LineReader::new(path, reader))
    }
}

/// Where an entry lies in the archive, and what it says of itself.
struct Entry {
    start: u64,
    compressed: u64,
    size: u64,
    crc: u32,
    method: CompressionMethod,
}

/// Bytes of an entry; at its end their number and their CRC-32 must be right.
struct Checked {
    source: Box<dyn Read + Send>,
    crc: Crc,
    left: u64,
    wanted_crc: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        if count == 0 && !buffer.is_empty() {
            if self.left > 0 {
                return Err(bad("the archive's entry is cut short"));
            }
            if self.crc.sum() != self.wanted_crc {
                return Err(bad(
                    "the archive's entry has another checksum than it should",
                ));
            }
        }
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| bad("the archive's entry is longer than it says"))?;
        self.crc.update(&buffer[..count]);
        Ok(count)
    }
}
