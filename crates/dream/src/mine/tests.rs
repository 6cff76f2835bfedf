//! Mining of made-up rows: resumed in the middle, damaged, refused.

use super::*;
use crate::model::Model;
use crate::retriever::{Retriever, RetrieverConfig};
use dream_ir::pools::{Filters, Finder};
use dream_ir::training::TrainingSet;
use dream_ir::{Bm25, Fill, KnownPassage, PoolSettings};
use dream_nn::Dtype;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

/// Three groups of rows and a part of one.
const ROWS: usize = 3 * GROUP_ROWS + 5;

/// Never stops.
fn on(_: usize, _: usize) -> bool {
    true
}

/// Rows that ask for one of 40 documents, each of which was given another one.
fn data(folder: &Path) -> Data {
    let (mut corpus, mut rows) = (String::new(), String::new());
    for i in 0..40 {
        let line = format!(
            r#"{{"_id":"d{i}","text":"town {i} sells ware{} by the river"}}"#,
            i * 7
        );
        writeln!(corpus, "{line}").expect("a string");
    }
    for i in 0..ROWS {
        let (known, given) = (i % 40, (i + 1) % 40);
        let line = format!(
            r#"{{"_id":"r{i}","query":"who sells ware{}","target":"town {known}","context_id":"d{known}","candidate_ids":["d{given}"]}}"#,
            known * 7
        );
        writeln!(rows, "{line}").expect("a string");
    }
    fs::create_dir_all(folder).expect("writable");
    fs::write(folder.join("corpus.jsonl"), corpus).expect("writable");
    fs::write(folder.join("train.jsonl"), rows).expect("writable");
    Data::open(folder, &mut on).expect("data")
}

fn recipe(change: impl FnOnce(&mut PoolSettings)) -> Recipe {
    let mut settings = PoolSettings::new(PoolSource::Bm25, 4);
    settings.depth = Some(10);
    change(&mut settings);
    Recipe {
        settings,
        fusion: None,
        retriever: None,
        version: "test".into(),
    }
}

/// Opens, and mines by BM25 until `stop` rows are done.
fn mine(out: &Path, data: &Data, recipe: Recipe, stop: usize) -> Result<Summary> {
    let words = Bm25::of_corpus(&data.corpus, recipe.settings.bm25)?;
    let mut mining = Mining::open(out, recipe, data, false)?;
    let source = Source::Plain(Finder::Bm25(&words));
    mining.run(data, source, &mut |done, all| {
        assert_eq!(all, ROWS);
        done < stop
    })?;
    assert!(mining.is_complete());
    Ok(mining.summary().clone())
}

fn refused<T>(result: Result<T>, part: &str) {
    let message = result.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(message.contains(part), "no {part:?} in {message:?}");
}

#[test]
fn rows_are_written_with_the_candidates_provenance_and_can_be_trained_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data(&folder.path().join("data"));
    let out = folder.path().join("mined.jsonl");
    let summary = mine(&out, &data, recipe(|_| {}), usize::MAX).expect("mined");
    let text = fs::read_to_string(&out).expect("rows");
    assert_eq!(text.lines().count(), ROWS);
    let first = text.lines().next().expect("a row");
    let start = r#"{"_id":"r0","query":"who sells ware0","target":"town 0","positive_ids":["d0"],"candidate_ids":["d0","#;
    assert!(first.starts_with(start), "{first}");
    let start = r#""candidates":[{"id":"d0","source":"bm25","rank":1,"score":"#;
    assert!(first.contains(start), "{first}");
    // Every document sells something, so words find all of them; the one that is asked for stands first.
    assert_eq!(
        (summary.rows, summary.written()),
        (ROWS as u64, ROWS as u64)
    );
    assert_eq!(
        (summary.known_share(), summary.known_mean_rank()),
        (Some(1.0), Some(1.0))
    );
    assert_eq!((summary.candidates, summary.filled), (4 * ROWS as u64, 0));
    let overlap = summary.mean_overlap().expect("every row was given one");
    assert!((0.0..0.5).contains(&overlap), "{overlap}");
    let rows = TrainingSet::open_rows(&folder.path().join("data"), &out)
        .expect("a set")
        .rows;
    assert_eq!(rows[7].candidate_ids[0], "d7");
    assert_eq!(rows[7].candidate_scores.len(), 4);
    // What was mined can be mined again, by its scores.
    let again = recipe(|s| {
        s.source = PoolSource::AsGiven;
        s.k = 2;
        s.fill = Fill::None;
        s.filters.max_score = rows[0].candidate_scores[1];
    });
    fs::copy(&out, folder.path().join("data/train.jsonl")).expect("writable");
    let data = Data::open(&folder.path().join("data"), &mut on).expect("data");
    let second = folder.path().join("again.jsonl");
    let mut mining = Mining::open(&second, again, &data, false).expect("opened");
    let source = Source::Plain(Finder::AsGiven);
    mining.run(&data, source, &mut on).expect("mined");
    let summary = mining.summary();
    assert!(summary.dropped.max_score >= ROWS as u64, "{summary:?}");
}

#[test]
fn wherever_it_is_stopped_or_killed_what_goes_on_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data(&folder.path().join("data"));
    let settings = || {
        recipe(|s| {
            (s.k, s.depth) = (30, Some(30));
            s.filters = Filters {
                near_duplicates: Some(0.1),
                ..Filters::default()
            };
        })
    };
    let whole = folder.path().join("whole.jsonl");
    let wanted = mine(&whole, &data, settings(), usize::MAX).expect("mined");
    assert!(
        wanted.filled + wanted.dropped.near_duplicates > 0,
        "{wanted:?}"
    );
    let out = folder.path().join("parts.jsonl");
    for stop in [1, GROUP_ROWS + 1, ROWS] {
        let stopped = mine(&out, &data, settings(), stop);
        assert!(matches!(stopped, Err(Error::Stopped)), "{stopped:?}");
        assert!(!out.exists(), "it has its name too early");
        // Killed after rows were written and before the journal said so.
        let part = with_ending(&out, "part");
        let mut bytes = fs::read(&part).expect("a part");
        bytes.extend(b"{\"_id\":\"half a");
        fs::write(&part, bytes).expect("writable");
    }
    assert_eq!(
        mine(&out, &data, settings(), usize::MAX).expect("mined"),
        wanted
    );
    let read = |path: &Path| fs::read(path).expect("a file");
    assert!(read(&out) == read(&whole));
    let journal = |path: &Path| read(&with_ending(path, "mine.json"));
    assert!(journal(&out) == journal(&whole));
    assert!(!with_ending(&out, "part").exists());
    // Killed between the name and the journal's last word, and called again when all is done.
    let said = String::from_utf8(journal(&out)).expect("UTF-8");
    let unsaid = said.replace("\"complete\": true", "\"complete\": false");
    fs::write(with_ending(&out, "mine.json"), unsaid).expect("writable");
    for _ in 0..2 {
        let again = Mining::open(&out, settings(), &data, false).expect("opened");
        assert!(again.is_complete() && *again.summary() == wanted);
        assert!(read(&out) == read(&whole));
    }
}

#[test]
fn other_settings_other_data_and_other_files_are_refused_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = data(&folder.path().join("data"));
    let out = folder.path().join("mined.jsonl");
    mine(&out, &first, recipe(|_| {}), usize::MAX).expect("mined");
    let bytes = fs::read(&out).expect("rows");
    let open = |data: &Data, recipe: Recipe| Mining::open(&out, recipe, data, false);
    refused(
        open(&first, recipe(|s| s.seed = 3)),
        "was made with seed 0, not 3",
    );
    refused(
        open(&first, recipe(|s| s.filters.drop_self = true)),
        "with filters {}",
    );
    let other = folder.path().join("other");
    let text = r#"{"_id":"d0","text":"another"}"#;
    data(&other);
    fs::write(other.join("corpus.jsonl"), text).expect("writable");
    fs::write(other.join("train.jsonl"), r#"{"query":"q","target":"t"}"#).expect("writable");
    let other = Data::open(&other, &mut on).expect("data");
    refused(open(&other, recipe(|_| {})), "with data_digest");
    // Rows that were changed, a file that nobody mined, the data itself.
    fs::write(&out, "{}").expect("writable");
    refused(open(&first, recipe(|_| {})), "something else changed it");
    fs::remove_file(with_ending(&out, "mine.json")).expect("there");
    refused(
        open(&first, recipe(|_| {})),
        "nothing says that mining made it",
    );
    let own = folder.path().join("data/../data/train.jsonl.zst");
    refused(
        Mining::open(&own, recipe(|_| {}), &first, true),
        "part of the data",
    );
    assert!(!with_ending(&out, "part").exists());
    // A hostile journal.
    let journal = with_ending(&out, "mine.json");
    fs::write(&journal, r#"{"rows_done":99}"#).expect("writable");
    refused(
        open(&first, recipe(|_| {})),
        "mined.jsonl.mine.json: missing field",
    );
    // Only force throws it away.
    let mut forced = Mining::open(&out, recipe(|_| {}), &first, true).expect("opened");
    let words = Bm25::of_corpus(&first.corpus, recipe(|_| {}).settings.bm25).expect("words");
    let at_work = Mining::open(&out, recipe(|_| {}), &first, false);
    refused(at_work, "another process is at work");
    let source = Source::Plain(Finder::Bm25(&words));
    forced.run(&first, source, &mut on).expect("mined");
    assert_eq!(fs::read(&out).expect("rows"), bytes);
}

#[test]
fn data_that_cannot_be_mined_is_refused_with_file_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let corpus = r#"{"_id":"d0","text":"x"}"#;
    let row = r#"{"_id":"a","query":"q","target":"t"}"#;
    let open = |corpus: &str, rows: &str| {
        fs::write(folder.path().join("corpus.jsonl"), corpus).expect("writable");
        fs::write(folder.path().join("train.jsonl"), rows).expect("writable");
        Data::open(folder.path(), &mut on)
    };
    assert_eq!(open(corpus, row).expect("data").n_rows(), 1);
    refused(open("", row), "corpus.jsonl: the corpus holds no document");
    refused(open(corpus, ""), "got 0 and 1");
    refused(
        open(&format!("{corpus}\n{corpus}"), row),
        "corpus.jsonl:2: document id \"d0\"",
    );
    refused(
        open(corpus, &format!("{row}\n{row}")),
        "train.jsonl:2: row id \"a\" was given before",
    );
    let named = row.replace('}', r#","candidates":[{"id":"d9","score":1}]}"#);
    refused(
        open(corpus, &format!("\n{named}")),
        "\"d9\", which the corpus does not hold",
    );
    // A document that a later row holds is there.
    let later = r#"{"_id":"b","query":"q","target":"t","candidates":[{"id":"d9","text":"late"}]}"#;
    let late = open(corpus, &format!("{named}\n{later}")).expect("data");
    assert_eq!(late.only_in_rows, 1);
    let stopped = Data::open(folder.path(), &mut |_, _| false);
    assert!(matches!(stopped, Err(Error::Stopped)));
}

#[test]
fn rows_for_which_nothing_is_left_are_counted_and_not_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data(&folder.path().join("data"));
    let out = folder.path().join("mined.jsonl");
    let none = recipe(|s| {
        s.fill = Fill::None;
        s.known_passage = KnownPassage::Exclude;
        s.filters.max_score = Some(0.0);
    });
    let summary = mine(&out, &data, none, usize::MAX).expect("mined");
    assert_eq!((summary.left_out, summary.written()), (ROWS as u64, 0));
    assert_eq!(summary.dropped.known_passage, ROWS as u64);
    assert_eq!(fs::read(&out).expect("rows"), b"");
}

#[test]
fn embeddings_and_both_together_find_a_document_by_its_own_text() {
    use crate::candidates::{Dense, Fusion};
    use crate::index::kinds::InMemory;
    let folder = tempfile::tempdir().expect("a folder");
    let data = data(folder.path());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-llama");
    let retriever = Retriever {
        model: Arc::new(Model::load(&path, Dtype::F32).expect("the fixture")),
        config: RetrieverConfig::default(),
        adapter: None,
        standardizer: None,
    };
    let embedded = InMemory::embed(&retriever, &data.corpus, &mut on).expect("embedded");
    let dense = Dense {
        retriever: &retriever,
        documents: &embedded,
    };
    let words = Bm25::of_corpus(&data.corpus, dream_ir::Bm25Params::default()).expect("words");
    let mut rows: Vec<TrainingRow> = data
        .rows(0)
        .expect("rows")
        .take(2)
        .map(|r| r.expect("a row"))
        .collect();
    for (row, document) in rows.iter_mut().zip([31, 5]) {
        row.query = data.corpus.documents()[document].full_text();
    }
    let numbered: Vec<Numbered<'_>> = rows.iter().enumerate().collect();
    let fusion = Fusion::default();
    for source in [Source::Dense(dense), Source::Hybrid(dense, &words, &fusion)] {
        let found = source.find(&numbered, &data.corpus, 3).expect("found");
        assert_eq!((found[0].len(), found[1].len()), (3, 3));
        assert_eq!((found[0][0].document, found[1][0].document), (31, 5));
    }
    let stopped = InMemory::embed(&retriever, &data.corpus, &mut |_, _| false);
    assert!(matches!(stopped, Err(Error::Stopped)));
}
