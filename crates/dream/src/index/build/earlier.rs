//! What a folder holds of an index that an earlier process made or began.

use crate::files::{TEMPORARY, temporary_prefix};
use crate::index::data::Data;
use crate::index::manifest::{MANIFEST, Manifest};
use crate::index::part::{Part, PartOf};
use crate::index::shard_writer::shard_of_file;
use crate::index::writer::remove_files;
use crate::{Error, Result};
use std::path::Path;

/// What an earlier process did, as its files say.
pub fn read_earlier(folder: &Path, part: PartOf) -> Result<Option<Part>> {
    if folder.join(MANIFEST).exists() {
        let manifest = Manifest::read(folder)?;
        let known = Part::of_index(&manifest, part);
        return known.map(Some).ok_or_else(|| {
            let folder = folder.display();
            Error::Invalid(format!(
                "{folder} holds an index already, which does not say what it was made of"
            ))
        });
    }
    refuse_other_counts(folder, part)?;
    let path = folder.join(part.file_name());
    path.exists().then(|| Part::read(&path)).transpose()
}

/// Refuses a folder in which an index lies that is dealt in another number of parts.
fn refuse_other_counts(folder: &Path, part: PartOf) -> Result<()> {
    let parts = PartOf::all_in(folder)?;
    match parts.iter().find(|other| other.count() != part.count()) {
        None => Ok(()),
        Some(other) => Err(Error::Invalid(format!(
            "{} holds part {other} of an index, this would be part {part}",
            folder.display(),
        ))),
    }
}

/// Removes what was done of this part; of a whole index all that belongs to one.
pub fn remove_earlier(folder: &Path, part: PartOf) -> Result<()> {
    if part != PartOf::WHOLE {
        refuse_other_counts(folder, part)?;
    }
    // First: from here on the folder is no index.
    remove_files(folder, |name| name == MANIFEST)?;
    remove_files(folder, |name| {
        let is_part =
            PartOf::of_file_name(name).is_some_and(|other| other == part || part == PartOf::WHOLE);
        is_part || shard_of_file(name).is_some_and(|number| part.owns(number))
    })
}

/// A manifest or file of this part that a killed process did not finish.
pub fn is_json_in_the_making(name: &str, part: PartOf) -> bool {
    let of = |json: &str| name.starts_with(&temporary_prefix(json)) && name.ends_with(TEMPORARY);
    of(&part.file_name()) || (part == PartOf::WHOLE && of(MANIFEST))
}

/// Refuses other documents.
pub fn check_data(folder: &Path, earlier: &Data, now: &Data) -> Result<()> {
    if earlier == now {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{} was made of other documents: {} of {} bytes with digest {}, not {} of {} with {}",
        folder.display(),
        earlier.documents,
        earlier.bytes,
        earlier.blake3,
        now.documents,
        now.bytes,
        now.blake3,
    )))
}
