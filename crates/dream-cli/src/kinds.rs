//! Options that say how an index is searched, where commands have them.

use anyhow::Result;
use dream::index::Index;
use dream::index::kinds::{
    Approximate, Exact, FirstStage, GraphSettings, TwoStage, VectorIndex, Vectors,
};
use serde::Serialize;
use std::time::Instant;

/// Ways to search beside exact search, which is the default.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Ways to search")]
pub struct KindArgs {
    /// Build a graph of neighbours in memory (HNSW) and walk through it: worth its time for many queries
    #[arg(long, conflicts_with = "first_stage")]
    approximate: bool,
    /// Candidates kept on the walk, and never fewer than documents are asked for; more find more
    #[arg(long, value_name = "N", requires = "approximate", default_value_t = GraphSettings::default().ef)]
    ef: usize,
    /// Candidates kept while the graph is built
    #[arg(long, value_name = "N", requires = "approximate", default_value_t = GraphSettings::default().ef_construction)]
    ef_construction: usize,
    /// Search one bit or one byte a number first, then score the best of them with what is stored
    #[arg(long, value_name = "binary|i8")]
    first_stage: Option<FirstStage>,
    /// Documents that are scored again, for each that is asked for; more find more
    #[arg(
        long,
        value_name = "FACTOR",
        requires = "first_stage",
        default_value_t = 20
    )]
    rescore: usize,
}

/// What was built for a search beside the stored index.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Built {
    /// Seconds to build it.
    pub seconds: f64,
    /// Bytes of copied vectors and of the first stage, without a graph's edges.
    pub bytes: usize,
}

impl KindArgs {
    /// Whether search is exact.
    pub fn is_exact(&self) -> bool {
        !self.approximate && self.first_stage.is_none()
    }

    /// `exact`, `approximate, ef 128` or `binary, 20 rescored for each`.
    pub fn describe(&self) -> String {
        match (self.approximate, self.first_stage) {
            (true, _) => format!("approximate, ef {}", self.ef),
            (false, Some(first)) => format!("{first}, {} rescored for each", self.rescore),
            (false, None) => "exact".into(),
        }
    }

    /// Builds what was asked for over the first `dim` numbers of an index and hands it to `then`.
    pub fn with_kind<T>(
        &self,
        index: &Index,
        dim: usize,
        then: impl FnOnce(&dyn VectorIndex, Built) -> Result<T>,
    ) -> Result<T> {
        let start = Instant::now();
        let built = |bytes| Built {
            seconds: start.elapsed().as_secs_f64(),
            bytes,
        };
        if self.approximate {
            let vectors = Vectors::new(index, dim)?.widened();
            let settings = GraphSettings {
                ef: self.ef,
                ef_construction: self.ef_construction,
            };
            let graph = Approximate::build(&vectors, settings)?;
            return then(&graph, built(vectors.own_bytes()));
        }
        let Some(first) = self.first_stage else {
            return then(&Exact::new(index, dim)?, built(0));
        };
        let vectors = Vectors::new(index, dim)?;
        let two = TwoStage::build(&vectors, first, self.rescore)?;
        then(&two, built(vectors.own_bytes() + two.first_bytes()))
    }
}
