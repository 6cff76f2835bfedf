//! Each kind against exact search, over an index of several shards.

use super::super::tests::{encoder, folder};
use super::super::{Index, IndexWriter};
use super::*;
use dream_nn::Storage;
use dream_nn::ops::elementwise::l2_normalise;
use rand::{RngExt, SeedableRng};

const DIM: usize = 32;

/// Unit vectors around forty centres, the same for the same seed.
fn vectors(n: usize, seed: u64) -> Matrix {
    let mut centres = rand_chacha::ChaCha8Rng::seed_from_u64(9);
    let centres: Vec<f32> = (0..40 * DIM)
        .map(|_| centres.random_range(-1.0..1.0))
        .collect();
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let mut matrix = Matrix::zeros(n, DIM);
    for row in 0..n {
        let centre = rng.random_range(0..40) * DIM;
        let row = matrix.row_mut(row);
        for (x, c) in row.iter_mut().zip(&centres[centre..]) {
            *x = c + rng.random_range(-0.7..0.7);
        }
        l2_normalise(row);
    }
    matrix
}

fn index(folder: &std::path::Path, storage: Storage, documents: &Matrix) -> Result<Index> {
    let mut writer = IndexWriter::create(folder, storage, DIM, 700, true)?;
    for row in 0..documents.rows() {
        writer.push(&format!("d{row}"), documents.row(row))?;
    }
    writer.finish(encoder())?;
    Index::open(folder)
}

#[test]
fn every_kind_finds_nearly_all_of_what_exact_search_finds_with_its_scores() -> Result<()> {
    let folder = folder()?;
    let (documents, queries) = (vectors(2000, 1), vectors(60, 2));
    for storage in [Storage::F32, Storage::F16] {
        let index = index(folder.path(), storage, &documents)?;
        for dim in [DIM, 20] {
            let queries = cut_matrix(&queries, dim);
            let exact = Exact::new(&index, dim)?.search(&queries, 10)?;
            let vectors = Vectors::new(&index, dim)?;
            let copies = dim != DIM;
            assert_eq!(vectors.own_bytes() > 0, copies);
            let wide = Vectors::new(&index, dim)?.widened();
            let graph = Approximate::build(&wide, GraphSettings::default())?;
            let binary = TwoStage::build(&vectors, FirstStage::Binary, 20)?;
            let integers = TwoStage::build(&vectors, FirstStage::I8, 2)?;
            let kinds: [(&dyn VectorIndex, f64); 3] =
                [(&graph, 0.98), (&binary, 0.9), (&integers, 0.999)];
            for (number, (kind, wanted)) in kinds.into_iter().enumerate() {
                assert_eq!(kind.dim(), dim);
                let found = kind.search(&queries, 10)?;
                let recall = recall(&found, &exact);
                assert!(
                    recall >= wanted,
                    "kind {number} in {storage}, {dim}: {recall}"
                );
                for (found, exact) in found.iter().zip(&exact) {
                    assert_eq!(found.len(), 10);
                    for (document, score) in found {
                        let same = exact.iter().find(|(d, _)| d == document);
                        assert!(same.is_none_or(|(_, want)| (score - want).abs() < 1e-5));
                    }
                }
            }
        }
    }
    Ok(())
}

fn cut_matrix(matrix: &Matrix, dim: usize) -> Matrix {
    let mut cut = matrix.clone().with_cols(dim);
    for row in 0..cut.rows() {
        l2_normalise(cut.row_mut(row));
    }
    cut
}

#[test]
fn a_cut_search_is_that_of_an_index_of_cut_vectors() -> Result<()> {
    let folder = folder()?;
    let (documents, queries) = (vectors(1500, 3), cut_matrix(&vectors(5, 4), 7));
    let index = index(folder.path(), Storage::F32, &documents)?;
    let found = Exact::new(&index, 7)?.search(&queries, 3)?;
    let cut = cut_matrix(&documents, 7);
    for (query, found) in found.iter().enumerate() {
        let score = |d: usize| -> f32 {
            let pairs = queries.row(query).iter().zip(cut.row(d));
            pairs.map(|(x, y)| x * y).sum()
        };
        let mut all: Vec<Scored> = (0..1500).map(|d| (d, score(d))).collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        for (got, want) in found.iter().zip(&all) {
            assert!((got.1 - want.1).abs() < 1e-5, "{got:?} {want:?}");
        }
    }
    Ok(())
}

#[test]
fn rescoring_everything_is_exact_search_whatever_the_first_stage_says() -> Result<()> {
    let folder = folder()?;
    let index = index(folder.path(), Storage::F32, &vectors(300, 5))?;
    let queries = vectors(4, 6);
    let exact = Exact::new(&index, DIM)?.search(&queries, 5)?;
    let vectors = Vectors::new(&index, DIM)?;
    for first in [FirstStage::Binary, FirstStage::I8] {
        let all = TwoStage::build(&vectors, first, usize::MAX)?;
        assert_eq!(recall(&all.search(&queries, 5)?, &exact), 1.0);
        assert!(all.first_bytes() > 0);
    }
    Ok(())
}

#[test]
fn on_one_thread_a_graph_is_the_same_every_time() -> Result<()> {
    let folder = folder()?;
    let index = index(folder.path(), Storage::F32, &vectors(900, 7))?;
    let vectors = Vectors::new(&index, DIM)?;
    let queries = self::vectors(20, 8);
    let search = || -> Result<Vec<Vec<Scored>>> {
        let settings = GraphSettings {
            ef: 10, // so few that graphs differ in what they find
            ef_construction: 10,
        };
        Approximate::build(&vectors, settings)?.search(&queries, 10)
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.expect("a thread");
    assert_eq!(pool.install(search)?, pool.install(search)?);
    Ok(())
}

#[test]
fn what_a_kind_cannot_do_is_refused() -> Result<()> {
    let folder = folder()?;
    let index = index(folder.path(), Storage::F32, &vectors(3, 9))?;
    let error = |result: Result<()>| result.err().map_or_else(String::new, |e| e.to_string());
    for dim in [0, DIM + 1] {
        let refused = error(Vectors::new(&index, dim).map(|_| ()));
        assert!(refused.contains("1 to 32"), "{refused}");
        assert!(Exact::new(&index, dim).is_err());
    }
    let vectors = Vectors::new(&index, DIM)?;
    let graph = Approximate::build(&vectors, GraphSettings::default())?;
    let two = TwoStage::build(&vectors, FirstStage::Binary, 1)?;
    for kind in [&graph as &dyn VectorIndex, &two, &Exact::new(&index, DIM)?] {
        assert!(kind.search(&Matrix::zeros(1, 3), 1).is_err());
        assert!(kind.search(&Matrix::zeros(1, DIM), 0).is_err());
        assert_eq!(kind.search(&self::vectors(1, 1), 50)?[0].len(), 3);
    }
    assert!(TwoStage::build(&vectors, FirstStage::I8, 0).is_err());
    let none = GraphSettings {
        ef: 0,
        ..GraphSettings::default()
    };
    assert!(Approximate::build(&vectors, none).is_err());
    assert!(
        "binar"
            .parse::<FirstStage>()
            .is_err_and(|e| e.contains("binary or i8"))
    );
    Ok(())
}

#[test]
fn recall_counts_what_of_the_truth_was_found() {
    let list = |ids: &[usize]| ids.iter().map(|id| (*id, 0.0)).collect::<Vec<Scored>>();
    let exact = [list(&[1, 2]), list(&[3, 4])];
    assert_eq!(recall(&[list(&[2, 9]), list(&[4, 3])], &exact), 0.75);
    assert_eq!(recall(&[], &[]), 1.0);
}
