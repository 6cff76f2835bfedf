//! Configurations as the names of folders and files tell them, and numbered sequences of files.

use super::{Config, Split};
use crate::error::{Error, Result};

/// Groups table files by configuration and split: `CONFIG/SPLIT-00000-of-00002.parquet`, `CONFIG/SPLIT/0000.parquet`,
/// `CONFIG/SPLIT.jsonl`, or `CONFIG.jsonl`; the folder `data` is the configuration `default`.
pub(super) fn configs(files: &[String]) -> Vec<Config> {
    let mut configs: Vec<Config> = Vec::new();
    for file in files {
        let Some((config, split)) = placed(file) else {
            continue;
        };
        let at = configs.iter().position(|c| c.name == config);
        let at = at.unwrap_or_else(|| {
            configs.push(Config {
                name: config.to_owned(),
                splits: Vec::new(),
            });
            configs.len() - 1
        });
        let splits = &mut configs[at].splits;
        match splits.iter_mut().find(|s| s.name == split) {
            Some(found) => found.files.push(file.clone()),
            None => splits.push(Split {
                name: split.to_owned(),
                files: vec![file.clone()],
            }),
        }
    }
    configs
}

/// Configuration and split of a table file.
fn placed(file: &str) -> Option<(&str, &str)> {
    let mut folders: Vec<&str> = file.split('/').collect();
    let name = folders.pop()?;
    let ends = [".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst"];
    let stem = ends.iter().find_map(|end| name.strip_suffix(end))?;
    let stem = sequence(stem).map_or(stem, |sequence| sequence.stem);
    let config = match folders[..] {
        [] => return Some((stem, stem)),
        ["data", ..] => "default",
        [first, ..] => first,
    };
    let is_number = stem.bytes().all(|byte| byte.is_ascii_digit());
    match folders[..] {
        [_, second, ..] => Some((config, second)),
        _ if is_number => Some((config, config)),
        _ => Some((config, stem)),
    }
}

/// A name that ends in `-00001-of-00003`.
struct Sequence<'a> {
    stem: &'a str,
    number: u32,
    total: u32,
}

fn sequence(stem: &str) -> Option<Sequence<'_>> {
    let (front, total) = stem.rsplit_once("-of-")?;
    let (stem, number) = front.rsplit_once('-')?;
    let digits = |text: &str| -> Option<u32> {
        let all = text.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| text.parse().ok()).flatten()
    };
    // Some writers append a digest: `test-00000-of-00001-8a2b....`
    let total = total.split_once('-').map_or(total, |(total, _)| total);
    Some(Sequence {
        stem,
        number: digits(number)?,
        total: digits(total)?,
    })
}

/// Refuses files of a numbered sequence without the others: half a corpus would give figures too.
pub(super) fn check_sequence(files: &[String]) -> Result<()> {
    for file in files {
        let stem = file.split_once('.').map_or(file.as_str(), |(stem, _)| stem);
        let Some(Sequence { stem, total, .. }) = sequence(stem) else {
            continue;
        };
        let mut numbers: Vec<u32> = files
            .iter()
            .filter_map(|other| sequence(other.split_once('.').map_or(other, |(stem, _)| stem)))
            .filter(|other| other.stem == stem && other.total == total)
            .map(|other| other.number)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() as u64 != u64::from(total) {
            return Err(Error::Invalid(format!(
                "{} of the {total} files {stem}-NNNNN-of-{total:05} are here",
                numbers.len()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn configuration_and_split_come_from_folders_and_names() {
        for (file, wanted) in [
            (
                "corpus/corpus-00000-of-00002.parquet",
                Some(("corpus", "corpus")),
            ),
            (
                "data/test-00000-of-00001.parquet",
                Some(("default", "test")),
            ),
            (
                "en-queries/dev-00000-of-00001-8a2b99.parquet",
                Some(("en-queries", "dev")),
            ),
            ("corpus/test/0000.parquet", Some(("corpus", "test"))),
            ("corpus/0000.parquet", Some(("corpus", "corpus"))),
            ("queries.jsonl", Some(("queries", "queries"))),
            ("qrels/test.jsonl.gz", Some(("qrels", "test"))),
            ("README.md", None),
            ("images/a.png", None),
        ] {
            assert_eq!(placed(file), wanted, "{file}");
        }
    }

    #[test]
    fn a_sequence_with_a_gap_is_refused() {
        let files = |numbers: &[u32]| -> Vec<String> {
            let name = |n: &u32| format!("corpus/corpus-{n:05}-of-00003.parquet");
            numbers.iter().map(name).collect()
        };
        check_sequence(&files(&[0, 1, 2])).unwrap();
        let error = check_sequence(&files(&[0, 2])).unwrap_err().to_string();
        assert!(
            error.starts_with("2 of the 3 files corpus/corpus-"),
            "{error}"
        );
        check_sequence(&["a.parquet".into(), "x-of-y.jsonl".into()]).unwrap();
    }
}
