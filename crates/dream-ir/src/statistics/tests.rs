//! Against scipy and statsmodels (`fixtures/make_statistics.py`), and the edges.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::measures::{Measure, Scores};

#[derive(Deserialize)]
struct Fixture {
    cases: Vec<Case>,
    holm: Holm,
}

#[derive(Deserialize)]
struct Case {
    differences: Vec<f64>,
    t: f64,
    t_p: f64,
    means: Vec<f64>,
    bca_90: [f64; 2],
    exact_p: Option<f64>,
    drawn_p: Option<f64>,
    bca_95: Option<[f64; 2]>,
}

#[derive(Deserialize)]
struct Holm {
    p: Vec<f64>,
    adjusted: Vec<f64>,
}

fn fixture() -> Fixture {
    let text = include_str!("../../fixtures/statistics.json");
    serde_json::from_str(text).unwrap()
}

fn assert_near(got: f64, wanted: f64, tolerance: f64) {
    assert!(
        (got - wanted).abs() <= tolerance,
        "wanted {wanted}, got {got}"
    );
}

#[test]
fn the_t_test_equals_scipys() {
    for case in fixture().cases {
        let test = paired_t(&case.differences).unwrap();
        assert_near(test.t, case.t, 1e-12);
        assert_near(test.p, case.t_p, 1e-11);
        assert_eq!(test.degrees_of_freedom, case.differences.len() - 1);
    }
}

#[test]
fn the_exact_randomisation_test_equals_scipys_and_drawn_signs_come_near() {
    for case in fixture().cases {
        let test = paired_randomization(&case.differences, Resampling::default());
        assert_eq!(test.exact, case.exact_p.is_some());
        match case.exact_p {
            Some(p) => assert_near(test.p, p, 1e-12),
            // Five standard errors of 10,000 draws: 5 sqrt(p (1 - p) / 10000) is at most .025.
            None => assert_near(test.p, case.drawn_p.unwrap(), 0.025),
        }
    }
}

#[test]
fn the_interval_from_given_resamples_equals_scipys_and_one_of_our_own_comes_near() {
    for case in fixture().cases {
        let interval = bootstrap::bca(&case.differences, &case.means, 0.9);
        assert_near(interval.low, case.bca_90[0], 1e-9);
        assert_near(interval.high, case.bca_90[1], 1e-9);
        if let Some([low, high]) = case.bca_95 {
            let ours = bootstrap_mean(&case.differences, 0.95, Resampling::default()).unwrap();
            let tolerance = 0.05 * (high - low);
            assert_near(ours.low, low, tolerance);
            assert_near(ours.high, high, tolerance);
        }
    }
}

#[test]
fn holms_correction_equals_that_of_statsmodels() {
    let Holm { p, adjusted } = fixture().holm;
    for (got, wanted) in holm(&p).into_iter().zip(adjusted) {
        assert_near(got, wanted, 1e-12);
    }
    assert!(holm(&[]).is_empty());
    assert_eq!(holm(&[0.7, 0.6]), [1.0, 1.0]);
}

#[test]
fn the_same_seed_gives_the_same_bits_with_any_number_of_threads_and_another_seed_others() {
    let differences = &fixture().cases[4].differences;
    let with = |seed, threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let resampling = Resampling::new(2000, seed).unwrap();
            let p = paired_randomization(differences, resampling).p;
            (p, bootstrap_mean(differences, 0.95, resampling).unwrap())
        })
    };
    assert_eq!(with(1, 1), with(1, 3));
    assert_ne!(with(1, 1).1, with(2, 1).1);
}

#[test]
fn no_difference_and_few_queries_have_plain_answers() {
    let none = paired_randomization(&[0.0; 30], Resampling::default());
    assert_eq!((none.p, none.exact), (1.0, true));
    assert_eq!(paired_randomization(&[], Resampling::default()).p, 1.0);
    assert_eq!(paired_t(&[0.0; 30]).unwrap().p, 1.0);
    assert_eq!(paired_t(&[0.5; 30]).unwrap().p, 0.0);
    assert_eq!(paired_t(&[0.5]), None);
    assert_eq!(bootstrap_mean(&[0.5], 0.95, Resampling::default()), None);
    let flat = bootstrap_mean(&[0.25; 9], 0.95, Resampling::default()).unwrap();
    assert_eq!((flat.low, flat.high), (0.25, 0.25));
    // All one way: two of 2^4 assignments are as extreme, by hand.
    let test = paired_randomization(&[0.1, 0.2, 0.3, 0.4], Resampling::default());
    assert_eq!(test.p, 2.0 / 16.0);
    // Never 0, however few draws there are: 1 / (99 + 1) by hand.
    let test = paired_randomization(&[0.1; 200], Resampling::new(99, 0).unwrap());
    assert_eq!((test.p, test.exact), (0.01, false));
    assert!(Resampling::new(0, 0).is_err() && Resampling::new(1_000_000_000, 0).is_err());
}

#[test]
fn a_comparison_counts_wins_and_orders_changes() {
    let scores = |values: [f64; 4]| Scores {
        measure: Measure::Ndcg(10),
        mean: mean(&values),
        per_query: ["a", "b", "c", "d"]
            .map(String::from)
            .into_iter()
            .zip(values)
            .collect(),
    };
    let (first, second) = (
        scores([0.5, 0.5, 0.1, 0.3]),
        scores([0.25, 0.75, 0.1 + 1e-16, 0.9]),
    );
    let comparison = PairedComparison::new(&first, &second, 0.95, Resampling::default()).unwrap();
    assert_eq!(
        (comparison.wins, comparison.ties, comparison.losses),
        (2, 1, 1)
    );
    let order: Vec<&str> = comparison
        .changes
        .iter()
        .map(|c| c.query.as_str())
        .collect();
    assert_eq!(order, ["d", "a", "b"]);
    assert_near(comparison.difference, 0.15, 1e-12);
    let mut other = second.clone();
    other.per_query = BTreeMap::from([("a".to_owned(), 0.5)]);
    assert!(PairedComparison::new(&first, &other, 0.95, Resampling::default()).is_err());
}
