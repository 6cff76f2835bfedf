//! A complete configuration for data of one's own, as a text to read and change.

use super::config::TrainConfig;
use crate::{Error, Result};
use dream_ir::{KnownPassage, Language, PoolSource};
use std::path::{Path, PathBuf};

/// Rows held out, at most, and as a share of those with a known passage.
const MAX_HELDOUT: usize = 200;
const HELDOUT_SHARE: usize = 5;
/// Queries a step.
const BATCH_SIZE: usize = 8;
/// Documents a prompt, and queries that share them, where there are enough.
const CANDIDATES: usize = 16;
const SHARED_BY: usize = 8;
/// Documents from which on prompts are shared: with fewer, too much would have to be kept out of each.
const ENOUGH_TO_SHARE: usize = 64;
/// How often each row is seen, and bounds of the steps that makes.
const EPOCHS: usize = 2;
const STEPS: (usize, usize) = (20, 400);

/// What a configuration is written for.
#[derive(Clone, Debug)]
pub struct Starter {
    /// Folder of the data, as it will be found from where training is started.
    pub data: PathBuf,
    /// The run folder.
    pub output: PathBuf,
    /// Language model and base of the retriever.
    pub model: String,
    /// Rows.
    pub rows: usize,
    /// Rows with a known passage.
    pub rows_with_known_passage: usize,
    /// Documents.
    pub documents: usize,
    /// Tokens a document.
    pub document_tokens: usize,
    /// Tokens a question.
    pub question_tokens: usize,
    /// Tokens a target.
    pub target_tokens: usize,
    /// Where candidates come from.
    pub pool: PoolSource,
    /// What happens to the known passage.
    pub known_passage: KnownPassage,
    /// Language of the texts.
    pub language: Language,
    /// Seed of training.
    pub seed: u64,
}

impl Starter {
    /// Documents a prompt.
    pub fn candidates(&self) -> usize {
        CANDIDATES.min(self.documents / 4).max(2)
    }

    /// The text; what it leaves out has the defaults of [`TrainConfig`].
    ///
    /// # Errors
    /// There are fewer than two rows or documents.
    pub fn to_toml(&self) -> Result<String> {
        let (rows, documents) = (self.rows, self.documents);
        if rows < 2 || documents < 2 {
            return Err(Error::Invalid(format!(
                "training needs at least 2 rows and 2 documents, not {rows} and {documents}"
            )));
        }
        let heldout = MAX_HELDOUT.min(self.rows_with_known_passage / HELDOUT_SHARE);
        let trained = rows - heldout;
        let batch_size = BATCH_SIZE.min(trained);
        let queries_per_pool = if documents >= ENOUGH_TO_SHARE {
            SHARED_BY.min(batch_size)
        } else {
            1
        };
        let steps = (EPOCHS * trained)
            .div_ceil(batch_size)
            .clamp(STEPS.0, STEPS.1);
        let known_passage = match self.known_passage {
            KnownPassage::AsFound => "\"as-found\"",
            KnownPassage::Include => "\"include\"",
            KnownPassage::Exclude => {
                "\"exclude\" # what a row was made of, and whatever holds a part of its target, is no candidate"
            }
        };
        let heads = match self.rows_with_known_passage {
            0 => {
                "# No row names a known passage: name heads here, such as those of another run's heads.json.\n# heads = \"heads.json\"\n"
            }
            _ => "",
        };
        let quoted = |path: &Path| text(&path.to_string_lossy());
        let toml = format!(
            "# Written for these data; paths are seen from the folder that `dream train` is started in.\n\
             seed = {seed}\n\
             output = {output}\n\n\
             [data]\n\
             path = {data}\n\
             pool = \"{pool}\"\n\
             known_passage = {known_passage}\n\
             candidates = {candidates} # documents a prompt\n\
             queries_per_pool = {queries_per_pool} # queries that share one prompt's documents\n\
             language = \"{language}\"\n\n\
             [llm]\n\
             model = {model}\n{heads}\
             document_tokens = {document_tokens}\n\
             question_tokens = {question_tokens}\n\
             target_tokens = {target_tokens}\n\
             [llm.detect]\n\
             queries = 48\n\n\
             [retriever]\n\
             model = {model}\n\
             standardize_texts = 256\n\
             [retriever.encoding]\n\
             pooling = \"mean\"\n\
             skip_first_token = true\n\
             append_eos = false\n\
             standardize = \"fixed\"\n\
             max_query_tokens = {question_tokens}\n\
             max_document_tokens = {document_tokens}\n\n\
             [objective]\n\
             temperature = 0.05\n\n\
             [optimizer]\n\
             lr = 5e-4\n\
             warmup_steps = 10\n\n\
             [training]\n\
             steps = {steps}\n\
             batch_size = {batch_size}\n\n\
             [eval]\n\
             heldout = {heldout} # rows kept out of training; judged by the documents they were made of\n\
             documents = 800\n\
             every = {every}\n",
            seed = self.seed,
            output = quoted(&self.output),
            data = quoted(&self.data),
            pool = self.pool,
            candidates = self.candidates(),
            language = self.language,
            model = text(&self.model),
            document_tokens = self.document_tokens,
            question_tokens = self.question_tokens,
            target_tokens = self.target_tokens,
            every = steps.div_ceil(4),
        );
        TrainConfig::parse(&toml, Path::new("train.toml"))?;
        Ok(toml)
    }
}

/// A text as TOML writes it.
fn text(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn starter(rows: usize, documents: usize) -> Starter {
        Starter {
            data: "a \"b\"\\c\n".into(),
            output: "run".into(),
            model: "m".into(),
            rows,
            rows_with_known_passage: rows,
            documents,
            document_tokens: 160,
            question_tokens: 64,
            target_tokens: 48,
            pool: PoolSource::Bm25,
            known_passage: KnownPassage::Exclude,
            language: Language::German,
            seed: 3,
        }
    }

    #[test]
    fn every_size_of_data_gets_a_configuration_that_parses_and_says_what_was_asked() {
        for rows in [2, 3, 9, 100, 5000] {
            for documents in [2, 5, 63, 64, 9000] {
                let starter = starter(rows, documents);
                let toml = starter.to_toml().unwrap();
                let config = TrainConfig::parse(&toml, Path::new("x")).unwrap();
                assert_eq!(config.data.path, starter.data);
                assert_eq!(config.data.known_passage, KnownPassage::Exclude);
                assert_eq!(config.data.language, Language::German);
                assert!(config.eval.heldout + config.training.batch_size <= rows);
                assert_eq!(config.llm.map(|llm| llm.document_tokens), Some(160));
            }
        }
        assert!(starter(1, 9).to_toml().is_err());
    }

    #[test]
    fn without_known_passages_nothing_is_held_out_and_heads_are_asked_for() {
        let starter = Starter {
            rows_with_known_passage: 0,
            ..starter(50, 50)
        };
        let toml = starter.to_toml().unwrap();
        assert!(
            toml.contains("heldout = 0 ") && toml.contains("# heads ="),
            "{toml}"
        );
    }
}
