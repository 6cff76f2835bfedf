//! The three layouts read alike, and what strangers may do to them.

use super::*;
use ::zip::write::{SimpleFileOptions, ZipWriter};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use std::io::{Cursor, Write as _};

const CORPUS: &str = "{\"_id\":\"d1\",\"title\":\"Iron\",\"text\":\"Iron rusts in wet air.\"}\n{\"_id\":\"d2\",\"title\":\"\",\"text\":\"The Rhine flows north.\"}\n{\"_id\":\"d3\",\"title\":\"Köln\",\"text\":\"A city on the Rhine.\"}\n";
const QUERIES: &str = "{\"_id\":\"q1\",\"text\":\"what rusts?\"}\n{\"_id\":\"q2\",\"text\":\"which river flows north?\"}\n{\"_id\":\"q3\",\"text\":\"nobody judged this\"}\n";
const QRELS: &str = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t2\nq2\td3\t1\n";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/hub")
        .join(name)
}

fn part<'a>(subset: &'a str, split: &'a str) -> Part<'a> {
    Part { subset, split }
}

const TEST: Part = Part {
    subset: DEFAULT_SUBSET,
    split: "test",
};

fn open(path: &Path, part: Part) -> Result<Dataset> {
    Source::find(path)?.open(part)
}

fn error(path: &Path, part: Part) -> String {
    open(path, part).unwrap_err().to_string()
}

/// What a set holds, in one text.
fn contents(dataset: &Dataset) -> String {
    let documents = dataset.corpus.documents().iter();
    let documents = documents.map(|d| format!("{}|{}|{}\n", d.id, d.title, d.text));
    let queries = dataset
        .queries
        .iter()
        .map(|q| format!("{}|{}\n", q.id, q.text));
    let qrels = dataset
        .qrels
        .iter()
        .map(|(q, judged)| format!("{q} {judged:?}\n"));
    documents.chain(queries).chain(qrels).collect()
}

const WHOLE: &str = "d1|Iron|Iron rusts in wet air.\nd2||The Rhine flows north.\nd3|Köln|A city on the Rhine.\nq1|what rusts?\nq2|which river flows north?\nq1 {\"d1\": 1}\nq2 {\"d2\": 2, \"d3\": 1}\n";

/// An archive of these entries.
fn zipped(entries: &[(&str, &str)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in entries {
        let options = SimpleFileOptions::default().compression_method(method);
        zip.start_file(*name, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

use ::zip::CompressionMethod;

fn beir_zip() -> Vec<u8> {
    let entries = [
        ("set/corpus.jsonl", CORPUS),
        ("set/queries.jsonl", QUERIES),
        ("set/qrels/test.tsv", QRELS),
        ("__MACOSX/set/corpus.jsonl", "junk"),
    ];
    zipped(&entries, CompressionMethod::Deflated)
}

fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn copied(set: &str) -> (tempfile::TempDir, PathBuf) {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                copy(&path, &target);
            } else {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(set);
    copy(&fixture(set), &path);
    (dir, path)
}

#[test]
fn every_layout_gives_the_same_set() {
    assert_eq!(contents(&open(&fixture("usual"), TEST).unwrap()), WHOLE);
    assert_eq!(contents(&open(&fixture("names"), TEST).unwrap()), WHOLE);
    let (_dir, path) = written("set.zip", &beir_zip());
    assert_eq!(contents(&open(&path, TEST).unwrap()), WHOLE);
    let (dir, _) = written("corpus.jsonl", CORPUS.as_bytes());
    fs::write(dir.path().join("queries.jsonl"), QUERIES).unwrap();
    fs::create_dir(dir.path().join("qrels")).unwrap();
    fs::write(dir.path().join("qrels/test.tsv"), QRELS).unwrap();
    assert_eq!(contents(&open(dir.path(), TEST).unwrap()), WHOLE);
    // The hub's older form: JSON Lines, judgements too.
    fs::remove_file(dir.path().join("qrels/test.tsv")).unwrap();
    let rows = "{\"query-id\":\"q1\",\"corpus-id\":\"d1\",\"score\":1}\n{\"query-id\":\"q2\",\"corpus-id\":\"d2\",\"score\":2.0}\n{\"query-id\":\"q2\",\"corpus-id\":\"d3\",\"score\":1}\n";
    fs::write(dir.path().join("qrels/test.jsonl"), rows).unwrap();
    assert_eq!(contents(&open(dir.path(), TEST).unwrap()), WHOLE);
}

#[test]
fn other_splits_subsets_and_ids_are_read() {
    let train = open(&fixture("usual"), part("default", "train")).unwrap();
    assert_eq!((train.queries.len(), train.corpus.len()), (1, 3));
    for subset in ["en", "fr"] {
        let set = open(&fixture("languages"), part(subset, "all")).unwrap();
        assert_eq!(contents(&set), WHOLE, "{subset}");
    }
    let german = open(&fixture("languages"), part("de", "dev")).unwrap();
    assert_eq!((german.queries.len(), german.corpus.len()), (1, 1));
    for split in ["NanoOne", "NanoTwo"] {
        let nano = open(&fixture("nano"), part("default", split)).unwrap();
        assert_eq!(nano.qrels.get("q2").unwrap().len(), 2, "{split}");
        assert_eq!(nano.qrels.get("q2").unwrap()["d3"], 1);
    }
    let numbers = open(&fixture("numbers"), TEST).unwrap();
    assert_eq!(
        contents(&numbers),
        "7||seven\n8||eight\n1|which?\n1 {\"7\": 1}\n"
    );
}

#[test]
fn what_is_not_there_is_named() {
    let usual = fixture("usual");
    let text = error(&usual, part("default", "dev"));
    assert!(
        text.contains("no split \"dev\" in configuration \"default\", which has train, test"),
        "{text}"
    );
    let text = error(&usual, part("xx", "test"));
    assert!(
        text.contains("no subset \"xx\" among the configurations corpus, queries, default"),
        "{text}"
    );
    let (_dir, path) = copied("usual");
    fs::remove_file(path.join("corpus/corpus-00001-of-00002.parquet")).unwrap();
    let text = error(&path, TEST);
    assert!(
        text.contains("1 of the 2 files corpus/corpus-NNNNN-of-00002"),
        "{text}"
    );
    assert!(error(Path::new("/nonexistent/set"), TEST).contains("/nonexistent/set"));
    let empty = tempfile::tempdir().unwrap();
    assert!(error(empty.path(), TEST).contains("test.tsv"));
    let (_dir, path) = copied("names");
    fs::create_dir(path.join("top_ranked")).unwrap();
    fs::copy(
        path.join("qrels/test-00000-of-00001.parquet"),
        path.join("top_ranked/test.parquet"),
    )
    .unwrap();
    assert!(error(&path, TEST).contains("given candidates"));
}

#[test]
fn a_bad_row_is_an_error_with_its_file_and_number() {
    let set = |qrels: &str, corpus: &str| {
        let (dir, _) = written("qrels/test.jsonl", qrels.as_bytes());
        fs::write(dir.path().join("corpus.jsonl"), corpus).unwrap();
        fs::write(dir.path().join("queries.jsonl"), QUERIES).unwrap();
        error(dir.path(), TEST)
    };
    let row =
        |score: &str| format!("{{\"query-id\":\"q1\",\"corpus-id\":\"d1\",\"score\":{score}}}\n");
    let good = row("1");
    let text = set(&format!("{good}{}", row("0.5")), CORPUS);
    assert!(
        text.contains("test.jsonl:2: wanted a whole number as score, got 0.5"),
        "{text}"
    );
    assert!(set(&format!("{good}{}", row("2")), CORPUS).contains("is judged 1 and 2"));
    assert!(set(&row("null"), CORPUS).contains("got null"));
    assert!(set("{\"query-id\":\"q1\"}\n", CORPUS).contains("wanted an id in corpus-id"));
    assert!(set(&good.replace("q1", "q9"), CORPUS).contains("first \"q9\""));
    let twice = format!("{CORPUS}{CORPUS}");
    assert!(set(&format!("{good}{good}"), &twice).contains("corpus.jsonl:4: document id \"d1\""));
    assert!(
        set(&good, "{\"_id\":\"d1\",\"text\":null}\n").contains("wanted a text in text, got null")
    );
    assert!(set(&good, "{\"_id\":\"\",\"text\":\"\"}\n").contains("an empty text"));
    assert!(set("", CORPUS).contains("no judgement"));
    // Parquet: the judgements as queries have no column text.
    let (_dir, path) = copied("names");
    fs::copy(
        path.join("qrels/test-00000-of-00001.parquet"),
        path.join("queries/test-00000-of-00001.parquet"),
    )
    .unwrap();
    let text = error(&path, TEST);
    assert!(
        text.contains("it has none of the columns _id, id, text"),
        "{text}"
    );
}

#[test]
fn an_archive_of_several_sets_is_read_by_subset() {
    let mut entries = Vec::new();
    let names: Vec<String> = ["android", "gis"]
        .iter()
        .flat_map(|forum| {
            ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"]
                .map(|file| format!("cqadupstack/{forum}/{file}"))
        })
        .collect();
    for (name, text) in names.iter().zip([CORPUS, QUERIES, QRELS].iter().cycle()) {
        entries.push((name.as_str(), *text));
    }
    let (_dir, path) = written(
        "cqadupstack.zip",
        &zipped(&entries, CompressionMethod::Stored),
    );
    assert_eq!(contents(&open(&path, part("gis", "test")).unwrap()), WHOLE);
    assert!(error(&path, TEST).contains("it holds several sets, name one of cqadupstack/android/"));
    assert!(error(&path, part("tex", "test")).contains("no folder \"tex\""));
    assert!(error(&path, part("gis", "dev")).contains("qrels/dev.tsv: not in the archive"));
}

#[test]
fn a_zip_bomb_and_a_lying_archive_are_refused() {
    let blank = " ".repeat(80 << 20);
    let entries = [
        ("corpus.jsonl", blank.as_str()),
        ("queries.jsonl", QUERIES),
        ("qrels/test.tsv", QRELS),
    ];
    let (_dir, path) = written("bomb.zip", &zipped(&entries, CompressionMethod::Deflated));
    assert!(error(&path, TEST).contains("claims to unpack to 83886080 bytes"));
    // The checksum of the corpus, in the local header and in the directory.
    let good = beir_zip();
    let crc = crc_of(&good);
    let mut bad = good.clone();
    for at in 0..bad.len() - 4 {
        if bad[at..at + 4] == crc {
            bad[at] ^= 1;
        }
    }
    let (_dir, path) = written("bad.zip", &bad);
    assert!(error(&path, TEST).contains("another checksum"));
}

fn crc_of(archive: &[u8]) -> [u8; 4] {
    let mut zip = ::zip::ZipArchive::new(Cursor::new(archive)).unwrap();
    zip.by_name("set/corpus.jsonl")
        .unwrap()
        .crc32()
        .to_le_bytes()
}

/// Changes a few bytes, and the length of every third.
fn damaged(bytes: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..rng.random_range(1..5) {
        let at = rng.random_range(0..bytes.len());
        bytes[at] = match rng.random_range(0..4) {
            0 => 0xff,
            1 => 0,
            2 => bytes[at] ^ (1 << rng.random_range(0..8)),
            _ => rng.random(),
        };
    }
    if rng.random_range(0..3) == 0 {
        let length = rng.random_range(0..=bytes.len());
        bytes.truncate(length);
    }
    bytes
}

/// Files of all fixtures, by path inside `fixtures/hub`.
fn parquet_files() -> Vec<PathBuf> {
    let mut open = vec![fixture("")];
    let mut files = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn fuzz(rounds: usize, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let (parquet, zip) = (dir.path().join("a.parquet"), dir.path().join("a.zip"));
    let columns = [
        "_id",
        "id",
        "text",
        "title",
        "query-id",
        "corpus-id",
        "score",
    ];
    let (mut read, mut refused) = (0, 0);
    for file in parquet_files() {
        let bytes = fs::read(&file).unwrap();
        for _ in 0..rounds {
            fs::write(&parquet, damaged(&bytes, &mut rng)).unwrap();
            match rows::for_each_row(&parquet, &columns, &mut |_| Ok(())) {
                Ok(()) => read += 1,
                Err(error) => {
                    assert!(error.to_string().contains("a.parquet"), "{error}");
                    refused += 1;
                }
            }
        }
    }
    let bytes = beir_zip();
    for _ in 0..10 * rounds {
        fs::write(&zip, damaged(&bytes, &mut rng)).unwrap();
        match open(&zip, TEST) {
            // A damaged time or comment is nobody's loss; other contents would be.
            Ok(dataset) => assert_eq!(contents(&dataset), WHOLE),
            Err(_) => refused += 1,
        }
    }
    assert!(
        read > 0 && refused > rounds,
        "{read} read, {refused} refused"
    );
}

#[test]
fn damaged_files_are_errors_and_never_panics_or_other_archives() {
    fuzz(60, 1);
}

#[test]
#[ignore = "the same for minutes"]
fn damaged_files_are_errors_for_a_long_time() {
    for seed in 0..100 {
        fuzz(400, seed);
    }
}

#[test]
fn a_parquet_file_that_claims_too_much_is_refused_before_it_is_unpacked() {
    let bytes = fs::read(fixture("names/corpus/test-00000-of-00001.parquet")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    // The first page's header begins behind the magic: type, then 2 bytes 0x15 + size. Sizes are written as large
    // numbers by hand: the varint of 2^31 - 2 takes 5 bytes, so the page is moved, which the walk notices.
    let mut hostile = bytes.clone();
    assert_eq!(&hostile[..4], b"PAR1");
    let at = 4 + hostile[4..].iter().position(|b| *b == 0x15).unwrap() + 2;
    assert_eq!(hostile[at], 0x15, "the field of the unpacked size");
    hostile.splice(at + 1..=at + 1, [0xfc, 0xff, 0xff, 0xff, 0x0f]);
    fs::write(&path, &hostile).unwrap();
    let error = rows::for_each_row(&path, &["id"], &mut |_| Ok(())).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("claims to unpack to 2147483646 bytes"),
        "{text}"
    );
    for length in [0, 4, 8, 11, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(
            rows::for_each_row(&path, &["id"], &mut |_| Ok(())).is_err(),
            "{length}"
        );
    }
}
