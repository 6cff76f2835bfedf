//! `--shard`: which part of an index to encode.

use crate::env::launch::Rank;
use crate::errors::usage;
use anyhow::Result;
use dream::index::PartOf;
use std::str::FromStr;

/// As it stands on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shard {
    /// `1/4`
    Given(PartOf),
    /// `auto`, or `auto/4` where the launcher says which, but not of how many.
    Auto(Option<usize>),
}

impl Shard {
    /// The part, with what the launcher said if that was asked for.
    pub fn resolve(self, rank: &Result<Option<Rank>, String>) -> Result<PartOf> {
        let count = match self {
            Self::Given(part) => return Ok(part),
            Self::Auto(count) => count,
        };
        let Some(rank) = rank.clone().map_err(usage)? else {
            let what = "--shard auto: no launcher said which process this is (torchrun, Open MPI, Slurm and \
                        Kubernetes do); give --shard i/N";
            return Err(usage(what));
        };
        let from = rank.from;
        let count = match (count, rank.count) {
            (Some(asked), Some(given)) if asked != given => {
                return Err(usage(format!(
                    "--shard auto/{asked}: by {from} there are {given} processes"
                )));
            }
            (asked, given) => asked.or(given).ok_or_else(|| {
                usage(format!(
                    "{from} does not say how many there are: --shard auto/N"
                ))
            })?,
        };
        PartOf::new(rank.index, count).map_err(usage)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("auto") else {
            return text.parse().map(Self::Given);
        };
        if rest.is_empty() {
            return Ok(Self::Auto(None));
        }
        let count = rest.strip_prefix('/').and_then(|n| n.parse().ok());
        let wanted = || format!("must be i/N, auto or auto/N, not {text:?}");
        Ok(Self::Auto(Some(count.ok_or_else(wanted)?)))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    type Said = Result<Option<Rank>, String>;

    fn resolved(text: &str, rank: &Said) -> Result<String, String> {
        let part = text.parse::<Shard>()?.resolve(rank);
        part.map(|part| part.to_string()).map_err(|e| e.to_string())
    }

    const fn rank(index: usize, count: Option<usize>) -> Rank {
        let from = "RANK";
        Rank { index, count, from }
    }

    #[test]
    fn a_launcher_is_asked_only_for_auto() {
        assert_eq!(resolved("1/4", &Ok(Some(rank(0, Some(2))))).unwrap(), "1/4");
        assert_eq!(resolved("1/4", &Err("broken".into())).unwrap(), "1/4");
        assert_eq!(
            resolved("auto", &Ok(Some(rank(1, Some(2))))).unwrap(),
            "1/2"
        );
        assert_eq!(resolved("auto/3", &Ok(Some(rank(1, None)))).unwrap(), "1/3");
        assert_eq!(
            resolved("auto/2", &Ok(Some(rank(1, Some(2))))).unwrap(),
            "1/2"
        );
    }

    #[test]
    fn what_a_launcher_does_not_say_is_asked_for() {
        let error = |text: &str, rank: &Said| resolved(text, rank).unwrap_err();
        assert!(error("auto", &Ok(None)).contains("--shard i/N"));
        assert!(error("auto", &Err("RANK is odd".into())).contains("RANK is odd"));
        assert!(error("auto", &Ok(Some(rank(1, None)))).contains("--shard auto/N"));
        assert!(error("auto/3", &Ok(Some(rank(1, Some(2))))).contains("there are 2 processes"));
        assert!(error("auto/1", &Ok(Some(rank(1, None)))).contains("parts count from 0"));
        assert!(error("auto4", &Ok(None)).contains("must be i/N"));
        assert!(error("4/4", &Ok(None)).contains("parts count from 0"));
    }
}
