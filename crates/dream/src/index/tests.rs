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
    let path = folder.join("manifest.json");
    let text = std::fs::read_to_string(&path).expect("written before");
    assert!(text.contains(from), "{text}");
    std::fs::write(&path, text.replacen(from, to, 1)).expect("writable");
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
    assert_eq!(index.ids, ["d0", "d1", "d2", "d3", "d4"]);
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
    assert_eq!(Index::open(folder.path())?.ids.len(), 5);
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
    assert_eq!(Index::open(folder.path())?.ids.len(), 5);
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
        ("d0\nd2\n", "\"d2\" twice"),
    ] {
        std::fs::write(&ids, text).expect("writable");
        assert!(refused(folder.path()).contains(what), "{text:?}");
    }
    write(folder.path())?;
    std::fs::write(folder.path().join("shard-00001.f32"), [0; 16]).expect("writable");
    let error = Index::open(folder.path())?.verify().err();
    assert!(error.is_some_and(|e| e.to_string().contains("shard-00001.f32: its BLAKE3")));
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
