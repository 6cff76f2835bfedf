#![expect(clippy::unwrap_used, reason = "tests")]

use super::super::build::tests::encode;
use super::super::tests::folder;
use super::*;

#[test]
fn parts_are_written_and_read_and_count_from_0() {
    let part: PartOf = "1/4".parse().unwrap();
    assert_eq!((part.index(), part.count()), (1, 4));
    assert_eq!(part.to_string(), "1/4");
    assert_eq!(part.file_name(), "part-00001-of-00004.json");
    assert_eq!(PartOf::of_file_name("part-00001-of-00004.json"), Some(part));
    for name in [
        "part-1-of-4.json",
        "part-00004-of-00004.json",
        "part-00001-of-00004.json.tmp",
    ] {
        assert_eq!(PartOf::of_file_name(name), None, "{name}");
    }
    let error = |text: &str| text.parse::<PartOf>().unwrap_err();
    assert!(error("4/4").contains("0/4 to 3/4, not 4/4"));
    assert!(error("0/0").contains("1 to 100000 parts, not 0"));
    assert!(error("0/9999999").contains("not 9999999"));
    for text in ["", "3", "1/", "-1/4", "1/4/4", "a/b", "1 / 4"] {
        assert!(error(text).contains("such as 0/4"), "{text}");
    }
}

#[test]
fn every_document_belongs_to_exactly_one_part() {
    for all in [0usize, 1, 9, 10, 11, 95, 100, 1003] {
        for count in 1..7 {
            let parts: Vec<_> = (0..count).map(|i| PartOf::new(i, count).unwrap()).collect();
            for shard in 0..all.div_ceil(10) {
                assert_eq!(parts.iter().filter(|part| part.owns(shard)).count(), 1);
            }
            let documents = parts.iter().map(|part| part.documents(all, 10));
            assert_eq!(documents.sum::<usize>(), all, "{all} in {count} parts");
        }
    }
}

#[test]
fn hostile_files_of_parts_are_refused_with_their_reason() -> Result<()> {
    let folder = folder()?;
    encode(folder.path(), "0/2".parse().unwrap())?;
    let path = folder.path().join("part-00000-of-00002.json");
    let good = std::fs::read_to_string(&path).expect("readable");
    for (from, to, what) in [
        (
            "shard-00002",
            "../../etc/passwd",
            "must be called shard-00002",
        ),
        (
            "\"shard-00002\"",
            "\"shard-00004\"",
            "must be called shard-00002",
        ),
        (
            "\"count\": 20",
            "\"count\": 21",
            "holds 20 documents, or fewer",
        ),
        (
            "\"count\": 20",
            "\"count\": 0",
            "holds 20 documents, or fewer",
        ),
        ("\"count\": 20", "\"count\": 19", "not 19"),
        (
            "\"documents\": 103",
            "\"documents\": 100000000000",
            "must hold 50000000000, not 60",
        ),
        ("\"part\": 0", "\"part\": 2", "parts count from 0"),
        ("\"of\": 2", "\"of\": 0", "not 0"),
        ("\"shard_size\": 20", "\"shard_size\": 0", "nonzero"),
        (
            "\"dim\": ",
            "\"dim\": 0, \"was\": ",
            "dim must be at least 1",
        ),
        ("\"data_blake3\"", "\"data\"", "data_blake3 is missing"),
        ("\"scales_blake3\"", "\"scales\"", "needs scales_blake3"),
        (
            "\"format_version\": 1",
            "\"format_version\": 2",
            "format_version must be 1, not 2",
        ),
        ("\"pooling\"", "\"polling\"", "missing field"),
    ] {
        assert!(good.contains(from), "{from}");
        std::fs::write(&path, good.replacen(from, to, 1)).expect("writable");
        let refused = Part::read(&path).unwrap_err().to_string();
        assert!(refused.contains(what), "{from} -> {to}: {refused}");
    }
    std::fs::write(&path, &good).expect("writable");
    Part::read(&path)?;
    Ok(())
}
