//! Checking all of an index: every file against its digest, and that no document is there twice.

use super::hashed_file::{Checker, Watch};
use super::reader::Index;
use crate::{Error, Result};
use std::hash::{BuildHasher, RandomState};

/// Ids whose hashes are sorted together: 64 MiB of them, however many documents there are.
const IDS_A_PASS: usize = 4 << 20;

impl Index {
    /// Reads every file and compares its digest with the manifest's; then looks for ids that are there twice.
    ///
    /// # Errors
    /// A file differs from what was written, or a document is there twice.
    pub fn verify(&self) -> Result<()> {
        self.verify_watched(&mut |_, _| true)
    }

    /// The same, telling how many bytes were read and how many there are.
    ///
    /// # Errors
    /// See [`Self::verify`]; [`Error::Stopped`] if `watch` says so.
    pub fn verify_watched(&self, watch: &mut Watch) -> Result<()> {
        let shards = &self.manifest.shards;
        let ids: u64 = shards.iter().map(|shard| shard.ids_bytes).sum();
        let mut checker = Checker::new(self.bytes() as u64 + ids, watch);
        for shard in shards {
            for (name, digest) in shard.files(self.manifest.dtype) {
                checker.check(&self.folder.join(name), digest)?;
            }
        }
        self.check_ids_differ(IDS_A_PASS)
    }

    /// Sorts hashes of ids, a share of them at a time, and compares the ids of those that are equal.
    pub(super) fn check_ids_differ(&self, ids_a_pass: usize) -> Result<()> {
        // Random keys: nobody can choose ids that all fall into one pass.
        let keys = RandomState::new();
        let n_passes = self.len().div_ceil(ids_a_pass) as u64;
        let mut hashes: Vec<(u64, usize)> = Vec::new();
        for pass in 0..n_passes {
            hashes.clear();
            let hashed = self.ids().map(|id| keys.hash_one(id)).zip(0..);
            // Far more than a fair share means that some are equal, and enough of those are among the first.
            let share = hashed.filter(|(hash, _)| hash % n_passes == pass);
            hashes.extend(share.take(ids_a_pass.saturating_mul(4)));
            hashes.sort_unstable();
            for same in hashes.chunk_by(|a, b| a.0 == b.0) {
                let mut ids: Vec<&str> = same.iter().map(|(_, at)| self.id(*at)).collect();
                ids.sort_unstable();
                if let Some(twice) = ids.windows(2).position(|pair| pair[0] == pair[1]) {
                    return Err(Error::Malformed {
                        path: self.folder.clone(),
                        what: format!("holds document {:?} twice", ids[twice]),
                    });
                }
            }
        }
        Ok(())
    }
}
