//! Parts that several processes encoded, put together to the index that one would have made.

use super::hashed_file::{Checker, Watch};
use super::manifest::{MANIFEST, Manifest, Shard, shard_number};
use super::part::{Part, PartOf};
use super::shard_writer::shard_of_file;
use super::writer::remove_files;
use crate::files::{TEMPORARY, sync_folder, temporary_prefix};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

/// A part and where it lies.
struct Found {
    folder: PathBuf,
    part: Part,
}

/// Makes an index of parts: folders that hold parts' files, or such files. Shards are linked where the file system can,
/// else copied; every byte is compared with its digest. `out` may be one of the folders.
///
/// # Errors
/// A part is missing, not complete, there twice, or was made of other documents or in another way than the
/// others; a file differs from its digest; `out` holds an index and `replace` is not set; [`Error::Stopped`].
pub fn merge(out: &Path, places: &[PathBuf], replace: bool, watch: &mut Watch) -> Result<Manifest> {
    let manifest_path = out.join(MANIFEST);
    if manifest_path.exists() && !replace {
        let out = out.display();
        return Err(Error::Invalid(format!("{out} holds an index already")));
    }
    let parts = find_parts(places)?;
    let first = &parts
        .first_key_value()
        .ok_or_else(|| Error::Invalid("no parts to merge".into()))?
        .1
        .part;
    for found in parts.values() {
        check_complete(found)?;
        check_like(first, found)?;
    }
    check_all_there(&parts, first.of)?;
    let data = first.data.as_ref().expect("complete. This is a bug.");
    let mut shards: Vec<(&Path, &Shard)> = parts
        .values()
        .flat_map(|found| {
            found
                .part
                .shards
                .iter()
                .map(|s| (found.folder.as_path(), s))
        })
        .collect();
    shards.sort_by_key(|(_, shard)| shard_number(&shard.name));
    let in_order = shards.iter().map(|(_, shard)| (*shard).clone()).collect();
    let manifest = Manifest::of_parts(&first.recipe, data, in_order);

    std::fs::create_dir_all(out).map_err(|e| Error::io(out, e))?;
    if manifest_path.exists() {
        // First: from here on the folder is no index.
        std::fs::remove_file(&manifest_path).map_err(|e| Error::io(&manifest_path, e))?;
    }
    place(out, &shards, &manifest, watch)?;
    manifest.write(out)?;
    // What they say now stands in the manifest.
    remove_files(out, |name| PartOf::of_file_name(name).is_some())?;
    Ok(manifest)
}

/// The parts in these places by their numbers.
fn find_parts(places: &[PathBuf]) -> Result<BTreeMap<usize, Found>> {
    let mut seen = BTreeSet::new();
    let mut parts: BTreeMap<usize, Found> = BTreeMap::new();
    for place in places {
        for path in part_files(place)? {
            let path = path.canonicalize().map_err(|e| Error::io(&path, e))?;
            if !seen.insert(path.clone()) {
                continue; // a folder that was named twice
            }
            let part = Part::read(&path)?;
            let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
            let (number, of) = (part.part, part.part_of());
            let twice = parts.insert(number, Found { folder, part });
            if let Some(twice) = twice {
                return Err(Error::Invalid(format!(
                    "{} holds part {of}, and {} part {}: each part may be there once",
                    path.display(),
                    twice.folder.display(),
                    twice.part.part_of()
                )));
            }
        }
    }
    Ok(parts)
}

/// The parts' files of a folder, or the file itself.
fn part_files(place: &Path) -> Result<Vec<PathBuf>> {
    if !place.is_dir() {
        return Ok(vec![place.to_owned()]);
    }
    let parts = PartOf::all_in(place)?;
    if parts.is_empty() {
        let what = if place.join(MANIFEST).exists() {
            "holds a whole index and no part of one"
        } else {
            "holds no part of an index"
        };
        return Err(Error::Invalid(format!("{} {what}", place.display())));
    }
    let path = |part: &PartOf| place.join(part.file_name());
    Ok(parts.iter().map(path).collect())
}

fn check_complete(found: &Found) -> Result<()> {
    if found.part.complete {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{}: part {} is not complete: {} documents are encoded",
        found.folder.display(),
        found.part.part_of(),
        found.part.documents()
    )))
}

/// Refuses a part of another index.
fn check_like(first: &Part, found: &Found) -> Result<()> {
    let part = &found.part;
    let differs = |what: String| {
        let (folder, part) = (found.folder.display(), part.part_of());
        Err(Error::Invalid(format!("{folder}: part {part} {what}")))
    };
    if part.of != first.of {
        return differs(format!(
            "is of another number of parts than part {}",
            first.part_of()
        ));
    }
    first.recipe.check_same(&part.recipe, &found.folder)?;
    if part.data != first.data {
        let documents = |part: &Part| part.data.as_ref().map_or(0, |data| data.documents);
        return differs(format!(
            "was made of other data than part {}: {} documents, and {} documents there",
            first.part_of(),
            documents(part),
            documents(first)
        ));
    }
    Ok(())
}

fn check_all_there(parts: &BTreeMap<usize, Found>, count: usize) -> Result<()> {
    let missing: Vec<String> = (0..count)
        .filter(|part| !parts.contains_key(part))
        .map(|part| format!("{part}/{count}"))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let n = missing.len();
    let named = missing[..n.min(10)].join(", ");
    let more = if n > 10 { ", ..." } else { "" };
    Err(Error::Invalid(format!(
        "{n} of {count} parts are missing: {named}{more}"
    )))
}

/// Puts every file of every shard into `out` and compares it with its digest.
fn place(
    out: &Path,
    shards: &[(&Path, &Shard)],
    manifest: &Manifest,
    watch: &mut Watch,
) -> Result<()> {
    let absolute = out.canonicalize().map_err(|e| Error::io(out, e))?;
    let row = manifest.dim.saturating_mul(manifest.dtype.bytes()) as u64;
    let ids: u64 = shards.iter().map(|(_, shard)| shard.ids_bytes).sum();
    let total = row
        .saturating_mul(manifest.count as u64)
        .saturating_add(ids);
    let mut checker = Checker::new(total, watch);
    for (folder, shard) in shards {
        for (name, digest) in shard.files(manifest.dtype) {
            let target = out.join(&name);
            if **folder != *absolute {
                link_or_copy(&folder.join(&name), &target)?;
            }
            checker.check(&target, digest)?;
        }
    }
    let kept: BTreeSet<String> = shards
        .iter()
        .flat_map(|(_, shard)| shard.files(manifest.dtype))
        .map(|(name, _)| name)
        .collect();
    remove_files(out, |name| {
        shard_of_file(name).is_some() && !kept.contains(name)
    })?;
    sync_folder(out)
}

/// Through a temporary name: what is there under the name is whole or not at all.
fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let shard = name.split_once('.').map_or(&*name, |(shard, _)| shard);
    let temporary = to.with_file_name(format!("{}merge{TEMPORARY}", temporary_prefix(shard)));
    let io = |e| Error::io(from, e);
    match std::fs::remove_file(&temporary) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&temporary, e)),
        _ => {}
    }
    if std::fs::hard_link(from, &temporary).is_err() {
        std::fs::copy(from, &temporary).map_err(io)?;
        let copied = File::open(&temporary).and_then(|file| file.sync_all());
        copied.map_err(|e| Error::io(&temporary, e))?;
    }
    std::fs::rename(&temporary, to).map_err(|e| Error::io(to, e))
}

#[cfg(test)]
mod tests;
