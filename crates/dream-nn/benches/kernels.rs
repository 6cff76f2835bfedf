//! Kernels at the shapes of SmolLM2-135M, for 768 tokens: 8 texts of 96.
//!
//! Throughput counts multiplications and additions where there are products (`Gelem/s` is GFLOP/s), and
//! numbers elsewhere.

use criterion::measurement::WallTime;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use dream_nn::ops::attention::{self, Heads, Input, KeyValues, PlainReader};
use dream_nn::ops::{cross_entropy, rms_norm, swiglu};
use dream_nn::{Activations, Dtype, Frozen, Matrix, Start};
use std::hint::black_box;
use std::ops::Range;
use std::time::Duration;

const ROWS: usize = 768;
const HIDDEN: usize = 576;
const INTERMEDIATE: usize = 1536;
const VOCABULARY: usize = 49_152;
const HEADS: Heads = Heads {
    n_heads: 9,
    n_kv_heads: 3,
    head_dim: 64,
};

/// Products with frozen weights, rounding of activations included.
fn products(c: &mut Criterion) {
    for dtype in [Dtype::Bf16, Dtype::F32] {
        let mut group = group(c, &format!("{dtype} product"));
        for (out_features, in_features) in [
            (HIDDEN, HIDDEN),
            (INTERMEDIATE, HIDDEN),
            (HIDDEN, INTERMEDIATE),
        ] {
            let weight = Frozen::new(numbers(out_features, in_features), dtype);
            let (x, y) = (numbers(ROWS, in_features), numbers(ROWS, out_features));
            let shape = format!("{out_features} x {in_features}");
            group.throughput(operations(2 * ROWS * out_features * in_features));
            group.bench_function(BenchmarkId::new("forward", &shape), |b| {
                b.iter(|| weight.forward(&Activations::from(&x), Start::Zero, None));
            });
            group.bench_function(BenchmarkId::new("input gradient", &shape), |b| {
                b.iter(|| weight.input_gradient(&Activations::from(&y), Start::Zero, None));
            });
        }
        group.finish();
    }
}

fn attention(c: &mut Criterion) {
    let mut group = group(c, "attention");
    let q = numbers(ROWS, HEADS.n_heads * HEADS.head_dim);
    let own = KeyValues {
        k: numbers(ROWS, HEADS.n_kv_heads * HEADS.head_dim),
        v: numbers(ROWS, HEADS.n_kv_heads * HEADS.head_dim),
    };
    for len in [96, ROWS] {
        let segments: Vec<Range<usize>> = (0..ROWS)
            .step_by(len)
            .map(|start| start..start + len)
            .collect();
        let input = Input {
            heads: HEADS,
            dtype: Dtype::F32,
            layer: 0,
            segments: &segments,
            prefix: None,
            prefix_gradient: false,
            q: &q,
            own: &own,
        };
        // Two products forward, five back; a row sees itself and what is before it.
        let pairs = segments.len() * len * (len + 1) / 2;
        let product = 2 * pairs * HEADS.n_heads * HEADS.head_dim;
        let shape = format!("{} x {len}", segments.len());
        group.throughput(operations(2 * product));
        group.bench_function(BenchmarkId::new("forward", &shape), |b| {
            b.iter(|| attention::forward(black_box(&input), &PlainReader));
        });
        group.throughput(operations(5 * product));
        group.bench_function(BenchmarkId::new("backward", &shape), |b| {
            b.iter(|| attention::backward(black_box(&input), &PlainReader, &q));
        });
    }
    group.finish();
}

fn row_by_row(c: &mut Criterion) {
    let mut group = group(c, "row by row");
    let (x, weight) = (numbers(ROWS, HIDDEN), numbers(1, HIDDEN));
    let mut y = x.clone();
    group.throughput(operations(ROWS * HIDDEN));
    group.bench_function("rms_norm forward", |b| {
        b.iter(|| rms_norm::forward(&x, weight.data(), 1e-5));
    });
    group.bench_function("rms_norm backward", |b| {
        b.iter(|| {
            let d_x = black_box(y.data_mut());
            rms_norm::backward(x.data(), weight.data(), 1e-5, x.data(), d_x);
        });
    });

    let gate = numbers(ROWS, INTERMEDIATE);
    let d_y = gate.clone();
    group.throughput(operations(ROWS * INTERMEDIATE));
    group.bench_function("swiglu forward", |b| {
        b.iter(|| swiglu::forward(&gate, &gate));
    });
    group.bench_function("swiglu backward", |b| {
        let pair = || (gate.clone(), gate.clone());
        let run = |(gate, up): &mut (Matrix, Matrix)| {
            swiglu::backward(gate.data_mut(), up.data_mut(), d_y.data());
        };
        b.iter_batched_ref(pair, run, BatchSize::LargeInput);
    });

    let (logits, targets) = (numbers(64, VOCABULARY), vec![7; 64]);
    group.throughput(operations(64 * VOCABULARY));
    group.bench_function("cross_entropy", |b| {
        let run = |logits: &mut Matrix| cross_entropy::forward_backward(logits, &targets);
        b.iter_batched_ref(|| logits.clone(), run, BatchSize::LargeInput);
    });
    group.finish();
}

/// Short runs: enough to see a change of some per cent.
fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sample_size(20);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(1));
    group
}

fn operations(n: usize) -> Throughput {
    Throughput::Elements(n as u64)
}

/// Some numbers between -1 and 1, `[rows, cols]`.
fn numbers(rows: usize, cols: usize) -> Matrix {
    let data = (0..rows * cols).map(|i| (i * 7919 % 2003) as f32 / 1001.5 - 1.0);
    Matrix::from_vec(rows, cols, data.collect())
}

criterion_group!(benches, products, attention, row_by_row);
criterion_main!(benches);
