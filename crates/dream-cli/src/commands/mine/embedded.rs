//! The part of mining that needs a model: embeddings of an index, or of the corpus made now.

use super::{Args, go};
use crate::cli::App;
use crate::interrupt;
use crate::load::load_retriever;
use crate::progress::{Progress, Unit};
use anyhow::Result;
use dream::candidates::{Dense, Fusion, Source, check_index};
use dream::index::kinds::{InMemory, VectorIndex};
use dream::index::{Encoder, Index};
use dream::mine::{Data, Mining, RetrieverRecipe};
use dream::retriever::Retriever;
use dream_ir::{Bm25, PoolSource};

/// A retriever, and the index if there is one.
pub struct Embedder {
    retriever: Retriever,
    index: Option<Index>,
    recipe: RetrieverRecipe,
}

impl Embedder {
    /// Loads the retriever and opens the index, which must be its own and of the data's corpus.
    pub fn load(args: &Args, model: &str, data: &Data, app: &App) -> Result<Self> {
        let mut retriever = load_retriever(model, &args.encoding, app)?;
        let encoder = Encoder::of(&retriever, model);
        let index = match &args.index {
            Some(folder) => {
                let mut index = Index::open(folder)?;
                index.manifest.encoder.check_queries(&encoder, folder)?;
                check_index(&index, folder, &data.corpus)?;
                if args.kind.is_exact() {
                    index = index.streaming();
                }
                retriever.config.dim = Some(args.encoding.dim.unwrap_or(index.manifest.dim));
                retriever.check()?;
                Some(index)
            }
            None => None,
        };
        let recipe = RetrieverRecipe {
            encoder,
            config: retriever.config.clone(),
            compute_dtype: app.dtype().to_string(),
            index: index.as_ref().map(|index| index.manifest.content_digest()),
            search: args.kind.describe(),
        };
        Ok(Self {
            retriever,
            index,
            recipe,
        })
    }

    /// What decides its answers.
    pub fn recipe(&self) -> RetrieverRecipe {
        self.recipe.clone()
    }

    /// Mines with it.
    pub fn mine(&self, mining: &mut Mining, data: &Data, args: &Args, app: &App) -> Result<()> {
        let Some(index) = &self.index else {
            let mut progress = Progress::new("encoding", Unit::Of("documents"), app);
            let embedded = InMemory::embed(&self.retriever, &data.corpus, &mut |done, total| {
                progress.update(done as u64, total as u64);
                !interrupt::requested()
            });
            progress.finish();
            return self.search(&embedded?, mining, data, args, app);
        };
        args.kind
            .with_kind(index, self.retriever.dim(), |documents, _| {
                self.search(documents, mining, data, args, app)
            })
    }

    fn search(
        &self,
        documents: &dyn VectorIndex,
        mining: &mut Mining,
        data: &Data,
        args: &Args,
        app: &App,
    ) -> Result<()> {
        let dense = Dense {
            retriever: &self.retriever,
            documents,
        };
        if args.source != PoolSource::Hybrid {
            return go(mining, data, Source::Dense(dense), app);
        }
        let words = Bm25::of_corpus(&data.corpus, args.bm25.params())?;
        let weights = args.fusion.weights(2)?;
        let fusion = Fusion {
            method: args.fusion.method(),
            weights: [weights[0], weights[1]],
        };
        go(mining, data, Source::Hybrid(dense, &words, &fusion), app)
    }
}
