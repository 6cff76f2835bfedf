//! Options of BM25 and of fusion, where commands have them.

use anyhow::Result;
use dream_ir::fusion::{DEFAULT_K, Method, Normalisation};
use dream_ir::{Bm25Params, Language};

/// BM25's constants and language.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "BM25 options")]
pub struct Bm25Args {
    /// How soon repetitions of a word stop counting
    #[arg(long, value_name = "NUMBER", default_value_t = Bm25Params::default().k1)]
    pub k1: f32,
    /// How much long documents are held back, 0 to 1
    #[arg(long, value_name = "NUMBER", default_value_t = Bm25Params::default().b)]
    pub b: f32,
    /// Language of the texts, for stop words and stemmer: english, german, ..., or none
    #[arg(long, value_name = "LANGUAGE", default_value_t)]
    pub language: Language,
}

impl Bm25Args {
    /// As the library takes them.
    pub fn params(&self) -> Bm25Params {
        Bm25Params {
            k1: self.k1,
            b: self.b,
            language: self.language,
        }
    }
}

/// How runs become one.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Fusion options")]
pub struct FusionArgs {
    /// Add up reciprocal ranks, or weighted normalised scores
    #[arg(long, value_enum, value_name = "METHOD", default_value = "rrf")]
    pub method: MethodArg,
    /// k of reciprocal ranks, 1 / (k + rank)
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_K)]
    pub rrf_k: f64,
    /// How the scores of a list are normalised under `weighted`
    #[arg(long, value_name = "min-max|z-score", default_value_t)]
    pub normalise: Normalisation,
    /// One for each run, in their order [default: all the same]
    #[arg(long, value_name = "N,N,...", value_delimiter = ',')]
    pub weights: Vec<f64>,
}

/// [`Method`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum MethodArg {
    /// Reciprocal rank fusion
    Rrf,
    /// Weighted sum of normalised scores
    Weighted,
}

impl FusionArgs {
    /// As the library takes it.
    pub fn method(&self) -> Method {
        match self.method {
            MethodArg::Rrf => Method::ReciprocalRank { k: self.rrf_k },
            MethodArg::Weighted => Method::Scores(self.normalise),
        }
    }

    /// One for each of `n_runs` runs.
    pub fn weights(&self, n_runs: usize) -> Result<Vec<f64>> {
        let given = self.weights.len();
        match given {
            0 if self.method == MethodArg::Rrf => Ok(vec![1.0; n_runs]),
            0 => Ok(vec![1.0 / n_runs as f64; n_runs]),
            _ if given == n_runs => Ok(self.weights.clone()),
            _ => Err(crate::errors::usage(format!(
                "--weights must be {n_runs} numbers, one a run, not {given}"
            ))),
        }
    }
}

/// A method and its weights in words.
pub fn describe(method: Method, weights: &[f64]) -> String {
    let weights: Vec<String> = weights.iter().map(ToString::to_string).collect();
    let weights = weights.join(",");
    match method {
        Method::ReciprocalRank { k } => format!("--method rrf --rrf-k {k} --weights {weights}"),
        Method::Scores(normalise) => {
            format!("--method weighted --normalise {normalise} --weights {weights}")
        }
    }
}
