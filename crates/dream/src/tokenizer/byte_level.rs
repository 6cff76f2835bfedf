//! Byte-level BPE built from a bare vocabulary, as GGUF files carry it.
//!
//! GGUF (`tokenizer.ggml.model = gpt2`) stores tokens, merges and token types, but names the pre-tokenizer by a word only
//! (`tokenizer.ggml.pre`). The rules behind each word are those of the model's published `tokenizer.json`:
//! which characters a piece may hold before BPE runs inside it. A word this file does not know is refused, since a wrong
//! split gives plausible ids and worse losses without any error.

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior};

use super::{SpecialIds, Tokenizer};

/// GGUF token type of a control token (`<|endoftext|>`).
const CONTROL: i32 = 3;
/// GGUF token type of a user-defined token: matched whole in text, but ordinary otherwise.
const USER_DEFINED: i32 = 4;

/// A byte-level BPE vocabulary with the settings GGUF stores beside it.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// Token spellings in the byte-level alphabet; the index is the id.
    pub tokens: Vec<String>,
    /// Merge rules `left right`, best first.
    pub merges: Vec<String>,
    /// GGUF token types, one a token; may be empty (all ordinary).
    pub types: Vec<i32>,
    /// Name of the pre-tokenizer: `smollm`, `qwen2`, `llama-bpe`, `gpt-2` or `default`.
    pub pre: String,
    /// Ids of BOS, EOS and padding.
    pub special: SpecialIds,
    /// Whether a text is opened with BOS; `None` leaves it to the pre-tokenizer's family (Llama 3 does).
    pub add_bos: Option<bool>,
    /// Whether a text is closed with EOS.
    pub add_eos: bool,
}

/// How one family of tokenizers splits a text.
struct Family {
    pre_tokenizer: PreTokenizerWrapper,
    nfc: bool,
    ignore_merges: bool,
    add_bos: bool,
}

/// The pieces shared by the split patterns of Qwen2 and Llama 3; they differ in how many digits make a piece.
fn split_pattern(digits: &str) -> String {
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        digits,
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
    .join("|")
}

fn family(pre: &str) -> Result<Family, String> {
    let split = |digits: &str| -> Result<PreTokenizerWrapper, String> {
        let pattern = SplitPattern::Regex(split_pattern(digits));
        let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
            .map_err(|e| e.to_string())?;
        Ok(Sequence::new(vec![
            split.into(),
            ByteLevel::new(false, false, false).into(),
        ])
        .into())
    };
    let plain = |pre_tokenizer| Family {
        pre_tokenizer,
        nfc: false,
        ignore_merges: false,
        add_bos: false,
    };
    Ok(match pre {
        "smollm" => plain(
            Sequence::new(vec![
                Digits::new(true).into(),
                ByteLevel::new(false, true, true).into(),
            ])
            .into(),
        ),
        "gpt-2" | "default" => plain(ByteLevel::new(false, true, true).into()),
        "qwen2" => Family {
            nfc: true,
            ..plain(split(r"\p{N}")?)
        },
        "llama-bpe" => Family {
            ignore_merges: true,
            add_bos: true,
            ..plain(split(r"\p{N}{1,3}")?)
        },
        other => {
            return Err(format!(
                "unknown pre-tokenizer {other:?} (known: smollm, qwen2, llama-bpe, gpt-2, default); \
                 a tokenizer.json beside the file would be used instead"
            ));
        }
    })
}

impl Vocabulary {
    /// Builds the tokenizer. The error says what is wrong with the vocabulary; the caller knows the file.
    pub fn build(self) -> Result<Tokenizer, String> {
        let Self {
            tokens,
            merges,
            types,
            pre,
            special,
            add_bos,
            add_eos,
        } = self;
        let family = family(&pre)?;
        if !types.is_empty() && types.len() != tokens.len() {
            return Err(format!(
                "{} token types for {} tokens",
                types.len(),
                tokens.len()
            ));
        }
        for (role, id) in [
            ("bos", special.bos),
            ("eos", special.eos),
            ("padding", special.pad),
        ] {
            if let Some(id) = id.filter(|id| *id as usize >= tokens.len()) {
                return Err(format!(
                    "{role} token id {id} is outside the vocabulary of {} tokens",
                    tokens.len()
                ));
            }
        }
        let merges = merges.iter().map(|rule| match rule.split_once(' ') {
            Some((left, right)) => Ok((left.to_owned(), right.to_owned())),
            None => Err(format!(
                "merge rule {rule:?} is not two tokens with a space between"
            )),
        });
        let merges = merges.collect::<Result<Vec<_>, _>>()?;
        let mut vocab = Vocab::with_capacity(tokens.len());
        for (id, token) in (0u32..).zip(&tokens) {
            vocab.entry(token.clone()).or_insert(id);
        }
        let model = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .ignore_merges(family.ignore_merges)
            .build();
        let mut inner = tokenizers::Tokenizer::new(model.map_err(|e| e.to_string())?);
        if family.nfc {
            inner.with_normalizer(Some(NFC));
        }
        inner.with_pre_tokenizer(Some(family.pre_tokenizer));
        inner.with_decoder(Some(ByteLevel::new(false, true, true)));
        let added = types
            .iter()
            .zip(&tokens)
            .filter(|(kind, _)| matches!(**kind, CONTROL | USER_DEFINED));
        let added = added.map(|(kind, token)| {
            AddedToken::from(token.as_str(), *kind == CONTROL).normalized(false)
        });
        inner.add_tokens(&added.collect::<Vec<_>>());

        let prefix = special.bos.filter(|_| add_bos.unwrap_or(family.add_bos));
        let suffix = special.eos.filter(|_| add_eos);
        if prefix.is_some() || suffix.is_some() {
            let ids = |id: Option<u32>| id.into_iter().collect::<Vec<_>>();
            let template =
                template(&inner, &ids(prefix), &ids(suffix)).map_err(|e| e.to_string())?;
            inner.with_post_processor(Some(template));
        }
        Tokenizer::wrap(inner, special, tokens.len()).map_err(|e| e.to_string())
    }
}

/// A post-processor that puts the tokens `prefix` before a text and `suffix` after it.
pub(super) fn template(
    inner: &tokenizers::Tokenizer,
    prefix: &[u32],
    suffix: &[u32],
) -> crate::Result<TemplateProcessing> {
    let mut specials = serde_json::Map::new();
    let mut piece = |id: &u32| {
        let Some(token) = inner.id_to_token(*id) else {
            return Err(crate::Error::Invalid(format!(
                "token id {id} is not in the vocabulary"
            )));
        };
        let entry = serde_json::json!({"id": token, "ids": [id], "tokens": [token]});
        specials.insert(token.clone(), entry);
        Ok(serde_json::json!({"SpecialToken": {"id": token, "type_id": 0}}))
    };
    let before = prefix
        .iter()
        .map(&mut piece)
        .collect::<crate::Result<Vec<_>>>()?;
    let after = suffix
        .iter()
        .map(&mut piece)
        .collect::<crate::Result<Vec<_>>>()?;
    let around = |name: &str, kind: u32| {
        let text = serde_json::json!({"Sequence": {"id": name, "type_id": kind}});
        before
            .iter()
            .cloned()
            .chain([text])
            .chain(after.iter().cloned())
            .collect::<Vec<_>>()
    };
    let single = around("A", 0);
    let pair = [around("A", 0), around("B", 1)].concat();
    let description = serde_json::json!({
        "type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": specials,
    });
    serde_json::from_value(description)
        .map_err(|e| crate::Error::Invalid(format!("post-processor: {e}")))
}

/// The byte-level alphabet: printable Latin-1 bytes stand for themselves, the 68 others are U+0100 and up, in order
/// (Radford et al., 2019, the published GPT-2 encoder).
fn alphabet() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| {
        let byte = byte as u32;
        let code = match byte {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => byte,
            _ => {
                next += 1;
                next - 1
            }
        };
        char::from_u32(code).expect("below U+0200 every code point is a character. This is a bug.")
    })
}

/// See [`Tokenizer::bytes`].
pub(super) fn bytes() -> Tokenizer {
    let mut tokens: Vec<String> = alphabet().iter().map(char::to_string).collect();
    let mut types = vec![1; tokens.len()];
    for token in ["<|bos|>", "<|eos|>", "<|pad|>"] {
        tokens.push(token.into());
        types.push(CONTROL);
    }
    let special = SpecialIds {
        bos: Some(256),
        eos: Some(257),
        pad: Some(258),
    };
    let vocabulary = Vocabulary {
        tokens,
        types,
        pre: "gpt-2".into(),
        special,
        ..Vocabulary::default()
    };
    vocabulary
        .build()
        .expect("the byte vocabulary is made here and complete. This is a bug.")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The byte vocabulary with a few merged tokens: 256 `12`, 257 `Ġa`, 258 `Ġab`, 259 `<eot>`.
    fn small(pre: &str) -> Vocabulary {
        let mut tokens: Vec<String> = alphabet().iter().map(char::to_string).collect();
        tokens.extend(["12", "Ġa", "Ġab", "<eot>"].map(String::from));
        let mut types = vec![1; 259];
        types.push(CONTROL);
        let merges = ["1 2", "Ġ a", "Ġa b"].map(String::from).to_vec();
        let special = SpecialIds {
            bos: Some(259),
            eos: Some(259),
            pad: None,
        };
        Vocabulary {
            tokens,
            merges,
            types,
            pre: pre.into(),
            special,
            add_bos: None,
            add_eos: false,
        }
    }

    #[test]
    fn the_alphabet_is_the_published_one() {
        let alphabet = alphabet();
        // GPT-2's vocab.json: "!" stays, space is Ġ (U+0120), newline is Ċ (U+010A), byte 0xAD is the last shifted one.
        assert_eq!(
            (
                alphabet[0x21],
                alphabet[0x20],
                alphabet[0x0a],
                alphabet[0xad]
            ),
            ('!', 'Ġ', 'Ċ', '\u{143}')
        );
        let of_the_crate = ByteLevel::alphabet();
        assert!(alphabet.iter().all(|c| of_the_crate.contains(c)));
    }

    #[test]
    fn merges_run_inside_pieces_and_smollm_splits_digits_one_by_one() {
        let ids = |pre: &str, text: &str| small(pre).build().unwrap().encode(text).unwrap();
        assert_eq!(ids("gpt-2", "x ab12"), [120, 258, 256]);
        assert_eq!(ids("smollm", "x ab12"), [120, 258, 49, 50]); // ASCII 1 and 2
        assert_eq!(ids("qwen2", "x ab12"), [120, 258, 49, 50]);
        assert_eq!(ids("llama-bpe", "x ab12"), [120, 258, 256]);
    }

    #[test]
    fn only_llama_opens_with_bos_unless_the_file_says_otherwise() {
        assert!(small("llama-bpe").build().unwrap().adds_bos());
        assert!(!small("qwen2").build().unwrap().adds_bos());
        let told = Vocabulary {
            add_bos: Some(true),
            add_eos: true,
            ..small("qwen2")
        }
        .build()
        .unwrap();
        assert_eq!(told.encode_with_special(" ab").unwrap(), [259, 258, 259]);
        assert_eq!(told.encode(" ab").unwrap(), [258]);
    }

    #[test]
    fn a_special_string_inside_a_text_is_that_token() {
        assert_eq!(
            small("smollm").build().unwrap().encode("a<eot>b").unwrap(),
            [97, 259, 98]
        );
    }

    #[test]
    fn qwen_composes_accents_before_splitting() {
        let composed = small("qwen2").build().unwrap().encode("e\u{301}").unwrap();
        assert_eq!(composed, [0xc3, 0xa9]); // UTF-8 of U+00E9
    }

    #[test]
    fn a_broken_vocabulary_is_refused_with_the_fact() {
        let message = |v: Vocabulary| v.build().unwrap_err();
        assert!(message(small("poro-chat")).starts_with("unknown pre-tokenizer \"poro-chat\""));
        let merges = vec!["ab".to_owned()];
        assert!(
            message(Vocabulary {
                merges,
                ..small("smollm")
            })
            .contains("\"ab\" is not two tokens")
        );
        let types = vec![1; 3];
        assert_eq!(
            message(Vocabulary {
                types,
                ..small("smollm")
            }),
            "3 token types for 260 tokens"
        );
        let special = SpecialIds {
            eos: Some(260),
            ..SpecialIds::default()
        };
        assert!(
            message(Vocabulary {
                special,
                ..small("smollm")
            })
            .contains("eos token id 260 is outside")
        );
        let merges = vec!["z z".to_owned()];
        assert!(
            message(Vocabulary {
                merges,
                ..small("smollm")
            })
            .contains("zz")
        );
    }
}
