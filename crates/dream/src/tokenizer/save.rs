//! Writing a tokenizer as the files other programs read: `tokenizer.json` and `tokenizer_config.json`.

use std::path::Path;

use super::Tokenizer;
use crate::files::{write_atomic, write_json};
use crate::{Error, Result};

impl Tokenizer {
    /// Writes `tokenizer.json` (any tokenizer, also one built from a GGUF vocabulary). Special ids are not part of that
    /// format; [`Self::save_to_folder`] writes them too.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = self
            .inner
            .to_string(true)
            .map_err(|e| Error::Invalid(format!("tokenizer: {e}")))?;
        write_atomic(path, text.as_bytes())
    }

    /// Writes `tokenizer.json` and `tokenizer_config.json` into a folder, which must exist.
    pub fn save_to_folder(&self, folder: &Path) -> Result<()> {
        let name = |id: Option<u32>| id.and_then(|id| self.token(id));
        let config = serde_json::json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": name(self.bos_id()),
            "eos_token": name(self.eos_id()),
            "pad_token": name(self.pad_id().or(self.eos_id())),
            "padding_side": "left",
            "clean_up_tokenization_spaces": false,
        });
        self.save(&folder.join("tokenizer.json"))?;
        write_json(&folder.join("tokenizer_config.json"), &config)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_saved_tokenizer_reads_back_with_its_special_tokens() {
        let folder = tempfile::tempdir().unwrap();
        let written = Tokenizer::bytes().with_appended_eos().unwrap();
        written.save_to_folder(folder.path()).unwrap();
        let read = Tokenizer::for_model(folder.path()).unwrap();
        assert_eq!(
            (read.bos_id(), read.eos_id(), read.pad_id()),
            (Some(256), Some(257), Some(258))
        );
        assert!(read.adds_eos() && !read.adds_bos());
        let text = "same ids\t\u{4e2d} 42";
        assert_eq!(
            read.encode_with_special(text).unwrap(),
            written.encode_with_special(text).unwrap()
        );
        assert_eq!(read.vocab_size(), written.vocab_size());
    }

    #[test]
    fn the_same_tokenizer_is_written_the_same_way() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.json"), folder.path().join("b.json"));
        Tokenizer::bytes().save(&a).unwrap();
        Tokenizer::from_file(&a).unwrap().save(&b).unwrap();
        assert_eq!(std::fs::read(a).unwrap(), std::fs::read(b).unwrap());
    }
}
