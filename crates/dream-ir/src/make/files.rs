//! Finding and reading the files of a folder.

use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::blocks::{self, Block};
use super::{Skipped, html, markdown};
use crate::decompress;
use crate::error::{Error, Result};
use crate::stream::DocumentStream;

/// Largest text, Markdown or HTML file read, in bytes; a `.jsonl` is read line by line, whatever its size.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// How a file is read, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FileKind {
    Text,
    Markdown,
    Html,
    JsonLines,
}

impl FileKind {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let compressed = [".gz", ".zst"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        match compressed.unwrap_or(&name).rsplit_once('.')?.1 {
            "jsonl" => Some(Self::JsonLines),
            _ if compressed.is_some() => None,
            "txt" => Some(Self::Text),
            "md" | "markdown" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            _ => None,
        }
    }
}

/// A text of its own: a file, or a line of a `.jsonl`.
pub(super) struct Source {
    /// Relative path, with `/`; for a line the path and its `_id`.
    pub(super) name: String,
    pub(super) blocks: Vec<Block>,
}

/// A file that will be read.
pub(super) struct Found {
    path: PathBuf,
    /// Relative to the folder that was given; the name of a file that was given itself.
    name: String,
    kind: FileKind,
}

/// Walks over files and folders in the order given, each folder in the order of names. Symbolic links are not
/// followed (but for a path that was given itself), hidden files and the folder `out` are passed over.
pub(super) fn find(
    paths: &[PathBuf],
    out: Option<&Path>,
    skipped: &mut Vec<Skipped>,
) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let out = out.and_then(|out| out.canonicalize().ok());
    let is_out = |path: &Path| out.is_some() && path.canonicalize().ok() == out;
    for given in paths {
        let io = |source| Error::Io {
            path: given.clone(),
            source,
        };
        let metadata = given.metadata().map_err(io)?;
        if metadata.is_file() {
            let kind = FileKind::of(given).ok_or_else(|| {
                Error::Invalid(format!(
                    "{}: wanted a .txt, .md, .html, .htm or .jsonl file",
                    given.display()
                ))
            })?;
            let name = given.file_name().unwrap_or_default();
            found.push(Found {
                path: given.clone(),
                name: name.to_string_lossy().into_owned(),
                kind,
            });
            continue;
        }
        if !metadata.is_dir() {
            let what = format!("{}: neither a file nor a folder", given.display());
            return Err(Error::Invalid(what));
        }
        let wanted = |entry: &DirEntry| {
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            entry.depth() == 0 || !(is_hidden || entry.file_type().is_dir() && is_out(entry.path()))
        };
        let walk = WalkDir::new(given).sort_by_file_name().into_iter();
        for entry in walk.filter_entry(wanted) {
            let entry = entry.map_err(|error| Error::Io {
                path: error.path().unwrap_or(given).to_owned(),
                source: error.into(),
            })?;
            let path = entry.path();
            if entry.path_is_symlink() && entry.depth() > 0 {
                skipped.push(Skipped::new(path, "a symbolic link"));
            } else if entry.file_type().is_file() {
                match FileKind::of(path) {
                    Some(kind) => found.push(Found {
                        path: path.to_owned(),
                        name: relative(path, given),
                        kind,
                    }),
                    None => skipped.push(Skipped::other(path)),
                }
            }
        }
    }
    Ok(found)
}

/// Path below `folder`, with `/` between its parts.
fn relative(path: &Path, folder: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts = below.iter().map(|part| part.to_string_lossy());
    parts.collect::<Vec<_>>().join("/")
}

impl Found {
    /// Reads the file. One that is too large or not UTF-8 is skipped; a bad line of a `.jsonl` is an error.
    pub(super) fn read(
        &self,
        skipped: &mut Vec<Skipped>,
        each: &mut dyn FnMut(Source) -> Result<()>,
    ) -> Result<()> {
        if self.kind == FileKind::JsonLines {
            for document in DocumentStream::open(&self.path)? {
                let document = document?;
                let mut blocks = Vec::new();
                if !document.title.trim().is_empty() {
                    blocks.push(Block::Heading(1, document.title.trim().to_owned()));
                }
                blocks.extend(blocks::plain(&document.text));
                let name = format!("{}/{}", self.name, document.id);
                each(Source { name, blocks })?;
            }
            return Ok(());
        }
        let Some(text) = self.text(skipped)? else {
            return Ok(());
        };
        let blocks = match self.kind {
            FileKind::Markdown => markdown::blocks(&text),
            FileKind::Html => html::blocks(&text),
            FileKind::Text | FileKind::JsonLines => blocks::plain(&text),
        };
        let name = self.name.clone();
        each(Source { name, blocks })
    }

    fn text(&self, skipped: &mut Vec<Skipped>) -> Result<Option<String>> {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        let reader = decompress::open(&self.path)?;
        let read = reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
        read.map_err(|source| Error::Io {
            path: self.path.clone(),
            source,
        })?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            let why = format!("larger than {} MiB", MAX_FILE_BYTES >> 20);
            skipped.push(Skipped::new(&self.path, why));
            return Ok(None);
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(match text.strip_prefix('\u{feff}') {
                Some(rest) => rest.to_owned(),
                None => text,
            })),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                skipped.push(Skipped::new(&self.path, format!("not UTF-8 at byte {at}")));
                Ok(None)
            }
        }
    }
}
