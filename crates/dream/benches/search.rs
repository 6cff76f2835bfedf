//! Exact search over a block of documents; throughput counts multiplications and additions (`Gelem/s` is
//! GFLOP/s).

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dream::index::TopK;
use dream_nn::{Matrix, Rows};
use std::hint::black_box;
use std::time::Duration;

const DIM: usize = 576;
const DOCUMENTS: usize = 16_384;
const BEST: usize = 100;

fn top_k(c: &mut Criterion) {
    let mut group = c.benchmark_group("search");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(2));
    let documents = numbers(DOCUMENTS, DIM);
    for queries in [1, 100] {
        let queries = numbers(queries, DIM);
        let operations = 2 * queries.rows() * DOCUMENTS * DIM;
        group.throughput(Throughput::Elements(operations as u64));
        let name = BenchmarkId::new("queries", queries.rows());
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut top = TopK::new(&queries, BEST).expect("more than none is wanted");
                top.add(Rows::plain(black_box(documents.data()), DIM));
                top.finish()
            });
        });
    }
    group.finish();
}

/// Numbers between -1 and 1 in no order, `[rows, cols]`.
fn numbers(rows: usize, cols: usize) -> Matrix {
    let number = |i: usize| {
        let bits = (i as u32).wrapping_mul(2_654_435_761);
        (bits ^ bits >> 15) as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    Matrix::from_vec(rows, cols, (0..rows * cols).map(number).collect())
}

criterion_group!(benches, top_k);
criterion_main!(benches);
