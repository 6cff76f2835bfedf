//! What makes a run the same run: digests of its data and of everything a checkpoint depends on.

use super::config::TrainConfig;
use super::data::TrainData;
use crate::retriever::adapter::Provenance;
use dream_ir::PoolSource;
use std::path::PathBuf;

/// Digest of all texts and ids of the training data, and of candidates that are given.
pub(super) fn data_digest(data: &TrainData) -> String {
    let mut hasher = blake3::Hasher::new();
    let mut feed = |text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for document in data.set.corpus.documents() {
        for text in [&document.id, &document.title, &document.text] {
            feed(text);
        }
    }
    for row in data.set.rows.iter().chain(&data.heldout) {
        for text in [&row.id, &row.query, &row.target] {
            feed(text);
        }
    }
    // What else pools follow from is among texts and settings.
    if data.pool_settings().source == PoolSource::AsGiven {
        for document in data.pools.iter().flat_map(|pool| &pool.documents) {
            feed(&data.set.corpus.documents()[*document].id);
        }
    }
    hasher.finalize().to_hex().to_string()
}

/// Digest of what must be the same for a checkpoint to go on. Where the run is written, how often it
/// is saved or evaluated, and how much is computed at once may differ. `llm_digest` is that of a language
/// model that is tuned too.
pub(super) fn fingerprint(
    config: &TrainConfig,
    provenance: &Provenance,
    llm_digest: Option<&str>,
) -> String {
    let mut same = config.clone();
    same.output = PathBuf::new();
    same.training.save_every = 0;
    same.eval.every = 0;
    same.eval.at_start = false;
    let Provenance {
        base_model_digest,
        data_digest,
        ..
    } = provenance;
    let text = serde_json::to_string(&(same, base_model_digest, data_digest, llm_digest))
        .expect("a configuration prints. This is a bug.");
    blake3::hash(text.as_bytes()).to_hex().to_string()
}
