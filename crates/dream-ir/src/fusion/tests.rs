//! Fusion worked out by hand.

use super::*;
use crate::measures::Measure;
use crate::qrels::Qrels;

fn run(queries: &[(&str, &[(&str, f32)])]) -> Run {
    let mut run = Run::default();
    for (query, hits) in queries {
        let hit = |(document, score): &(&str, f32)| Hit {
            document: (*document).into(),
            score: *score,
        };
        run.insert(*query, hits.iter().map(hit).collect()).unwrap();
    }
    run
}

fn assert_hits(run: &Run, query: &str, wanted: &[(&str, f64)]) {
    let hits = run.get(query).unwrap();
    let ids: Vec<&str> = hits.iter().map(|hit| hit.document.as_str()).collect();
    let wanted_ids: Vec<&str> = wanted.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, wanted_ids);
    for (hit, (_, score)) in hits.iter().zip(wanted) {
        assert!((f64::from(hit.score) - score).abs() < 1e-6, "{hits:?}");
    }
}

fn dense_and_lexical() -> [Run; 2] {
    [
        run(&[("q", &[("a", 0.9), ("b", 0.8), ("c", 0.5)])]),
        run(&[
            ("q", &[("c", 12.0), ("a", 7.0), ("d", 2.0)]),
            ("r", &[("a", 1.0)]),
        ]),
    ]
}

#[test]
fn reciprocal_ranks_add_up() {
    let method = Method::ReciprocalRank { k: 60.0 };
    let fused = fuse(&dense_and_lexical(), method, &[1.0, 1.0], 10).unwrap();
    let wanted = [
        ("a", 1.0 / 61.0 + 1.0 / 62.0),
        ("c", 1.0 / 63.0 + 1.0 / 61.0),
        ("b", 1.0 / 62.0),
        ("d", 1.0 / 63.0),
    ];
    assert_hits(&fused, "q", &wanted);
    assert_hits(&fused, "r", &[("a", 1.0 / 61.0)]);
    let weighted = fuse(&dense_and_lexical(), method, &[0.0, 2.0], 2).unwrap();
    assert_hits(&weighted, "q", &[("c", 2.0 / 61.0), ("a", 2.0 / 62.0)]);
}

#[test]
fn normalised_scores_are_weighted() {
    // Min-max: dense a 1, b .75, c 0; lexical c 1, a .5, d 0.
    let method = Method::Scores(Normalisation::MinMax);
    let fused = fuse(&dense_and_lexical(), method, &[0.6, 0.4], 10).unwrap();
    let wanted = [("a", 0.8), ("b", 0.45), ("c", 0.4), ("d", 0.0)];
    assert_hits(&fused, "q", &wanted);
    assert_hits(&fused, "r", &[("a", 0.4)]); // alone, so the best

    // z-scores: [3, 1, -1] has mean 1 and deviation sqrt(8 / 3); a missing document gets the last one's.
    let runs = [
        run(&[("q", &[("a", 3.0), ("b", 1.0), ("c", -1.0)])]),
        run(&[("q", &[("d", 5.0), ("a", 5.0)])]),
    ];
    let fused = fuse(
        &runs,
        Method::Scores(Normalisation::ZScore),
        &[1.0, 1.0],
        10,
    )
    .unwrap();
    let z = 2.0 / (8.0_f64 / 3.0).sqrt();
    assert_hits(&fused, "q", &[("a", z), ("b", 0.0), ("d", -z), ("c", -z)]);
}

#[test]
fn runs_weights_and_k_that_make_no_sense_are_refused() {
    let runs = dense_and_lexical();
    let rank = |k| Method::ReciprocalRank { k };
    let error = |runs: &[Run], method, weights: &[f64]| {
        let fused = fuse(runs, method, weights, 10);
        fused.unwrap_err().to_string()
    };
    assert!(error(&runs[..1], rank(60.0), &[1.0]).contains("at least two runs, got 1"));
    assert!(error(&runs, rank(f64::NAN), &[1.0, 1.0]).contains("k of at least 0"));
    assert!(error(&runs, rank(60.0), &[1.0]).contains("each of 2 runs, got 1"));
    for bad in [[0.0, 0.0], [1.0, -1.0], [f64::INFINITY, 1.0]] {
        assert!(error(&runs, rank(60.0), &bad).contains("weights must be"));
    }
}

#[test]
fn tuning_finds_the_run_that_is_right_and_leaves_the_paper_s_k_where_nothing_is_better() {
    let good: Vec<(String, Vec<(&str, f32)>)> = (0..9)
        .map(|i| {
            (
                format!("q{i}"),
                vec![("right", 3.0), ("x", 2.0), ("y", 1.0)],
            )
        })
        .collect();
    let bad: Vec<(String, Vec<(&str, f32)>)> = (0..9)
        .map(|i| {
            (
                format!("q{i}"),
                vec![("x", 9.0), ("y", 8.9), ("right", 1.0)],
            )
        })
        .collect();
    let as_run = |lists: &[(String, Vec<(&str, f32)>)]| {
        let borrowed: Vec<(&str, &[(&str, f32)])> = lists
            .iter()
            .map(|(q, hits)| (q.as_str(), hits.as_slice()))
            .collect();
        run(&borrowed)
    };
    let runs = [as_run(&bad), as_run(&good)];
    let mut qrels = Qrels::default();
    for i in 0..9 {
        qrels.add(&format!("q{i}"), "right", 1).unwrap();
    }
    let method = Method::Scores(Normalisation::MinMax);
    let tuned = tune(&runs, method, &[0.5, 0.5], &qrels, Measure::Rr(10), 10).unwrap();
    assert_eq!((tuned.value, tuned.tried), (1.0, 11));
    assert!(tuned.weights[1] > 0.5, "{tuned:?}");
    let method = Method::ReciprocalRank { k: 3.0 };
    let tuned = tune(&runs, method, &[1.0, 1.0], &qrels, Measure::Rr(10), 10).unwrap();
    assert_eq!(tuned.method, Method::ReciprocalRank { k: DEFAULT_K });
    let nobody = tune(
        &runs,
        method,
        &[1.0, 1.0],
        &Qrels::default(),
        Measure::Rr(10),
        10,
    );
    assert!(nobody.is_err());
}
