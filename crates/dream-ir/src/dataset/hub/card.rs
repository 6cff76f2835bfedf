//! Configurations as the front matter of a repository's `README.md` states them
//! (<https://huggingface.co/docs/hub/datasets-manual-configuration>).

use serde::Deserialize;

use super::{Config, Split};
use crate::error::{Error, Result};

#[derive(Deserialize)]
struct Card {
    #[serde(default)]
    configs: Vec<CardConfig>,
}

#[derive(Deserialize)]
struct CardConfig {
    #[serde(default = "default_name")]
    config_name: String,
    data_files: Option<DataFiles>,
    data_dir: Option<String>,
}

fn default_name() -> String {
    "default".to_owned()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum DataFiles {
    One(String),
    Splits(Vec<SplitFiles>),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct SplitFiles {
    split: String,
    path: Patterns,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Patterns {
    One(String),
    Many(Vec<String>),
}

/// The configurations that a card states, with the files that its patterns match; none where it states none.
pub(super) fn configs(card: &str, files: &[String]) -> Result<Vec<Config>> {
    let Some(front) = front_matter(card) else {
        return Ok(Vec::new());
    };
    let card: Card = serde_saphyr::from_str(front)
        .map_err(|error| Error::Invalid(format!("README.md: its front matter: {error}")))?;
    card.configs.iter().map(|c| config(c, files)).collect()
}

/// The YAML between the first line `---` and the next.
fn front_matter(card: &str) -> Option<&str> {
    let text = card.trim_start_matches('\u{feff}').strip_prefix("---")?;
    let text = text
        .strip_prefix("\r\n")
        .or_else(|| text.strip_prefix('\n'))?;
    let mut length = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" {
            return Some(&text[..length]);
        }
        length += line.len();
    }
    None
}

fn config(stated: &CardConfig, files: &[String]) -> Result<Config> {
    let split = |name: &str, patterns: &[String]| -> Result<Split> {
        let mut matched = Vec::new();
        for pattern in patterns {
            let full = match &stated.data_dir {
                Some(folder) => format!("{}/{pattern}", folder.trim_end_matches('/')),
                None => pattern.clone(),
            };
            matched.extend(matching(full.trim_start_matches("./"), files)?);
        }
        matched.sort();
        matched.dedup();
        Ok(Split {
            name: name.to_owned(),
            files: matched,
        })
    };
    let splits = match &stated.data_files {
        // Without a split's name everything is `train` (the hub's rule); a set has then only this one.
        Some(DataFiles::One(pattern)) => vec![split("train", std::slice::from_ref(pattern))?],
        Some(DataFiles::Many(patterns)) => vec![split("train", patterns)?],
        Some(DataFiles::Splits(splits)) => splits
            .iter()
            .map(|s| match &s.path {
                Patterns::One(pattern) => split(&s.split, std::slice::from_ref(pattern)),
                Patterns::Many(patterns) => split(&s.split, patterns),
            })
            .collect::<Result<_>>()?,
        None => match &stated.data_dir {
            Some(_) => vec![split("train", &["*".to_owned()])?],
            None => Vec::new(),
        },
    };
    let with_files = splits.into_iter().filter(|split| !split.files.is_empty());
    Ok(Config {
        name: stated.config_name.clone(),
        splits: with_files.collect(),
    })
}

fn matching(pattern: &str, files: &[String]) -> Result<Vec<String>> {
    let options = glob::MatchOptions {
        require_literal_separator: true,
        ..glob::MatchOptions::new()
    };
    let pattern = glob::Pattern::new(pattern)
        .map_err(|error| Error::Invalid(format!("README.md: the pattern {pattern:?}: {error}")))?;
    let matched = files
        .iter()
        .filter(|file| pattern.matches_with(file, options));
    Ok(matched.cloned().collect())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn shown(front: &str, files: &[&str]) -> String {
        let files: Vec<String> = files.iter().map(|file| (*file).to_owned()).collect();
        let configs = configs(&format!("---\n{front}---\ntext\n"), &files).unwrap();
        let split = |s: &Split| format!("{}={}", s.name, s.files.join("+"));
        let config = |c: &Config| {
            let splits: Vec<String> = c.splits.iter().map(split).collect();
            format!("{}: {}", c.name, splits.join(" "))
        };
        configs.iter().map(config).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn every_way_to_state_files_is_read() {
        let files = ["a/x.parquet", "a/y.parquet", "b.jsonl", "c/d/z.parquet"];
        let front = "configs:\n- config_name: one\n  data_files: b.jsonl\n- config_name: many\n  data_files:\n  - a/x.parquet\n  - b.jsonl\n- config_name: dir\n  data_dir: a\n- config_name: splits\n  data_files:\n  - split: test\n    path:\n    - a/*\n    - ./b.jsonl\n  - split: none\n    path: absent/*\n- data_files: '**/z.parquet'\n";
        assert_eq!(
            shown(front, &files),
            "one: train=b.jsonl; many: train=a/x.parquet+b.jsonl; dir: train=a/x.parquet+a/y.parquet; \
             splits: test=a/x.parquet+a/y.parquet+b.jsonl; default: train=c/d/z.parquet"
        );
    }

    #[test]
    fn a_card_without_configurations_states_none_and_bad_yaml_is_an_error() {
        assert_eq!(shown("license: mit\n", &[]), "");
        assert!(configs("# no front matter", &[]).unwrap().is_empty());
        assert!(configs("---\nconfigs: 3\n---\n", &[]).is_err());
        assert!(configs("---\nconfigs:\n- data_files: '[a'\n---\n", &[]).is_err());
        assert!(configs("---\n\tx: [\n---\n", &[]).is_err());
        let line = |i: i32| format!("a{i}: &a{i} [*a{0},*a{0}]", i - 1);
        let bomb = (0..40).map(line).collect::<Vec<_>>().join("\n");
        assert!(configs(&format!("---\na-1: &a-1 x\n{bomb}\n---\n"), &[]).is_err());
    }
}
