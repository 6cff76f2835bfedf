//! Encoding in one go, in many, and in parts: the same bytes. Other recipes and documents are refused.

use super::super::tests::folder;
use super::*;
use crate::bench::texts::tiny_model;
use crate::index::{Index, Sizes, merge};
use crate::retriever::RetrieverConfig;
use dream_nn::{Dtype, Storage};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Documents of a corpus: five shards of 20 and one of 3.
const N: usize = 103;

fn number(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).expect("not zero")
}

pub(in crate::index) fn retriever() -> Result<Retriever> {
    Ok(Retriever {
        model: Arc::new(tiny_model(Dtype::F32)?),
        config: RetrieverConfig {
            max_document_tokens: 64,
            ..RetrieverConfig::default()
        },
        adapter: None,
        standardizer: None,
    })
}

pub(in crate::index) fn recipe(retriever: &Retriever) -> Recipe {
    let sizes = Sizes {
        batch_tokens: number(100),
        shard_size: number(20),
    };
    Recipe::new(retriever, "tiny", Dtype::F32, Storage::I8, sizes)
}

fn document(i: usize) -> (String, String) {
    (format!("d{i}"), "ab c".repeat(i * 7 % 23))
}

/// The first so many documents.
fn documents(n: usize) -> impl Iterator<Item = Result<(String, String)>> {
    (0..n).map(|i| Ok(document(i)))
}

fn data(n: usize) -> Data {
    let mut hasher = DataHasher::default();
    for (id, text) in (0..n).map(document) {
        hasher.add(&id, &text);
    }
    hasher.finish()
}

fn open(folder: &Path, part: PartOf, known: bool) -> Result<Build> {
    let (recipe, data) = (recipe(&retriever()?), data(N));
    let data = known.then_some(&data);
    Build::open(folder, recipe, part, data, false, &mut |_, _| true)
}

/// Encodes a part from what is there.
pub(in crate::index) fn encode(folder: &Path, part: PartOf) -> Result<Built> {
    open(folder, part, true)?.run(&retriever()?, documents(N), &mut |_| true)
}

pub(in crate::index) fn part(text: &str) -> PartOf {
    text.parse().expect("a part")
}

/// What a folder holds, by name.
pub(in crate::index) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("readable").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        (name.into_owned(), std::fs::read(&path).expect("readable"))
    };
    entries.map(file).collect()
}

fn message<T>(result: Result<T>) -> String {
    result.err().map_or_else(String::new, |e| e.to_string())
}

#[test]
fn wherever_it_is_stopped_what_goes_on_ends_in_the_same_bytes() -> Result<()> {
    let whole = folder()?;
    let built = encode(whole.path(), PartOf::WHOLE)?;
    assert_eq!((built.documents, built.shards), (N, 6));
    let wanted = files(whole.path());
    assert_eq!(wanted.len(), 6 * 3 + 1, "{:?}", wanted.keys());
    let index = Index::open(whole.path())?;
    index.verify()?;
    assert_eq!(index.manifest.data, Some(data(N)));
    assert_eq!(index.manifest.digest, Some(built.digest));
    for known in [true, false] {
        let pieces = folder()?;
        let mut n_stops = 0;
        // A shard and a batch or two each time.
        loop {
            let mut build = open(pieces.path(), PartOf::WHOLE, known)?;
            let began = build.done();
            let run = build.run(&retriever()?, documents(N), &mut |done| done < began + 25);
            match run {
                Err(Error::Stopped) => n_stops += 1,
                run => break assert_eq!(run?.documents, N),
            }
            assert!(n_stops < 100, "it does not get on");
            assert!(!pieces.path().join(MANIFEST).exists());
        }
        assert!(n_stops > 2, "{n_stops}");
        assert_eq!(files(pieces.path()), wanted);
    }
    Ok(())
}

#[test]
fn what_a_killed_process_left_behind_is_cleaned_up_and_what_it_finished_is_kept() -> Result<()> {
    let (whole, killed) = (folder()?, folder()?);
    encode(whole.path(), PartOf::WHOLE)?;
    let mut build = open(killed.path(), PartOf::WHOLE, true)?;
    let run = build.run(&retriever()?, documents(N), &mut |done| done < 50);
    assert!(matches!(run, Err(Error::Stopped)));
    drop(build);
    for name in [
        ".shard-00002.abc.tmp",
        ".part-00000-of-00001.json.abc.tmp",
        ".manifest.json.abc.tmp",
        ".part-00000-of-00001.json.lock",
        "shard-00002.i8",
        "shard-00009.ids",
        "shard-00003.f32",
    ] {
        std::fs::write(killed.path().join(name), "half").expect("writable");
    }
    assert_eq!(open(killed.path(), PartOf::WHOLE, true)?.done(), 40);
    let built = encode(killed.path(), PartOf::WHOLE)?;
    assert_eq!(built.documents, N);
    assert_eq!(files(killed.path()), files(whole.path()));
    Ok(())
}

#[test]
fn what_is_complete_is_not_done_again_and_a_damaged_shard_is() -> Result<()> {
    let folder = folder()?;
    encode(folder.path(), PartOf::WHOLE)?;
    let wanted = files(folder.path());
    let mut build = open(folder.path(), PartOf::WHOLE, true)?;
    assert!(build.is_done() && build.done() == N);
    let none = std::iter::from_fn(|| panic!("no document is needed"));
    build.run(&retriever()?, none, &mut |_| true)?;
    drop(build);
    // Of an unknown corpus every document is compared, none encoded.
    let mut build = open(folder.path(), PartOf::WHOLE, false)?;
    assert!(!build.is_done());
    build.run(&retriever()?, documents(N), &mut |_| true)?;
    drop(build);
    assert_eq!(files(folder.path()), wanted);
    // A whole index that is damaged is not repaired in silence, a part is.
    let shard = folder.path().join("shard-00001.i8");
    std::fs::write(&shard, "other").expect("writable");
    let refused = message(open(folder.path(), PartOf::WHOLE, true));
    assert!(refused.contains("shard-00001.i8: its BLAKE3"), "{refused}");
    let parts = super::super::tests::folder()?;
    encode(parts.path(), part("0/2"))?;
    let path = parts.path().join("part-00000-of-00002.json");
    let json = std::fs::read_to_string(&path).expect("readable");
    std::fs::write(
        &path,
        json.replace("\"complete\": true", "\"complete\": false"),
    )
    .expect("ok");
    std::fs::write(parts.path().join("shard-00002.i8"), "other").expect("writable");
    let build = open(parts.path(), part("0/2"), true)?;
    assert_eq!(build.done(), 20);
    assert!(
        build
            .remade()
            .is_some_and(|what| what.contains("shard-00002.i8"))
    );
    Ok(())
}

#[test]
fn other_documents_are_refused_wherever_they_differ() -> Result<()> {
    let folder = folder()?;
    let half = |known| -> Result<()> {
        let mut build = open(folder.path(), PartOf::WHOLE, known)?;
        let run = build.run(&retriever()?, documents(N), &mut |done| done < 50);
        assert!(matches!(run, Err(Error::Stopped)));
        Ok(())
    };
    half(true)?;
    let other = data(N - 1);
    let recipe = recipe(&retriever()?);
    let whole = PartOf::WHOLE;
    let opened = Build::open(
        folder.path(),
        recipe,
        whole,
        Some(&other),
        false,
        &mut |_, _| true,
    );
    assert!(message(opened).contains("was made of other documents: 103 of"));
    let run = |documents: &mut dyn Iterator<Item = Result<(String, String)>>, known| {
        let mut build = open(folder.path(), PartOf::WHOLE, known)?;
        build.run(&retriever()?, documents, &mut |_| true)
    };
    let changed = |at: usize| {
        move |i| {
            let (id, text) = document(i);
            Ok((id, if i == at { "other".into() } else { text }))
        }
    };
    // In a shard that is done; after it; fewer than there were; more than there were.
    let refused = message(run(&mut (0..N).map(changed(25)), true));
    assert!(
        refused.contains("shard-00001 was made of other documents"),
        "{refused}"
    );
    let refused = message(run(&mut documents(30), false));
    assert!(
        refused.contains("shard-00001 was made of other documents"),
        "{refused}"
    );
    let refused = message(run(&mut (0..N).map(changed(102)), true));
    assert!(
        refused.contains("changed while they were read"),
        "{refused}"
    );
    assert!(!folder.path().join(MANIFEST).exists());
    let refused = message(run(&mut documents(N + 1), true));
    assert!(!refused.is_empty());
    std::fs::remove_dir_all(folder.path()).expect("writable");
    let refused = message(run(&mut std::iter::empty(), false));
    assert!(refused.contains("no document"), "{refused}");
    Ok(())
}

#[test]
fn another_recipe_number_of_parts_or_process_is_refused_with_what_differs() -> Result<()> {
    let folder = folder()?;
    encode(folder.path(), part("1/3"))?;
    let again = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = recipe(&retriever()?);
        change(&mut recipe);
        let watch = &mut |_, _| true;
        Build::open(folder.path(), recipe, part("1/3"), None, false, watch)
    };
    again(&|recipe| recipe.encoder.model = "/elsewhere/tiny".into())?;
    let refused = message(again(&|recipe| recipe.encoding.batch_tokens = number(99)));
    assert!(
        refused.contains("was made with batch_tokens 100, not 99"),
        "{refused}"
    );
    let refused = message(again(&|recipe| recipe.dtype = Storage::F32));
    assert!(refused.contains("dtype \"i8\", not \"f32\""), "{refused}");
    let refused = message(again(&|recipe| recipe.version = "0.0.9".into()));
    assert!(refused.contains("version"), "{refused}");
    let refused = message(open(folder.path(), part("1/4"), true));
    assert!(
        refused.contains("holds part 1/3 of an index, this would be part 1/4"),
        "{refused}"
    );
    let first = open(folder.path(), part("1/3"), true)?;
    let refused = message(open(folder.path(), part("1/3"), true));
    assert!(
        refused.contains("another process is at work on part 1/3"),
        "{refused}"
    );
    open(folder.path(), part("2/3"), true)?;
    drop(first);
    open(folder.path(), part("1/3"), true)?;
    assert!(message(Index::open(folder.path())).contains("must be merged"));
    Ok(())
}

#[test]
fn starting_anew_removes_its_own_part_and_nothing_else() -> Result<()> {
    let folder = folder()?;
    for i in 0..3 {
        encode(folder.path(), PartOf::new(i, 3).expect("a part"))?;
    }
    let anew = |of: &str| {
        let recipe = recipe(&retriever()?);
        Build::open(folder.path(), recipe, part(of), None, true, &mut |_, _| {
            true
        })
    };
    assert!(message(anew("0/4")).contains("holds part 0/3"));
    assert_eq!(anew("1/3")?.done(), 0);
    let left = files(folder.path());
    assert!(left.contains_key("part-00000-of-00003.json") && left.contains_key("shard-00003.i8"));
    assert!(!left.contains_key("part-00001-of-00003.json") && !left.contains_key("shard-00001.i8"));
    encode(folder.path(), part("1/3"))?;
    merge(
        folder.path(),
        &[folder.path().into()],
        false,
        &mut |_, _| true,
    )?;
    anew("0/1")?;
    assert!(files(folder.path()).is_empty());
    Ok(())
}
