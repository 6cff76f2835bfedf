use super::*;
use std::fs;

struct Files(tempfile::TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn conversion(&self, input: &str) -> Conversion {
        Conversion {
            input: self.path(input),
            format: None,
            corpus: None,
            queries: None,
            qrels: None,
            target: TargetFrom::Answers,
        }
    }

    fn out(&self) -> PathBuf {
        self.path("out")
    }

    fn convert(&self, conversion: &Conversion) -> (Converted, super::super::TrainingSet) {
        let converted = conversion.write(&self.out(), &mut |_| ()).unwrap();
        (
            converted,
            super::super::TrainingSet::open(self.out()).unwrap(),
        )
    }

    fn error(&self, conversion: &Conversion) -> String {
        let error = conversion
            .write(&self.out(), &mut |_| ())
            .unwrap_err()
            .to_string();
        let left = fs::read_dir(self.out()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "files were left behind: {error}");
        error
    }
}

#[test]
fn tevatron_rows_give_their_answers_and_share_their_passages() {
    let rows = concat!(
        r#"{"query_id":"a","query":"q1","answers":["t1"],"positive_passages":[{"docid":"d1","title":"T","text":"x"}],"negative_passages":[{"docid":"d2","text":"y"}]}"#,
        "\n\n",
        r#"{"query_id":"b","query":"q2","answers":["t2","t3"],"positive_passages":[{"docid":"d2","text":"y"}]}"#,
    );
    let files = Files::new(&[("in.jsonl", rows)]);
    let (converted, set) = files.convert(&files.conversion("in.jsonl"));
    assert_eq!(
        (
            converted.format.as_str(),
            converted.rows,
            converted.documents
        ),
        ("tevatron", 2, 2)
    );
    assert_eq!(set.rows[1].target, "t2");
    assert_eq!(set.rows[0].positive_ids, ["d1"]);
    assert_eq!(set.rows[0].candidate_ids, ["d1", "d2"]);
    assert_eq!(set.corpus.get("d1").unwrap().full_text(), "T x");
}

#[test]
fn rows_without_an_answer_are_refused_or_take_their_positive() {
    let rows = "{\"query\":\"q\",\"pos\":[\"the text\"],\"neg\":[\"n\",\"the text\"]}\n";
    let files = Files::new(&[("in.jsonl", rows)]);
    let mut conversion = files.conversion("in.jsonl");
    let error = files.error(&conversion);
    assert!(
        error.contains("in.jsonl:1: row \"1\" has no answer"),
        "{error}"
    );
    conversion.target = TargetFrom::Positive;
    let (_, set) = files.convert(&conversion);
    assert_eq!(set.rows[0].target, "the text");
    assert_eq!(set.rows[0].candidate_ids, ["p1", "p2"]);
    conversion.target = TargetFrom::Query;
    assert_eq!(files.convert(&conversion).1.rows[0].target, "q");
}

#[test]
fn ids_are_looked_up_in_the_corpus_and_the_queries() {
    let files = Files::new(&[
        (
            "ids.jsonl",
            r#"{"query_id":"a","query_text":"q","answer":"t","positive_document_ids":["d1"],"negative_document_ids":["d2"]}"#,
        ),
        (
            "kd.jsonl",
            r#"{"query_id":1,"document_ids":["d2","d1"],"scores":[0.1,0.2]}"#,
        ),
        (
            "lost.jsonl",
            r#"{"query_id":1,"document_ids":["d9"],"scores":[0.1]}"#,
        ),
        (
            "docs.jsonl",
            "{\"docid\":\"d1\",\"document_text\":\"one\"}\n{\"document_id\":\"d2\",\"text\":\"two\"}\n{\"_id\":\"d3\",\"text\":\"three\"}\n",
        ),
        ("queries.tsv", "1\tasked\n2\tnot asked\n"),
    ]);
    let mut conversion = files.conversion("ids.jsonl");
    assert!(
        files
            .error(&conversion)
            .contains("tevatron-ids need a file of corpus")
    );
    conversion.corpus = Some(files.path("docs.jsonl"));
    let (_, set) = files.convert(&conversion);
    assert_eq!((set.rows[0].target.as_str(), set.corpus.len()), ("t", 3));
    conversion.input = files.path("kd.jsonl");
    conversion.queries = Some(files.path("queries.tsv"));
    conversion.target = TargetFrom::Positive;
    let (_, set) = files.convert(&conversion);
    let row = &set.rows[0];
    assert_eq!((row.query.as_str(), row.target.as_str()), ("asked", "one"));
    assert_eq!(row.positive_ids, ["d1"]);
    fs::remove_dir_all(files.out()).unwrap();
    conversion.input = files.path("lost.jsonl");
    assert!(
        files
            .error(&conversion)
            .contains("lost.jsonl:1: document \"d9\" is not in the corpus")
    );
    conversion.qrels = Some(files.path("queries.tsv"));
    assert!(files.error(&conversion).contains("no use for --qrels"));
}

#[test]
fn ms_marco_comes_as_triples_of_texts_or_ids_or_as_judged_queries() {
    let files = Files::new(&[
        ("texts.tsv", "q\tp\tn\nq\tp\tm\n"),
        ("ids.tsv", "1\t10\t11\n"),
        ("collection.tsv", "10\tten\n11\televen\n"),
        ("queries.tsv", "1\twhat is ten\n2\tunjudged\n"),
        ("qrels.tsv", "1\t0\t10\t1\n1\t0\t11\t0\n"),
    ]);
    let mut conversion = files.conversion("texts.tsv");
    conversion.target = TargetFrom::Positive;
    let (converted, set) = files.convert(&conversion);
    assert_eq!((converted.rows, set.corpus.len()), (2, 3));
    conversion.corpus = Some(files.path("collection.tsv"));
    conversion.input = files.path("ids.tsv");
    conversion.queries = Some(files.path("queries.tsv"));
    let (_, set) = files.convert(&conversion);
    let row = &set.rows[0];
    assert_eq!(
        (row.query.as_str(), row.target.as_str()),
        ("what is ten", "ten")
    );
    assert_eq!(row.candidate_ids, ["10", "11"]);
    conversion.input = files.path("queries.tsv");
    conversion.queries = None;
    conversion.qrels = Some(files.path("qrels.tsv"));
    let (converted, set) = files.convert(&conversion);
    assert_eq!(converted.queries_without_judgement, 1);
    assert_eq!(set.rows[0].positive_ids, ["10"]);
}

#[test]
fn columns_come_from_csv_too_and_native_rows_keep_their_candidates() {
    let csv = "anchor,positive,negative,answer\n\"q, 1\",\"p\n2\",n,t\n";
    let native = r#"{"id":"r","query":"q","target":"t","candidates":[{"id":"a","text":"x"},{"text":"y"}],"positive_ids":["a"]}"#;
    let files = Files::new(&[("in.csv", csv), ("in.jsonl", native)]);
    let mut conversion = files.conversion("in.csv");
    let (_, set) = files.convert(&conversion);
    assert_eq!(set.rows[0].query, "q, 1");
    assert_eq!(set.corpus.get("p1").unwrap().text, "p\n2");
    fs::remove_dir_all(files.out()).unwrap();
    // The known passage is named before the row brings its text.
    conversion.input = files.path("in.jsonl");
    let (_, set) = files.convert(&conversion);
    assert_eq!(set.rows[0].candidate_ids, ["a", "p1"]);
    assert_eq!(set.rows[0].positive_ids, ["a"]);
}

#[test]
fn what_comes_twice_or_contradicts_itself_is_an_error_with_its_line() {
    let row = |id: &str, text: &str| {
        format!(
            r#"{{"query_id":"{id}","query":"q","answers":["t"],"positive_passages":[{{"docid":"d","text":"{text}"}}]}}"#
        )
    };
    let twice = format!("{}\n{}\n", row("a", "x"), row("a", "x"));
    let two_texts = format!("{}\n{}\n", row("a", "x"), row("b", "y"));
    let files = Files::new(&[
        ("twice", &twice),
        ("texts", &two_texts),
        ("empty", "\n"),
        ("bad", "{\"query\":"),
    ]);
    let error = |name| files.error(&files.conversion(name));
    assert!(error("twice").contains("twice:2: row id \"a\" was given before"));
    assert!(error("texts").contains("texts:2: document id \"d\" stands for two different texts"));
    assert!(error("empty").contains("no row in it"));
    assert!(error("bad").contains("bad:1: "));
    assert!(error("missing").contains("no such file"));
}
