//! Parts put together equal one run; what does not belong together is refused.

use super::super::build::tests::{encode, files, part};
use super::super::tests::{edit_file, folder};
use super::*;
use crate::index::Index;

fn merged(out: &Path, places: &[&Path]) -> Result<Manifest> {
    let places: Vec<PathBuf> = places.iter().map(|place| (*place).to_owned()).collect();
    merge(out, &places, false, &mut |_, _| true)
}

fn message<T>(result: Result<T>) -> String {
    result.err().map_or_else(String::new, |e| e.to_string())
}

#[test]
fn parts_in_one_folder_or_in_several_make_the_index_of_one_run_byte_for_byte() -> Result<()> {
    let whole = folder()?;
    encode(whole.path(), PartOf::WHOLE)?;
    let wanted = files(whole.path());
    // Six shards: of eight parts two are empty.
    for count in [1, 2, 4, 6, 8] {
        let (shared, own, out) = (folder()?, folder()?, folder()?);
        let mut places = Vec::new();
        for i in (0..count).rev() {
            let part = PartOf::new(i, count).expect("a part");
            let place = own.path().join(i.to_string());
            if count > 1 {
                encode(shared.path(), part)?;
                encode(&place, part)?;
                places.push(place);
            }
        }
        if count == 1 {
            let refused = message(merged(out.path(), &[whole.path()]));
            assert!(
                refused.ends_with("holds a whole index and no part of one"),
                "{refused}"
            );
            continue;
        }
        let places: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
        let manifest = merged(out.path(), &places)?;
        assert_eq!(files(out.path()), wanted, "{count}");
        merged(shared.path(), &[shared.path(), shared.path()])?;
        assert_eq!(files(shared.path()), wanted, "{count}");
        let index = Index::open(out.path())?;
        index.verify()?;
        assert_eq!(index.manifest, manifest);
        // A task that is run again finds its work done, and another merge is asked whether it means it.
        encode(shared.path(), PartOf::new(0, count).expect("a part"))?;
        assert_eq!(files(shared.path()), wanted);
        assert!(message(merged(out.path(), &places)).ends_with("holds an index already"));
        let places: Vec<PathBuf> = places.iter().map(|place| (*place).to_owned()).collect();
        merge(out.path(), &places, true, &mut |_, _| true)?;
        assert_eq!(files(out.path()), wanted);
    }
    Ok(())
}

#[test]
fn what_is_missing_double_unfinished_or_foreign_is_named_and_nothing_is_written() -> Result<()> {
    let (parts, out) = (folder()?, folder()?);
    let place = |i: usize| parts.path().join(i.to_string());
    for i in 0..4 {
        encode(&place(i), PartOf::new(i, 4).expect("a part"))?;
    }
    let to = out.path().join("index");
    let refused = |places: &[usize]| {
        let places: Vec<PathBuf> = places.iter().map(|i| place(*i)).collect();
        let places: Vec<&Path> = places.iter().map(PathBuf::as_path).collect();
        let refused = message(merged(&to, &places));
        assert!(!to.exists(), "{refused}");
        refused
    };
    assert!(refused(&[0, 2]).contains("2 of 4 parts are missing: 1/4, 3/4"));
    encode(&place(4), part("1/4"))?;
    assert!(refused(&[0, 1, 2, 3, 4]).contains("each part may be there once"));
    let twice = [0, 1, 2, 3].map(|i| format!("part-{i:05}-of-00004.json"));
    let json = |i: usize| place(i).join(&twice[i]);
    let change = |i: usize, from: &str, to: &str, what: &str| {
        let before = edit_file(&json(i), from, to);
        let refused = refused(&[0, 1, 2, 3]);
        assert!(refused.contains(what), "{from} -> {to}: {refused}");
        std::fs::write(json(i), before).expect("writable");
    };
    change(
        1,
        "\"complete\": true",
        "\"complete\": false",
        "part 1/4 is not complete",
    );
    change(
        2,
        "\"max_len\": 64",
        "\"max_len\": 65",
        "was made with max_len 64, not 65",
    );
    change(
        3,
        "\"version\": \"",
        "\"version\": \"9",
        "was made with version",
    );
    change(
        3,
        "\"bytes\": ",
        "\"bytes\": 1",
        "part 3/4 was made of other data than part 0/4",
    );
    std::fs::create_dir(place(9)).expect("writable");
    assert!(refused(&[9]).ends_with("holds no part of an index"));
    assert!(refused(&[77]).contains("77"));
    Ok(())
}

#[test]
fn a_shard_that_differs_from_its_digest_leaves_no_index() -> Result<()> {
    let (parts, out) = (folder()?, folder()?);
    encode(parts.path(), part("0/2"))?;
    encode(parts.path(), part("1/2"))?;
    std::fs::write(parts.path().join("shard-00003.ids"), "other\n").expect("writable");
    let refused = message(merged(out.path(), &[parts.path()]));
    assert!(refused.contains("shard-00003.ids: its BLAKE3"), "{refused}");
    assert!(!out.path().join(MANIFEST).exists());
    std::fs::remove_file(parts.path().join("shard-00003.ids")).expect("it is there");
    let refused = message(merged(parts.path(), &[parts.path()]));
    assert!(refused.contains("shard-00003.ids"), "{refused}");
    let mut stop = |_, _| false;
    let stopped = merge(out.path(), &[parts.path().into()], false, &mut stop);
    assert!(matches!(stopped, Err(Error::Stopped)));
    Ok(())
}
