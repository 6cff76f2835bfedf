//! Tiny models in both formats, a real one, and what is refused.
#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::model::config::RopeScaling;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// Every tensor that a model of this configuration has.
fn all_names(config: &DecoderConfig) -> Vec<String> {
    let mut names = vec![names::EMBEDDING.to_owned(), "model.norm.weight".to_owned()];
    if !config.tie_word_embeddings {
        names.push("lm_head.weight".to_owned());
    }
    let mut block = vec!["input_layernorm.weight", "post_attention_layernorm.weight"];
    block.extend([
        "mlp.gate_proj.weight",
        "mlp.up_proj.weight",
        "mlp.down_proj.weight",
    ]);
    block.extend(["self_attn.q_proj.weight", "self_attn.k_proj.weight"]);
    block.extend(["self_attn.v_proj.weight", "self_attn.o_proj.weight"]);
    if config.attention_bias {
        block.extend(["self_attn.q_proj.bias", "self_attn.k_proj.bias"]);
        block.push("self_attn.v_proj.bias");
    }
    if config.qk_norm {
        block.extend(["self_attn.q_norm.weight", "self_attn.k_norm.weight"]);
    }
    for i in 0..config.num_hidden_layers {
        names.extend(block.iter().map(|rest| format!("model.layers.{i}.{rest}")));
    }
    names
}

#[test]
fn every_tensor_of_the_tiny_models_is_found() {
    // Single file; shards with an index; without the prefix `model.`.
    for (name, per_layer, outer) in [
        ("tiny-llama", 9, 2),
        ("tiny-qwen2", 12, 3),
        ("tiny-qwen3", 11, 2),
    ] {
        let model = Checkpoint::open(&fixture(name)).unwrap();
        let names = all_names(&model.config);
        assert_eq!(
            names.len(),
            model.config.num_hidden_layers * per_layer + outer
        );
        for tensor in names {
            assert!(model.has(&tensor), "{tensor}");
            model.tensor(&tensor).unwrap();
        }
        let Source::Safetensors(files) = &model.source else {
            panic!("safetensors expected")
        };
        assert_eq!(
            files.names().count(),
            all_names(&model.config).len(),
            "none left over"
        );
    }
}

/// fixtures/gguf/make_tiny_ggufs.py converted the same weights with the Python package `gguf`.
#[test]
fn a_gguf_file_gives_the_tensors_and_sizes_of_the_safetensors_it_was_made_from() {
    for name in ["tiny-llama", "tiny-qwen2"] {
        let original = Checkpoint::open(&fixture(name)).unwrap();
        let converted = Checkpoint::open(&fixture(&format!("gguf/{name}.gguf"))).unwrap();
        assert!(converted.gguf().is_some());
        let same_but_scaling = DecoderConfig {
            rope_scaling: original.config.rope_scaling.clone(),
            ..converted.config.clone()
        };
        assert_eq!(same_but_scaling, original.config);
        for tensor in all_names(&original.config) {
            assert_eq!(
                converted.tensor(&tensor).unwrap(),
                original.tensor(&tensor).unwrap(),
                "{tensor}"
            );
        }
    }
}

#[test]
fn llama3_scaling_in_a_gguf_file_is_a_factor_for_each_frequency() {
    let model = Checkpoint::open(&fixture("gguf/tiny-llama.gguf")).unwrap();
    let Some(RopeScaling::Factors(factors)) = model.config.rope_scaling else {
        panic!("factors expected")
    };
    // By hand: 64 original positions make 64 / (2 pi) = 10.2 turns of the first frequency and 1.01859 of the second,
    // which lies s = 0.01859 / (4 - 1) of the way from low to high: 1 / ((1 - s) / 8 + s).
    assert_eq!(factors.len(), 4);
    assert_eq!((factors[0], factors[2], factors[3]), (1.0, 8.0, 8.0));
    assert!((factors[1] - 7.6674).abs() < 1e-4, "{factors:?}");
}

#[test]
fn a_tied_head_is_the_embedding() {
    let model = Checkpoint::open(&fixture("tiny-llama")).unwrap();
    assert!(model.has("lm_head.weight"));
    let head = model.tensor("lm_head.weight").unwrap();
    assert_eq!(head, model.tensor(names::EMBEDDING).unwrap());
}

#[test]
fn names_that_the_model_cannot_have_are_refused() {
    let model = Checkpoint::open(&fixture("tiny-llama")).unwrap();
    for name in [
        "model.layers.4.input_layernorm.weight",
        "model.layers.00.input_layernorm.weight",
        "model.layers.0.self_attn.q_proj.bias",
        "model.layers.0.self_attn.q_norm.weight",
        "model.layers.0.mlp.experts.weight",
        "",
    ] {
        assert!(!model.has(name));
        let message = model.tensor(name).unwrap_err().to_string();
        assert!(
            message.contains("a llama model of 4 layers has no tensor"),
            "{message}"
        );
    }
}

#[test]
fn a_shape_that_contradicts_the_configuration_is_an_error_with_both_shapes() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(fixture("tiny-llama/config.json")).unwrap();
    let text = text.replace("\"intermediate_size\": 64", "\"intermediate_size\": 65");
    std::fs::write(folder.path().join("config.json"), text).unwrap();
    std::fs::copy(
        fixture("tiny-llama/model.safetensors"),
        folder.path().join("weights.safetensors"),
    )
    .unwrap();
    let model = Checkpoint::open(folder.path()).unwrap();
    let message = model
        .tensor("model.layers.1.mlp.up_proj.weight")
        .unwrap_err()
        .to_string();
    let wanted = "tensor model.layers.1.mlp.up_proj.weight has shape [64, 32], wanted [65, 32]";
    assert!(message.contains(wanted), "{message}");
    assert!(message.contains("weights.safetensors"), "{message}");
}

#[test]
fn what_is_no_model_is_refused_with_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| Checkpoint::open(path).unwrap_err().to_string();

    let message = error(&folder.path().join("absent"));
    assert!(
        message.contains("absent: ") && message.contains(".gguf"),
        "{message}"
    );
    let message = error(folder.path());
    assert!(message.contains("config.json (is missing)"), "{message}");
    assert!(
        message.contains("model.safetensors.index.json"),
        "{message}"
    );

    std::fs::copy(
        fixture("tiny-llama/config.json"),
        folder.path().join(CONFIG),
    )
    .unwrap();
    std::fs::write(folder.path().join("adapter_model.safetensors"), "").unwrap();
    let message = error(folder.path());
    assert!(message.contains("config.json (is there)"), "{message}");

    let gguf = fixture("gguf/tiny-llama.gguf");
    std::fs::copy(&gguf, folder.path().join("a.gguf")).unwrap();
    assert!(Checkpoint::open(folder.path()).unwrap().gguf().is_some());
    std::fs::copy(&gguf, folder.path().join("b.gguf")).unwrap();
    let message = error(folder.path());
    assert!(
        message.contains("name the file itself: a.gguf, b.gguf"),
        "{message}"
    );

    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "hello").unwrap();
    assert!(error(&text).contains("wanted a .gguf or .safetensors file"));
    let alone = folder.path().join("sub").join("w.safetensors");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::copy(fixture("tiny-llama/model.safetensors"), &alone).unwrap();
    assert!(error(&alone).contains("config.json"));
}

#[test]
fn a_truncated_model_file_is_an_error_and_names_itself() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["gguf/tiny-llama.gguf", "tiny-llama/model.safetensors"] {
        std::fs::copy(
            fixture("tiny-llama/config.json"),
            folder.path().join(CONFIG),
        )
        .unwrap();
        let whole = std::fs::read(fixture(name)).unwrap();
        let path = folder.path().join(Path::new(name).file_name().unwrap());
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let message = Checkpoint::open(&path).unwrap_err().to_string();
        let file = path.file_name().unwrap().to_str().unwrap();
        assert!(message.contains(file), "{message}");
    }
}

/// Expected: the Python package `blake3` on the same files, the two shards one after the other.
#[test]
fn the_digest_is_that_of_the_weight_files() {
    for (name, digest) in [
        (
            "tiny-llama",
            "68176ad960bbbb2db356307d4c89d64584725795f1f1041855f7d983a38be79c",
        ),
        (
            "tiny-qwen2",
            "18225bbb142149faeac04e55886b8a1eb9b9c1844491e7e7c416daa005426a3a",
        ),
    ] {
        let model = Checkpoint::open(&fixture(name)).unwrap();
        assert_eq!(model.digest(), digest);
    }
}

/// SmolLM2-135M-Instruct, Q4_1, in the file or folder that the variable `DREAM_TEST_MODEL` names.
/// Expected: the Python package `gguf` 0.19.0, `dequantize` of each tensor, q and k rows reshaped to
/// [heads, head_dim / 2, 2, in] with the middle axes swapped; mean, mean of absolutes, and mean of value times
/// (index modulo 97), which depends on the order.
#[test]
fn a_real_model_is_read_as_the_python_package_reads_it() {
    let Some(path) = std::env::var_os("DREAM_TEST_MODEL") else {
        #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
        {
            eprintln!("SKIPPED: DREAM_TEST_MODEL does not name a SmolLM2-135M-Instruct GGUF file");
        }
        return;
    };
    let model = Checkpoint::open(Path::new(&path)).unwrap();
    let config = &model.config;
    assert_eq!(config.architecture.to_string(), "llama");
    assert_eq!((config.num_hidden_layers, config.hidden_size), (30, 576));
    assert_eq!(
        (config.num_attention_heads, config.num_key_value_heads),
        (9, 3)
    );
    assert_eq!((config.head_dim, config.intermediate_size), (64, 1536));
    assert_eq!(
        (config.vocab_size, config.max_position_embeddings),
        (49_152, 8192)
    );
    assert_eq!((config.rope_theta, config.rms_norm_eps), (1e5, 1e-5));
    assert_eq!(
        (config.bos_token_id, config.eos_token_id),
        (Some(1), Some(2))
    );
    assert!(config.tie_word_embeddings && config.rope_scaling.is_none());
    assert_eq!(
        model.digest(),
        "5f4fa13bfc6dd4a91fd00e22974a9c4e9ed628fd7d7f307398ddf30260d6b2c3"
    );

    let expected = [
        (
            "model.embed_tokens.weight",
            [
                -0.000_542_289_044_915,
                0.098_975_627_327_171,
                -0.026_160_004_734_097,
            ],
        ),
        (
            "model.layers.0.self_attn.q_proj.weight",
            [
                0.000_178_503_631_442,
                0.191_078_916_881_923,
                -0.011_774_658_696_887,
            ],
        ),
        (
            "model.layers.17.self_attn.k_proj.weight",
            [
                0.000_701_215_601_078,
                0.129_566_339_775_920,
                0.015_496_376_901_865,
            ],
        ),
        (
            "model.layers.29.mlp.down_proj.weight",
            [
                0.000_056_328_338_191,
                0.142_698_968_226_021,
                0.004_262_089_798_296,
            ],
        ),
        (
            "model.norm.weight",
            [
                1.802_659_776_475_694,
                1.814_405_653_211_806,
                85.853_352_864_583_33,
            ],
        ),
    ];
    for (name, moments) in expected {
        let data = model.tensor(name).unwrap().data;
        let mean = |f: &dyn Fn(usize, f64) -> f64| {
            let values = data.iter().enumerate();
            values.map(|(i, &x)| f(i, f64::from(x))).sum::<f64>() / data.len() as f64
        };
        let found = [
            mean(&|_, x| x),
            mean(&|_, x| x.abs()),
            mean(&|i, x| x * (i % 97) as f64),
        ];
        for (found, wanted) in found.iter().zip(moments) {
            assert!((found - wanted).abs() < 1e-11, "{name}: {found} {wanted}");
        }
    }
    for name in all_names(config) {
        assert!(model.has(&name), "{name}");
    }
}
