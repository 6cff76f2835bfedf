//! The things that the documents are about: rows of the tables of plain facts, and invented towns,
//! ships, people, firms and novels that nobody can know without the documents.

use std::collections::{BTreeMap, HashSet};

use rand_chacha::ChaCha8Rng;

use super::names::Namer;
use super::wording::Kind;
use super::words::contains_words;

/// One thing with its values.
pub(super) struct Entity {
    /// Position in [`World::kinds`].
    pub kind: usize,
    /// As a question spells it.
    pub name: String,
    /// Value of each slot, `name` among them.
    pub values: BTreeMap<&'static str, String>,
}

/// All kinds and all entities.
pub(super) struct World {
    /// How each kind is written about: real ones first, then invented ones, which have sources.
    pub kinds: Vec<Kind>,
    /// Entities, ordered by kind.
    pub entities: Vec<Entity>,
}

macro_rules! real {
    ($($kind:literal),*) => {
        &[$((
            include_str!(concat!("real/", $kind, ".txt")),
            include_str!(concat!("real/", $kind, ".tsv")),
        )),*]
    };
}

/// (wordings, table) of each real kind.
const REAL: &[(&str, &str)] = real![
    "country",
    "element",
    "planet",
    "moon",
    "river",
    "mountain",
    "book",
    "invention",
    "composer",
    "animal",
    "landmark"
];

/// What the `{base}` in the names of an invented kind is.
enum Base {
    /// Each town once.
    EachTown,
    /// A town, so that several things share its name.
    Town,
    /// A family.
    Surname,
    /// Nothing: the name needs none.
    None,
}

/// (wordings, base of the names, number of entities) of each invented kind.
const INVENTED: &[(&str, Base, usize)] = &[
    (include_str!("invented/town.txt"), Base::EachTown, N_TOWNS),
    (include_str!("invented/club.txt"), Base::Town, 32),
    (include_str!("invented/ship.txt"), Base::Town, 36),
    (include_str!("invented/castle.txt"), Base::Town, 24),
    (include_str!("invented/paper.txt"), Base::Town, 20),
    (include_str!("invented/cheese.txt"), Base::Town, 20),
    (include_str!("invented/school.txt"), Base::Town, 18),
    (include_str!("invented/lighthouse.txt"), Base::Town, 10),
    (include_str!("invented/person.txt"), Base::None, 38),
    (include_str!("invented/company.txt"), Base::Surname, 20),
    (include_str!("invented/novel.txt"), Base::None, 18),
];

const N_TOWNS: usize = 60;
/// Names that towns and what is named after towns share.
const N_PLACE_NAMES: usize = 90;

impl World {
    /// The tables as they are, and invented entities drawn from `rng`.
    pub fn new(rng: ChaCha8Rng) -> Self {
        let mut world = Self {
            kinds: Vec::new(),
            entities: Vec::new(),
        };
        for (wordings, table) in REAL {
            world.kinds.push(Kind::parse(wordings));
            world.add_table(table);
        }
        let mut namer = Namer::new(rng, N_PLACE_NAMES);
        let mut taken = HashSet::new();
        for (wordings, base, count) in INVENTED {
            world.kinds.push(Kind::parse(wordings));
            for n in 0..*count {
                let entity = world.invent(base, n, &mut namer, &mut taken);
                world.entities.push(entity);
            }
        }
        world
    }

    fn add_table(&mut self, table: &'static str) {
        let mut lines = table.lines();
        let columns: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        for line in lines {
            let cells: Vec<&str> = line.split('\t').collect();
            assert_eq!(
                cells.len(),
                columns.len(),
                "{line:?} lacks cells. This is a bug."
            );
            let values: BTreeMap<&str, String> = columns
                .iter()
                .zip(cells)
                .filter(|(_, cell)| *cell != "-")
                .map(|(column, cell)| (*column, cell.to_owned()))
                .collect();
            self.entities.push(Entity {
                kind: self.kinds.len() - 1,
                name: values["name"].clone(),
                values,
            });
        }
    }

    /// An entity of the newest kind with a name not in `taken`.
    fn invent(
        &self,
        base: &Base,
        n: usize,
        namer: &mut Namer,
        taken: &mut HashSet<(usize, String)>,
    ) -> Entity {
        let kind = self.kinds.len() - 1;
        let (&(_, name_source), sources) = self.kinds[kind]
            .sources
            .split_first()
            .expect("an invented kind begins with the source of its names. This is a bug.");
        let (base, name) = loop {
            let base = match base {
                Base::EachTown => namer.towns()[n].clone(),
                Base::Town => namer.town(),
                Base::Surname => namer.surname(),
                Base::None => String::new(),
            };
            // One club a town, one firm a family; where there is no base the name itself counts.
            let name = namer.draw(name_source, &base);
            let unique = if base.is_empty() { &name } else { &base };
            if taken.insert((kind, unique.clone())) {
                break (base, name);
            }
        };
        let mut values = BTreeMap::from([("name", name.clone())]);
        for (slot, source) in sources {
            // Most values differ from one another and from the name after a draw or two; where a
            // short list runs out, the clash costs a question and nothing else.
            let mut value = namer.draw(source, &base);
            for _ in 0..20 {
                let clash = |other: &String| contains_words(other, &value);
                if !values.values().any(clash) && !contains_words(&value, &base) {
                    break;
                }
                value = namer.draw(source, &base);
            }
            values.insert(slot, value);
        }
        Entity { kind, name, values }
    }

    /// For each entity the number of its family: entities whose names share one (the town
    /// `Pellwick`, `Pellwick Castle`) or contain one another.
    pub fn families(&self) -> Vec<usize> {
        let names: Vec<String> = self
            .entities
            .iter()
            .map(|e| e.name.to_lowercase())
            .collect();
        names
            .iter()
            .map(|name| {
                let contained = (0..names.len()).filter(|&i| contains_words(name, &names[i]));
                contained
                    .min_by_key(|&i| (names[i].len(), i))
                    .expect("a name contains itself. This is a bug.")
            })
            .collect()
    }
}
