//! Filters, known passages and filling, on lists that a source might have found.

use super::tests::{TEXTS, corpus, row, tenths};
use super::*;

fn select_one(
    row: &TrainingRow,
    texts: &[&str],
    found: &[Found],
    settings: &PoolSettings,
) -> Result<Selection> {
    let all = select_all(&[(0, row)], &[found.to_vec()], &corpus(texts), settings)?;
    Ok(all.into_iter().next().unwrap())
}

fn documents(selection: &Selection) -> Vec<usize> {
    selection.candidates.iter().map(|c| c.document).collect()
}

/// No filling, the settings changed by `change`.
fn unfilled(k: usize, change: impl FnOnce(&mut PoolSettings)) -> PoolSettings {
    let mut settings = PoolSettings::new(PoolSource::Bm25, k);
    settings.fill = Fill::None;
    settings.depth = Some(6);
    change(&mut settings);
    settings
}

#[test]
fn ranks_and_scores_are_kept_as_provenance_and_filtered_by() {
    let asked = row("q", &["4"], &[]);
    let found = tenths(6);
    let plain = select_one(&asked, &TEXTS, &found, &unfilled(3, |_| {})).unwrap();
    assert_eq!(documents(&plain), [0, 1, 2]);
    assert_eq!(plain.known_rank, Some(5)); // although the pool ends before
    let second = plain.candidates[1];
    assert_eq!((second.score, second.origin), (Some(0.9), Origin::Found(2)));

    let ranks = unfilled(2, |s| s.filters.ranks = Ranks::new(3, 5).ok());
    let kept = select_one(&asked, &TEXTS, &found, &ranks).unwrap();
    assert_eq!(documents(&kept), [2, 3]);
    assert_eq!(kept.candidates[0].origin, Origin::Found(3));
    assert_eq!(kept.dropped.ranks, 2);

    let low = unfilled(6, |s| s.filters.max_score = Some(0.75));
    let kept = select_one(&asked, &TEXTS, &found, &low).unwrap();
    assert_eq!(documents(&kept), [3, 4, 5]);
    assert_eq!(kept.dropped.max_score, 3);
}

#[test]
fn the_margin_is_relative_to_the_known_passage_and_spares_it() {
    let found = tenths(6);
    let margin = unfilled(6, |s| s.filters.margin = Some(0.95));
    let kept = |positives: &[&str], found: &[Found]| {
        let kept = select_one(&row("q", positives, &[]), &TEXTS, found, &margin).unwrap();
        (documents(&kept), kept.dropped.margin)
    };
    // Document 2 scores .8, .95 times that is .76.
    assert_eq!(kept(&["2"], &found), (vec![2, 3, 4, 5], 2));
    // The best of two counts.
    assert_eq!(kept(&["4", "1"], &found), (vec![1, 2, 3, 4, 5], 1));
    // Not found: as the last, which scores .7; nothing found scores .665 or less.
    assert_eq!(kept(&["5"], &found[..4]), (vec![], 4));
    // Without a known passage there is nothing to compare with.
    assert_eq!(kept(&[], &found).0.len(), 6);
    assert_eq!(kept(&["2"], &[]), (vec![], 0));
}

#[test]
fn near_duplicates_of_the_target_of_candidates_and_of_labelled_passages_are_dropped() {
    let texts = [
        "iron rusts in the rain of Bergen",
        "Iron rusts in the rain, of Bergen!",
        "salt dissolves in the rain of Bergen",
        "the answer is seven ships",
        "gold stays as it is",
    ];
    let mut asked = row("q", &["4"], &[]);
    asked.target = "The answer is seven ships.".into();
    let found = tenths(5);
    let near = |share: f32, policy: KnownPassage| {
        let settings = unfilled(5, |s| {
            s.filters.near_duplicates = Some(share);
            s.known_passage = policy;
        });
        let kept = select_one(&asked, &texts, &found, &settings).unwrap();
        (documents(&kept), kept.dropped.near_duplicates)
    };
    assert_eq!(near(0.9, KnownPassage::AsFound), (vec![0, 2, 4], 2));
    // 0 and 2 share three of seven runs: in the, the rain, rain of.
    assert_eq!(near(0.4, KnownPassage::AsFound), (vec![0, 4], 3));
    assert_eq!(near(0.44, KnownPassage::AsFound), (vec![0, 2, 4], 2));
    assert_eq!(near(1.0, KnownPassage::AsFound).1, 0);
    // A copy of a passage that is kept out is kept out too, unless no label may be used.
    asked.positive_ids = vec!["1".into()];
    let with = |policy: KnownPassage| {
        let settings = unfilled(5, |s| {
            s.filters.near_duplicates = Some(0.9);
            s.known_passage = policy;
        });
        documents(&select_one(&asked, &texts, &found, &settings).unwrap())
    };
    assert_eq!(with(KnownPassage::Exclude), [2, 4]);
    assert_eq!(with(KnownPassage::Include), [1, 2, 4]);
    assert_eq!(with(KnownPassage::AsFound), [0, 2, 4]);
}

#[test]
fn documents_with_the_target_and_the_row_itself_are_dropped_known_or_not() {
    let texts = ["founded in 1899", "founded in 18990", "When?", "1899", "x"];
    let mut asked = row(" When? ", &["3"], &[]);
    (asked.target, asked.id) = ("1899".into(), "4".into());
    let found = tenths(5);
    let kept = |policy: KnownPassage, change: fn(&mut Filters)| {
        let settings = unfilled(5, |s| {
            change(&mut s.filters);
            s.known_passage = policy;
        });
        let kept = select_one(&asked, &texts, &found, &settings).unwrap();
        (documents(&kept), kept.dropped)
    };
    let (found_ones, dropped) = kept(KnownPassage::AsFound, |f| f.drop_containing_target = true);
    assert_eq!((found_ones, dropped.containing_target), (vec![1, 2, 4], 2));
    let (found_ones, _) = kept(KnownPassage::Include, |f| f.drop_containing_target = true);
    assert_eq!(found_ones, [1, 2, 3, 4]);
    let (found_ones, dropped) = kept(KnownPassage::AsFound, |f| f.drop_self = true);
    assert_eq!((found_ones, dropped.itself), (vec![0, 1, 3], 2));
    let (found_ones, dropped) = kept(KnownPassage::Exclude, |_| {});
    assert_eq!((found_ones, dropped.known_passage), (vec![0, 1, 2, 4], 1));
}

#[test]
fn filling_is_marked_and_keeps_to_the_filters() {
    let texts: Vec<String> = (0..40).map(|i| format!("text {}", i % 2)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut asked = row("q", &[], &[]);
    asked.target = "1".into();
    let mut settings = PoolSettings::new(PoolSource::Bm25, 8);
    settings.filters.drop_containing_target = true;
    let filled = select_one(&asked, &texts, &tenths(3), &settings).unwrap();
    assert_eq!(filled.candidates.len(), 8);
    assert_eq!(
        (filled.n_chosen(), &documents(&filled)[..2]),
        (2, &[0, 2][..])
    );
    assert!(documents(&filled).iter().all(|d| d % 2 == 0));
    let last = filled.candidates[7];
    assert_eq!((last.origin, last.score), (Origin::Fill, None));
    assert_eq!(filled.dropped.containing_target, 1); // of those found
    let again = select_one(&asked, &texts, &tenths(3), &settings).unwrap();
    assert_eq!(again, filled);
    settings.seed = 1;
    let other = select_one(&asked, &texts, &tenths(3), &settings).unwrap();
    assert_ne!(documents(&other), documents(&filled));
}

#[test]
fn a_known_passage_that_is_put_in_says_so() {
    let settings = unfilled(2, |s| s.known_passage = KnownPassage::Include);
    let asked = row("q", &["3"], &[]);
    let put_in = select_one(&asked, &TEXTS, &tenths(3), &settings).unwrap();
    assert_eq!(documents(&put_in), [0, 3]);
    assert_eq!(put_in.candidates[1].origin, Origin::Known);
    assert_eq!(
        (put_in.known_rank, put_in.candidates[1].score),
        (None, None)
    );
    // Found too late for the pool: its score is known.
    let late = select_one(&asked, &TEXTS, &tenths(4), &settings).unwrap();
    assert_eq!(
        (late.known_rank, late.candidates[1].score),
        (Some(4), Some(0.7))
    );
}

#[test]
fn scores_that_are_missing_or_no_numbers_are_errors_that_name_row_and_document() {
    let asked = row("q", &[], &[]);
    for score in [f32::NAN, f32::INFINITY] {
        let found = Found::all([(0, 1.0), (1, score)]);
        let error = select_one(&asked, &TEXTS, &found, &unfilled(2, |_| {})).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("row of q") && error.contains("\"1\""),
            "{error}"
        );
    }
    let unscored = [Found {
        document: 2,
        score: None,
    }];
    let margin = unfilled(2, |s| s.filters.margin = Some(0.9));
    let error = select_one(&asked, &TEXTS, &unscored, &margin).unwrap_err();
    assert!(error.to_string().contains("\"2\" has no score"), "{error}");
}

#[test]
fn settings_that_cannot_be_met_or_do_nothing_are_refused() {
    let refused = |source: PoolSource, change: fn(&mut PoolSettings), part: &str| {
        let mut settings = PoolSettings::new(source, 4);
        change(&mut settings);
        let error = settings.check().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let bm25 = PoolSource::Bm25;
    refused(bm25, |s| s.k = 0, "at least 1");
    refused(bm25, |s| s.depth = Some(3), "depth of at least 4, not 3");
    let ranks = |s: &mut PoolSettings| s.filters.ranks = Ranks::new(10, 12).ok();
    refused(bm25, ranks, "the 3 ranks 10-12");
    let deep = |s: &mut PoolSettings| {
        s.filters.ranks = Ranks::new(10, 20).ok();
        s.depth = Some(19);
    };
    refused(bm25, deep, "at least 20, not 19");
    refused(bm25, |s| s.filters.max_score = Some(f32::NAN), "NaN");
    refused(bm25, |s| s.filters.margin = Some(0.0), "above 0");
    refused(bm25, |s| s.filters.near_duplicates = Some(1.1), "0 to 1");
    for source in [PoolSource::Random, PoolSource::InBatch] {
        refused(source, |s| s.filters.margin = Some(0.9), "neither ranks");
    }
    assert!(
        candidate_pools(
            &TrainingSet::new(vec![row("q", &[], &[])], corpus(&TEXTS)).unwrap(),
            &PoolSettings::new(PoolSource::Dense, 2)
        )
        .is_err_and(|error| error.to_string().contains("need a retriever"))
    );
    // What is looked at by default.
    let mut settings = PoolSettings::new(bm25, 4);
    assert_eq!(settings.depth(1), 5);
    settings.filters.drop_self = true;
    assert_eq!(settings.depth(1), DEFAULT_DEPTH);
    settings.filters.ranks = Ranks::new(10, 20).ok();
    assert_eq!(settings.depth(1), 20);
}
