//! heads, explain and train from outside, on a tiny model that serves as language model and retriever.

use crate::program::{dream, fixture, folder, text, write};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

pub fn data(dir: &Path) {
    let (mut corpus, mut rows) = (String::new(), String::new());
    for i in 0..12 {
        let n = i * 5 % 12;
        writeln!(
            corpus,
            r#"{{"_id":"d{i}","title":"","text":"town {i} sells {n} ships"}}"#
        )
        .expect("a string");
        writeln!(
            rows,
            r#"{{"_id":"q{i}","query":"what sells town {i}","target":"{n} ships","context_id":"d{i}"}}"#
        )
        .expect("a string");
    }
    write(dir, "data/corpus.jsonl", corpus);
    write(dir, "data/train.jsonl", rows);
}

pub fn config(dir: &Path) -> String {
    let model = fixture("tiny-llama");
    let dir = dir.display();
    format!(
        "output = '{dir}/run'\n[data]\npath = '{dir}/data'\ncandidates = 4\nqueries_per_pool = 2\n\
         [llm]\nmodel = '{model}'\n[llm.detect]\nqueries = 4\ncandidates = 4\ncount = 3\n\
         [retriever]\nmodel = '{model}'\nstandardize_texts = 8\n[retriever.lora]\nr = 2\n\
         [retriever.encoding]\npooling = 'mean'\nstandardize = 'fixed'\n\
         [training]\nsteps = 3\nbatch_size = 2\n[eval]\nheldout = 4\ndocuments = 6\nevery = 2\n"
    )
}

#[test]
fn a_run_leaves_an_adapter_curves_and_a_report_and_the_adapter_works() {
    let dir = folder();
    data(dir.path());
    let config = write(dir.path(), "train.toml", config(dir.path()));
    let result = dream(&["train", &text(&config), "--json"]).json().remove(0);
    let after = result["after"].as_f64().expect("nDCG after");
    assert!((0.0..=1.0).contains(&after), "{result}");
    let run = dir.path().join("run");
    for file in [
        "config.toml",
        "metrics.jsonl",
        "heads.json",
        "heads.svg",
        "loss.svg",
        "report.html",
    ] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let report = std::fs::read_to_string(run.join("report.html")).expect("a report");
    assert!(report.contains("What next"));
    assert!(
        !report.contains("src=\"http") && !report.contains("href=\"http"),
        "external request"
    );
    let model = fixture("tiny-llama");
    let adapter = text(&run.join("adapter"));
    let embed = ["embed", "--model", &model, "--adapter", &adapter, "--json"];
    let embedded = crate::program::dream_with(&embed, b"town 3\n")
        .json()
        .remove(0);
    assert_eq!(embedded["embedding"].as_array().map(Vec::len), Some(32));
    // The same folder is not written over.
    dream(&["train", &text(&config)]).refused(&["holds a run already"]);
    let taken = std::fs::File::open(run.join("lock")).expect("the lock");
    taken.lock().expect("nobody has it");
    dream(&["train", &text(&config), "--resume"]).refused(&["in use by another process"]);
    drop(taken);
    let file = text(&config);
    dream(&["train", &file, "--output", &file]).refused(&["train.toml", "not a folder"]);
    // The newest checkpoint is a whole adapter too.
    let checkpoint = text(&run.join("checkpoints/step-000003"));
    let embed = [
        "embed",
        "--model",
        &model,
        "--adapter",
        &checkpoint,
        "--json",
    ];
    let again = crate::program::dream_with(&embed, b"town 3\n")
        .json()
        .remove(0);
    assert_eq!(again["embedding"], embedded["embedding"]);
}

#[test]
fn rows_without_any_judgement_train_to_the_end_without_evaluation() {
    let dir = folder();
    data(dir.path());
    let rows = std::fs::read_to_string(dir.path().join("data/train.jsonl")).expect("rows");
    let unjudged: Vec<&str> = rows
        .lines()
        .map(|row| row.split(",\"context_id\"").next().expect("a start"))
        .collect();
    write(dir.path(), "data/train.jsonl", unjudged.join("}\n") + "}\n");
    let heads = config(dir.path()).replace("[llm]", "[llm]\nheads = '0-1,1-2'");
    let file = text(&write(dir.path(), "train.toml", &heads));
    dream(&["train", &file]).refused(&["eval.heldout is 4", "only 0 of 12", "eval.data"]);
    assert!(!dir.path().join("run").exists(), "a run folder was made");
    let without = heads.replace("heldout = 4", "heldout = 0");
    let file = text(&write(dir.path(), "train.toml", without));
    let result = dream(&["train", &file, "--json"]).json().remove(0);
    assert!(
        result["bm25"].is_null() && result["after"].is_null(),
        "{result}"
    );
    let run = dir.path().join("run");
    assert!(run.join("adapter/adapter_model.safetensors").is_file());
    let report = std::fs::read_to_string(run.join("report.html")).expect("a report");
    assert!(report.contains("After training") && report.contains(">-<"));
    // Its examples have more documents than its prompts: that they do not fit costs no adapter.
    let mut long = String::new();
    for i in 0..12 {
        let text = format!("town {i} sells ships. ").repeat(9);
        writeln!(long, r#"{{"_id":"d{i}","text":"{text}"}}"#).expect("a string");
    }
    write(dir.path(), "data/corpus.jsonl", long);
    let few = std::fs::read_to_string(&file).expect("a configuration");
    let few = few.replace("/run'", "/few'");
    let few = few.replace("candidates = 4\nqueries", "candidates = 2\nqueries");
    let file = text(&write(dir.path(), "few.toml", few));
    let trained = dream(&["train", &file]);
    assert!(
        trained.stderr.contains("is not explained: a prompt of"),
        "{trained:?}"
    );
    trained.ok();
    assert!(
        dir.path()
            .join("few/adapter/adapter_model.safetensors")
            .is_file()
    );
}

#[test]
fn every_objective_is_one_line_of_the_configuration() {
    let dir = folder();
    data(dir.path());
    let base = config(dir.path())
        .replace(
            "queries_per_pool = 2",
            "queries_per_pool = 2\nknown_passage = 'include'",
        )
        .replace("heldout = 4", "heldout = 0");
    for (i, (name, more, has_heads, says)) in [
        ("infonce", "in_batch = true", false, "A labelled control"),
        (
            "replug",
            "likelihood = 'probability'",
            false,
            "each document alone helps",
        ),
        (
            "revela",
            "value_norm = false",
            false,
            "attention added in every head",
        ),
        (
            "adist",
            "divergence = 'student-teacher'",
            false,
            "how much attention the answer",
        ),
        ("emdr2", "", false, "a latent variable"),
        (
            "kl",
            "teacher_temperature = 0.5",
            true,
            "how selected heads",
        ),
        (
            "dream + 0.1 qr-distill",
            "",
            true,
            "was the sum dream + 0.1 qr-distill",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let run = dir.path().join(format!("run{i}"));
        let text_of = base.replace("/run'", &format!("/run{i}'"));
        let text_of = format!("{text_of}[objective]\nname = '{name}'\n{more}\n");
        let file = text(&write(dir.path(), "objective.toml", text_of));
        let result = dream(&["train", &file, "--json"]).json().remove(0);
        assert_eq!(result["heads"].is_string(), has_heads, "{name}: {result}");
        let report = std::fs::read_to_string(run.join("report.html")).expect("a report");
        assert!(report.contains(says), "{name}");
        let adapter = run.join("adapter/adapter_model.safetensors");
        assert!(
            adapter.is_file() && !run.join("llm_adapter").exists(),
            "{name}"
        );
        // What the run folder says can be trained again.
        let written = std::fs::read_to_string(run.join("config.toml")).expect("a configuration");
        let name = name.replace("kl", "qr-distill");
        assert!(written.contains(&format!("name = \"{name}\"")), "{written}");
        let again = text(&write(dir.path(), "again.toml", written));
        dream(&["train", &again]).refused(&["holds a run already"]);
    }
}

#[test]
fn a_language_model_can_be_tuned_too_and_its_adapter_is_kept_beside() {
    let dir = folder();
    data(dir.path());
    let tuned = |name: &str| {
        let lora = "[llm.lora]\nr = 2\nlr_factor = 0.1\n[retriever]";
        let text_of = config(dir.path()).replace("[retriever]", lora);
        let text_of = format!("{text_of}[objective]\nname = '{name}'\n");
        text(&write(dir.path(), "tuned.toml", text_of))
    };
    dream(&["train", &tuned("replug")]).refused(&["llm.lora", "replug keeps it frozen"]);
    dream(&["train", &tuned("infonce")]).refused(&["llm.lora", "infonce asks none"]);
    dream(&["train", &tuned("dream")]).ok();
    let run = dir.path().join("run");
    for folder in ["llm_adapter", "checkpoints/step-000003/llm_adapter"] {
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            assert!(run.join(folder).join(file).is_file(), "{folder}/{file}");
        }
    }
    let peft = std::fs::read_to_string(run.join("llm_adapter/adapter_config.json"));
    assert!(peft.expect("a file").contains("CAUSAL_LM"));
    let report = std::fs::read_to_string(run.join("report.html")).expect("a report");
    assert!(report.contains("tuned too"));
}

#[test]
fn objectives_are_listed_with_their_needs_and_keys() {
    let listed = dream(&["objectives", "--json"]).json().remove(0);
    let listed = listed.as_array().expect("a list");
    let names: Vec<&str> = listed
        .iter()
        .filter_map(|entry| entry["name"].as_str())
        .collect();
    let want = [
        "dream",
        "infonce",
        "replug",
        "revela",
        "adist",
        "emdr2",
        "qr-distill",
    ];
    assert_eq!(names, want);
    assert_eq!(listed[1]["needs_labels"], true);
    assert_eq!(listed[2]["keys"][2], "likelihood");
    let shown = dream(&["objectives"]).ok();
    for name in want {
        assert!(shown.contains(&format!("{name}: ")), "{shown}");
    }
}

#[test]
fn heads_come_best_first_and_serve_as_a_list_for_explain() {
    let dir = folder();
    data(dir.path());
    let (model, data) = (fixture("tiny-llama"), text(&dir.path().join("data")));
    let list = text(&dir.path().join("heads.json"));
    let arguments = [
        "heads",
        "--llm",
        &model,
        "--data",
        &data,
        "--queries",
        "5",
        "--candidates",
        "4",
        "--count",
        "2",
        "--out",
        &list,
        "--headroom",
        "--json",
    ];
    let found = dream(&arguments).json().remove(0);
    let heads = found["heads"].as_array().expect("heads");
    assert_eq!(heads.len(), 16);
    let scores: Vec<f64> = heads
        .iter()
        .map(|h| h["score"].as_f64().expect("score"))
        .collect();
    assert!(
        scores.windows(2).all(|pair| pair[0] >= pair[1]),
        "{scores:?}"
    );
    assert!(found["headroom"]["uniform"].is_number());
    let example = write(
        dir.path(),
        "example.json",
        r#"{"docs":["town 1 sells 5 ships",{"title":"town","text":"2"}],"question":"what","target":"5","scores":[0.1,0.2],"tau":0.1}"#,
    );
    let explain = [
        "explain",
        "--llm",
        &model,
        "--heads",
        &list,
        "--example",
        &text(&example),
        "--json",
    ];
    let said = dream(&explain).json().remove(0);
    let sum = |key: &str| -> f64 {
        said[key]
            .as_array()
            .expect("a vector")
            .iter()
            .filter_map(Value::as_f64)
            .sum()
    };
    assert!((sum("weights") - 1.0).abs() < 1e-5 && (sum("own_distribution") - 1.0).abs() < 1e-5);
    assert!(sum("dloss_dscores").abs() < 1e-4);
    // The table for people.
    assert!(
        dream(&explain[..explain.len() - 1])
            .ok()
            .contains("dloss/dscore")
    );
}

#[test]
fn bad_examples_heads_and_configurations_are_refused_with_the_reason() {
    let dir = folder();
    data(dir.path());
    let model = fixture("tiny-llama");
    let explain = |example: &str, heads: &str, parts: &[&str]| {
        let file = text(&write(dir.path(), "bad.json", example));
        dream(&[
            "explain",
            "--llm",
            &model,
            "--heads",
            heads,
            "--example",
            &file,
        ])
        .refused(parts);
    };
    let good = r#"{"docs":["a","b"],"question":"q","target":"t"}"#;
    explain(good, "99-0", &["head 99-0 does not exist"]);
    explain(good, "zero", &["layer-head"]);
    explain(
        r#"{"docs":["a"],"question":"q","target":""}"#,
        "0-0",
        &["target", "empty"],
    );
    explain(
        r#"{"docs":[],"question":"q","target":"t"}"#,
        "0-0",
        &["at least one document"],
    );
    explain(
        r#"{"docs":["a"],"question":"q","target":"t","scores":[1,2]}"#,
        "0-0",
        &["2 scores for 1"],
    );
    explain(
        r#"{"docs":["a"],"question":"q","target":"t","tau":0}"#,
        "0-0",
        &["tau"],
    );
    explain(
        r#"{"ids":[1,2,900],"doc_spans":[[0,1]],"suffix_start":1,"target_start":2,"target_end":3}"#,
        "0-0",
        &["token id 900"],
    );
    explain(
        r#"{"ids":[1,2,3],"doc_spans":[[0,2]],"suffix_start":1,"target_start":2,"target_end":3}"#,
        "0-0",
        &["doc_spans"],
    );
    let long = format!(
        r#"{{"docs":["{}"],"question":"q","target":"t"}}"#,
        "x".repeat(20_000)
    );
    explain(&long, "0-0", &["does not fit"]);
    let train = |change: (&str, &str), parts: &[&str]| {
        let text_of = config(dir.path()).replace(change.0, change.1);
        let file = text(&write(dir.path(), "bad.toml", text_of));
        dream(&["train", &file]).refused(parts);
    };
    train(("batch_size", "batchsize"), &["bad.toml", "batchsize"]);
    train(("steps = 3", "steps = 0"), &["training.steps"]);
    train(
        ("heldout = 4", "heldout = 12"),
        &["eval.heldout is 12", "only 12", "lower eval.heldout"],
    );
    train(("[llm]", "[llm]\nheads = '0-77'"), &["0-77"]);
    // The number is read, then the heads are refused.
    train(("[llm]", "[llm]\nheads = '0-77'\nbudget = 0.5"), &["0-77"]);
    train(("[llm]", "[llm]\nbudget = 1.5"), &["budget", "1.5"]);
    let optimizer = |line: &str| format!("[optimizer]\n{line}\n[eval]");
    for value in ["-0.1", "nan", "inf"] {
        let line = optimizer(&format!("weight_decay = {value}"));
        train(("[eval]", &line), &["optimizer.weight_decay", "0 or above"]);
    }
    let learned = "[objective]\nlearn_temperature = true\ntemperature = 0.5\n[eval]";
    train(
        ("[eval]", learned),
        &["objective.temperature", "0.005 to 0.2"],
    );
    train(("steps = 3", "steps = 3\nx = 1"), &["unknown field"]);
    let objective = |lines: &str, parts: &[&str]| {
        train(("[eval]", &format!("[objective]\n{lines}\n[eval]")), parts);
    };
    objective(
        "name = 'dram'",
        &["unknown objective", "dream, infonce, replug"],
    );
    objective("name = 'dream + 2'", &["unknown objective", "\"2\""]);
    objective(
        "name = 'dream + -1 kl'",
        &["weight of qr-distill", "above 0"],
    );
    objective(
        "in_batch = true",
        &["objective.in_batch means nothing to dream", "infonce"],
    );
    objective(
        "name = 'kl'\nteacher_temperature = 0",
        &["objective.teacher_temperature", "above 0"],
    );
    objective(
        "name = 'replug'\ndivergence = 'js'",
        &["divergence", "teacher-student"],
    );
    write(
        dir.path(),
        "data/train.jsonl",
        "{\"query\":\"a\",\"target\":\"b\"}\n{broken\n",
    );
    train(("", ""), &["train.jsonl:2"]);
    // A training row without any word that BM25 could find still gets a pool; a corpus of nothing does not.
    write(dir.path(), "data/corpus.jsonl", "");
    write(
        dir.path(),
        "data/train.jsonl",
        "{\"query\":\"a\",\"target\":\"b\"}\n".repeat(9),
    );
    train(("", ""), &["corpus"]);
}

#[test]
fn a_full_disk_while_saving_fails_and_keeps_what_was_there() {
    // A folder that cannot be created stands for the disk that takes no more.
    let dir = folder();
    data(dir.path());
    let config_text = config(dir.path());
    let config = text(&write(dir.path(), "train.toml", &config_text));
    write(dir.path(), "run/checkpoints", "in the way");
    let ended = dream(&["train", &config]);
    assert!(ended.code == Some(1) || ended.code == Some(2), "{ended:?}");
    assert!(ended.stderr.contains("checkpoints"), "{ended:?}");
    // metrics.jsonl of the steps that were taken is there.
    assert!(dir.path().join("run/metrics.jsonl").is_file());
}

#[test]
fn a_run_that_was_killed_goes_on_to_the_same_bits() {
    let dir = folder();
    data(dir.path());
    let adapter = |name: &str, kill: bool| {
        let changed = config(dir.path())
            .replace("/run'", &format!("/{name}'"))
            .replace("steps = 3", "steps = 60\nsave_every = 5")
            .replace("every = 2", "every = 0");
        let file = text(&write(dir.path(), &format!("{name}.toml"), changed));
        let run = dir.path().join(name);
        if kill {
            let mut child = crate::program::command(&["train", &file, "--quiet"])
                .stderr(std::process::Stdio::null())
                .spawn()
                .expect("the program starts");
            let checkpoints = run.join("checkpoints");
            while !checkpoints.join("step-000010").exists()
                && !checkpoints.join("step-000015").exists()
                && child.try_wait().expect("a child").is_none()
            {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            child.kill().expect("killed");
            child.wait().expect("ended");
            assert!(
                !run.join("adapter").exists(),
                "the run ended before it was killed"
            );
            dream(&["train", &file, "--resume", "--quiet"]).ok();
        } else {
            dream(&["train", &file, "--quiet"]).ok();
        }
        std::fs::read(run.join("adapter/adapter_model.safetensors")).expect("an adapter")
    };
    assert!(
        adapter("whole", false) == adapter("killed", true),
        "the adapters differ"
    );
}

#[cfg(unix)]
#[test]
fn sigterm_stops_with_a_checkpoint_and_an_ignored_hang_up_does_not() {
    let dir = folder();
    data(dir.path());
    let changed = config(dir.path()).replace("steps = 3", "steps = 100000\nsave_every = 0");
    let changed = changed.replace("every = 2", "every = 0");
    let file = text(&write(dir.path(), "train.toml", changed));
    let run = dir.path().join("run");
    let shell = |line: &str| {
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-c", line]);
        shell
    };
    let program = env!("CARGO_BIN_EXE_dream");
    let mut child = shell(&format!("trap '' HUP; exec {program} train {file} --quiet"))
        .env_clear()
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the program starts");
    let id = child.id();
    let mut steps_after = |steps: usize| {
        loop {
            let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
            let taken = lines.matches("\"loss\"").count();
            let ended = child.try_wait().expect("a child");
            if taken > steps || ended.is_some() {
                return (taken, ended);
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    };
    let send = |name: &str, id: u32| {
        let sent = shell(&format!("kill -{name} {id}")).status();
        assert!(sent.expect("a shell").success());
    };
    let (taken, ended) = steps_after(0);
    assert_eq!(ended, None);
    send("HUP", id);
    // The step in progress, and one that was begun after the signal.
    let (_, ended) = steps_after(taken + 2);
    assert_eq!(ended, None);
    send("TERM", id);
    let ended = child.wait().expect("it ends");
    assert_eq!(ended.code(), Some(130));
    let checkpoints = std::fs::read_dir(run.join("checkpoints")).expect("a folder");
    assert_eq!(checkpoints.count(), 2);
}
