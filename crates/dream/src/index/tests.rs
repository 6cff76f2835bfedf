//! Writing, reading and searching together, and folders that are not what they claim.

use super::*;
use crate::retriever::{Pooling, Standardize};
use crate::{Error, Result};
use dream_nn::{Matrix, Storage};
use std::path::Path;

pub(super) fn encoder() -> Encoder {
    Encoder {
        model: "tiny".into(),
        weights_digest: "aa".into(),
        adapter_digest: None,
        pooling: Pooling::LastToken,
        skip_first_token: false,
        append_eos: true,
        standardize: Standardize::None,
        prompt: String::new(),
        max_len: 512,
        normalized: true,
    }
}

/// Five documents on a line, `[1, 0], [2, 0], ...`, in shards of two.
fn write(folder: &Path) -> Result<Manifest> {
    let mut writer = IndexWriter::create(folder, Storage::F32, 2, 2, true)?;
    for i in 0..5u8 {
        writer.push(&format!("d{i}"), &[f32::from(i) + 1.0, 0.0])?;
    }
    writer.finish(encoder())
}

pub(super) fn folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|e| Error::io("a temporary folder", e))
}

pub(super) fn edit(folder: &Path, from: &str, to: &str) {
    edit_file(&folder.join("manifest.json"), from, to);
}

/// What stood there before.
pub(super) fn edit_file(path: &Path, from: &str, to: &str) -> String {
    let text = std::fs::read_to_string(path).expect("written before");
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replacen(from, to, 1)).expect("writable");
    text
}

pub(super) fn refused(folder: &Path) -> String {
    Index::open(folder)
        .err()
        .map_or_else(String::new, |e| e.to_string())
}

#[cfg(unix)]
#[test]
fn shards_are_as_readable_as_any_file() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = folder()?;
    write(folder.path())?;
    std::fs::write(folder.path().join("any"), "").expect("writable");
    let mode = |name: &str| {
        let data = std::fs::metadata(folder.path().join(name)).expect("it is there");
        data.permissions().mode()
    };
    for name in ["manifest.json", "shard-00000.f32", "shard-00000.ids"] {
        assert_eq!(mode(name), mode("any"), "{name}");
    }
    Ok(())
}

#[test]
fn what_is_written_in_shards_is_read_searched_and_verified() -> Result<()> {
    let folder = folder()?;
    let manifest = write(folder.path())?;
    let index = Index::open(folder.path())?;
    assert_eq!(index.manifest, manifest);
    assert_eq!((manifest.count, manifest.shards.len()), (5, 3));
    assert!(index.ids().eq(["d0", "d1", "d2", "d3", "d4"]));
    let by_position: Vec<&str> = (0..index.len()).map(|at| index.id(at)).collect();
    assert_eq!(by_position, ["d0", "d1", "d2", "d3", "d4"]);
    let query = Matrix::from_vec(1, 2, vec![1.0, 7.0]);
    assert_eq!(index.search(&query, 2)?, [vec![(4, 5.0), (3, 4.0)]]);
    assert!(index.search(&Matrix::zeros(1, 3), 2).is_err());
    index.verify()?;
    let names = std::fs::read_dir(folder.path()).map_err(|e| Error::io("x", e))?;
    assert_eq!(
        names.count(),
        7,
        "three pairs and the manifest, nothing else"
    );
    Ok(())
}

#[test]
fn a_writer_that_stopped_half_way_leaves_no_index_and_the_next_one_cleans_up() -> Result<()> {
    let folder = folder()?;
    let mut writer = IndexWriter::create(folder.path(), Storage::F32, 1, 2, false)?;
    for id in ["a", "b", "c"] {
        writer.push(id, &[1.0])?;
    }
    std::mem::forget(writer); // as a killed process does
    assert!(refused(folder.path()).contains("manifest.json"));
    write(folder.path())?;
    assert_eq!(Index::open(folder.path())?.len(), 5);
    let names = std::fs::read_dir(folder.path()).map_err(|e| Error::io("x", e))?;
    assert_eq!(names.count(), 7);
    Ok(())
}

#[test]
fn an_index_is_replaced_only_when_asked_for() -> Result<()> {
    let folder = folder()?;
    write(folder.path())?;
    let again = IndexWriter::create(folder.path(), Storage::F32, 2, 2, false);
    assert!(matches!(again, Err(Error::Invalid(what)) if what.contains("already")));
    assert_eq!(Index::open(folder.path())?.len(), 5);
    Ok(())
}

#[test]
fn ids_that_break_lines_numbers_that_are_none_and_no_documents_are_refused() -> Result<()> {
    let folder = folder()?;
    let mut writer = IndexWriter::create(folder.path(), Storage::F32, 1, 2, false)?;
    assert!(writer.push("a\nb", &[1.0]).is_err());
    assert!(writer.push("", &[1.0]).is_err());
    assert!(writer.push("a", &[f32::NAN]).is_err());
    assert!(writer.finish(encoder()).is_err());
    assert!(IndexWriter::create(folder.path(), Storage::F32, 1, 0, false).is_err());
    Ok(())
}

#[test]
fn hostile_manifests_are_refused_with_their_reason() -> Result<()> {
    let folder = folder()?;
    for (from, to, what) in [
        (
            "shard-00001",
            "../../etc/passwd",
            "must be called shard-00001",
        ),
        ("\"count\": 5", "\"count\": 6", "its shards hold 5"),
        ("\"dim\": 2", "\"dim\": 0", "at least 1"),
        (
            "\"dim\": 2",
            "\"dim\": 4611686018427387905",
            "larger than any file",
        ),
        ("\"dim\": 2", "\"dim\": 3", "should be a file of 24 bytes"),
        ("\"f32\"", "\"f64\"", "dtype"),
        (
            "\"format_version\": 1",
            "\"format_version\": 9",
            "format_version",
        ),
        ("\"dim\"", "\"dmi\"", "missing field `dim`"),
        (
            "\"ids_bytes\": 6",
            "\"ids_bytes\": 99999999999",
            "99999999999 bytes",
        ),
        (
            "\"embeddings_blake3\": \"",
            "\"embeddings_blake3\": \"0",
            "the digests of its shards make",
        ),
        (
            "\"count\": 2",
            "\"count\": 18446744073709551615",
            "its shards hold 18446744073709551615",
        ),
        (
            "\"shards\": [",
            "\"data\": {\"blake3\": \"\", \"documents\": 4, \"bytes\": 1}, \"shards\": [",
            "4 documents of data were encoded",
        ),
    ] {
        write(folder.path())?;
        edit(folder.path(), from, to);
        let message = refused(folder.path());
        assert!(message.contains(what), "{from} -> {to}: {message}");
    }
    Ok(())
}

#[test]
fn files_that_changed_are_refused_by_size_at_once_and_by_digest_on_request() -> Result<()> {
    let folder = folder()?;
    write(folder.path())?;
    let ids = folder.path().join("shard-00000.ids");
    for (text, what) in [
        ("d0\nd", "6 bytes"),
        ("d0\nd1x", "2 whole lines"),
        ("d0d1d\n", "2 whole lines"),
        ("\nd001\n", "line 1"),
        ("d0\n\n\n\n", "line 2"),
    ] {
        std::fs::write(&ids, text).expect("writable");
        assert!(refused(folder.path()).contains(what), "{text:?}");
    }
    std::fs::write(&ids, b"d0\nd\xff\n").expect("writable");
    assert!(refused(folder.path()).contains("utf-8"));
    write(folder.path())?;
    std::fs::write(folder.path().join("shard-00001.f32"), [0; 16]).expect("writable");
    let error = Index::open(folder.path())?.verify().err();
    assert!(error.is_some_and(|e| e.to_string().contains("shard-00001.f32: its BLAKE3")));
    Ok(())
}

#[test]
fn an_index_of_many_short_and_long_ids_gives_each_by_its_position() -> Result<()> {
    let folder = folder()?;
    let id = |i: usize| format!("{i}{}", "é".repeat(i * 31 % 150));
    let mut writer = IndexWriter::create(folder.path(), Storage::F32, 1, 300, true)?;
    for i in 0..1000 {
        writer.push(&id(i), &[1.0])?;
    }
    writer.finish(encoder())?;
    let index = Index::open(folder.path())?;
    for i in 0..1000 {
        assert_eq!(index.id(i), id(i));
    }
    assert!(index.ids().eq((0..1000).map(id)));
    index.verify()
}

#[test]
fn documents_that_are_there_twice_are_found_in_any_number_of_passes() -> Result<()> {
    let folder = folder()?;
    let write = |twice: usize| {
        let mut writer = IndexWriter::create(folder.path(), Storage::F32, 1, 70, true)?;
        for i in 0..200 {
            let id = if i == 199 { twice } else { i };
            writer.push(&format!("d{id}"), &[1.0])?;
        }
        writer.finish(encoder())
    };
    write(199)?;
    let index = Index::open(folder.path())?;
    for ids_a_pass in [1, 7, 1000] {
        index.check_ids_differ(ids_a_pass)?;
    }
    write(42)?;
    let index = Index::open(folder.path())?;
    for ids_a_pass in [1, 7, 1000] {
        let found = index.check_ids_differ(ids_a_pass).err();
        assert!(found.is_some_and(|e| e.to_string().ends_with("holds document \"d42\" twice")));
    }
    assert!(index.verify().is_err());
    Ok(())
}

#[test]
fn an_index_is_addressed_by_the_digests_of_its_files_as_b3sum_lists_them() -> Result<()> {
    let folder = folder()?;
    let manifest = write(folder.path())?;
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("readable")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .filter(|name| name.starts_with("shard-"))
        .collect();
    names.sort();
    let line = |name: &String| {
        let bytes = std::fs::read(folder.path().join(name)).expect("readable");
        format!("{}  {name}\n", blake3::hash(&bytes).to_hex())
    };
    let listing: String = names.iter().map(line).collect();
    let digest = blake3::hash(listing.as_bytes()).to_hex().to_string();
    assert_eq!(manifest.digest, Some(digest));
    Ok(())
}

#[test]
fn queries_of_another_space_are_refused_and_other_document_prompts_are_not() -> Result<()> {
    let place = Path::new("index");
    let mut queries = Encoder {
        model: "another name".into(),
        prompt: "passage: ".into(),
        max_len: 9,
        ..encoder()
    };
    encoder().check_queries(&queries, place)?;
    queries.adapter_digest = Some("bb".into());
    let refused = encoder().check_queries(&queries, place);
    let message = refused.err().map_or_else(String::new, |e| e.to_string());
    assert!(
        message.starts_with("index was made with adapter_digest null"),
        "{message}"
    );
    Ok(())
}
