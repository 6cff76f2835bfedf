//! Indexes in every storage type: exact for what is stored, close to what was given, checked when opened.

use super::tests::{edit, encoder, folder, refused};
use super::*;
use crate::{Error, Result};
use dream_nn::ops::elementwise::l2_normalise;
use dream_nn::{Matrix, Rows, Storage};
use rand::{RngExt, SeedableRng};
use std::path::Path;

/// Least share of the ten best that is found among the ten best of `f32`, for random unit vectors,
/// whose scores lie closer together than any text's.
fn least_recall(storage: Storage) -> f64 {
    match storage {
        Storage::F32 => 1.0,
        Storage::F16 => 0.995,
        Storage::Bf16 | Storage::I8 => 0.98,
    }
}

fn unit_vectors(rows: usize, dim: usize, seed: u64) -> Matrix {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let data = (0..rows * dim).map(|_| rng.random_range(-1.0..1.0));
    let mut matrix = Matrix::from_vec(rows, dim, data.collect());
    for row in 0..rows {
        l2_normalise(matrix.row_mut(row));
    }
    matrix
}

fn write(folder: &Path, storage: Storage, documents: &Matrix, shard_size: usize) -> Result<()> {
    let mut writer = IndexWriter::create(folder, storage, documents.cols(), shard_size, true)?;
    for row in 0..documents.rows() {
        writer.push(&format!("d{row}"), documents.row(row))?;
    }
    writer.finish(encoder())?;
    Ok(())
}

/// What an index of `documents` holds, out of the conversions that `dream_nn` tests by themselves.
fn stored(documents: &Matrix, storage: Storage) -> Matrix {
    let (mut bytes, mut scales, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..documents.rows() {
        scales.extend(storage.narrow(documents.row(row), &mut bytes));
    }
    let rows = Rows::stored(storage, &bytes, &scales, documents.cols());
    let values = rows.block(0..documents.rows(), &mut scratch).to_vec();
    Matrix::from_vec(documents.rows(), documents.cols(), values)
}

#[test]
fn search_in_shards_of_every_type_equals_sorting_all_products_with_what_is_stored() -> Result<()> {
    let folder = folder()?;
    let documents = unit_vectors(1500, 33, 1);
    for storage in Storage::ALL {
        write(folder.path(), storage, &documents, 700)?;
        let index = Index::open(folder.path())?;
        index.verify()?;
        let scales = if storage.has_scales() { 1500 * 4 } else { 0 };
        assert_eq!(index.bytes(), 1500 * 33 * storage.bytes() + scales);
        let documents = stored(&documents, storage);
        for n_queries in [2, 20] {
            let queries = unit_vectors(n_queries, 33, 2);
            let found = index.search(&queries, 10)?;
            for (q, found) in found.iter().enumerate() {
                let score = |d: usize| -> f64 {
                    let pairs = queries.row(q).iter().zip(documents.row(d));
                    pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
                };
                let mut all: Vec<(usize, f64)> = (0..1500).map(|d| (d, score(d))).collect();
                all.sort_by(|x, y| y.1.total_cmp(&x.1));
                for (got, want) in found.iter().zip(&all) {
                    assert_eq!(got.0, want.0, "{storage}, query {q}: {got:?} {want:?}");
                    assert!(
                        (f64::from(got.1) - want.1).abs() < 1e-5,
                        "{storage}: {got:?} {want:?}"
                    );
                }
            }
        }
    }
    Ok(())
}

#[test]
fn smaller_types_find_nearly_what_f32_finds() -> Result<()> {
    let folder = folder()?;
    let (documents, queries) = (unit_vectors(2000, 64, 3), unit_vectors(50, 64, 4));
    let mut exact = Vec::new();
    for storage in Storage::ALL {
        write(folder.path(), storage, &documents, 2000)?;
        let found = Index::open(folder.path())?.search(&queries, 10)?;
        if storage == Storage::F32 {
            exact.clone_from(&found);
        }
        let both = found.iter().zip(&exact).flat_map(|(found, exact)| {
            let is_there = |hit: &&Scored| exact.iter().any(|e| e.0 == hit.0);
            found.iter().filter(is_there)
        });
        let recall = both.count() as f64 / 500.0;
        assert!(recall >= least_recall(storage), "{storage}: {recall}");
    }
    Ok(())
}

#[test]
fn an_index_that_is_replaced_by_one_of_another_type_leaves_nothing_behind() -> Result<()> {
    let folder = folder()?;
    let documents = unit_vectors(5, 2, 5);
    for (storage, n_files) in [(Storage::I8, 3), (Storage::F16, 2), (Storage::Bf16, 2)] {
        write(folder.path(), storage, &documents, 2)?;
        let names = std::fs::read_dir(folder.path()).map_err(|e| Error::io("x", e))?;
        assert_eq!(names.count(), 3 * n_files + 1, "{storage}");
        assert_eq!(Index::open(folder.path())?.manifest.dtype, storage);
    }
    Ok(())
}

#[test]
fn what_is_too_large_for_a_type_is_refused() -> Result<()> {
    let folder = folder()?;
    let mut writer = IndexWriter::create(folder.path(), Storage::F16, 1, 2, false)?;
    let refused = writer.push("a", &[-70_000.0]).err();
    assert!(refused.is_some_and(|e| e.to_string().contains("-70000, more than f16 can store")));
    Ok(())
}

#[test]
fn hostile_scales_and_sizes_are_refused_with_their_reason() -> Result<()> {
    let folder = folder()?;
    let path = folder.path();
    let scales = path.join("shard-00001.scales");
    let rewrite = || write(path, Storage::I8, &unit_vectors(5, 2, 6), 2);
    for (number, what) in [
        (
            f32::NAN,
            "shard-00001.scales: scale 1 must be a finite number",
        ),
        (f32::INFINITY, "not inf"),
        (-1.0, "not -1"),
    ] {
        rewrite()?;
        let two = [1f32.to_le_bytes(), number.to_le_bytes()];
        std::fs::write(&scales, two.as_flattened()).expect("writable");
        let message = refused(path);
        assert!(message.contains(what), "{message}");
    }
    std::fs::write(&scales, [0; 9]).expect("writable");
    assert!(refused(path).contains("shard-00001.scales: should be a file of 8 bytes, but has 9"));
    std::fs::remove_file(&scales).expect("it is there");
    assert!(refused(path).contains("shard-00001.scales"));
    rewrite()?;
    std::fs::write(&scales, [0; 8]).expect("writable");
    let error = Index::open(path)?.verify().err();
    assert!(error.is_some_and(|e| e.to_string().contains("shard-00001.scales: its BLAKE3")));
    for (from, to, what) in [
        (
            "\"scales_blake3\"",
            "\"scales\"",
            "shard-00000: an index of dtype i8 needs scales_blake3",
        ),
        (
            "\"i8\"",
            "\"f16\"",
            "an index of dtype f16 has no scales_blake3",
        ),
        (
            "\"i8\"",
            "\"i4\"",
            "dtype must be f32, f16, bf16 or i8, not \"i4\"",
        ),
        ("\"i8\"", "8", "expected a string"),
        (
            "\"dim\": 2",
            "\"dim\": 3",
            "shard-00000.i8: should be a file of 6 bytes",
        ),
        (
            "\"dim\": 2",
            "\"dim\": 18446744073709551615",
            "larger than any file",
        ),
    ] {
        rewrite()?;
        edit(path, from, to);
        let message = refused(path);
        assert!(message.contains(what), "{from} -> {to}: {message}");
    }
    Ok(())
}

#[test]
fn a_stored_number_that_is_none_is_found_and_not_hidden() -> Result<()> {
    let folder = folder()?;
    for storage in [Storage::F32, Storage::F16, Storage::Bf16] {
        write(folder.path(), storage, &unit_vectors(5, 2, 7), 5)?;
        let file = folder.path().join(format!("shard-00000.{storage}"));
        let mut bytes = std::fs::read(&file).expect("written before");
        bytes[3 * 2 * storage.bytes()..4 * 2 * storage.bytes()].fill(0xff); // document 3
        std::fs::write(&file, bytes).expect("writable");
        let found = Index::open(folder.path())?.search(&unit_vectors(1, 2, 8), 1)?;
        assert!(found[0][0].0 == 3 && found[0][0].1.is_nan(), "{storage}");
    }
    Ok(())
}

#[test]
fn an_index_from_before_there_were_other_types_is_still_read() -> Result<()> {
    // As version 0.1.0 wrote it when f32 was the only type.
    const MANIFEST: &str = r#"{
  "format_version": 1, "model": "tiny", "weights_digest": "aa", "adapter_digest": null, "pooling": "lasttoken",
  "skip_first_token": false, "append_eos": true, "standardize": "none", "prompt": "", "max_len": 512,
  "normalized": true, "dim": 2, "dtype": "f32", "count": 1, "shards": [{
    "name": "shard-00000", "count": 1, "embeddings_blake3": "bb", "ids_bytes": 2, "ids_blake3": "cc"}],
  "version": "0.1.0"}"#;
    let folder = folder()?;
    let numbers = [0.5f32.to_le_bytes(), 2f32.to_le_bytes()];
    let files: [(&str, &[u8]); 3] = [
        ("manifest.json", MANIFEST.as_bytes()),
        ("shard-00000.f32", numbers.as_flattened()),
        ("shard-00000.ids", b"a\n"),
    ];
    for (name, bytes) in files {
        std::fs::write(folder.path().join(name), bytes).expect("writable");
    }
    let index = Index::open(folder.path())?;
    let found = index.search(&Matrix::from_vec(1, 2, vec![2.0, 1.0]), 1)?;
    assert_eq!((index.id(0), found), ("a", vec![vec![(0, 3.0)]]));
    assert_eq!(
        (&index.manifest.digest, index.manifest.recipe()),
        (&None, None)
    );
    // And what is written today has no key that an older reader would miss or find too many.
    write(folder.path(), Storage::F32, &unit_vectors(1, 2, 9), 1)?;
    let today = std::fs::read_to_string(folder.path().join("manifest.json")).expect("written");
    assert!(!today.contains("scales"), "{today}");
    Ok(())
}
