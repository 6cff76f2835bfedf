//! `dream bench encode`.

use crate::program::{dream, fixture, folder, text, tiny_beir};

#[test]
fn embeddings_are_written_in_the_order_of_the_corpus() {
    let (data, model) = (tiny_beir(), fixture("tiny-llama"));
    let (corpus, index) = (text(data.path()), text(&data.path().join("index")));
    let out = text(&data.path().join("out.f32"));
    let bench = ["bench", "encode", "--model", &model, "--data", &corpus];
    let more = ["--repeats", "1", "--out", &out, "--json"];
    let timed = dream(&[&bench[..], &more].concat()).json().remove(0);
    assert_eq!((&timed["texts"], &timed["dim"]), (&3.into(), &32.into()));
    for figure in ["seconds", "gflops", "share_of_peak", "tokens_per_second"] {
        assert!(timed[figure].as_f64().expect("a number") > 0.0, "{figure}");
    }
    let encode = [
        "encode", "--model", &model, "--data", &corpus, "--out", &index,
    ];
    dream(&encode).ok();
    let shard = data.path().join("index/shard-00000.f32");
    assert_eq!(
        std::fs::read(out).expect("it is there"),
        std::fs::read(shard).expect("it is there")
    );
}

#[test]
fn texts_are_made_up_where_there_is_no_corpus() {
    let bench = [
        "bench",
        "encode",
        "--tiny",
        "--generate",
        "7",
        "--texts",
        "30",
    ];
    let more = ["--batch-tokens", "20", "--repeats", "1", "--json"];
    let timed = dream(&[&bench[..], &more].concat()).json().remove(0);
    // Seven letters and the end of each text.
    assert_eq!(
        (&timed["texts"], &timed["tokens"]),
        (&30.into(), &240.into())
    );

    let out = text(&folder().path().join("gone/out.f32"));
    dream(&[&bench[..], &["--out", &out]].concat()).refused(&["out.f32"]);
    dream(&["bench", "encode", "--tiny"]).refused(&["--data"]);
}
