//! experiment and reproduce from outside, on a tiny model: grids, resuming, budgets, claims.

use crate::program::{command, dream, folder, text, write};
use crate::training::{config, data};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// Two variants with two seeds of two steps, and a test set that is none of the training data's rows.
fn experiment(dir: &Path, rest: &str) -> String {
    data(dir);
    let base = config(dir)
        .replace("steps = 3", "steps = 2")
        .replace("every = 2", "every = 1");
    write(dir, "base.toml", base);
    write(
        dir,
        "data/queries.jsonl",
        "{\"_id\":\"t1\",\"text\":\"which town sells 5 ships\"}\n",
    );
    write(
        dir,
        "data/qrels/test.tsv",
        "query-id\tcorpus-id\tscore\nt1\td1\t1\n",
    );
    let file = format!(
        "title = 'Tiny'\nbase = 'base.toml'\n{rest}\n[[eval]]\nname = 'towns'\ndata = '{{data}}/data'\n"
    );
    text(&write(dir, "tiny.toml", file))
}

const GRID: &str = "[grid]\nseed = [1, 2]\n[[run]]\nname = 'three'\n[[run]]\nname = 'one'\n\
    set = { 'llm.detect.count' = 1 }";

fn arguments<'a>(file: &'a str, out: &'a str, root: &'a str) -> Vec<&'a str> {
    vec![
        "experiment",
        file,
        "--out",
        out,
        "--data-root",
        root,
        "--json",
        "--quiet",
    ]
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_killed_experiment_goes_on_and_ends_as_one_that_ran_through() {
    let dir = folder();
    let file = experiment(dir.path(), GRID);
    let root = text(dir.path());
    let (whole, killed) = (dir.path().join("whole"), dir.path().join("killed"));
    let (whole_text, killed_text) = (text(&whole), text(&killed));
    let summary = dream(&arguments(&file, &whole_text, &root))
        .json()
        .remove(0);
    assert_eq!(
        summary["sets"],
        serde_json::json!(["heldout", "heldout-6", "towns"])
    );
    let names: Vec<&str> = summary["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["name"].as_str())
        .collect();
    // Statistics of the standardising layer differ by seed, not by variant: one start.
    assert_eq!(names, ["untrained", "three", "one"]);
    assert!(summary["missing"].as_array().is_some_and(Vec::is_empty));
    let rows = std::fs::read_to_string(whole.join("results.jsonl")).expect("rows");
    assert_eq!(rows.lines().count(), 4);
    let row: Value = serde_json::from_str(rows.lines().next().expect("a row")).expect("JSON");
    assert_eq!(
        (&row["steps"], &row["queries_seen"]),
        (&2.into(), &4.into())
    );
    assert!(row["llm_tokens"].as_u64() > Some(0) && row["retriever_tokens"].as_u64() > Some(0));
    assert!(row["geometry_after"]["uniformity_documents"].as_f64() < Some(0.0));
    for name in [
        "table.md",
        "table.csv",
        "table.json",
        "report.html",
        "set-towns.svg",
    ] {
        assert!(whole.join(name).is_file(), "{name}");
    }
    // Heads are scored once a seed, whatever is selected of them.
    let lists = std::fs::read_dir(whole.join("heads")).expect("head lists");
    assert_eq!(lists.count(), 2);

    let mut child = command(&arguments(&file, &killed_text, &root))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    let first = killed.join("runs/three-seed1/result.json");
    while !first.exists() && child.try_wait().expect("a child").is_none() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    let last = killed.join("runs/one-seed2/result.json");
    assert!(!last.exists(), "the experiment ended before it was killed");
    let kept = std::fs::metadata(&first)
        .expect("a result")
        .modified()
        .expect("a time");
    dream(&arguments(&file, &killed_text, &root)).ok();
    let after = std::fs::metadata(&first)
        .expect("a result")
        .modified()
        .expect("a time");
    assert_eq!(kept, after, "a run that was over was made again");
    for run in ["three-seed1", "three-seed2", "one-seed1", "one-seed2"] {
        let of = |out: &Path| json(&out.join("runs").join(run).join("result.json"))["sets"].clone();
        assert_eq!(of(&whole), of(&killed), "{run}");
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_starts_and_names_the_variant() {
    let dir = folder();
    let root = text(dir.path());
    let out = text(&dir.path().join("out"));
    let refused = |rest: &str, parts: &[&str]| {
        let file = experiment(dir.path(), rest);
        dream(&arguments(&file, &out, &root)).refused(parts);
        assert!(!dir.path().join("out/runs").exists());
    };
    refused(
        "[grid]\n'data.candidate' = [4]",
        &["variant candidate=4", "unknown field"],
    );
    refused(
        "[[run]]\nname = 'a'\nset = { 'llm.gate' = 7 }",
        &["variant a", "llm.gate"],
    );
    refused("budget = 3", &["tiny.toml", "budget"]);
    refused("[world]\ntowns = 9", &["[world] towns"]);
    let file = experiment(dir.path(), GRID);
    let mut long = String::new();
    for i in 0..12 {
        let text = format!("town {i} sells ships. ").repeat(9);
        writeln!(long, r#"{{"_id":"d{i}","text":"{text}"}}"#).expect("a string");
    }
    write(dir.path(), "data/corpus.jsonl", long);
    dream(&arguments(&file, &out, &root)).refused(&["variant three", "does not fit"]);
    let mut only = arguments(&file, &out, &root);
    only.extend(["--only", "two*"]);
    dream(&only).refused(&["--only two*", "three-seed1"]);
}

#[test]
fn a_folder_is_one_process_s_and_one_file_s() {
    let dir = folder();
    let root = text(dir.path());
    let out = dir.path().join("out");
    let out_text = text(&out);
    let file = experiment(dir.path(), GRID);
    let mut only = arguments(&file, &out_text, &root);
    only.extend(["--only", "one-seed2"]);
    dream(&only).ok();
    assert!(out.join("runs/one-seed2/result.json").is_file());
    assert!(!out.join("runs/one-seed1").exists());
    let plan = dream(&[
        "experiment",
        &file,
        "--out",
        &out_text,
        "--dry-run",
        "--json",
    ])
    .json();
    let states: Vec<&str> = plan
        .iter()
        .filter_map(|run| run["state"].as_str())
        .collect();
    assert_eq!(states, ["to do", "to do", "to do", "over"]);
    let taken = std::fs::File::open(out.join("lock")).expect("the lock");
    taken.lock().expect("nobody has it");
    dream(&arguments(&file, &out_text, &root)).refused(&["in use by another process"]);
    drop(taken);
    let changed = GRID.replace("'llm.detect.count' = 1", "'llm.detect.count' = 2");
    let file = experiment(dir.path(), &changed);
    dream(&arguments(&file, &out_text, &root))
        .refused(&["variant one, seed 2", "put the file back"]);
    // A folder that cannot be written to stands for the full disk: what is over stays.
    let file = experiment(dir.path(), GRID);
    write(&out, "runs/three-seed1", "in the way");
    let ended = dream(&arguments(&file, &out_text, &root));
    assert!(ended.code == Some(1) || ended.code == Some(2), "{ended:?}");
    assert!(ended.stderr.contains("three-seed1"), "{ended:?}");
    assert!(out.join("runs/one-seed2/result.json").is_file());
}

#[test]
fn a_budget_of_tokens_stops_every_run_there() {
    let dir = folder();
    let root = text(dir.path());
    let out = dir.path().join("out");
    let runs = "budget = { kind = 'llm-tokens', amount = 2000 }\n[[run]]\nname = 'few'\n\
        set = { 'data.candidates' = 2 }\n[[run]]\nname = 'many'\n[[run]]\nname = 'infonce'\n\
        set = { 'objective.name' = 'infonce', 'data.known_passage' = 'include' }";
    let file = experiment(dir.path(), runs);
    dream(&arguments(&file, &text(&out), &root)).ok();
    let spent = |name: &str, key: &str| {
        let result = json(&out.join(format!("runs/{name}-seed0/result.json")));
        result[key].as_u64().expect("a number")
    };
    for name in ["few", "many"] {
        let tokens = spent(name, "llm_tokens");
        let a_step = tokens / spent(name, "steps");
        assert!(
            (2000..2000 + 2 * a_step).contains(&tokens),
            "{name}: {tokens}"
        );
        assert!(!out.join(format!("runs/{name}-seed0/probe")).exists());
    }
    assert!(spent("few", "queries_seen") > spent("many", "queries_seen"));
    assert_eq!(
        (spent("infonce", "llm_tokens"), spent("infonce", "steps")),
        (0, 2)
    );
}

#[test]
fn claims_are_said_to_hold_or_not() {
    let dir = folder();
    let root = text(dir.path());
    let out = text(&dir.path().join("out"));
    let claim = |left: &str, relation: &str, right: &str| {
        format!(
            "[[expect]]\nclaim = 'It is {relation}'\nleft = '{left}'\nrelation = '{relation}'\nright = {right}\n"
        )
    };
    let holds =
        claim("base:towns:R@100", ">", "-0.5") + &claim("base:geometry:alignment", "<", "4.5");
    let file = experiment(dir.path(), &holds);
    let reproduce = |file: &str, json: bool| {
        let mut arguments = vec![
            "reproduce",
            "--file",
            file,
            "--out",
            &out,
            "--data-root",
            &root,
            "--quiet",
        ];
        arguments.extend(json.then_some("--json"));
        dream(&arguments)
    };
    let said = reproduce(&file, true).json().remove(0);
    assert_eq!(said["holds"], true);
    assert_eq!(said["claims"].as_array().map(Vec::len), Some(2));
    // The same run, another claim.
    let file = experiment(dir.path(), &claim("base:towns:R@100", "<", "-0.5"));
    let ended = reproduce(&file, false);
    assert!(
        ended.stdout.contains("It is <") && ended.stdout.contains("no"),
        "{ended:?}"
    );
    ended.failed(&["1 of 1 claims do not hold"]);
    let file = experiment(dir.path(), &claim("base:village:R@100", "<", "1"));
    reproduce(&file, false).refused(&["no set village"]);
    let file = experiment(dir.path(), "");
    reproduce(&file, false).refused(&["no [[expect]] rows"]);
    let list = dream(&["reproduce", "--list", "--json"]).json();
    assert!(list.iter().any(|row| row["name"] == "nq-heads"));
    dream(&["reproduce", "nq-nothing"]).refused(&["nq-nothing", "nq-heads"]);
}
