//! Where vector stores are and what lets us in, under the names that their own programs use.

use dream_stores::{Engine, Secret};

/// What the environment says about each engine that is a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stores {
    /// `QDRANT_URL`, `QDRANT_API_KEY`.
    pub qdrant: Login,
    /// `DATABASE_URL`, `PGPASSWORD`.
    pub pgvector: Login,
    /// `MILVUS_URI`, `MILVUS_TOKEN`.
    pub milvus: Login,
    /// `ELASTICSEARCH_URL`, `ELASTICSEARCH_API_KEY`.
    pub elasticsearch: Login,
}

/// An address and a key; neither is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The address.
    pub url: Option<Secret>,
    /// API key, token or password.
    pub key: Option<Secret>,
}

impl Stores {
    /// Reads the variables given as a function of their names.
    pub fn from_lookup(text: impl Fn(&str) -> Option<String>) -> Self {
        let login = |url: &str, key: &str| Login {
            url: text(url).map(Secret::new),
            key: text(key).map(Secret::new),
        };
        Self {
            qdrant: login("QDRANT_URL", "QDRANT_API_KEY"),
            pgvector: login("DATABASE_URL", "PGPASSWORD"),
            milvus: login("MILVUS_URI", "MILVUS_TOKEN"),
            elasticsearch: login("ELASTICSEARCH_URL", "ELASTICSEARCH_API_KEY"),
        }
    }

    /// What is said about an engine; nothing about those that are files.
    pub fn of(&self, engine: Engine) -> Login {
        match engine {
            Engine::Qdrant => self.qdrant.clone(),
            Engine::Pgvector => self.pgvector.clone(),
            Engine::Milvus => self.milvus.clone(),
            Engine::Elasticsearch => self.elasticsearch.clone(),
            Engine::Parquet | Engine::Npy => Login::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_its_own_names_and_keys_are_not_printed() {
        let find = |name: &str| {
            let known = ["QDRANT_API_KEY", "DATABASE_URL"];
            known.contains(&name).then(|| format!("of {name}"))
        };
        let stores = Stores::from_lookup(find);
        let key = stores.of(Engine::Qdrant).key.expect("a key");
        assert_eq!(key.reveal(), "of QDRANT_API_KEY");
        assert_eq!(stores.of(Engine::Qdrant).url, None);
        assert!(stores.of(Engine::Pgvector).url.is_some());
        assert!(!format!("{stores:?}").contains("of "));
    }
}
