//! Measures by hand; `tests/it/measures_as_trec_eval.rs` compares them with trec_eval's own code.

use super::*;
use crate::{Error, Hit, Qrels, Run};

fn qrels(judgements: &[(&str, &str, i32)]) -> Qrels {
    let mut qrels = Qrels::default();
    for &(query, document, grade) in judgements {
        qrels.add(query, document, grade).unwrap();
    }
    qrels
}

fn run(query: &str, documents: &[&str]) -> Run {
    let hits = documents.iter().zip(0u8..).map(|(&document, rank)| Hit {
        document: document.into(),
        score: -f32::from(rank),
    });
    let mut run = Run::default();
    run.insert(query, hits.collect()).unwrap();
    run
}

#[test]
fn the_text_form_and_every_other_spelling_are_read() {
    for (measure, spellings) in [
        (
            Measure::Ndcg(10),
            "nDCG@10 ndcg@10 NDCG@10 ndcg_cut_10 ndcg_cut.10 ndcg_at_10 nDCG_10",
        ),
        (Measure::Ndcg(Measure::NO_CUT), "nDCG ndcg"),
        (
            Measure::Map(100),
            "MAP@100 map_cut_100 map_cut.100 map_at_100 AP@100",
        ),
        (Measure::Map(Measure::NO_CUT), "MAP map AP"),
        (
            Measure::Recall(100),
            "R@100 recall_100 recall.100 Recall@100 recall_at_100",
        ),
        (
            Measure::Precision(10),
            "P@10 P_10 p.10 Precision@10 precision_at_10",
        ),
        (
            Measure::Rr(10),
            "RR@10 mrr@10 MRR@10 mrr_at_10 recip_rank_10 recip_rank_cut_10",
        ),
        (Measure::Rr(Measure::NO_CUT), "RR MRR recip_rank"),
        (
            Measure::Success(5),
            "Success@5 success_5 success.5 Accuracy@5 hit_rate_at_5 HitRate@5",
        ),
        (
            Measure::RCap(100),
            "R-cap@100 R_cap@100 r_cap_100 RCap@100 R_cap_at_100",
        ),
        (Measure::Judged(10), "Judged@10 judged_10 judged_at_10"),
    ] {
        for text in spellings.split(' ') {
            assert_eq!(text.parse::<Measure>().unwrap(), measure, "{text}");
        }
        for text in [measure.to_string(), measure.mteb_name()] {
            assert_eq!(text.parse::<Measure>().unwrap(), measure, "{text}");
        }
        assert!(spellings.starts_with(&measure.to_string()));
    }
    assert_eq!(Measure::Success(5).mteb_name(), "hit_rate_at_5");
    for text in [
        "",
        "nDCG@",
        "nDCG@0",
        "nDCG@-1",
        "nDCG@+1",
        "map10",
        "@10",
        "R@1e9",
        "R",
        "P",
        "Success",
        "R@18446744073709551615",
        "cut_10",
        "nDCG@10@10",
        "hole@10",
        "Rprec",
    ] {
        assert!(text.parse::<Measure>().is_err(), "{text}");
    }
    assert!("R@99999999999999999999".parse::<Measure>().is_err());
    let json = serde_json::to_string(&Measure::Rr(10)).unwrap();
    assert_eq!(
        serde_json::from_str::<Measure>(&json).unwrap(),
        Measure::Rr(10)
    );
}

#[test]
fn graded_gains_are_linear_and_the_ideal_is_over_all_judged_documents() {
    // By hand: DCG = 1/log2(2) + 2/log2(4) = 2; ideal of (2, 1, 1) = 2 + 1/log2(3) + 1/2.
    let qrels = qrels(&[("q", "a", 1), ("q", "b", 2), ("q", "c", 1), ("q", "n", -3)]);
    let run = run("q", &["a", "n", "b", "x"]);
    let result = evaluate(&qrels, &run, &[Measure::Ndcg(10), Measure::Ndcg(1)]).unwrap();
    let ideal = 2.0 + 1.0 / 3f64.log2() + 0.5;
    assert!((result.scores[0].mean - 2.0 / ideal).abs() < 1e-12);
    assert!((result.scores[1].mean - 0.5).abs() < 1e-12);
}

#[test]
fn recall_and_reciprocal_rank_stop_at_the_cut_off() {
    let qrels = qrels(&[("q", "a", 1), ("q", "b", 1), ("q", "z", 0)]);
    let run = run("q", &["z", "x", "a", "b"]);
    let measures = [2, 3, 4].map(Measure::Recall);
    let result = evaluate(&qrels, &run, &measures).unwrap();
    assert_eq!(
        result.scores.iter().map(|s| s.mean).collect::<Vec<_>>(),
        [0.0, 0.5, 1.0]
    );
    let result = evaluate(&qrels, &run, &[Measure::Rr(2), Measure::Rr(3)]).unwrap();
    assert_eq!(result.mean(Measure::Rr(2)), Some(0.0));
    assert_eq!(result.mean(Measure::Rr(3)), Some(1.0 / 3.0));
}

/// Values of the only query for each measure.
fn values(qrels: &Qrels, run: &Run, measures: &[Measure]) -> Vec<f64> {
    let result = evaluate(qrels, run, measures).unwrap();
    result.scores.iter().map(|scores| scores.mean).collect()
}

#[test]
fn precisions_successes_and_capped_recall_by_hand() {
    let qrels = qrels(&[("q", "a", 1), ("q", "b", 2), ("q", "c", 1), ("q", "n", -1)]);
    let run = run("q", &["n", "a", "x", "b"]);
    let map = [
        Measure::Map(2),
        Measure::Map(4),
        Measure::Map(Measure::NO_CUT),
    ];
    // Precisions 1/2 at rank 2 and 2/4 at rank 4, over three relevant documents.
    let wanted = [0.5 / 3.0, 1.0 / 3.0, 1.0 / 3.0];
    assert_eq!(values(&qrels, &run, &map), wanted);
    let precision = [1, 2, 4, 10].map(Measure::Precision);
    assert_eq!(values(&qrels, &run, &precision), [0.0, 0.5, 0.5, 0.2]);
    assert_eq!(
        values(&qrels, &run, &[1, 2].map(Measure::Success)),
        [0.0, 1.0]
    );
    let capped = [1, 2, 100].map(Measure::RCap);
    assert_eq!(values(&qrels, &run, &capped), [0.0, 0.5, 2.0 / 3.0]);
    let judged = [1, 3, 4, 10].map(Measure::Judged);
    assert_eq!(values(&qrels, &run, &judged), [1.0, 2.0 / 3.0, 0.75, 0.75]);
}

#[test]
fn the_relevance_level_moves_every_measure_but_ndcg() {
    let qrels = qrels(&[("q", "a", 1), ("q", "b", 2)]);
    let run = run("q", &["a", "b"]);
    let measures = [Measure::Rr(10), Measure::Recall(1), Measure::Ndcg(10)];
    let at = |relevance_level| {
        let options = EvaluationOptions {
            relevance_level,
            ..EvaluationOptions::default()
        };
        let result = evaluate_with(&qrels, &run, &measures, options)?;
        Ok::<_, Error>(result.scores.iter().map(|s| s.mean).collect::<Vec<_>>())
    };
    let (one, two) = (at(1).unwrap(), at(2).unwrap());
    assert_eq!((&one[..2], &two[..2]), (&[1.0, 0.5][..], &[0.5, 0.0][..]));
    assert_eq!(one[2], two[2]);
    assert_eq!(at(3).unwrap()[..2], [0.0, 0.0]);
    assert!(at(0).is_err() && at(-1).is_err());
}

#[test]
fn a_query_with_nothing_but_grades_below_0_is_worth_0() {
    // trec_eval's table of grades has no place for it: pytrec_eval 0.5.11 crashes.
    let qrels = qrels(&[("q", "a", -2), ("q", "b", -3)]);
    let run = run("q", &["a", "b"]);
    let measures = [Measure::Ndcg(10), Measure::Map(10), Measure::Rr(10)];
    assert_eq!(values(&qrels, &run, &measures), [0.0; 3]);
    assert_eq!(values(&qrels, &run, &[Measure::Judged(10)]), [1.0]);
}

#[test]
fn with_the_rule_on_a_query_does_not_find_itself() {
    // As in ArguAna: the query is an argument of the corpus, its counter-argument is relevant.
    let qrels = qrels(&[("arg1", "counter1", 1), ("arg2", "counter2", 1)]);
    let mut run = run("arg1", &["arg1", "counter1", "arg2"]);
    run.insert("arg2", run.get("arg1").unwrap().to_vec())
        .unwrap();
    let with = |drop_identical_ids| {
        let options = EvaluationOptions {
            drop_identical_ids,
            ..EvaluationOptions::default()
        };
        evaluate_with(
            &qrels,
            &run,
            &[Measure::Rr(10), Measure::Judged(2)],
            options,
        )
        .unwrap()
    };
    let (kept, dropped) = (with(false), with(true));
    assert_eq!(
        (kept.n_identical_ids, dropped.n_identical_ids),
        (None, Some(2))
    );
    assert_eq!(kept.scores[0].values(), [0.5, 0.0]);
    assert_eq!(dropped.scores[0].values(), [1.0, 0.0]);
    assert_eq!(dropped.scores[1].values(), [0.5, 0.0]);
}

#[test]
fn every_judged_query_counts_found_or_not() {
    let qrels = qrels(&[("q", "a", 1), ("lost", "a", 1), ("none", "a", 0)]);
    let mut run = run("q", &["a"]);
    run.insert("stranger", vec![]).unwrap();
    run.insert("none", vec![]).unwrap();
    let result = evaluate(&qrels, &run, &DEFAULT_MEASURES).unwrap();
    assert_eq!(
        (result.n_queries, result.n_missing, result.n_unjudged),
        (3, 2, 1)
    );
    for scores in &result.scores {
        assert!((scores.mean - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(scores.per_query.len(), 3);
    }
    assert!(evaluate(&Qrels::default(), &run, &DEFAULT_MEASURES).is_err());
}
