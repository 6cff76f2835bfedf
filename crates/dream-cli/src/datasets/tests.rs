//! Finding and fetching, against a hub of our own.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::fake_hub::{Reply, Server, env_at, names_in, ok, serve};
use dream_ir::tasks::{Subset, registry};
use std::collections::HashMap;
use std::fs;

const CORPUS: &str = "{\"_id\":\"d\",\"text\":\"iron rusts\"}\n";
const CARD: &str = "---\nconfigs:\n- config_name: corpus\n  data_files:\n  - split: corpus\n    path: corpus-*.jsonl\n- config_name: queries\n  data_files:\n  - split: queries\n    path: queries.jsonl\n- config_name: default\n  data_files:\n  - split: test\n    path: qrels/test.jsonl\n  - split: train\n    path: qrels/train.jsonl\n---\n# A set\n";

fn scifact() -> (&'static Task, Vec<&'static Subset>) {
    let task = registry().task("SciFact").unwrap();
    (task, task.subsets.iter().collect())
}

const TEST: Part = Part {
    subset: DEFAULT_SUBSET,
    split: "test",
};

fn files() -> HashMap<&'static str, &'static str> {
    HashMap::from([
        ("README.md", CARD),
        ("corpus-1.jsonl", CORPUS),
        ("queries.jsonl", "{\"_id\":\"q\",\"text\":\"what rusts\"}\n"),
        (
            "qrels/test.jsonl",
            "{\"query-id\":\"q\",\"corpus-id\":\"d\",\"score\":1}\n",
        ),
        ("qrels/train.jsonl", "not fetched"),
        ("../../escape.jsonl", "x"),
        (".hidden.jsonl", "x"),
    ])
}

/// A hub with the data set of the task SciFact.
fn hub(files: &HashMap<&str, &str>) -> HashMap<String, Reply> {
    let (task, _) = scifact();
    let (id, commit) = (
        task.hub_id.as_deref().unwrap(),
        task.revision.as_deref().unwrap(),
    );
    let siblings: Vec<_> = files
        .iter()
        .map(|(name, text)| serde_json::json!({"rfilename": name, "size": text.len()}))
        .collect();
    let listing = serde_json::json!({"sha": commit, "siblings": siblings}).to_string();
    let mut replies = HashMap::from([(
        format!("/api/datasets/{id}/revision/{commit}?blobs=true"),
        ok(listing),
    )]);
    for (name, text) in files {
        replies.insert(format!("/datasets/{id}/resolve/{commit}/{name}"), ok(*text));
    }
    replies
}

fn asked(server: &Server) -> usize {
    server.asked.lock().unwrap().len()
}

#[test]
fn a_fetched_set_holds_what_the_task_needs_and_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(hub(&files()));
    let env = env_at(folder.path(), &server.address);
    let (task, subsets) = scifact();
    let mut seen = Vec::new();
    let fetched = fetch(task, &subsets, &env, &mut |done, total| {
        seen.push((done, total));
    })
    .unwrap();
    assert_eq!(
        names_in(&fetched.path),
        ["README.md", "corpus-1.jsonl", "qrels", "queries.jsonl"]
    );
    assert_eq!(names_in(&fetched.path.join("qrels")), ["test.jsonl"]);
    let parent = fetched.path.parent().unwrap();
    assert_eq!(names_in(parent), [task.revision.clone().unwrap()]);
    assert_eq!(seen.last(), Some(&(fetched.bytes, fetched.bytes)));
    assert_eq!(asked(&server), 5, "the listing and four files");

    assert_eq!(
        fetch(task, &subsets, &env, &mut |_, _| {}).unwrap().source,
        "cache"
    );
    assert_eq!(asked(&server), 5);
    let found = locate(task, TEST, None, &env).unwrap();
    assert_eq!(
        found.identity(TEST).unwrap(),
        task.revision.clone().unwrap()
    );
    let dataset = found.source.open(TEST).unwrap();
    assert_eq!((dataset.corpus.len(), dataset.queries.len()), (1, 1));
}

#[test]
fn a_failed_fetch_leaves_nothing_behind() {
    let (task, subsets) = scifact();
    let url = |name: &str| {
        let (id, commit) = (
            task.hub_id.as_deref().unwrap(),
            task.revision.as_deref().unwrap(),
        );
        format!("/datasets/{id}/resolve/{commit}/{name}")
    };
    let mut cut_short = hub(&files());
    cut_short.get_mut(&url("corpus-1.jsonl")).unwrap().sent = 7;
    let mut absent = hub(&files());
    absent.remove(&url("queries.jsonl"));
    let mut no_judgements = files();
    no_judgements.remove("qrels/test.jsonl");
    for (replies, wanted) in [
        (cut_short, "after 7 bytes"),
        (absent, "not found"),
        (hub(&no_judgements), "no split \"test\""),
        (HashMap::new(), "not found"),
    ] {
        // With only `train` left, that one split would be taken.
        let mut replies = replies;
        if wanted.starts_with("no split") {
            let two = CARD
                .replace("qrels/test.jsonl", "qrels/dev.jsonl")
                .replace("split: test", "split: dev");
            let mut files = files();
            files.insert("README.md", &two);
            files.insert("qrels/dev.jsonl", "x");
            replies = hub(&files);
        }
        let folder = tempfile::tempdir().unwrap();
        let env = env_at(folder.path(), &serve(replies).address);
        let error = describe(&fetch(task, &subsets, &env, &mut |_, _| {}).unwrap_err());
        assert!(error.contains(wanted), "{wanted}: {error}");
        let snapshots = snapshots(&env.datasets(), task.hub_id.as_deref().unwrap());
        assert!(!snapshots.exists() || names_in(&snapshots).is_empty());
    }
}

#[test]
fn offline_no_network_is_used_and_the_places_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(hub(&files()));
    let mut env = env_at(folder.path(), &server.address);
    env.offline = Some("HF_HUB_OFFLINE");
    let (task, subsets) = scifact();
    let error = fetch(task, &subsets, &env, &mut |_, _| {}).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("HF_HUB_OFFLINE is set"), "{text}");
    assert!(text.contains("datasets--mteb--scifact"), "{text}");
    assert_eq!(crate::errors::exit_code(&error), 2);
    assert_eq!(asked(&server), 0);
}

#[test]
fn the_users_folder_wins_and_another_commit_is_no_substitute() {
    let folder = tempfile::tempdir().unwrap();
    let env = env_at(folder.path(), "http://127.0.0.1:9");
    let (task, _) = scifact();
    let other = snapshots(&env.hub_cache, "mteb/scifact").join("0123");
    fs::create_dir_all(&other).unwrap();
    let missing = locate(task, TEST, Some(folder.path()), &env)
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("has none of SciFact, scifact"),
        "{missing}"
    );
    assert!(missing.contains("other commits"), "{missing}");

    let data = folder.path().join("scifact");
    fs::create_dir_all(data.join("qrels")).unwrap();
    fs::write(data.join("corpus.jsonl"), CORPUS).unwrap();
    fs::write(
        data.join("queries.jsonl"),
        "{\"_id\":\"q\",\"text\":\"x\"}\n",
    )
    .unwrap();
    fs::write(data.join("qrels/train.tsv"), "q\td\t1\n").unwrap();
    let missing = locate(task, TEST, Some(folder.path()), &env)
        .unwrap_err()
        .to_string();
    assert!(missing.contains("test.tsv"), "{missing}");
    fs::write(data.join("qrels/test.tsv"), "q\td\t1\n").unwrap();
    let found = locate(task, TEST, Some(folder.path()), &env).unwrap();
    let before = found.identity(TEST).unwrap();
    assert!(before.starts_with("local-"), "{before}");
    fs::write(data.join("qrels/test.tsv"), "q\td\t2\n").unwrap();
    assert_ne!(found.identity(TEST).unwrap(), before);
}
