//! What each target does with some bytes. A reader may refuse them; it may not panic, hang, or give a
//! value that breaks its own promises. libFuzzer watches time and memory.
//!
//! `cargo +nightly fuzz run TARGET fuzz/corpus/TARGET fuzz/seeds/TARGET`, or `fuzz/run.sh SECONDS` for
//! all of them. `cargo test --manifest-path fuzz/Cargo.toml` gives every target its seeds, on any
//! toolchain.

use dream::index::{Index, Manifest};
use dream_ir::analyzer::words;
use dream_ir::beir::read_queries_from;
use dream_ir::dataset::{DEFAULT_SUBSET, HubLayout, Part, Source};
use dream_ir::lines::LineReader;
use dream_ir::make::{MakeSettings, QaPair, RowKind, SourcePassage, read_pairs};
use dream_ir::training::{Conversion, TargetFrom, read_training_rows_from};
use dream_ir::{
    Bm25Params, DocumentStream, Qrels, Run, RunForm, RunOptions, ScoreWidth, TrainingSet,
};
use dream_nn::Matrix;
use std::collections::HashSet;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::LazyLock;

/// One folder a process, for the readers that want files. `TMPDIR` in memory makes it faster.
static FOLDER: LazyLock<tempfile::TempDir> =
    LazyLock::new(|| tempfile::tempdir().expect("a temporary folder"));

fn lines(bytes: &[u8]) -> LineReader {
    LineReader::new("fuzz", Box::new(Cursor::new(bytes.to_vec())))
}

fn read_run(bytes: &[u8], form: Option<RunForm>, score_width: ScoreWidth) {
    let options = RunOptions { form, score_width };
    let Ok(run) = Run::read_from(lines(bytes), options) else {
        return;
    };
    for (query, hits) in run.iter() {
        assert!(!query.is_empty());
        assert!(hits.iter().all(|hit| hit.score.is_finite()));
        assert!(hits.is_sorted_by(|a, b| a.score >= b.score));
        let ids: HashSet<&str> = hits.iter().map(|hit| hit.document.as_str()).collect();
        assert_eq!(ids.len(), hits.len(), "a document twice");
    }
    let path = FOLDER.path().join("run");
    if score_width == ScoreWidth::F32 && run.write(&path, "fuzz").is_ok() {
        let mut again = Run::default();
        for (query, hits) in Run::read(&path).expect("what was written is read").iter() {
            again.insert(query, hits.to_vec()).expect("and sound");
        }
        // A query without documents cannot be written.
        assert!(
            run.iter()
                .filter(|(_, hits)| !hits.is_empty())
                .eq(again.iter())
        );
    }
}

/// A run of any form.
pub fn run(bytes: &[u8]) {
    read_run(bytes, None, ScoreWidth::F32);
}

/// A run whose form is said by the first byte, scores as f64.
pub fn tsv(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let forms = [RunForm::Tsv, RunForm::MsMarco, RunForm::Json, RunForm::Trec];
    read_run(rest, Some(forms[usize::from(first % 4)]), ScoreWidth::F64);
}

/// Judgements; what was read is written and read again.
pub fn qrels(bytes: &[u8]) {
    let Ok(qrels) = Qrels::read_from(lines(bytes)) else {
        return;
    };
    let path = FOLDER.path().join("qrels.tsv");
    qrels
        .write(&path)
        .expect("every id that was read can be written");
    assert_eq!(Qrels::read(&path).expect("what was written is read"), qrels);
}

/// A corpus in JSON Lines.
pub fn corpus(bytes: &[u8]) {
    let documents: Vec<_> = DocumentStream::of_lines(lines(bytes))
        .map_while(Result::ok)
        .collect();
    let ids: HashSet<&str> = documents.iter().map(|d| d.id.as_str()).collect();
    assert_eq!(ids.len(), documents.len());
    assert!(!ids.contains(""));
}

/// Queries in JSON Lines.
pub fn queries(bytes: &[u8]) {
    let queries = read_queries_from(lines(bytes)).unwrap_or_default();
    assert!(queries.iter().all(|query| !query.id.is_empty()));
}

/// Training rows, and the set that they make without a corpus.
pub fn training(bytes: &[u8]) {
    let rows = read_training_rows_from(lines(bytes)).unwrap_or_default();
    let sound = |text: &str| !text.trim().is_empty();
    assert!(
        rows.iter()
            .all(|row| sound(&row.query) && sound(&row.target))
    );
    for row in &rows {
        let scores = &row.candidate_scores;
        assert!(scores.is_empty() || scores.len() == row.candidate_ids.len());
        assert!(scores.iter().flatten().all(|score| score.is_finite()));
    }
    if let Ok(set) = TrainingSet::new(rows, dream_ir::Corpus::default()) {
        let mut ids = set.rows.iter().flat_map(|row| &row.candidate_ids);
        assert!(ids.all(|id| set.corpus.index_of(id).is_some()));
    }
}

/// Rows of some form, told by the first byte, with a corpus and queries that are always there; the second byte says where
/// targets come from. What is converted is read as training reads it.
pub fn training_formats(bytes: &[u8]) {
    let [first, second, rest @ ..] = bytes else {
        return;
    };
    let folder = FOLDER.path().join("formats");
    fs::create_dir_all(&folder).expect("writable");
    let path = |name: &str| folder.join(name);
    let write = |name: &str, bytes: &[u8]| fs::write(path(name), bytes).expect("writable");
    let (form, input) = [
        (None, "rows.jsonl"),
        (Some("native"), "rows.jsonl"),
        (Some("tevatron"), "rows.jsonl"),
        (Some("tevatron-ids"), "rows.jsonl"),
        (Some("flagembedding"), "rows.jsonl"),
        (Some("sentence-transformers"), "rows.jsonl"),
        (Some("sentence-transformers"), "rows.csv"),
        (Some("kd"), "rows.jsonl"),
        (Some("msmarco-triples"), "rows.tsv"),
        (Some("msmarco"), "rows.tsv"),
    ][usize::from(first % 10)];
    write(input, rest);
    write("corpus.tsv", b"1\tone\n2\ttwo\n");
    write("queries.tsv", b"1\twhat is one\n");
    write("qrels.tsv", b"1\t0\t1\t1\n");
    let given = |forms: &[&str], name: &str| {
        form.is_some_and(|form| forms.contains(&form))
            .then(|| path(name))
    };
    let targets = [TargetFrom::Answers, TargetFrom::Positive, TargetFrom::Query];
    let conversion = Conversion {
        input: path(input),
        format: form.map(|form| form.parse().expect("a form's name")),
        corpus: given(&["native", "tevatron-ids", "kd", "msmarco"], "corpus.tsv"),
        queries: given(&["kd"], "queries.tsv"),
        qrels: given(&["msmarco"], "qrels.tsv"),
        target: targets[usize::from(second % 3)],
    };
    let out = path("out");
    if let Ok(converted) = conversion.write(&out, &mut |_| ()) {
        let set = TrainingSet::open(&out).expect("what was converted can be trained on");
        assert_eq!(
            (set.rows.len(), set.corpus.len()),
            (converted.rows, converted.documents)
        );
    }
}

/// A document of one's own, by the first byte as text, Markdown, HTML or JSON Lines, or a file of pairs.
pub fn make(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let folder = FOLDER.path().join("make");
    fs::create_dir_all(&folder).expect("writable");
    let name = [
        "a.txt",
        "a.md",
        "a.html",
        "a.jsonl",
        "pairs.csv",
        "pairs.tsv",
        "pairs.jsonl",
    ][usize::from(first % 7)];
    let path = folder.join(name);
    fs::write(&path, rest).expect("writable");
    if name.starts_with("pairs") {
        let pairs = LineReader::open(&path).and_then(read_pairs);
        let sound = |pair: &QaPair| !pair.question.trim().is_empty() && !pair.id.is_empty();
        assert!(pairs.unwrap_or_default().iter().all(sound));
        return;
    }
    let settings = MakeSettings {
        tokens: 9,
        overlap: 3,
        target_tokens: 5,
        rows: RowKind::Heading,
        source: SourcePassage::In,
        keep_titles: true,
        max_rows: None,
        seed: 0,
        candidates: 4,
        bm25: Bm25Params::default(),
    };
    let mut count = |text: &str| Ok(words(text).count());
    if let Ok(made) =
        dream_ir::make::make(&[path], None, &[], &settings, &mut count, &mut |_, _| ())
    {
        let short = |document: &dream_ir::Document| words(&document.text).count() <= 9;
        assert!(made.documents.iter().all(short));
        let out = folder.join("out");
        made.write(&out).expect("writable");
        let set = TrainingSet::open(&out).expect("what was made can be trained on");
        assert_eq!(set.rows, made.rows);
    }
}

/// A compressed file: gzip where the first byte is even, zstd where it is odd. Some megabytes are enough:
/// what a small file may unfold to is the reader's concern.
pub fn compressed(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let name = if first % 2 == 0 {
        "lines.gz"
    } else {
        "lines.zst"
    };
    let path = FOLDER.path().join(name);
    fs::write(&path, rest).expect("writable");
    let Ok(mut lines) = LineReader::open(&path) else {
        return;
    };
    let mut read = 0;
    while let Ok(Some(line)) = lines.next_line() {
        read += line.len();
        if read > 16 << 20 {
            break;
        }
    }
}

/// An index's manifest.
pub fn manifest(bytes: &[u8]) {
    fs::write(FOLDER.path().join("manifest.json"), bytes).expect("writable");
    if let Ok(manifest) = Manifest::read(FOLDER.path()) {
        let folder = FOLDER.path().join("again");
        fs::create_dir_all(&folder).expect("writable");
        manifest
            .write(&folder)
            .expect("what was read can be written");
        assert_eq!(Manifest::read(&folder).expect("and read"), manifest);
    }
}

/// An index of one shard: two lengths (u16, little-endian) of manifest and ids, those two, embeddings and scales
/// in the rest, which both files get.
pub fn index(bytes: &[u8]) {
    let Some((lengths, rest)) = bytes.split_first_chunk::<4>() else {
        return;
    };
    let length = |at: usize| usize::from(u16::from_le_bytes([lengths[at], lengths[at + 1]]));
    let (manifest, rest) = rest.split_at(length(0).min(rest.len()));
    let (ids, numbers) = rest.split_at(length(2).min(rest.len()));
    let folder = FOLDER.path().join("index");
    fs::create_dir_all(&folder).expect("writable");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(folder.join(name), bytes).expect("writable");
    };
    write("manifest.json", manifest);
    write("shard-00000.ids", ids);
    for ending in ["f32", "f16", "bf16", "i8", "scales"] {
        write(&format!("shard-00000.{ending}"), numbers);
    }
    search(&folder);
}

fn search(folder: &Path) {
    let Ok(index) = Index::open(folder) else {
        return;
    };
    let _ = index.verify();
    let dim = index.manifest.dim;
    if dim <= 4096 {
        let queries = Matrix::from_vec(1, dim, vec![0.5; dim]);
        let found = index.search(&queries, 3).unwrap_or_default();
        assert!(found.iter().all(|hits| hits.len() <= 3));
    }
}

/// A set in the hub's layout whose corpus and judgements are the same Parquet file.
pub fn parquet(bytes: &[u8]) {
    let folder = FOLDER.path().join("hub");
    fs::create_dir_all(folder.join("qrels")).expect("writable");
    let write = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("writable");
    write("corpus.parquet", bytes);
    write(
        "queries.jsonl",
        b"{\"_id\":\"q1\",\"text\":\"\"}\n{\"_id\":\"q2\",\"text\":\"\"}\n",
    );
    for name in ["qrels/test.jsonl", "qrels/test.parquet"] {
        let _ = fs::remove_file(folder.join(name)); // of the round before
    }
    write(
        "qrels/test.jsonl",
        b"{\"query-id\":\"q1\",\"corpus-id\":\"d1\"}\n",
    );
    open_set(&folder);
    fs::remove_file(folder.join("qrels/test.jsonl")).expect("it was written");
    write("corpus.jsonl", b"{\"_id\":\"d1\",\"text\":\"\"}\n");
    fs::remove_file(folder.join("corpus.parquet")).expect("it was written");
    write("qrels/test.parquet", bytes);
    open_set(&folder);
    fs::remove_file(folder.join("corpus.jsonl")).expect("it was written");
}

/// A zip archive of a set.
pub fn archive(bytes: &[u8]) {
    let path = FOLDER.path().join("set.zip");
    fs::write(&path, bytes).expect("writable");
    open_set(&path);
}

/// The front matter of a data set's README.md, with the files that it may mean.
pub fn card(bytes: &[u8]) {
    let Ok(card) = std::str::from_utf8(bytes) else {
        return;
    };
    let files = [
        "corpus/corpus-00000-of-00001.parquet",
        "queries.jsonl",
        "data/test.parquet",
    ];
    let files: Vec<String> = files.map(str::to_owned).into();
    let part = Part {
        subset: DEFAULT_SUBSET,
        split: "test",
    };
    if let Ok(layout) = HubLayout::new(Some(card), &files)
        && let Ok(found) = layout.files(part)
    {
        assert!(
            found
                .all()
                .all(|name| files.iter().any(|file| file == name))
        );
    }
}

fn open_set(path: &Path) {
    let part = Part {
        subset: DEFAULT_SUBSET,
        split: "test",
    };
    if let Ok(dataset) = Source::find(path).and_then(|source| source.open(part)) {
        assert!(
            dataset
                .queries
                .iter()
                .all(|query| dataset.qrels.get(&query.id).is_some())
        );
        assert_eq!(dataset.queries.len(), dataset.qrels.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_takes_its_seeds() {
        let targets: [(&str, fn(&[u8])); 14] = [
            ("run", run),
            ("tsv", tsv),
            ("qrels", qrels),
            ("corpus", corpus),
            ("queries", queries),
            ("training", training),
            ("training_formats", training_formats),
            ("make", make),
            ("compressed", compressed),
            ("manifest", manifest),
            ("index", index),
            ("parquet", parquet),
            ("archive", archive),
            ("card", card),
        ];
        for (name, target) in targets {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("seeds")
                .join(name);
            let seeds: Vec<_> = fs::read_dir(&folder).expect("seeds").collect();
            assert!(!seeds.is_empty(), "{name}");
            for seed in seeds {
                let path = seed.expect("readable").path();
                target(&fs::read(path).expect("readable"));
            }
        }
    }
}
