//! Words and terms, language by language.

use super::*;
use rand::{RngExt, SeedableRng};

fn terms(language: Language, text: &str) -> Vec<String> {
    Analyzer::new(language).terms(text)
}

#[test]
fn words_are_runs_of_letters_and_digits() {
    let cut = |text| words(text).collect::<Vec<_>>();
    assert_eq!(
        cut("I don't pay 'it' $3.5."),
        ["I", "don't", "pay", "it", "3", "5"]
    );
    assert_eq!(
        cut("min_cost(a,b); T-cell U.S. __"),
        ["min", "cost", "a", "b", "T", "cell", "U", "S"]
    );
    assert_eq!(
        cut("naïve\u{a0}日本語 です"),
        ["naïve", "日", "本", "語", "で", "す"]
    );
    assert_eq!(cut("e\u{301}t e\u{301}"), ["e\u{301}t", "e\u{301}"]);
    // A vowel sign and the sign of a missing vowel (Tamil) belong to their letter.
    assert_eq!(cut("தமிழ்நாடு மொழி"), ["தமிழ்நாடு", "மொழி"]);
    assert_eq!(cut("... '' "), Vec::<&str>::new());
}

#[test]
fn terms_are_lower_case_stemmed_and_without_stop_words_and_possessives() {
    // Stems by Snowball's published English vocabulary.
    let english = |text| terms(Language::English, text);
    assert_eq!(
        english("The Generous dogs' and the dog's running"),
        ["generous", "dog", "dog", "run"]
    );
    assert_eq!(
        english("Einstein\u{2019}s theories"),
        ["einstein", "theori"]
    );
    assert_eq!(english("it's"), Vec::<&str>::new());
    assert_eq!(english("Müller"), ["müller"]);
}

#[test]
fn each_language_has_its_own_stop_words_stems_and_joined_words() {
    // Stems by Snowball's published vocabularies.
    for (language, text, wanted) in [
        (
            Language::German,
            "Die aufgeblähten Wörter",
            &["aufgeblaht", "wort"][..],
        ),
        (
            Language::French,
            "l'eau d\u{2019}ici, qu'il majestueusement",
            &["eau", "ici", "majestu"],
        ),
        (Language::Spanish, "Los chicos torearon", &["chic", "tor"]),
        (
            Language::Italian,
            "dell'acqua abbandonata",
            &["acqua", "abbandon"],
        ),
        (Language::Russian, "и важнейшая", &["важн"]),
        (
            Language::Turkish,
            "ISPARTA'da İstanbul'un",
            &["ıspar", "istanbul"],
        ),
        (Language::None, "The dogs' L'Eau", &["the", "dogs", "l'eau"]),
    ] {
        assert_eq!(terms(language, text), wanted, "{language}");
    }
}

#[test]
fn every_language_but_tamil_and_none_has_stop_words_in_lower_case() {
    for language in Language::all() {
        let words = stop_words::of(language);
        let has_none = matches!(language, Language::None | Language::Tamil);
        assert!(has_none || words.len() > 20, "{language}: {}", words.len());
        for word in words {
            assert_eq!(word, language.to_lowercase(word), "{language}");
        }
    }
}

#[test]
fn names_come_back_codes_are_read_and_others_are_refused_with_all_choices() {
    for language in Language::all() {
        assert_eq!(language.to_string().parse(), Ok(language));
    }
    assert_eq!("de".parse(), Ok(Language::German));
    assert_eq!("French".parse(), Ok(Language::French));
    let refused: Result<Language, String> = "klingon".parse();
    assert!(
        refused
            .is_err_and(|e| e.contains("arabic, danish") && e.ends_with("none, not \"klingon\""))
    );
}

#[test]
fn a_run_without_end_is_cut_into_pieces() {
    let pieces: Vec<usize> = words(&"x".repeat(600)).map(str::len).collect();
    assert_eq!(pieces, [255, 255, 90]);
}

#[test]
fn random_text_never_panics_and_words_come_in_order() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let analyzer = Analyzer::new(Language::English);
    let alphabet: Vec<char> = "aeysingldt'’.,:_3 \u{301}日ßİ\u{200d}\0\u{fffd}🦀"
        .chars()
        .collect();
    for _ in 0..2000 {
        let pick = |_| alphabet[rng.random_range(0..alphabet.len())];
        let text: String = (0..40).map(pick).collect();
        let mut from = 0;
        for word in words(&text) {
            from += text[from..].find(word).expect("a word is part of the text") + word.len();
            analyzer.term(word);
        }
    }
}

/// Stemmers cut words by bytes: a wrong index would be a panic on somebody's text. Greek's does that
/// (rust-stemmers 1.2), which is why Greek is missing.
#[test]
fn no_stemmer_panics_on_letters_of_its_own_alphabet_and_of_others() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    let latin = "abcdefghijklmnopqrstuvwxyz'’äöüßåæøéèêëàâçñáíóúőűğışţăîșțıİ";
    let alphabets = [
        latin,
        "абвгдежзийклмнопрстуфхцчшщъыьэюяё",
        "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤإئةى\u{64b}\u{64e}\u{652}\u{640}",
        "அஆஇஈஉஊஎஏகஙசஞடணதநபமயரலவழளறனாிீுூெேைொோௌ்",
        "aeiouysinglmdtt日ß\u{301}\u{200d}αέώ",
    ];
    let alphabets: Vec<Vec<char>> = alphabets.iter().map(|a| a.chars().collect()).collect();
    for language in Language::all() {
        let analyzer = Analyzer::new(language);
        for round in 0..4000 {
            let alphabet = &alphabets[round % alphabets.len()];
            let length = rng.random_range(1..24);
            let pick = |_| alphabet[rng.random_range(0..alphabet.len())];
            let word: String = (0..length).map(pick).collect();
            analyzer.term(&word);
        }
    }
}
