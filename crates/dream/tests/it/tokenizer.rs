//! The tokenizer of a real model against token ids from the reference implementation.
//!
//! `DREAM_TEST_MODEL` names SmolLM2-135M-Instruct (GGUF file or folder); `DREAM_SHARED` the folder with the golden
//! files, by default `../shared` beside the repository. Without either the tests say so and pass.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::path::{Path, PathBuf};

use dream::tokenizer::Tokenizer;
use serde_json::Value;

fn model() -> Option<Tokenizer> {
    let Some(path) = std::env::var_os("DREAM_TEST_MODEL") else {
        eprintln!("SKIPPED: DREAM_TEST_MODEL does not name a model");
        return None;
    };
    Some(Tokenizer::for_model(Path::new(&path)).expect("the test model has a tokenizer"))
}

fn golden() -> Option<Vec<Value>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let shared = std::env::var_os("DREAM_SHARED")
        .map_or_else(|| repository.join("../shared"), PathBuf::from);
    let path = shared.join("golden/smollm2-135m-instruct.json");
    let Ok(text) = std::fs::read(&path) else {
        eprintln!("SKIPPED: no golden file {}", path.display());
        return None;
    };
    Some(serde_json::from_slice(&text).expect("the golden file is JSON"))
}

fn ids(value: &Value) -> Vec<u32> {
    let list = value.as_array().expect("a list of token ids");
    list.iter()
        .map(|id| id.as_u64().expect("a token id") as u32)
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .expect("a list of texts")
        .iter()
        .map(text)
        .collect()
}

#[test]
fn every_golden_text_gets_the_reference_ids() {
    let (Some(tokenizer), Some(golden)) = (model(), golden()) else {
        return;
    };
    let encode = |piece: &str| {
        tokenizer
            .encode(piece)
            .expect("a golden text can be encoded")
    };
    let mut checked = 0;
    for entry in &golden {
        let (case, expect) = (&entry["case"], &entry["expect"]);
        match text(&case["kind"]) {
            "loss" => {
                assert_eq!(
                    encode(text(&case["text"])),
                    ids(&expect["ids"]),
                    "{}",
                    case["text"]
                );
                checked += 1;
            }
            "embed" => {
                let out = expect["out"].as_array().expect("a list");
                for (input, expected) in texts(&case["texts"]).into_iter().zip(out) {
                    assert_eq!(encode(input), ids(&expected["ids"]), "{input}");
                    checked += 1;
                }
            }
            "inject" => {
                let mut all = Vec::new();
                for (document, span) in texts(&case["docs"])
                    .into_iter()
                    .zip(spans(&expect["doc_spans"]))
                {
                    let start = all.len();
                    all.extend(encode(&format!("{document}\n\n")));
                    assert_eq!((start, all.len()), span, "{document}");
                }
                assert_eq!(all.len() as u64, expect["suffix_start"]);
                all.extend(encode(&format!(
                    "Question: {}\nAnswer:",
                    text(&case["question"])
                )));
                assert_eq!(all.len() as u64, expect["target_start"]);
                all.extend(encode(&format!(" {}", text(&case["target"]))));
                assert_eq!(all.len() as u64, expect["target_end"]);
                assert_eq!(all, ids(&expect["ids"]));
                checked += 1;
            }
            _ => {}
        }
    }
    assert!(checked > 0, "the golden file has cases of these kinds");
}

fn spans(value: &Value) -> Vec<(usize, usize)> {
    let spans = value.as_array().expect("a list of spans").iter().map(ids);
    spans
        .map(|span| (span[0] as usize, span[1] as usize))
        .collect()
}

#[test]
fn smollm2_has_its_published_special_tokens() {
    let Some(tokenizer) = model() else { return };
    // tokenizer_config.json of HuggingFaceTB/SmolLM2-135M-Instruct: bos <|im_start|> 1, eos and pad <|im_end|> 2.
    assert_eq!(
        (tokenizer.bos_id(), tokenizer.eos_id(), tokenizer.pad_id()),
        (Some(1), Some(2), Some(2))
    );
    assert_eq!(
        (
            tokenizer.adds_bos(),
            tokenizer.adds_eos(),
            tokenizer.vocab_size()
        ),
        (false, false, 49_152)
    );
    assert_eq!(tokenizer.encode("<|im_start|>").expect("encodes"), [1]);
    assert_eq!(tokenizer.encode("").expect("encodes"), [0_u32; 0]);
}

#[test]
fn a_saved_gguf_vocabulary_reads_back_as_the_same_tokenizer() {
    let Some(tokenizer) = model() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    tokenizer.save_to_folder(folder.path()).expect("saves");
    let read = Tokenizer::for_model(folder.path()).expect("reads back");
    assert_eq!(
        (read.bos_id(), read.eos_id(), read.vocab_size()),
        (Some(1), Some(2), 49_152)
    );
    for text in [
        "In 1969, 3 men\u{2019}s  flight\r\n\t\u{1F680}",
        "<|im_end|>x",
        "\u{e9}\u{301}\u{200d}",
        " ",
        "\n\n\n a",
    ] {
        let ids = tokenizer.encode(text).expect("encodes");
        assert_eq!(read.encode(text).expect("encodes"), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids).expect("decodes"), text);
    }
}
