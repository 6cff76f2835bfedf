//! Help, general options, and the small commands.

use crate::program::{command, dream, fixture};

#[test]
fn help_and_version_succeed_and_mistakes_are_usage_errors() {
    assert!(dream(&["--version"]).ok().starts_with("dream "));
    let help = dream(&["--help"]).ok();
    for name in [
        "embed",
        "encode",
        "search",
        "eval",
        "tasks",
        "leaderboard",
        "models",
    ] {
        assert!(help.contains(&format!("\n  {name} ")), "{name} in {help}");
        assert!(dream(&[name, "--help"]).ok().contains("Example"), "{name}");
    }
    dream(&[]).refused(&["Usage: dream"]);
    dream(&["emebd"]).refused(&["similar", "embed"]);
    dream(&["embed"]).refused(&["--model"]);
    dream(&["embed", "--model", "x", "--threads", "0"]).refused(&["--threads"]);
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    dream(&["eval", "--model", "m", "--data", "d", "--k1", "2"]).refused(&["options of BM25"]);
    let via = ["search", "--model", "m", "--via", "qdrant", "--query", "q"];
    for more in [
        ["--first-stage", "binary"],
        ["--check-recall", "5"],
        ["--retriever", "hybrid"],
    ] {
        dream(&[&via[..], &more].concat()).refused(&["do not go with it"]);
    }
}

#[test]
fn models_are_listed_and_described() {
    let listed = dream(&["models", "list", "--json"]).json();
    assert_eq!(listed[0][0]["name"], "smollm2-135m-instruct");
    assert!(dream(&["models", "list"]).ok().contains("(default)"));
    let model = fixture("gguf/tiny-llama.gguf");
    let info = dream(&["models", "info", &model, "--json"]).json();
    assert_eq!(
        (&info[0]["format"], &info[0]["architecture"]),
        (&"GGUF".into(), &"llama".into())
    );
    assert!(
        dream(&["models", "info", &model])
            .ok()
            .contains("architecture     llama\n")
    );
    dream(&["models", "fetch", "not a name"]).refused(&["dream models list"]);
    dream(&["models", "fetch", "org/name"]).refused(&["HF_HUB_OFFLINE is set"]);
}

#[test]
fn messages_are_json_when_asked_for_and_the_log_filter_is_checked() {
    let outcome = dream(&["eval", "--run", "a", "--qrels", "b", "--log-format", "json"]);
    let message: serde_json::Value =
        serde_json::from_str(&outcome.stderr).expect("one JSON object");
    assert_eq!(message["level"], "ERROR");
    outcome.refused(&["\"message\":\"b: "]);
    let output = command(&["models", "list"])
        .env("RUST_LOG", "dream=lots")
        .output();
    let output = output.expect("the program ends");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("RUST_LOG=dream=lots"));
}
