use super::*;

fn put(root: &Path, model: &str, task: &str, split: &str, entries: &[(&str, f64)]) {
    let folder = root.join(model).join("r1");
    fs::create_dir_all(&folder).unwrap();
    let entries: Vec<_> = entries
        .iter()
        .map(|(subset, score)| {
            serde_json::json!({"hf_subset": subset, "languages": ["eng-Latn"], "main_score": score})
        })
        .collect();
    let mut scores = serde_json::Map::new();
    for split in split.split(',') {
        scores.insert(split.to_owned(), entries.clone().into());
    }
    let result = serde_json::json!({"dataset_revision": "x", "task_name": task, "mteb_version": "2",
        "scores": scores, "evaluation_time": 1.0, "kg_co2_emissions": null});
    fs::write(folder.join(format!("{task}.json")), result.to_string()).unwrap();
}

#[test]
fn a_mean_is_over_all_tasks_of_its_group_or_missing() {
    let root = tempfile::tempdir().unwrap();
    for task in ["NFCorpus", "FiQA2018", "ArguAna", "SCIDOCS", "SciFact"] {
        put(root.path(), "org__whole", task, "test", &[("default", 0.4)]);
    }
    put(
        root.path(),
        "org__half",
        "SciFact",
        "test",
        &[("default", 0.9)],
    );
    let models = read_results(&[root.path().to_owned()]).unwrap();
    let table = leaderboard(&models, Some(&["beir-small".to_owned()])).unwrap();
    assert_eq!(table.tasks.len(), 5);
    assert_eq!(table.rows[0].model, "org/whole");
    assert!(matches!(table.rows[0].means[0], Cell::Score(s) if (s - 0.4).abs() < 1e-12));
    assert_eq!(table.rows[1].means[0], Cell::Missing("1 of 5 tasks".into()));
    assert_eq!(table.rows[1].scores[4], Cell::Score(0.9));
    assert_eq!(table.rows[1].scores[0], Cell::Missing("no result".into()));
    let all = leaderboard(&models, None).unwrap();
    assert_eq!(all.groups, ["beir", "beir-small"]);
    assert_eq!(all.rows[0].means[0], Cell::Missing("5 of 15 tasks".into()));
}

#[test]
fn an_aggregate_is_the_mean_of_all_its_parts() {
    let root = tempfile::tempdir().unwrap();
    let task = registry().task("CQADupstackRetrieval").unwrap();
    for (part, score) in task.parts.iter().zip(1..) {
        let model = "m";
        put(
            root.path(),
            model,
            part,
            "test",
            &[("default", f64::from(score) / 12.0)],
        );
    }
    let models = read_results(&[root.path().to_owned()]).unwrap();
    let column = &select("CQADupstackRetrieval").unwrap()[0];
    // (1 + ... + 12) / 12 / 12
    assert!(
        matches!(score(&models[0], column), Cell::Score(s) if (s - 78.0 / 144.0).abs() < 1e-12)
    );
    fs::remove_file(root.path().join("m/r1/CQADupstackGisRetrieval.json")).unwrap();
    let models = read_results(&[root.path().to_owned()]).unwrap();
    assert_eq!(
        score(&models[0], column),
        Cell::Missing("11 of 12 tasks".into())
    );
}

#[test]
fn a_group_may_want_some_subsets_only() {
    let root = tempfile::tempdir().unwrap();
    let splits = registry().task("CUREv1").unwrap().splits.join(",");
    put(root.path(), "m", "CUREv1", &splits, &[("en", 0.5)]);
    let models = read_results(&[root.path().to_owned()]).unwrap();
    let score_of = |names| score(&models[0], &select(names).unwrap()[0]);
    assert_eq!(score_of("CUREv1:en"), Cell::Score(0.5));
    assert!(matches!(score_of("CUREv1"), Cell::Missing(what) if what.contains("subset es")));
    assert_eq!(leaderboard(&models, None).unwrap().tasks, ["CUREv1:en"]);
}

#[test]
fn a_place_without_results_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let error = read_results(&[root.path().to_owned()])
        .unwrap_err()
        .to_string();
    assert!(error.contains("no result files below"), "{error}");
}
