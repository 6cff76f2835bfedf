//! A small retrieval set of our own: short documents about plain facts, questions with short
//! answers, held-out entities and held-out phrasings. Seven documents in ten are about invented
//! things, so that no language model can answer without reading them. Questions mostly avoid the
//! words of the document that answers them, and names are shared (a town, its football club, a
//! ship, a castle), so that matching words finds the entity more easily than the attribute.

mod entities;
mod names;
#[cfg(test)]
mod tests;
mod wording;
mod words;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::document::{Document, Query};
use crate::error::{Error, Result};
use crate::jsonl::write_jsonl;
use crate::qrels::Qrels;
use crate::training::TrainingRow;
use entities::{Entity, World};
use names::pick;
use wording::{Attribute, fill};
use words::contains_words;

const N_TRAIN: usize = 1500;
const N_DEV: usize = 100;
const N_TEST: usize = 200;

/// The generated set.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// All documents, shuffled; titles are empty, the texts name their entity.
    pub documents: Vec<Document>,
    /// Questions to train on, each with its one positive document and no candidates.
    pub train: Vec<TrainingRow>,
    /// Questions to choose settings by.
    pub dev: HeldOut,
    /// Questions to report.
    pub test: HeldOut,
}

/// Questions about entities, and in phrasings, that no training question has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldOut {
    /// The questions.
    pub queries: Vec<Query>,
    /// The answer to each query, in the same order.
    pub targets: Vec<String>,
    /// Which document answers which query.
    pub qrels: Qrels,
}

/// Generates the set; the same seed gives the same set.
pub fn generate(seed: u64) -> Facts {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let world = World::new(ChaCha8Rng::from_rng(&mut rng));
    let (documents, mut facts) = write_documents(&world, &mut rng);
    keep_unambiguous(&mut facts, &documents, &world.entities);
    let splits = split_families(&world, &mut rng);
    facts.shuffle(&mut rng);
    let mut of_split = |split, phrasings: fn(&Attribute) -> &[&'static str], count, prefix| {
        let facts = facts.iter().filter(|f| splits[f.entity] == split);
        let ask = |(n, fact): (usize, &Fact)| Question {
            id: format!("{prefix}-{n:04}"),
            text: fact.ask(phrasings(fact.attribute), &world.entities, &mut rng),
            target: fact.target(&world.entities).to_owned(),
            document: documents[fact.document].id.clone(),
        };
        facts.take(count).enumerate().map(ask).collect::<Vec<_>>()
    };
    let train = of_split(Split::Train, |a| &a.train, N_TRAIN, "train");
    let dev = of_split(Split::Dev, |a| &a.held_out, N_DEV, "dev");
    let test = of_split(Split::Test, |a| &a.held_out, N_TEST, "test");
    Facts {
        documents,
        train: train.into_iter().map(Question::into_row).collect(),
        dev: HeldOut::new(dev),
        test: HeldOut::new(test),
    }
}

impl Facts {
    /// Writes a BEIR folder (`corpus.jsonl`, `queries.jsonl`, `qrels/dev.tsv`, `qrels/test.tsv`)
    /// with `train.jsonl` beside it. Each file appears whole or not at all. The answer to a query
    /// is in its `metadata.target`.
    pub fn write(&self, dir: impl AsRef<Path>) -> Result<()> {
        let dir = dir.as_ref();
        let qrels = dir.join("qrels");
        fs::create_dir_all(&qrels).map_err(|source| Error::Io {
            path: qrels.clone(),
            source,
        })?;
        write_jsonl(dir.join("corpus.jsonl"), &self.documents)?;
        let queries = [&self.dev, &self.test].into_iter().flat_map(HeldOut::lines);
        write_jsonl(dir.join("queries.jsonl"), queries)?;
        write_jsonl(
            dir.join("train.jsonl"),
            self.train.iter().map(TrainLine::of),
        )?;
        self.dev.qrels.write(qrels.join("dev.tsv"))?;
        self.test.qrels.write(qrels.join("test.tsv"))
    }
}

impl HeldOut {
    fn new(questions: Vec<Question>) -> Self {
        let mut held_out = Self {
            queries: Vec::new(),
            targets: Vec::new(),
            qrels: Qrels::default(),
        };
        for Question {
            id,
            text,
            target,
            document,
        } in questions
        {
            let added = held_out.qrels.add(&id, &document, 1);
            added.expect("the ids of questions are numbered. This is a bug.");
            held_out.queries.push(Query { id, text });
            held_out.targets.push(target);
        }
        held_out
    }

    fn lines(&self) -> impl Iterator<Item = QueryLine<'_>> {
        self.queries
            .iter()
            .zip(&self.targets)
            .map(|(query, target)| QueryLine {
                query,
                metadata: Metadata { target },
            })
    }
}

#[derive(Serialize)]
struct QueryLine<'a> {
    #[serde(flatten)]
    query: &'a Query,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    target: &'a str,
}

#[derive(Serialize)]
struct TrainLine<'a> {
    #[serde(rename = "_id")]
    id: &'a str,
    query: &'a str,
    target: &'a str,
    context_id: &'a str,
}

impl<'a> TrainLine<'a> {
    fn of(row: &'a TrainingRow) -> Self {
        Self {
            id: &row.id,
            query: &row.query,
            target: &row.target,
            context_id: &row.positive_ids[0],
        }
    }
}

struct Question {
    id: String,
    text: String,
    target: String,
    document: String,
}

impl Question {
    fn into_row(self) -> TrainingRow {
        TrainingRow {
            id: self.id,
            query: self.text,
            target: self.target,
            positive_ids: vec![self.document],
            candidate_ids: Vec::new(),
            candidate_scores: Vec::new(),
            candidates: Vec::new(),
        }
    }
}

/// One attribute of one entity, and the document that states it.
struct Fact<'a> {
    /// Position in [`World::entities`].
    entity: usize,
    attribute: &'a Attribute,
    /// Position in the corpus.
    document: usize,
}

impl Fact<'_> {
    fn target<'e>(&self, entities: &'e [Entity]) -> &'e str {
        &entities[self.entity].values[self.attribute.slot]
    }

    fn ask(&self, phrasings: &[&str], entities: &[Entity], rng: &mut ChaCha8Rng) -> String {
        let phrasing: &&str = pick(rng, phrasings);
        let text = fill(phrasing, &entities[self.entity].values);
        text.expect("a question holds no slot but the name. This is a bug.")
    }
}

/// A document for each plan of an entity's kind for which the entity has all values, in one of its
/// wordings; shuffled, so that neighbours say nothing.
fn write_documents<'a>(world: &'a World, rng: &mut ChaCha8Rng) -> (Vec<Document>, Vec<Fact<'a>>) {
    let mut texts = Vec::new();
    for (entity, Entity { kind, values, .. }) in world.entities.iter().enumerate() {
        for plan in &world.kinds[*kind].documents {
            let wording: &&str = pick(rng, &plan.wordings);
            if let Some(text) = fill(wording, values) {
                texts.push((text, entity, &plan.attributes));
            }
        }
    }
    texts.shuffle(rng);
    let mut documents = Vec::new();
    let mut facts = Vec::new();
    for (document, (text, entity, attributes)) in texts.into_iter().enumerate() {
        documents.push(Document {
            id: format!("d{document:04}"),
            title: String::new(),
            text,
        });
        facts.extend(attributes.iter().map(|attribute| Fact {
            entity,
            attribute,
            document,
        }));
    }
    (documents, facts)
}

/// Drops the facts that cannot be asked: the answer is part of the name, or is not in its document,
/// or another document holds both name and answer.
fn keep_unambiguous(facts: &mut Vec<Fact>, documents: &[Document], entities: &[Entity]) {
    let texts: Vec<String> = documents.iter().map(|d| d.text.to_lowercase()).collect();
    let mut naming: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    facts.retain(|fact| {
        let name = entities[fact.entity].name.to_lowercase();
        let target = fact.target(entities).to_lowercase();
        let naming = naming.entry(fact.entity).or_insert_with(|| {
            let names_it = |&d: &usize| contains_words(&texts[d], &name);
            (0..texts.len()).filter(names_it).collect()
        });
        let mut answering = naming
            .iter()
            .filter(|&&d| contains_words(&texts[d], &target));
        !contains_words(&name, &target)
            && answering.next() == Some(&fact.document)
            && answering.next().is_none()
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Split {
    Train,
    Dev,
    Test,
}

/// The split of each entity. Families stay together; of those that begin with the same kind every
/// eighth goes to test and every sixteenth to dev, so that each split has all kinds.
fn split_families(world: &World, rng: &mut ChaCha8Rng) -> Vec<Split> {
    let families = world.families();
    let mut heads: Vec<Vec<usize>> = vec![Vec::new(); world.kinds.len()];
    let mut seen = HashSet::new();
    for &head in &families {
        if seen.insert(head) {
            heads[world.entities[head].kind].push(head);
        }
    }
    let mut split_of = BTreeMap::new();
    for heads in &mut heads {
        heads.shuffle(rng);
        for (n, head) in heads.iter().enumerate() {
            let split = match n % 16 {
                0 | 8 => Split::Test,
                4 => Split::Dev,
                _ => Split::Train,
            };
            split_of.insert(*head, split);
        }
    }
    families.iter().map(|head| split_of[head]).collect()
}
