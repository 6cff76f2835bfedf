//! Forms, errors and writing of judgements.

use super::*;

fn read(text: &str) -> Result<Qrels> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.tsv");
    std::fs::write(&path, text).unwrap();
    Qrels::read(&path)
}

fn grade(qrels: &Qrels, query: &str, document: &str) -> Option<i32> {
    qrels.get(query)?.get(document).copied()
}

#[test]
fn both_forms_give_the_same_judgements() {
    let wanted = read("query-id\tcorpus-id\tscore\n01\td 1\t2\n01\td2\t0\nq2\td2\t-1\n").unwrap();
    assert_eq!(grade(&wanted, "01", "d 1"), Some(2));
    assert_eq!(grade(&wanted, "q2", "d2"), Some(-1));
    assert_eq!(wanted.len(), 2);
    assert_eq!(
        read("01\td 1\t2\r\n01\td2\t0\r\nq2\td2\t-1").unwrap(),
        wanted
    );
    let trec = read("# made by hand\n01 0 d1 2\n01\t0\td2\t0\n# end\nq2  Q0  d2  -1\n").unwrap();
    assert_eq!(grade(&trec, "01", "d1"), Some(2));
    assert_eq!(trec.get("q2"), wanted.get("q2"));
}

#[test]
fn quoted_fields_are_read_as_csv_and_written_so() {
    let qrels = read("\"q\t\"\"1\"\"\"\td1\t1\n").unwrap();
    assert_eq!(grade(&qrels, "q\t\"1\"", "d1"), Some(1));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q.tsv");
    qrels.write(&path).unwrap();
    assert_eq!(Qrels::read(&path).unwrap(), qrels);
}

#[test]
fn the_forms_of_ms_marco_and_of_pytrec_eval_are_read() {
    let wanted = read("1\t0\t7\t1\n1\t0\t8\t0\n2\t0\t7\t-1\n").unwrap();
    let json = "{\"1\": {\"7\": 1, \"8\": 0}, \"2\": {\"7\": -1}, \"3\": {}}";
    assert_eq!(read(json).unwrap(), wanted);
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert!(error("{\"q\": {\"d\": 1.0}}").contains("q.tsv:1: column"));
    assert!(error("{\"q\": {\"d\": 1}, \"q\": {}}").contains("twice"));
    assert!(error("{\"q\": {\"d\": 1,\n\"d\": 0}}").contains("q.tsv:2: column"));
    assert!(error("{}").contains("no judgement"));
}

#[test]
fn an_id_in_trecs_form_may_begin_with_a_quote() {
    let qrels = read("\"q 0 d\"1 1\n").unwrap();
    assert_eq!(grade(&qrels, "\"q", "d\"1"), Some(1));
}

#[test]
fn grades_beyond_every_scale_and_ids_with_control_characters_are_refused() {
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert!(error("q 0 d 1000000000\n").contains("q.tsv:1: wanted a grade"));
    assert!(error("q 0 d -1000000000\n").contains("q.tsv:1: wanted a grade"));
    assert!(error("q\td\0\t1\n").contains("control"));
    assert!(error("q\td\t1\n\u{feff}q\te\t1\n").contains("q.tsv:2: wanted an id"));
}

#[test]
fn bad_lines_are_errors_with_their_line() {
    let error = |text: &str| read(text).unwrap_err().to_string();
    assert!(error("q\td\t1\nq\td\t1\n").contains("q.tsv:2: document \"d\" is judged twice"));
    assert!(error("q\td\tscore\nq\td\t1.5\n").contains("q.tsv:2: wanted a whole number"));
    assert!(error("q\td\t1.0\n").contains("q.tsv:1"));
    // Not a header: a judgement that cannot be read.
    assert!(error("q1\td1\tx\nq1\td2\t1\n").contains("q.tsv:1: wanted a whole number"));
    assert!(read("Query_ID\tdoc\tx\nq\td\t1\n").is_ok());
    assert!(error("q\td\t1\nq 0 d 1\n").contains("q.tsv:2: wanted 3 fields"));
    assert!(error("q 0 d\n").contains("got 3 fields"));
    assert!(error("\td\t1\n").contains("empty field"));
    assert!(error("\"q\td\t1\n").contains("not closed"));
    assert!(error("\"q\"x\td\t1\n").contains("closing quote"));
    assert!(error("q\td\t99999999999\n").contains("whole number"));
    assert!(error("query-id\tcorpus-id\tscore\n").contains("no judgement"));
    assert!(error("").contains("no judgement"));
}
