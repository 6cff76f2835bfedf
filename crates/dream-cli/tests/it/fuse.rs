//! `dream fuse`.

use crate::program::{dream, folder, text, write};

/// Two runs: the first is right on every query, the second on none; four queries, two of them judged in dev.
fn runs() -> (tempfile::TempDir, String, String, String) {
    let dir = folder();
    let run = |name: &str, first: &str, second: &str| {
        let line = |q: usize| format!("q{q} Q0 {first} 1 2 t\nq{q} Q0 {second} 2 1 t\n");
        text(&write(
            dir.path(),
            name,
            (0..4).map(line).collect::<String>(),
        ))
    };
    let (good, bad) = (run("good", "right", "wrong"), run("bad", "wrong", "right"));
    let dev = text(&write(dir.path(), "dev", "q0 0 right 1\nq1 0 right 1\n"));
    (dir, good, bad, dev)
}

#[test]
fn runs_are_fused_by_reciprocal_ranks_unless_said_otherwise() {
    let (dir, good, bad, _) = runs();
    let out = text(&dir.path().join("out"));
    let said = dream(&["fuse", &good, &bad, "--weights", "2,1", "--out", &out]).ok();
    let options = "--method rrf --rrf-k 60 --weights 2,1\n";
    assert_eq!(said, format!("{options}{out}: 4 queries\n"));
    let fused = std::fs::read_to_string(&out).expect("it was written");
    let first = fused.lines().next().expect("a line");
    // 2 / 61 + 1 / 62
    assert_eq!(first, "q0 Q0 right 1 0.0489159189 dream-fuse");
}

#[test]
fn tuning_prints_options_and_leaves_the_judged_queries_out() {
    let (dir, good, bad, dev) = runs();
    let out = text(&dir.path().join("out"));
    let tune = [
        "fuse", &bad, &good, "--method", "weighted", "--tune", "--qrels", &dev,
    ];
    let value = dream(&[&tune[..], &["--out", &out, "--json"]].concat())
        .json()
        .remove(0);
    assert_eq!(value["tuned"]["value"], 1.0);
    assert_eq!(value["tuned"]["tried"], 11);
    assert_eq!(value["queries"], 2);
    assert!(value["weights"][1].as_f64() > Some(0.5), "{value}");
    let fused = std::fs::read_to_string(&out).expect("it was written");
    assert!(
        !fused.contains("q0 ") && fused.contains("q3 Q0 right 1"),
        "{fused}"
    );

    let said = dream(&tune).ok();
    assert!(
        said.contains("--method weighted --normalise min-max --weights 0."),
        "{said}"
    );
    assert!(
        said.contains("nDCG@10 1.0000 on the development split"),
        "{said}"
    );
    let all = "q0 0 right 1
q1 0 right 1
q2 0 right 1
q3 0 right 1
";
    write(dir.path(), "dev", all);
    dream(&[&tune[..], &["--out", &out]].concat()).refused(&["nothing is left for --out"]);
}

#[test]
fn what_cannot_be_fused_is_refused() {
    let (dir, good, bad, _) = runs();
    let out = text(&dir.path().join("out"));
    dream(&["fuse", &good, "--out", &out]).refused(&["2"]);
    dream(&["fuse", &good, &bad]).refused(&["--out"]);
    let fuse = ["fuse", &good, &bad, "--out", &out];
    dream(&[&fuse[..], &["--weights", "1"]].concat()).refused(&["2 numbers, one a run, not 1"]);
    dream(&[&fuse[..], &["--weights", "0,0"]].concat()).refused(&["not all 0"]);
    dream(&[&fuse[..], &["--tune"]].concat()).refused(&["--qrels"]);
    dream(&[&fuse[..], &["--normalise", "max"]].concat()).refused(&["min-max or z-score"]);
}
