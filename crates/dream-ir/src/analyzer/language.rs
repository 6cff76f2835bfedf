//! The languages, and what each does to a word before it is looked up and stemmed.

use std::fmt;
use std::str::FromStr;

use rust_stemmers::Algorithm;
use serde::{Deserialize, Serialize};

/// Whose stop words, stemmer and joined words an [`super::Analyzer`] goes by. Written as the English
/// name in lower case; the ISO 639-1 code is read too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[expect(missing_docs, reason = "a language's name says all there is")]
pub enum Language {
    Arabic,
    Danish,
    Dutch,
    #[default]
    English,
    Finnish,
    French,
    German,
    Hungarian,
    Italian,
    Norwegian,
    Portuguese,
    Romanian,
    Russian,
    Spanish,
    Swedish,
    Tamil,
    Turkish,
    /// Any language: words in lower case, no stop words, no stemmer.
    None,
}

/// Each language with its name and its ISO 639-1 code.
const NAMES: [(Language, &str, &str); 18] = [
    (Language::Arabic, "arabic", "ar"),
    (Language::Danish, "danish", "da"),
    (Language::Dutch, "dutch", "nl"),
    (Language::English, "english", "en"),
    (Language::Finnish, "finnish", "fi"),
    (Language::French, "french", "fr"),
    (Language::German, "german", "de"),
    (Language::Hungarian, "hungarian", "hu"),
    (Language::Italian, "italian", "it"),
    (Language::Norwegian, "norwegian", "no"),
    (Language::Portuguese, "portuguese", "pt"),
    (Language::Romanian, "romanian", "ro"),
    (Language::Russian, "russian", "ru"),
    (Language::Spanish, "spanish", "es"),
    (Language::Swedish, "swedish", "sv"),
    (Language::Tamil, "tamil", "ta"),
    (Language::Turkish, "turkish", "tr"),
    (Language::None, "none", "none"),
];

/// What French joins to the next word with an apostrophe.
const FRENCH_ELISIONS: [&str; 13] = [
    "l", "m", "t", "qu", "n", "s", "j", "d", "c", "jusqu", "quoiqu", "lorsqu", "puisqu",
];

/// What Italian joins to the next word with an apostrophe.
const ITALIAN_ELISIONS: [&str; 23] = [
    "c", "l", "all", "dall", "dell", "nell", "sull", "coll", "pell", "gl", "agl", "dagl", "degl",
    "negl", "sugl", "un", "m", "t", "s", "v", "d", "quest", "quell",
];

impl Language {
    /// All of them, [`Self::None`] last.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.into_iter().map(|(language, ..)| language)
    }

    /// ISO 639-1.
    pub(super) fn code(self) -> &'static str {
        let entry = NAMES.iter().find(|(language, ..)| *language == self);
        entry.map_or("", |(_, _, code)| code)
    }

    /// Snowball's stemmer.
    pub(super) fn algorithm(self) -> Option<Algorithm> {
        Some(match self {
            Self::Arabic => Algorithm::Arabic,
            Self::Danish => Algorithm::Danish,
            Self::Dutch => Algorithm::Dutch,
            Self::English => Algorithm::English,
            Self::Finnish => Algorithm::Finnish,
            Self::French => Algorithm::French,
            Self::German => Algorithm::German,
            Self::Hungarian => Algorithm::Hungarian,
            Self::Italian => Algorithm::Italian,
            Self::Norwegian => Algorithm::Norwegian,
            Self::Portuguese => Algorithm::Portuguese,
            Self::Romanian => Algorithm::Romanian,
            Self::Russian => Algorithm::Russian,
            Self::Spanish => Algorithm::Spanish,
            Self::Swedish => Algorithm::Swedish,
            Self::Tamil => Algorithm::Tamil,
            Self::Turkish => Algorithm::Turkish,
            Self::None => return None,
        })
    }

    /// Lower case; Turkish has two letters i.
    pub(super) fn to_lowercase(self, word: &str) -> String {
        if self == Self::Turkish && word.contains(['I', '\u{130}']) {
            return word
                .replace('I', "\u{131}")
                .replace('\u{130}', "i")
                .to_lowercase();
        }
        word.to_lowercase()
    }

    /// A word in lower case without what this language joins to it by an apostrophe: English and
    /// Turkish behind it (`dog's`, `istanbul'da`), French and Italian before it (`l'eau`).
    pub(super) fn without_joined(self, word: &str) -> &str {
        let marks = ['\'', '\u{2019}'];
        let kept = match self {
            Self::English => word
                .strip_suffix('s')
                .and_then(|word| word.strip_suffix(marks)),
            Self::Turkish => word.split_once(marks).map(|(before, _)| before),
            Self::French => after_elision(word.split_once(marks), &FRENCH_ELISIONS),
            Self::Italian => after_elision(word.split_once(marks), &ITALIAN_ELISIONS),
            _ => None,
        };
        kept.filter(|kept| !kept.is_empty()).unwrap_or(word)
    }
}

fn after_elision<'a>(parts: Option<(&str, &'a str)>, elisions: &[&str]) -> Option<&'a str> {
    let (before, after) = parts?;
    elisions.contains(&before).then_some(after)
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(language, ..)| language == self);
        f.write_str(name.map_or("", |(_, name, _)| name))
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = NAMES
            .iter()
            .find(|(_, name, code)| text.eq_ignore_ascii_case(name) || text == *code);
        known.map(|(language, ..)| *language).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(_, name, _)| *name).collect();
            format!("language must be {}, not {text:?}", names.join(", "))
        })
    }
}

impl TryFrom<String> for Language {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.to_string()
    }
}
