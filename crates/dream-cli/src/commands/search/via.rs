//! `dream search --via`: the queries are encoded here, and searched in the engine that an index was pushed to.

use super::show::Documents;
use crate::cli::App;
use crate::stores;
use anyhow::Result;
use dream_ir::{Document, Hit, Query, Run};
use dream_nn::Matrix;
use dream_stores::{Collection, Distance, Place};

/// Options of a search elsewhere.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Search in an engine")]
pub struct ViaArgs {
    /// Search in qdrant, pgvector or milvus, or at an address (qdrant://host:6333, postgres://user@host/db,
    /// ...), where `dream index push` put the index; addresses and keys as there. --index is not needed
    /// then; if it is given, its model is compared with the queries'
    #[arg(long, value_name = "ENGINE|URL")]
    pub via: Option<Place>,
    /// Collection or table to search in
    #[arg(long, value_name = "NAME", default_value = "dream", requires = "via")]
    pub collection: String,
    /// How the engine compares vectors, as it was pushed
    #[arg(long, value_name = "ip|cosine", default_value_t, requires = "via")]
    pub distance: Distance,
}

/// What the engine found for each query, and the texts that it stores beside the vectors.
pub fn search(
    place: &Place,
    args: &ViaArgs,
    queries: &[Query],
    embedded: &Matrix,
    k: usize,
    app: &App,
) -> Result<(Run, Documents)> {
    let mut collection = Collection::new(&args.collection, embedded.cols())?;
    collection.distance = args.distance;
    let access = stores::access(place, app)?;
    let mut searcher = stores::searcher(place.engine, &access, collection)?;
    let (mut run, mut documents) = (Run::default(), Documents::new());
    for (row, query) in queries.iter().enumerate() {
        let mut hits = Vec::new();
        for found in searcher.search(embedded.row(row), k)? {
            if let Some(text) = found.text {
                let document = Document {
                    id: found.id.clone(),
                    title: text.title,
                    text: text.text,
                };
                documents.insert(found.id.clone(), document);
            }
            hits.push(Hit {
                document: found.id,
                score: found.score,
            });
        }
        run.insert(&query.id, hits)?;
    }
    Ok((run, documents))
}
