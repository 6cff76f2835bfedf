//! Names for invented people, places, firms and novels, and the sources that slots draw from.
//!
//! A source is a list `a | b | c`, of which one is drawn. In it `@person`, `@given`, `@surname`,
//! `@town`, `@adjective` and `@noun` stand for a name; `@year A B` and `@number A B` alone stand
//! for a number from A to B.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

const PREFIXES: &[&str] = &[
    "Quill", "Brindle", "Thrum", "Wexel", "Sarn", "Olver", "Pell", "Tansy", "Hobb", "Ketter",
    "Drav", "Nimb", "Crake", "Vell", "Ostra", "Lum", "Fara", "Gwin", "Mossel", "Yaffle", "Ember",
    "Zell", "Corm", "Inkle", "Ruddle", "Skerr", "Ammer",
];
const SUFFIXES: &[&str] = &[
    "haven", "wick", "mouth", "stead", "holm", "ness", "combe", "garth", "mere", "fell", "tarn",
    "strand", "thorpe", "dale", "port", "bury",
];
const GIVEN: &[&str] = &[
    "Mara", "Ivo", "Tilda", "Oswin", "Berta", "Caspar", "Delphine", "Edric", "Fenella", "Gideon",
    "Hester", "Ignatz", "Jocasta", "Konrad", "Leonie", "Magnus", "Nerys", "Odo", "Petra",
    "Quentin", "Rosalind", "Silas", "Thora", "Ulrich", "Vesna", "Wilfred", "Ximena", "Yorick",
    "Zelda", "Ambrose",
];
const SURNAMES: &[&str] = &[
    "Dellow",
    "Quarrick",
    "Tamsett",
    "Fennimoor",
    "Grubel",
    "Hasselby",
    "Ombry",
    "Pindale",
    "Rackstraw",
    "Sorrelby",
    "Thistlewood",
    "Umberlee",
    "Vantongle",
    "Wimbury",
    "Yarnold",
    "Zedlock",
    "Birkmyre",
    "Cattermull",
    "Dunwinkle",
    "Eskdrift",
    "Farrowgate",
    "Gollancy",
    "Hembrow",
    "Inchbold",
    "Jellicott",
    "Kestlewick",
    "Lorimund",
    "Mapplebeck",
    "Nettleship",
    "Oxtaby",
    "Pomfrey",
    "Quinsey",
    "Rummens",
    "Scattergood",
    "Twelvetrees",
    "Ullathorn",
    "Varlow",
    "Wragge",
];
const ADJECTIVES: &[&str] = &[
    "Glass", "Crooked", "Salt", "Seventh", "Hollow", "Amber", "Borrowed", "Quiet", "Painted",
    "Drowned", "Paper", "Velvet", "Broken", "Hungry",
];
const NOUNS: &[&str] = &[
    "Orchard",
    "Staircase",
    "Ferry",
    "Almanac",
    "Wedding",
    "Lantern",
    "Compass",
    "Garden",
    "Tailor",
    "Harvest",
    "Mirror",
    "Piano",
    "Causeway",
];

/// Draws names and numbers; the only place that knows the lists.
pub(super) struct Namer {
    rng: ChaCha8Rng,
    towns: Vec<String>,
}

impl Namer {
    /// Makes up `n_towns` different names of towns.
    pub fn new(mut rng: ChaCha8Rng, n_towns: usize) -> Self {
        let mut towns = Vec::new();
        while towns.len() < n_towns {
            let town = format!("{}{}", pick(&mut rng, PREFIXES), pick(&mut rng, SUFFIXES));
            if !towns.contains(&town) {
                towns.push(town);
            }
        }
        Self { rng, towns }
    }

    /// The names of all towns.
    pub fn towns(&self) -> &[String] {
        &self.towns
    }

    /// A town's name.
    pub fn town(&mut self) -> String {
        pick(&mut self.rng, &self.towns).clone()
    }

    /// A family's name.
    pub fn surname(&mut self) -> String {
        (*pick(&mut self.rng, SURNAMES)).to_owned()
    }

    /// A value from `source`, with `{base}` replaced by `base`.
    pub fn draw(&mut self, source: &str, base: &str) -> String {
        if let Some((from, to)) = range_of(source) {
            return self.rng.random_range(from..=to).to_string();
        }
        let choices: Vec<&str> = source.split(" | ").collect();
        let words = pick(&mut self.rng, &choices).split(' ');
        let words: Vec<String> = words.map(|word| self.word(word, base)).collect();
        words.join(" ")
    }

    fn word(&mut self, word: &str, base: &str) -> String {
        match word {
            "@person" => format!("{} {}", pick(&mut self.rng, GIVEN), self.surname()),
            "@given" => (*pick(&mut self.rng, GIVEN)).to_owned(),
            "@surname" => self.surname(),
            "@town" => self.town(),
            "@adjective" => (*pick(&mut self.rng, ADJECTIVES)).to_owned(),
            "@noun" => (*pick(&mut self.rng, NOUNS)).to_owned(),
            _ => word.replace("{base}", base),
        }
    }
}

/// One of a list that is not empty.
pub(super) fn pick<'a, T>(rng: &mut ChaCha8Rng, list: &'a [T]) -> &'a T {
    &list[rng.random_range(0..list.len())]
}

fn range_of(source: &str) -> Option<(u32, u32)> {
    let range = source
        .strip_prefix("@year ")
        .or_else(|| source.strip_prefix("@number "))?;
    let (from, to) = range.split_once(' ')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn every_source_gives_what_it_says() {
        let mut namer = Namer::new(ChaCha8Rng::seed_from_u64(1), 40);
        for _ in 0..50 {
            assert!(
                ["a b", "Dellow and Sons"]
                    .contains(&&*namer.draw("a b | {base} and Sons", "Dellow"))
            );
            let year: u32 = namer.draw("@year 1120 1130", "").parse().unwrap_or(0);
            assert!((1120..=1130).contains(&year));
            let person = namer.draw("@person", "");
            let (given, surname) = person.split_once(' ').unwrap_or_default();
            assert!(
                GIVEN.contains(&given) && SURNAMES.contains(&surname),
                "{person}"
            );
            let town = namer.draw("@town", "");
            assert!(namer.towns().contains(&town));
        }
    }
}
