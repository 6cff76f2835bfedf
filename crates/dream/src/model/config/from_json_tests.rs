//! Real spellings, and what is refused.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};

use super::*;

fn parse_value(config: &Value) -> Result<DecoderConfig> {
    let path = Path::new("config.json");
    let complaint = Complaint {
        path: path.to_owned(),
    };
    parse(config.to_string().as_bytes(), &complaint)?.checked(path)
}

/// config.json of Qwen2.5-0.5B as published, without the keys that are ignored.
fn qwen2() -> Value {
    json!({
        "architectures": ["Qwen2ForCausalLM"], "bos_token_id": 151_643, "eos_token_id": 151_643,
        "hidden_act": "silu", "hidden_size": 896, "intermediate_size": 4864,
        "max_position_embeddings": 32_768, "max_window_layers": 24, "model_type": "qwen2",
        "num_attention_heads": 14, "num_hidden_layers": 24, "num_key_value_heads": 2,
        "rms_norm_eps": 1e-06, "rope_theta": 1_000_000.0, "sliding_window": 32_768,
        "tie_word_embeddings": true, "torch_dtype": "bfloat16", "use_sliding_window": false,
        "vocab_size": 151_936
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut config = qwen2();
    config[key] = value;
    config
}

#[test]
fn the_spelling_of_transformers_4_is_read() {
    let config = parse_value(&qwen2()).unwrap();
    assert_eq!(
        config,
        DecoderConfig {
            architecture: Architecture::Qwen2,
            vocab_size: 151_936,
            hidden_size: 896,
            intermediate_size: 4864,
            num_hidden_layers: 24,
            num_attention_heads: 14,
            num_key_value_heads: 2,
            head_dim: 64,
            max_position_embeddings: 32_768,
            rms_norm_eps: 1e-6,
            rope_theta: 1e6,
            rope_scaling: None,
            attention_bias: true,
            qk_norm: false,
            tie_word_embeddings: true,
            bos_token_id: Some(151_643),
            eos_token_id: Some(151_643),
        }
    );
}

#[test]
fn both_spellings_of_one_model_give_one_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/tiny-llama");
    let new = DecoderConfig::from_json(&folder.join("config.json")).unwrap();
    let old = DecoderConfig::from_json(&folder.join("config.transformers4.json")).unwrap();
    assert_eq!(new, old);
    assert_eq!(
        new.rope_scaling,
        Some(RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 64
        })
    );
}

#[test]
fn a_list_of_end_tokens_gives_its_first() {
    let config = parse_value(&with("eos_token_id", json!([7, 9]))).unwrap();
    assert_eq!(config.eos_token_id, Some(7));
    let config = parse_value(&with("eos_token_id", json!(null))).unwrap();
    assert_eq!(config.eos_token_id, None);
}

#[test]
fn qwen3_has_norms_no_biases_and_its_own_head_size() {
    let mut config = with("model_type", json!("qwen3"));
    let read = parse_value(&config).unwrap();
    assert_eq!(
        (read.head_dim, read.qk_norm, read.attention_bias),
        (128, true, false)
    );
    config["head_dim"] = json!(48);
    assert_eq!(parse_value(&config).unwrap().head_dim, 48);
}

#[test]
fn settings_that_are_not_computed_are_refused_by_name_with_what_is_accepted() {
    let rope = |rope_type: &str| json!({"rope_type": rope_type, "factor": 2.0});
    let cases = [
        (
            "model_type",
            json!("gemma3"),
            "gemma3, accepted: llama, qwen2, qwen3",
        ),
        (
            "attention_bias",
            json!(true),
            "attention_bias is true, accepted: false",
        ),
        ("mlp_bias", json!(true), "mlp_bias is true"),
        (
            "hidden_act",
            json!("gelu"),
            "hidden_act is gelu, accepted: silu",
        ),
        (
            "use_sliding_window",
            json!(true),
            "use_sliding_window is true",
        ),
        (
            "layer_types",
            json!(["full_attention", "sliding_attention"]),
            "sliding_attention, accepted: full_attention",
        ),
        (
            "rope_scaling",
            rope("yarn"),
            "rope_type is yarn, accepted: default, llama3",
        ),
        ("rope_parameters", rope("linear"), "rope_type is linear"),
        (
            "rope_scaling",
            json!({"type": "dynamic"}),
            "rope_type is dynamic",
        ),
        (
            "partial_rotary_factor",
            json!(0.5),
            "partial_rotary_factor is 0.5",
        ),
        (
            "quantization_config",
            json!({}),
            "quantization_config is present",
        ),
    ];
    for (key, value, wanted) in cases {
        let error = parse_value(&with(key, value)).unwrap_err();
        assert!(matches!(error, Error::UnsupportedModel { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn impossible_values_are_refused_by_name() {
    let cases = [
        ("vocab_size", json!(0), "vocab_size is 0"),
        ("vocab_size", json!(-1), "invalid value"),
        (
            "vocab_size",
            json!(1_u64 << 40),
            "vocab_size is 1099511627776",
        ),
        ("hidden_size", json!(u64::MAX), "hidden_size"),
        (
            "num_hidden_layers",
            json!(100_000),
            "num_hidden_layers is 100000",
        ),
        (
            "num_key_value_heads",
            json!(3),
            "not a multiple of num_key_value_heads 3",
        ),
        ("num_key_value_heads", json!(0), "num_key_value_heads is 0"),
        ("num_attention_heads", json!(0), "head_dim is missing"),
        ("num_attention_heads", json!(13), "head_dim is missing"),
        ("head_dim", json!(7), "even"),
        ("rms_norm_eps", json!(0.0), "rms_norm_eps"),
        ("rope_theta", json!(-1.0), "rope_theta"),
        (
            "rope_parameters",
            json!({"rope_theta": 1e4}),
            "rope_theta is given twice",
        ),
        (
            "rope_scaling",
            json!({"rope_type": "llama3"}),
            "lacks factor",
        ),
        ("eos_token_id", json!(151_936), "eos_token_id is 151936"),
        ("max_position_embeddings", json!(null), "invalid type: null"),
        ("model_type", json!(null), "model_type is missing"),
    ];
    for (key, value, wanted) in cases {
        let error = parse_value(&with(key, value)).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

#[test]
fn broken_json_is_an_error_with_its_line() {
    let complaint = Complaint {
        path: "config.json".into(),
    };
    let error = parse(b"{\n\"model_type\": ", &complaint).unwrap_err();
    assert!(error.to_string().contains("line 2"), "{error}");
}
