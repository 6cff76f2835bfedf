//! Which documents were encoded: a digest of their ids and texts, whatever files they came from.

use serde::{Deserialize, Serialize};

/// Some documents, as an encoder saw them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// BLAKE3 over each document's id and text, each with its length in bytes before it (`u64`, little-endian).
    pub blake3: String,
    /// Number of documents.
    pub documents: usize,
    /// Bytes of ids and texts.
    pub bytes: u64,
}

/// Makes a [`Data`] of documents as they pass by.
#[derive(Clone, Debug, Default)]
pub struct DataHasher {
    hasher: blake3::Hasher,
    documents: usize,
    bytes: u64,
}

impl DataHasher {
    /// Adds one document; `text` is what is encoded, without the prompt.
    pub fn add(&mut self, id: &str, text: &str) {
        for part in [id, text] {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part.as_bytes());
            self.bytes += part.len() as u64;
        }
        self.documents += 1;
    }

    /// Documents so far.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// All of them.
    pub fn finish(&self) -> Data {
        Data {
            blake3: self.hasher.finalize().to_hex().to_string(),
            documents: self.documents,
            bytes: self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_tells_ids_texts_and_their_order_apart() {
        let digest = |documents: &[(&str, &str)]| {
            let mut hasher = DataHasher::default();
            for (id, text) in documents {
                hasher.add(id, text);
            }
            hasher.finish()
        };
        let data = digest(&[("a", "b"), ("c", "")]);
        assert_eq!((data.documents, data.bytes), (2, 3));
        let others: [&[(&str, &str)]; 5] = [
            &[("a", "b")],
            &[("c", ""), ("a", "b")],
            &[("a", "bc"), ("", "")],
            &[("ab", ""), ("c", "")],
            &[("a", ""), ("b", "c")],
        ];
        for other in others {
            assert_ne!(digest(other).blake3, data.blake3, "{other:?}");
        }
        assert_eq!(data, digest(&[("a", "b"), ("c", "")]));
    }
}
