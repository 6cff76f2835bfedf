//! `dream encode` killed, stopped, dealt among processes: the same bytes in the end.

use crate::program::{Outcome, command, dream, dream_with, fixture, text, write};
use dream_nn::ops::lora::mix;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Documents of a corpus: 24 shards of 10 and one of 6.
const N: usize = 246;
/// Times that a process is killed.
const KILLS: usize = 20;

fn corpus(folder: &Path) -> String {
    let line = |i: usize| {
        let words = "iron rusts by the Rhine ".repeat(1 + i * 7 % 9);
        format!("{{\"_id\":\"d{i}\",\"title\":\"\",\"text\":\"{words}{i}\"}}\n")
    };
    let lines: String = (0..N).map(line).collect();
    text(&write(folder, "corpus.jsonl", lines))
}

fn arguments(data: &str, out: &Path, more: &[&str]) -> Vec<String> {
    let (model, out) = (fixture("tiny-llama"), text(out));
    let ours = [
        "encode",
        "--model",
        &model,
        "--data",
        data,
        "--out",
        &out,
        "--shard-size",
        "10",
        "--batch-tokens",
        "512",
        "--threads",
        "1",
    ];
    let all = ours.iter().chain(more);
    all.map(|argument| (*argument).to_owned()).collect()
}

fn encode(data: &str, out: &Path, more: &[&str]) -> Outcome {
    let arguments = arguments(data, out, more);
    dream(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What a folder holds, by name.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        (name.into_owned(), std::fs::read(&path).expect("readable"))
    };
    entries.map(file).collect()
}

fn quietly(arguments: &[String]) -> Command {
    let mut command = command(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn killed_at_twenty_moments_and_restarted_it_ends_in_the_bytes_of_an_undisturbed_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, whole) = (corpus(folder.path()), folder.path().join("whole"));
    let began = Instant::now();
    encode(&data, &whole, &[]).ok();
    let (wanted, took) = (files(&whole), began.elapsed());
    let (mut kills, mut trial, mut interrupted) = (0, 0, 0);
    while kills < KILLS {
        trial += 1;
        let out = folder.path().join(format!("trial-{trial}"));
        let arguments = arguments(&data, &out, &[]);
        loop {
            let mut child = quietly(&arguments).spawn().expect("the program starts");
            if kills < KILLS {
                // Fixed moments, as far as a clock is.
                let share = mix(kills as u64) as f64 / u64::MAX as f64;
                std::thread::sleep(Duration::from_secs_f64(took.as_secs_f64() * share));
            }
            if kills < KILLS && child.try_wait().expect("a child").is_none() {
                child.kill().expect("it can be killed");
                child.wait().expect("it is gone");
                kills += 1;
                interrupted += usize::from(out.join("part-00000-of-00001.json").exists());
                continue;
            }
            assert!(child.wait().expect("it ends").success());
            break;
        }
        assert_eq!(files(&out), wanted, "after {kills} kills");
    }
    assert!(interrupted > 0, "no kill came between two shards");
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_with_130_and_the_same_command_goes_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, out) = (corpus(folder.path()), folder.path().join("out"));
    let arguments = arguments(&data, &out, &[]);
    let mut child = quietly(&arguments).spawn().expect("the program starts");
    let journal = out.join("part-00000-of-00001.json");
    while !journal.exists() {
        assert!(child.try_wait().expect("a child").is_none(), "it ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = nix::unistd::Pid::from_raw(child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("a signal");
    let code = child.wait().expect("it ends").code();
    assert_eq!(code, Some(130));
    let left = files(&out);
    let hidden = left.keys().find(|name| name.starts_with('.'));
    assert_eq!(hidden, None);
    let encoded = encode(&data, &out, &["--json"]).json().remove(0);
    let kept = encoded["kept"].as_u64().expect("a number");
    assert!(
        kept >= 10 && kept < N as u64 && kept.is_multiple_of(10),
        "{kept}"
    );
    assert_eq!(encoded["documents"], N);
    let whole = folder.path().join("whole");
    encode(&data, &whole, &[]).ok();
    assert_eq!(files(&out), files(&whole));
}

#[test]
fn four_parts_merged_equal_one_run_byte_for_byte() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = |name: &str| folder.path().join(name);
    let data = corpus(folder.path());
    encode(&data, &place("whole"), &[]).ok();
    let mut own = Vec::new();
    for i in [2, 0, 3, 1] {
        let part = format!("{i}/4");
        encode(&data, &place("shared"), &["--shard", &part]).ok();
        let launched = arguments(
            &data,
            &place(&i.to_string()),
            &["--shard", "auto", "--json"],
        );
        let launched = quietly(&launched)
            .env("SLURM_ARRAY_TASK_ID", (i + 1).to_string())
            .env("SLURM_ARRAY_TASK_COUNT", "4")
            .env("SLURM_ARRAY_TASK_MIN", "1")
            .env("SLURM_ARRAY_TASK_MAX", "4")
            .stdout(Stdio::piped())
            .output()
            .expect("the program ends");
        let said = String::from_utf8(launched.stdout).expect("UTF-8");
        assert!(said.contains(&format!("\"part\":\"{part}\"")), "{said}");
        own.push(text(&place(&i.to_string())));
    }
    let merge = |out: &str, parts: &[&str]| {
        let out = text(&place(out));
        dream(&[&["index", "merge", "--json", "--out", &out], parts].concat())
    };
    let own: Vec<&str> = own.iter().map(String::as_str).collect();
    merge("merged", &own[..3]).refused(&["1 of 4 parts are missing: 1/4"]);
    let merged = merge("merged", &own).json().remove(0);
    assert_eq!(
        (&merged["documents"], &merged["shards"]),
        (&N.into(), &25.into())
    );
    merge("merged", &own).refused(&["holds an index already; --force replaces it"]);
    let shared = text(&place("shared"));
    let search = [
        "search",
        "--model",
        &fixture("tiny-llama"),
        "--index",
        &shared,
        "--query",
        "x",
    ];
    dream(&search).refused(&["must be merged before they are searched"]);
    merge("shared", &[&shared]).ok();
    assert_eq!(files(&place("merged")), files(&place("whole")));
    assert_eq!(files(&place("shared")), files(&place("whole")));

    let merged = text(&place("merged"));
    let verified = dream(&["index", "verify", &merged, "--json"])
        .json()
        .remove(0);
    let info = dream(&["index", "info", &merged, "--json"])
        .json()
        .remove(0);
    assert_eq!(verified["digest"], info["digest"]);
    assert_eq!(
        (&info["shards"], &info["shard_size"]),
        (&25.into(), &10.into())
    );
    assert_eq!(info["data"]["documents"], N);
    assert!(
        dream(&["index", "info", &merged])
            .ok()
            .contains("compute_dtype      f32\n")
    );
    write(folder.path(), "merged/shard-00007.f32", [1; 10 * 32 * 4]);
    dream(&["index", "verify", &merged]).refused(&["shard-00007.f32: its BLAKE3 digest"]);
}

#[test]
fn the_standard_input_goes_on_too_and_other_texts_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = corpus(folder.path());
    let lines = std::fs::read(&data).expect("readable");
    let place = |name: &str| folder.path().join(name);
    let encode_lines = |out: &str, lines: &[u8], more: &[&str]| {
        let arguments = arguments("-", &place(out), more);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        dream_with(&arguments, lines)
    };
    encode(&data, &place("whole"), &[]).ok();
    // A line that is none, in the fourth shard: three are kept.
    let broken_at = lines
        .iter()
        .enumerate()
        .filter(|(_, b)| **b == b'\n')
        .nth(34);
    let broken_at = broken_at.expect("246 lines").0;
    let broken = [&lines[..=broken_at], b"{}\n"].concat();
    encode_lines("pieces", &broken, &[]).refused(&["standard input:36"]);
    let other = String::from_utf8_lossy(&lines).replacen("iron", "gold", 1);
    encode_lines("pieces", other.as_bytes(), &[])
        .refused(&["shard-00000 was made of other documents"]);
    let encoded = encode_lines("pieces", &lines, &["--json"]).json().remove(0);
    assert_eq!(encoded["kept"], 30);
    assert_eq!(files(&place("pieces")), files(&place("whole")));
    // Again: compared to the end, nothing encoded.
    let again = encode_lines("pieces", &lines, &["--json"]).json().remove(0);
    assert_eq!(
        (&again["kept"], &again["documents"]),
        (&N.into(), &N.into())
    );
    encode_lines("pieces", &broken[..broken_at], &[]).refused(&["was made of other documents"]);
    for i in 0..2 {
        encode_lines("parts", &lines, &["--shard", &format!("{i}/2")]).ok();
    }
    let parts = text(&place("parts"));
    dream(&["index", "merge", "--out", &parts, &parts]).ok();
    assert_eq!(files(&place("parts")), files(&place("whole")));
}

#[test]
fn what_differs_from_what_was_begun_is_named_and_force_starts_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (data, out) = (corpus(folder.path()), folder.path().join("out"));
    let part = |more: &[&str]| encode(&data, &out, &[&["--shard", "0/2"], more].concat());
    part(&[]).ok();
    part(&["--index-dtype", "f16"])
        .refused(&["was made with dtype \"f32\", not \"f16\"; --force starts anew"]);
    part(&["--dtype", "bf16"]).refused(&["compute_dtype \"f32\", not \"bf16\""]);
    part(&["--max-tokens", "9"]).refused(&["max_len"]);
    encode(&data, &out, &["--shard", "0/3"]).refused(&["holds part 0/2 of an index"]);
    encode(&data, &out, &[]).refused(&["holds part 0/2", "this would be part 0/1"]);
    encode(&data, &out, &["--shard", "2/2"]).refused(&["parts count from 0"]);
    encode(&data, &out, &["--shard", "auto"]).refused(&["no launcher said", "--shard i/N"]);
    let lines = std::fs::read_to_string(&data).expect("readable");
    let shorter: String = lines.split_inclusive('\n').take(N / 2).collect();
    write(folder.path(), "corpus.jsonl", shorter);
    part(&[]).refused(&["was made of other documents"]);
    let anew = part(&["--force", "--json"]).json().remove(0);
    assert_eq!(anew["kept"], 0);
    encode(&data, &out, &["--force", "--json"]).ok();
    let left = files(&out);
    assert!(
        left.contains_key("manifest.json") && left.keys().all(|name| !name.starts_with("part"))
    );
}
