use super::*;

fn names(selected: &[Selected]) -> Vec<&str> {
    selected.iter().map(|s| s.task.name.as_str()).collect()
}

#[test]
fn the_registry_is_whole() {
    let registry = registry();
    let mut seen = std::collections::HashSet::new();
    for task in &registry.tasks {
        assert!(seen.insert(&task.name), "{} comes twice", task.name);
        assert!(!task.splits.is_empty() && !task.subsets.is_empty());
        if task.is_aggregate() {
            assert_eq!(task.leaves().len(), task.parts.len());
            continue;
        }
        let revision = task.revision.as_deref().unwrap_or_default();
        assert_eq!(revision.len(), 40, "{}", task.name);
        assert!(revision.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(task.hub_id.as_deref().unwrap().matches('/').count(), 1);
    }
    for group in registry.groups.values() {
        select(&group.tasks.join(",")).unwrap();
    }
}

#[test]
fn the_groups_have_the_sizes_that_their_benchmarks_state() {
    let count = |group| select(group).unwrap().len();
    assert_eq!(count("beir"), 15);
    assert_eq!((count("rteb-open"), count("rteb-open-eng")), (17, 15));
    assert_eq!(count("nanobeir"), 13);
    let small = select("beir-small").unwrap();
    assert_eq!(
        names(&small),
        ["NFCorpus", "FiQA2018", "ArguAna", "SCIDOCS", "SciFact"]
    );
}

#[test]
fn the_rules_that_change_figures_are_those_of_the_benchmarks() {
    let task = |name| registry().task(name).unwrap();
    assert_eq!(task("msmarco").splits, ["dev"]);
    assert_eq!(task("scifact").splits, ["test"]);
    assert!(task("ArguAna").ignore_identical_ids && task("quora").ignore_identical_ids);
    assert!(!task("NFCorpus").ignore_identical_ids);
    assert_eq!(task("CQADupstackRetrieval").leaves().len(), 12);
    assert!(!task("MBPPRetrieval").titles && task("SciFact").titles);
    assert_eq!(task("SciFact").n_documents(), Some(5183));
    assert_eq!(task("SciFact").main_measure, Measure::Ndcg(10));
}

#[test]
fn names_choose_tasks_once_and_subsets_add_up() {
    let selected = select("scifact, beir-small,SciFact").unwrap();
    assert_eq!(selected.len(), 5);
    assert_eq!(selected[0].task.name, "SciFact");
    let english = select("rteb-open-eng").unwrap();
    let cure = english.iter().find(|s| s.task.name == "CUREv1").unwrap();
    assert_eq!(cure.subsets.len(), 1);
    let two = select("CUREv1:fr,CUREv1:en").unwrap();
    let subsets: Vec<&str> = two[0].subsets.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(subsets, ["en", "fr"]);
    let error = |names| select(names).unwrap_err().to_string();
    assert!(error("scifakt").contains("no task or group \"scifakt\""));
    assert!(error("CUREv1:xx").contains("no subset \"xx\", but en, es, fr"));
    assert!(error(" ,").contains("wanted names"));
}

#[test]
fn data_is_looked_for_under_the_names_that_people_use() {
    let folders = |name| registry().task(name).unwrap().folders();
    assert_eq!(folders("SciFact"), ["SciFact", "scifact"]);
    assert!(folders("MBPPRetrieval").contains(&"mbpp".to_owned()));
    assert!(folders("TRECCOVID").contains(&"trec-covid".to_owned()));
    assert!(folders("CQADupstackGisRetrieval").contains(&"cqadupstack/gis".to_owned()));
}
