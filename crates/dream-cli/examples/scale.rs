//! A corpus that no model has to read: made-up documents, and a stand-in for an encoder that hashes words. What it
//! makes is an index like every other; `bench/scale.py` pushes it and times every stage.
//!
//! ```sh
//! cargo run --release -p dream-cli --example scale -- corpus 2000000 corpus.jsonl
//! cargo run --release -p dream-cli --example scale -- encode corpus.jsonl index 128
//! cargo run --release -p dream-cli --example scale -- search index postgres://user@host/db collection 100 10
//! ```
//!
//! The stand-in gives each word of a text a direction of its own, adds the directions and makes the sum one long: a
//! random projection of the bag of words. It says nothing about a model's speed; for that see `dream bench encode`.

use dream::index::{Encoder, Index, IndexWriter};
use dream::retriever::{Pooling, Standardize};
use dream_ir::DocumentStream;
use dream_ir::atomic_write::write_atomically;
use dream_nn::ops::elementwise::l2_normalise;
use dream_nn::ops::lora::mix;
use dream_nn::{Matrix, Storage};
use dream_stores::pgvector::Pgvector;
use dream_stores::{Access, Collection, Searcher, Secret};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Words of a document.
const WORDS: u64 = 40;
/// Subjects, each with words of its own.
const SUBJECTS: u64 = 2_000;
/// Words of a subject, and words that all share.
const OWN_WORDS: u64 = 50;
const SHARED_WORDS: u64 = 5_000;
/// Documents a shard.
const SHARD_SIZE: usize = 100_000;
/// Of the texts of queries: no document has such a number.
const FIRST_QUERY: u64 = 1 << 40;

const USAGE: &str =
    "usage: scale corpus N FILE | encode FILE INDEX DIM | search INDEX URL COLLECTION QUERIES K";

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = match arguments[..] {
        ["corpus", n, path] => corpus(n.parse()?, Path::new(path))?,
        ["encode", corpus, index, dim] => {
            encode(Path::new(corpus), Path::new(index), dim.parse()?)?
        }
        ["search", index, url, collection, queries, k] => search(
            Path::new(index),
            url,
            collection,
            queries.parse()?,
            k.parse()?,
        )?,
        _ => return Err(USAGE.into()),
    };
    writeln!(std::io::stdout(), "{{{said}}}")?;
    Ok(())
}

/// A text that depends on its number alone.
fn text(number: u64) -> String {
    let seed = mix(number);
    let subject = seed % SUBJECTS;
    let word = |i: u64| {
        let draw = mix(seed ^ i.wrapping_mul(0x1234_5678_9abc_def1));
        if draw.is_multiple_of(3) {
            // Small numbers far more often than large ones, as with words.
            let share = (draw >> 11) as f64 / (1u64 << 53) as f64;
            (SHARED_WORDS as f64).powf(share) as u64
        } else {
            SHARED_WORDS + subject * OWN_WORDS + (draw >> 8) % OWN_WORDS
        }
    };
    let words: Vec<String> = (0..WORDS).map(|i| spell(word(i))).collect();
    words.join(" ")
}

/// A number as syllables.
fn spell(mut number: u64) -> String {
    let mut word = String::new();
    loop {
        let consonant = b"bdfgklmnprstvz"[(number % 14) as usize];
        let vowel = b"aeiou"[(number / 14 % 5) as usize];
        word.extend([char::from(consonant), char::from(vowel)]);
        number /= 70;
        if number == 0 {
            return word;
        }
    }
}

fn corpus(n: u64, path: &Path) -> Outcome<String> {
    write_atomically(path, |writer| {
        for number in 0..n {
            let text = text(number);
            writeln!(
                writer,
                "{{\"_id\":\"d{number}\",\"title\":\"\",\"text\":\"{text}\"}}"
            )?;
        }
        Ok(())
    })?;
    let bytes = std::fs::metadata(path)?.len();
    Ok(format!("\"documents\": {n}, \"bytes\": {bytes}"))
}

/// The directions of words, and the sum of those of a text.
struct Embedder {
    dim: usize,
    directions: HashMap<String, Vec<f32>>,
}

impl Embedder {
    fn new(dim: usize) -> Self {
        let directions = HashMap::new();
        Self { dim, directions }
    }

    fn embed(&mut self, text: &str, out: &mut [f32]) {
        out.fill(0.0);
        for word in text.split_ascii_whitespace() {
            if !self.directions.contains_key(word) {
                let direction = direction(word, self.dim);
                self.directions.insert(word.into(), direction);
            }
            for (o, d) in out.iter_mut().zip(&self.directions[word]) {
                *o += d;
            }
        }
        l2_normalise(out);
    }
}

/// Numbers between -1 and 1 that depend on the word alone.
fn direction(word: &str, dim: usize) -> Vec<f32> {
    let seed = word
        .bytes()
        .fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
    let number = |i: usize| (mix(seed ^ i as u64) >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
    (0..dim).map(number).collect()
}

fn encode(corpus: &Path, folder: &Path, dim: usize) -> Outcome<String> {
    let mut embedder = Embedder::new(dim);
    let mut writer = IndexWriter::create(folder, Storage::F32, dim, SHARD_SIZE, false)?;
    let mut embedding = vec![0.0; dim];
    for document in DocumentStream::open(corpus)? {
        let document = document?;
        embedder.embed(&document.full_text(), &mut embedding);
        writer.push(&document.id, &embedding)?;
    }
    let manifest = writer.finish(Encoder {
        model: "random directions of words".into(),
        weights_digest: String::new(),
        adapter_digest: None,
        pooling: Pooling::Mean,
        skip_first_token: false,
        append_eos: false,
        standardize: Standardize::None,
        prompt: String::new(),
        max_len: 0,
        normalized: true,
    })?;
    let (n, shards) = (manifest.count, manifest.shards.len());
    Ok(format!(
        "\"documents\": {n}, \"dim\": {dim}, \"shards\": {shards}"
    ))
}

/// The same queries here and there; where the engine's search is exact, the same must be found.
fn search(folder: &Path, url: &str, collection: &str, n: usize, k: usize) -> Outcome<String> {
    let clock = Instant::now();
    let index = Index::open(folder)?.streaming();
    let open = clock.elapsed().as_secs_f64();
    let dim = index.manifest.dim;
    let mut embedder = Embedder::new(dim);
    let mut queries = Matrix::zeros(n, dim);
    for (row, out) in queries.data_mut().chunks_exact_mut(dim).enumerate() {
        embedder.embed(&text(FIRST_QUERY + row as u64), out);
    }
    let clock = Instant::now();
    let exact = index.search(&queries, k)?;
    let here = clock.elapsed().as_secs_f64() / n as f64;
    let access = Access {
        url: Secret::new(url),
        ..Access::default()
    };
    let mut engine = Pgvector::new(&access, Collection::new(collection, dim)?)?;
    // The first search connects, and reads what the server has not in memory.
    engine.search(queries.row(0), k)?;
    let (mut shared, mut apart, mut there) = (0, 0.0f32, 0.0);
    for (row, exact) in exact.iter().enumerate() {
        let clock = Instant::now();
        let found = engine.search(queries.row(row), k)?;
        there += clock.elapsed().as_secs_f64() / n as f64;
        let scores: HashMap<&str, f32> = exact.iter().map(|&(at, s)| (index.id(at), s)).collect();
        for found in &found {
            if let Some(score) = scores.get(found.id.as_str()) {
                shared += 1;
                apart = apart.max((score - found.score).abs());
            }
        }
    }
    Ok(format!(
        "\"queries\": {n}, \"k\": {k}, \"open_seconds\": {open:.3}, \"seconds_a_query_here\": {here:.4}, \
         \"seconds_a_query_there\": {there:.4}, \"shared\": {:.4}, \"scores_apart\": {apart:.1e}",
        shared as f64 / (n * k) as f64
    ))
}
