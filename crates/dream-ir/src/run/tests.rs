//! Order, forms, errors and writing of runs.

use super::*;
use crate::lines::LineReader;
use rand::{RngExt, SeedableRng};

fn read(text: &str) -> Result<Run> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.txt");
    std::fs::write(&path, text).unwrap();
    Run::read(&path)
}

fn order<'a>(run: &'a Run, query: &str) -> Vec<&'a str> {
    run.get(query)
        .unwrap()
        .iter()
        .map(|hit| hit.document.as_str())
        .collect()
}

#[test]
fn the_order_is_by_score_then_by_document_id_descending_and_never_by_rank() {
    let text =
        "# a run\nq Q0 d1 1 0.5 me\nq Q0 d9 2 0.5 me\nq Q0 d10 3 0.5 me extra\nq Q0 a 4 2e0 me\n";
    assert_eq!(order(&read(text).unwrap(), "q"), ["a", "d9", "d10", "d1"]);
}

#[test]
fn scores_that_differ_only_beyond_f32_are_ties() {
    let run = read("q\ta\t0.50000000001\nq\tb\t0.5\nq\tc\t-0.0\nq\td\t0\n").unwrap();
    assert_eq!(order(&run, "q"), ["b", "a", "d", "c"]);
}

#[test]
fn with_f64_scores_that_differ_beyond_f32_are_no_ties() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.txt");
    std::fs::write(&path, "q\ta\t0.50000000001\nq\tb\t0.5\n").unwrap();
    let options = RunOptions {
        score_width: ScoreWidth::F64,
        ..RunOptions::default()
    };
    let run = Run::read_with(&path, options).unwrap();
    assert_eq!(order(&run, "q"), ["a", "b"]);
    assert_eq!(
        run.score_width().to_string().parse::<ScoreWidth>().unwrap(),
        ScoreWidth::F64
    );
    let error = run
        .write(dir.path().join("out"), "me")
        .unwrap_err()
        .to_string();
    assert!(error.contains("would not keep the order"), "{error}");
}

#[test]
fn json_is_recognised_by_its_brace_and_its_errors_name_the_line() {
    let text = "\u{feff} {\"q\": {\"a\": 1, \"b\": 0.5,\n\"c\": 1e-3}, \"none\": {}}\n";
    let run = read(text).unwrap();
    assert_eq!(order(&run, "q"), ["a", "b", "c"]);
    assert_eq!(run.get("none"), Some(&[][..]));
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert!(error("{\"q\":\n{\"a\": NaN}}").contains("run.txt:2: column"));
    assert!(error("{\"q\": {\"a\": 1e300}}").contains("run.txt:1: column"));
    assert!(error("{\"q\": {\"a\": 1, \"a\": 2}}").contains("document \"a\" was given twice"));
    assert!(error("{\"q\": {}, \"q\": {}}").contains("query \"q\" was given twice"));
    assert!(error("{\"q\": {\"a\\u0000\": 1}}").contains("control"));
    assert!(error("{\"q\": [1]}").contains("an object of document ids"));
    assert!(error("{\"q\": {\"a\": \"1\"}}").contains("string"));
    assert!(error("{\"q\": {\"a\": 1}} x").contains("trailing"));
    assert!(error("{\"q\": {\"a\": 1}").contains("EOF"));
}

#[test]
fn ranks_and_scores_of_three_fields_are_told_apart() {
    // MS MARCO: ranks rise from line to line.
    let run = read("q1\tb\t1\nq1\ta\t2\nq1\tc\t10\nq2\td\t1\n").unwrap();
    assert_eq!(order(&run, "q1"), ["b", "a", "c"]);
    assert_eq!(run.get("q1").unwrap()[2].score, -10.0);
    // Scores fall, or are no whole numbers.
    assert_eq!(order(&read("q\ta\t2\nq\tb\t1\n").unwrap(), "q"), ["a", "b"]);
    assert_eq!(
        order(&read("q\ta\t1\nq\tb\t2.0\n").unwrap(), "q"),
        ["b", "a"]
    );
    assert_eq!(
        order(&read("q\ta\t9\nq\tb\t30\nq\tc\t8\n").unwrap(), "q"),
        ["b", "a", "c"]
    );
    let error = |text: &str| read(text).unwrap_err().to_string();
    // May be either: one query rises and one falls, or 1 to n in no order.
    assert!(error("q\ta\t1\nq\tb\t2\nr\ta\t2\nr\tb\t1\n").contains("tsv or msmarco"));
    assert!(error("q\ta\t2\nq\tb\t1\nq\tc\t3\n").contains("tsv or msmarco"));
    assert!(error("q\ta\t1\nq\tb\t1000000000\n").contains("run.txt:2: wanted a rank"));
}

#[test]
fn a_form_that_is_given_is_taken_at_its_word() {
    let with = |text: &'static str, form: &str| {
        let options = RunOptions {
            form: Some(form.parse().unwrap()),
            ..RunOptions::default()
        };
        Run::read_from(LineReader::new("here", Box::new(text.as_bytes())), options)
    };
    let text = "q\ta\t2\nq\tb\t1\nq\tc\t3\n";
    assert_eq!(order(&with(text, "tsv").unwrap(), "q"), ["c", "a", "b"]);
    assert_eq!(order(&with(text, "msmarco").unwrap(), "q"), ["b", "a", "c"]);
    assert!(
        with(text, "trec")
            .unwrap_err()
            .to_string()
            .contains("here:1: wanted")
    );
    assert!(
        with(text, "json")
            .unwrap_err()
            .to_string()
            .contains("here:1: column")
    );
    assert!(
        with("q\ta\t1.5\n", "msmarco")
            .unwrap_err()
            .to_string()
            .contains("here:1: wanted a rank")
    );
    assert!(
        with("q Q0 a 1 2 t\n", "tsv")
            .unwrap_err()
            .to_string()
            .contains("as was asked for")
    );
    assert!("xml".parse::<RunForm>().is_err());
    for form in ["trec", "tsv", "msmarco", "json"] {
        assert_eq!(form.parse::<RunForm>().unwrap().to_string(), form);
    }
}

#[test]
fn bad_lines_are_errors_with_their_line() {
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert!(error("q\td\t1\nq\td\t2\n").contains("run.txt:2: document \"d\" was given twice"));
    assert!(error("q Q0 d 1 nan me\n").contains("run.txt:1: wanted a finite number"));
    assert!(error("q\td\t1\nq\te\tinf\n").contains("run.txt:2: wanted a finite number"));
    assert!(error("q Q0 d 1 1e400 me\n").contains("run.txt:1: wanted a finite number"));
    assert!(error("q Q0 d 1 x me\n").contains("got \"x\""));
    assert!(error("q Q0 d 1 0.5\n").contains("got 5 fields"));
    assert!(error("q\td\t1\nq Q0 d 1 0.5 me\n").contains("as in the first line"));
    assert!(error("q\td\tNaN\n").contains("number"));
    assert!(read("").unwrap().is_empty());
}

#[test]
fn inserting_rejects_nan_and_repetitions() {
    let hit = |document: &str, score| Hit {
        document: document.into(),
        score,
    };
    let mut run = Run::default();
    run.insert("q", vec![hit("a", 1.0), hit("b", 2.0)]).unwrap();
    assert_eq!(order(&run, "q"), ["b", "a"]);
    assert!(run.insert("q", vec![]).is_err());
    assert!(run.insert("r", vec![hit("a", f32::NAN)]).is_err());
    assert!(run.insert("r", vec![hit("a", f32::INFINITY)]).is_err());
    assert!(run.insert("r", vec![hit("a", 1.0), hit("a", 1.0)]).is_err());
}

#[test]
fn a_run_is_read_back_bit_for_bit_in_the_order_written() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut run = Run::default();
    for query in 0..20 {
        let hits = (0..50).map(|document| Hit {
            document: format!("d{document}"),
            score: match document {
                0 => f32::MIN_POSITIVE / 3.0,
                1 => f32::MAX,
                2 => f32::MIN,
                3 => 0.0,
                _ => f32::from_bits(rng.random::<u32>() & 0xBF7F_FFFF),
            },
        });
        run.insert(format!("q{query}"), hits.collect()).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.trec");
    run.write(&path, "me").unwrap();
    assert_eq!(Run::read(&path).unwrap(), run);
}

#[test]
fn scores_are_written_in_nine_significant_digits() {
    // As printf("%.9g") prints them, trailing zeros kept.
    for (score, text) in [
        (0.1_f32, "0.100000001"),
        (12.345_679, "12.3456793"),
        (-1.0, "-1.00000000"),
        (1e-20, "9.99999968e-21"),
        (0.0, "0.00000000"),
    ] {
        assert_eq!(nine_digits(score), text);
    }
}

#[test]
fn an_id_with_a_blank_is_refused_when_writing() {
    let mut run = Run::default();
    let hits = vec![Hit {
        document: "d 1".into(),
        score: 1.0,
    }];
    run.insert("q", hits).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let error = run
        .write(dir.path().join("run"), "me")
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"d 1\" cannot stand"), "{error}");
    assert!(Run::check_ids(["d1", "d 1"]).is_err() && Run::check_ids(["d1"]).is_ok());
    // Found by fuzzing: as the first query's id it would make the file look like JSON.
    assert!(Run::check_ids(["{d1"]).is_err() && Run::check_ids(["#d1"]).is_err());
}
