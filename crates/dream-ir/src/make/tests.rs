use super::*;
use crate::analyzer::words;
use crate::lines::LineReader;
use std::fs;
use std::io::Cursor;

const GUIDE: &str = "---\nx: y\n---\n# Guide\n\nThe guide begins with a sentence of its own. It goes on with salt and iron.\n\n\
    ## Install\n\nTo install the tool you need a compiler and some patience. Then iron salt is added to the gold mixture.\n\n\
    ## Use\n\nUse it with care and with iron gloves on both hands. Gold is heavy.\n";

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    dir
}

fn settings(rows: RowKind, source: SourcePassage) -> MakeSettings {
    MakeSettings {
        tokens: 20,
        overlap: 0,
        target_tokens: 12,
        rows,
        source,
        keep_titles: false,
        max_rows: None,
        seed: 0,
        candidates: 4,
        bm25: Bm25Params::default(),
    }
}

fn make_words(dir: &Path, pairs: &[QaPair], settings: &MakeSettings) -> Result<Made> {
    let mut count = |text: &str| Ok(words(text).count());
    let paths = [dir.to_owned()];
    make(&paths, None, pairs, settings, &mut count, &mut |_, _| ())
}

fn ids(documents: &[Document]) -> Vec<&str> {
    documents
        .iter()
        .map(|document| document.id.as_str())
        .collect()
}

#[test]
fn files_are_read_in_the_order_of_names_and_what_is_not_text_is_counted() {
    let page = b"<h1>Page</h1><p>A page about iron and salt and other things.";
    let lines = b"{\"_id\":\"x/1\",\"title\":\"Line\",\"text\":\"A line about iron and salt.\"}\n";
    let dir = folder(&[
        ("b.md", GUIDE.as_bytes()),
        ("a/page.HTM", page),
        ("c.jsonl", lines),
        (".hidden.md", b"# No\n\nno"),
        (".git/x.md", b"# No\n\nno"),
        ("bad.txt", b"ab\xff"),
        ("large.txt", &vec![b'a'; MAX_FILE_BYTES as usize + 1]),
        ("picture.png", b"\x89PNG"),
    ]);
    #[cfg(unix)]
    std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
    let made = make_words(
        dir.path(),
        &[],
        &settings(RowKind::Heading, SourcePassage::Out),
    )
    .unwrap();
    assert_eq!(
        ids(&made.documents),
        [
            "a/page.HTM#1",
            "b.md#1",
            "b.md#2",
            "b.md#3",
            "c.jsonl/x/1#1"
        ]
    );
    let counts = made.counts;
    assert_eq!(
        (counts.files, counts.sources, counts.files_of_other_kinds),
        (5, 3, 1)
    );
    assert_eq!(counts.files_skipped, if cfg!(unix) { 3 } else { 2 });
    let why: Vec<_> = made
        .skipped
        .iter()
        .filter_map(|file| file.why.as_deref())
        .collect();
    assert!(
        why.contains(&"not UTF-8 at byte 2") && why.contains(&"larger than 16 MiB"),
        "{why:?}"
    );
}

#[test]
fn headings_ask_for_the_text_below_them_and_the_source_is_the_known_passage() {
    let dir = folder(&[("b.md", GUIDE.as_bytes())]);
    let mut settings = settings(RowKind::Heading, SourcePassage::In);
    let made = make_words(dir.path(), &[], &settings).unwrap();
    // "Guide" and "Use" as words stand in documents; "Guide: Install" finds "install".
    let row = made.rows.iter().find(|row| row.id == "b.md#2").unwrap();
    assert_eq!(row.query, "Guide: Install");
    assert_eq!(
        row.target,
        "To install the tool you need a compiler and some patience."
    );
    assert_eq!(row.positive_ids, ["b.md#2"]);
    assert!(
        made.documents
            .iter()
            .all(|document| document.title.is_empty())
    );
    settings.keep_titles = true;
    let made = make_words(dir.path(), &[], &settings).unwrap();
    assert_eq!(made.documents[1].title, "Guide > Install");
    assert_eq!(made.counts.rows_from_headings, 3);
}

#[test]
fn documents_that_hold_a_part_of_the_target_are_known_passages_too() {
    let copy = "# Other\n\nAs they say: to install the tool, you need a compiler, and some patience is of use.\n";
    let dir = folder(&[("a.md", copy.as_bytes()), ("b.md", GUIDE.as_bytes())]);
    let settings = settings(RowKind::Heading, SourcePassage::Out);
    let made = make_words(dir.path(), &[], &settings).unwrap();
    let row = made.rows.iter().find(|row| row.id == "b.md#2").unwrap();
    assert_eq!(row.positive_ids, ["b.md#2", "a.md#1"]);
}

#[test]
fn a_text_without_headings_asks_with_its_first_sentence_and_overlap_is_kept_out() {
    let text = "Iron is a metal of many uses. It rusts in wet air and in salt water over the years. \
                Gold does not. Salt is no metal at all, as iron is. Water is wet.";
    let dir = folder(&[("a.txt", text.as_bytes())]);
    let mut settings = settings(RowKind::Heading, SourcePassage::In);
    settings.overlap = 12;
    let made = make_words(dir.path(), &[], &settings).unwrap();
    let row = &made.rows[0];
    assert_eq!(row.query, "Iron is a metal of many uses.");
    assert_eq!(
        row.target,
        "It rusts in wet air and in salt water over the years."
    );
    assert_eq!(row.positive_ids, ["a.txt#1", "a.txt#2"]);
    // Where nothing but the row's own document could be a candidate, there is no row.
    let dir = folder(&[("a.txt", b"Iron is a metal here. It rusts in wet air.")]);
    assert!(make_words(dir.path(), &[], &settings).is_ok());
    settings.source = SourcePassage::Out;
    let error = make_words(dir.path(), &[], &settings)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no row") && error.contains("1 rows have no candidate"),
        "{error}"
    );
}

#[test]
fn a_continuation_gives_the_second_half_and_the_neighbours_as_candidates() {
    let dir = folder(&[
        ("b.md", GUIDE.as_bytes()),
        ("c.txt", b"Iron and salt, far away. And more of it."),
    ]);
    let out = settings(RowKind::Continuation, SourcePassage::Out);
    let made = make_words(dir.path(), &[], &out).unwrap();
    let row = made.rows.iter().find(|row| row.id == "b.md#2").unwrap();
    assert_eq!(
        row.query,
        "To install the tool you need a compiler and some patience."
    );
    assert_eq!(row.target, "Then iron salt is added to the gold mixture.");
    assert_eq!(row.candidate_ids[..2], ["b.md#3", "b.md#1"]);
    assert!(!row.candidate_ids.contains(&row.id));
    let with = settings(RowKind::Continuation, SourcePassage::In);
    let made = make_words(dir.path(), &[], &with).unwrap();
    assert_eq!(made.rows[1].candidate_ids[0], made.rows[1].id);
}

#[test]
fn written_pairs_find_their_document_by_the_answer_or_by_their_source() {
    let dir = folder(&[
        ("b.md", GUIDE.as_bytes()),
        ("c.txt", b"Gold is heavy, they say. Iron rusts."),
    ]);
    let pairs = "{\"question\":\"What do I need for the install?\",\"answer\":\"some patience\"}\n\
                 {\"question\":\"Is gold heavy?\",\"answer\":\"gold is heavy\",\"source\":\"b.md\"}\n\
                 {\"question\":\"And iron?\",\"answer\":\"nobody knows\"}\n\
                 {\"question\":\"zzz\",\"answer\":\"x\"}\n";
    let pairs = read_pairs(LineReader::new("pairs.jsonl", Box::new(Cursor::new(pairs)))).unwrap();
    let settings = settings(RowKind::Qa, SourcePassage::In);
    let made = make_words(dir.path(), &pairs, &settings).unwrap();
    let known: Vec<_> = made
        .rows
        .iter()
        .map(|row| row.positive_ids.join(" "))
        .collect();
    assert_eq!(known, ["b.md#2", "b.md#3", ""]);
    assert_eq!(
        (
            made.counts.rows_with_known_passage,
            made.counts.rows_without_candidate
        ),
        (2, 1)
    );
    let mut lost = pairs.clone();
    lost[1].source = Some("x.md".into());
    let error = make_words(dir.path(), &lost, &settings)
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"x.md\", which was not read"), "{error}");
    lost[1].id = lost[0].id.clone();
    assert!(
        make_words(dir.path(), &lost, &settings)
            .unwrap_err()
            .to_string()
            .contains("two pairs")
    );
}

#[test]
fn copies_are_dropped_and_a_draw_of_rows_is_the_same_each_time() {
    let files: Vec<(String, String)> = (0..9)
        .map(|n| {
            (
                format!("{n}.md"),
                format!("# Part {n}\n\nPart number {n} is about iron. It is short.\n"),
            )
        })
        .collect();
    let mut all: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_bytes()))
        .collect();
    all.push(("copy.md", files[0].1.as_bytes()));
    let dir = folder(&all);
    let mut settings = settings(RowKind::Heading, SourcePassage::Out);
    settings.max_rows = Some(4);
    let made = make_words(dir.path(), &[], &settings).unwrap();
    let counts = made.counts;
    assert_eq!((counts.documents, counts.duplicate_documents), (9, 1));
    assert_eq!((counts.rows, counts.rows_not_drawn), (4, 5));
    let out = dir.path().join("made");
    made.write(&out).unwrap();
    let set = crate::TrainingSet::open(&out).unwrap();
    assert_eq!(set.rows, made.rows);
    assert!(set.rows.is_sorted_by_key(|row| row.id.clone()));
    // What was made is not read as a source, and nothing depends on when it is made.
    let mut count = |text: &str| Ok(words(text).count());
    let again = make(
        &[dir.path().to_owned()],
        Some(&out),
        &[],
        &settings,
        &mut count,
        &mut |_, _| (),
    );
    assert_eq!(again.unwrap().rows, made.rows);
    settings.seed = 1;
    let other = make(
        &[dir.path().to_owned()],
        Some(&out),
        &[],
        &settings,
        &mut count,
        &mut |_, _| (),
    );
    assert_ne!(other.unwrap().rows, made.rows);
}

#[test]
fn empty_folders_unknown_files_and_names_given_twice_are_errors() {
    let settings = settings(RowKind::Heading, SourcePassage::Out);
    let dir = folder(&[
        ("x.png", b"1"),
        ("a/x.txt", b"a b c d"),
        ("b/x.txt", b"a b c d e"),
    ]);
    let empty = folder(&[("x.png", b"1")]);
    let error = |paths: &[PathBuf]| {
        let mut count = |text: &str| Ok(words(text).count());
        make(paths, None, &[], &settings, &mut count, &mut |_, _| ())
            .unwrap_err()
            .to_string()
    };
    assert!(error(&[empty.path().to_owned()]).contains("no text in 0 files"));
    assert!(error(&[dir.path().join("x.png")]).contains("wanted a .txt"));
    assert!(error(&[dir.path().join("none")]).contains("none"));
    let twice = error(&[dir.path().join("a"), dir.path().join("b")]);
    assert!(
        twice.contains("two sources are called \"x.txt\""),
        "{twice}"
    );
    // One document with one sentence has nothing to ask for.
    assert!(error(&[dir.path().join("a/x.txt")]).contains("1 documents, but no row"));
}
