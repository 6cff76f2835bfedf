//! From an engine named on the command line to its sink or searcher: address, key and certificates.

use crate::cli::App;
use crate::errors::usage;
use anyhow::{Context as _, Result};
use dream_stores::elasticsearch::Elasticsearch;
use dream_stores::milvus::Milvus;
use dream_stores::pgvector::Pgvector;
use dream_stores::qdrant::Qdrant;
use dream_stores::{Access, Collection, Engine, Place, Searcher, Secret, Sink};

/// The address given, else that of the environment, else the usual one; the key of the environment.
pub fn access(place: &Place, app: &App) -> Result<Access> {
    let login = app.env.stores.of(place.engine);
    let usual = || place.engine.default_url().map(Secret::new);
    let url = place.url.clone().or(login.url).or_else(usual);
    let authorities = match &app.env.ca_bundle {
        Some(path) => Some(std::fs::read(path).with_context(|| path.display().to_string())?),
        None => None,
    };
    Ok(Access {
        url: url.unwrap_or_default(),
        key: login.key,
        authorities,
    })
}

/// The sink of an engine that is a server.
pub fn sink(engine: Engine, access: &Access, collection: Collection) -> Result<Box<dyn Sink>> {
    Ok(match engine {
        Engine::Qdrant => Box::new(Qdrant::new(access, collection)?),
        Engine::Pgvector => Box::new(Pgvector::new(access, collection)?),
        Engine::Milvus => Box::new(Milvus::new(access, collection)?),
        Engine::Elasticsearch => Box::new(Elasticsearch::new(access, collection)?),
        Engine::Parquet | Engine::Npy => unreachable!("files have no address. This is a bug."),
    })
}

/// The engine to search in.
pub fn searcher(
    engine: Engine,
    access: &Access,
    collection: Collection,
) -> Result<Box<dyn Searcher>> {
    Ok(match engine {
        Engine::Qdrant => Box::new(Qdrant::new(access, collection)?),
        Engine::Pgvector => Box::new(Pgvector::new(access, collection)?),
        Engine::Milvus => Box::new(Milvus::new(access, collection)?),
        other => {
            let other = other.name();
            let message = format!("--via takes qdrant, pgvector or milvus, not {other}");
            return Err(usage(message));
        }
    })
}
