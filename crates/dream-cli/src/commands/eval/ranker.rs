//! What ranks a corpus: a dense retriever or BM25, from the command line.

use crate::cli::App;
use crate::errors::usage;
use crate::lexical::Bm25Args;
use crate::load::{RetrieverArgs, load_retriever};
use crate::models;
use anyhow::Result;
use dream::evaluate::{rank, to_run};
use dream::index::Encoder;
use dream::retriever::Retriever;
use dream_ir::beir::Dataset;
use dream_ir::{Bm25, Bm25Params, Document, Run};
use serde_json::{Value as Json, json};
use std::path::Path;

/// Options that say what is evaluated.
#[derive(Debug, clap::Args)]
pub struct RankerArgs {
    /// Model folder, .gguf file, short name or hub id (see: dream models list)
    #[arg(long, value_name = "PATH|NAME", conflicts_with = "retriever")]
    model: Option<String>,
    /// A retriever without a model
    #[arg(long, value_enum, value_name = "bm25")]
    retriever: Option<Lexical>,
    #[command(flatten)]
    bm25: Bm25Args,
    #[command(flatten)]
    encoding: RetrieverArgs,
}

/// Retrievers without a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Lexical {
    /// BM25 in Lucene's variant
    Bm25,
}

/// What ranks a corpus.
pub enum Ranker {
    /// Inner products of embeddings.
    Dense {
        /// The retriever.
        retriever: Box<Retriever>,
        /// What to call it.
        name: String,
    },
    /// BM25.
    Bm25(Bm25Params),
}

impl RankerArgs {
    /// Refuses a command line that names nothing to evaluate, or options of another retriever.
    pub fn check(&self) -> Result<()> {
        if self.model.is_none() && self.retriever.is_none() {
            return Err(usage("wanted --model PATH|NAME or --retriever bm25"));
        }
        if self.model.is_some() && self.bm25.params() != Bm25Params::default() {
            return Err(usage("options of BM25 do not go with --model"));
        }
        Ok(())
    }

    /// Loads it.
    pub fn load(&self, app: &App) -> Result<Ranker> {
        self.check()?;
        let Some(model) = &self.model else {
            return Ok(Ranker::Bm25(self.bm25.params()));
        };
        Ok(Ranker::Dense {
            retriever: Box::new(load_retriever(model, &self.encoding, app)?),
            name: name_of(model, self.encoding.adapter.as_deref()),
        })
    }
}

impl Ranker {
    /// The best documents for each query, at most `depth`. `progress` gets the texts encoded and those in all.
    pub fn rank(
        &self,
        dataset: &Dataset,
        depth: usize,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Run> {
        match self {
            Self::Dense { retriever, .. } => {
                let documents: Vec<&Document> = dataset.corpus.documents().iter().collect();
                let queries = dataset.queries.iter();
                let queries: Vec<(String, String)> =
                    queries.map(|q| (q.id.clone(), q.text.clone())).collect();
                let mut report = |done, total| {
                    progress(done, total);
                    true
                };
                Ok(rank(retriever, &documents, &queries, depth, &mut report)?)
            }
            Self::Bm25(params) => {
                let index = Bm25::of_corpus(&dataset.corpus, *params)?;
                let texts: Vec<&str> = dataset.queries.iter().map(|q| q.text.as_str()).collect();
                let ids = dataset.queries.iter().map(|query| query.id.as_str());
                let found = index.search_all(&texts, depth);
                let id = |position: usize| dataset.corpus.documents()[position].id.as_str();
                Ok(to_run(ids, found, id)?)
            }
        }
    }

    /// What to call it in results: the model's hub id or folder.
    pub fn name(&self) -> &str {
        match self {
            Self::Dense { name, .. } => name,
            Self::Bm25(_) => "dream/bm25",
        }
    }

    /// What to call it in a run.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Dense { .. } => "dream",
            Self::Bm25(_) => "bm25",
        }
    }

    /// Everything that its rankings depend on beside the data; `task_prompt` is what queries get before them.
    pub fn identity(&self, task_prompt: Option<&str>, app: &App) -> Json {
        match self {
            Self::Dense { retriever, .. } => {
                let encoder = Encoder::of(retriever, "");
                json!({
                    "kind": "dense",
                    "weights_digest": encoder.weights_digest,
                    "adapter_digest": encoder.adapter_digest,
                    "config": retriever.config,
                    "dtype": app.dtype().to_string(),
                    "task_prompt": task_prompt,
                })
            }
            Self::Bm25(params) => json!({
                "kind": "bm25",
                "variant": "lucene",
                "k1": params.k1.to_string(),
                "b": params.b.to_string(),
                "language": params.language.to_string(),
            }),
        }
    }
}

/// A model's hub id where it has one, else its folder's or file's name; with the adapter's behind it.
fn name_of(model: &str, adapter: Option<&Path>) -> String {
    let known = models::KNOWN
        .iter()
        .find(|known| known.name.eq_ignore_ascii_case(model));
    let last = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.into_owned()
    };
    let name = match known {
        Some(known) => known.hub_id.to_owned(),
        None if Path::new(model).exists() => last(Path::new(model)),
        None => model.to_owned(),
    };
    let Some(adapter) = adapter else {
        return name;
    };
    // A run's adapter lies in RUN/adapter: the run tells more.
    let of_run = adapter.file_name().is_some_and(|name| name == "adapter");
    let folder = adapter
        .parent()
        .filter(|p| of_run && p.file_name().is_some());
    format!("{name}+{}", last(folder.unwrap_or(adapter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_called_by_its_hub_id_or_its_folder_and_its_run() {
        let name = |model, adapter: Option<&str>| name_of(model, adapter.map(Path::new));
        assert_eq!(
            name("smollm2-135m-instruct", None),
            "HuggingFaceTB/SmolLM2-135M-Instruct"
        );
        assert_eq!(name("org/model", None), "org/model");
        assert_eq!(name(env!("CARGO_MANIFEST_DIR"), None), "dream-cli");
        assert_eq!(
            name("org/model", Some("runs/mine/adapter")),
            "org/model+mine"
        );
        assert_eq!(name("org/model", Some("adapter")), "org/model+adapter");
    }
}
