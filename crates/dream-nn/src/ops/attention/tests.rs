//! Attention against three loops, against differences, and against itself in other blocks.

use super::*;
use crate::testing::{self, check_gradient, random_matrix, rng};

const HEADS: Heads = Heads {
    n_heads: 4,
    n_kv_heads: 2,
    head_dim: 3,
};

struct Case {
    segments: Vec<Range<usize>>,
    prefix: Option<KeyValues>,
    q: Matrix,
    own: KeyValues,
}

impl Case {
    fn new(seed: u64, lengths: &[usize], prefix_len: usize) -> Self {
        let mut rng = rng(seed);
        let mut segments = Vec::new();
        let mut rows = 0;
        for length in lengths {
            segments.push(rows..rows + length);
            rows += length;
        }
        let mut kv = |n| KeyValues {
            k: random_matrix(&mut rng, n, 6),
            v: random_matrix(&mut rng, n, 6),
        };
        let prefix = (prefix_len > 0).then(|| kv(prefix_len));
        let own = kv(rows);
        Self {
            segments,
            prefix,
            own,
            q: random_matrix(&mut rng, rows, 12),
        }
    }

    fn input(&self) -> Input<'_> {
        Input {
            heads: HEADS,
            dtype: crate::Dtype::F32,
            layer: 0,
            segments: &self.segments,
            prefix: self.prefix.as_ref(),
            prefix_gradient: false,
            q: &self.q,
            own: &self.own,
        }
    }

    /// The definition, one number at a time.
    fn naive(&self) -> Matrix {
        let mut out = Matrix::zeros(self.q.rows(), 12);
        for segment in &self.segments {
            for row in segment.clone() {
                for head in 0..4 {
                    let (q_at, k_at) = (head * 3, head / 2 * 3);
                    let mut keys: Vec<(&[f32], &[f32])> = Vec::new();
                    if let Some(prefix) = &self.prefix {
                        keys.extend(
                            (0..prefix.k.rows()).map(|j| (prefix.k.row(j), prefix.v.row(j))),
                        );
                    }
                    keys.extend(
                        (segment.start..=row).map(|j| (self.own.k.row(j), self.own.v.row(j))),
                    );
                    let q = &self.q.row(row)[q_at..q_at + 3];
                    let mut p: Vec<f32> = keys
                        .iter()
                        .map(|(k, _)| testing::dot(q, &k[k_at..k_at + 3]) as f32 / 3f32.sqrt())
                        .collect();
                    softmax(&mut p);
                    for (p, (_, v)) in p.iter().zip(&keys) {
                        for i in 0..3 {
                            out.row_mut(row)[q_at + i] += p * v[k_at + i];
                        }
                    }
                }
            }
        }
        out
    }
}

#[test]
fn blocks_equal_three_loops_with_and_without_a_prefix() {
    for (lengths, prefix) in [(vec![5, 1, 9], 0), (vec![70, 130, 2], 0), (vec![3, 66], 17)] {
        let case = Case::new(11, &lengths, prefix);
        let (out, _) = forward(&case.input(), &PlainReader);
        for (got, want) in out.data().iter().zip(case.naive().data()) {
            assert!(
                (got - want).abs() < 1e-5,
                "{lengths:?} {prefix}: {got} {want}"
            );
        }
    }
}

#[test]
fn backward_equals_differences_for_queries_keys_and_values() {
    let case = Case::new(12, &[4, 3], 5);
    let r = random_matrix(&mut rng(13), 7, 12);
    let (gradients, _) = backward(&case.input(), &PlainReader, &r);
    let loss = |q: &Matrix, own: &KeyValues| {
        let input = Input {
            q,
            own,
            ..case.input()
        };
        testing::dot(forward(&input, &PlainReader).0.data(), r.data())
    };
    let kv = |k: &[f32], v: &[f32]| KeyValues {
        k: Matrix::from_vec(7, 6, k.to_vec()),
        v: Matrix::from_vec(7, 6, v.to_vec()),
    };
    check_gradient(case.q.data(), gradients.d_q.data(), |q| {
        loss(&Matrix::from_vec(7, 12, q.to_vec()), &case.own)
    });
    check_gradient(case.own.k.data(), gradients.d_k.data(), |k| {
        loss(&case.q, &kv(k, case.own.v.data()))
    });
    check_gradient(case.own.v.data(), gradients.d_v.data(), |v| {
        loss(&case.q, &kv(case.own.k.data(), v))
    });
}

#[test]
fn backward_equals_differences_for_a_prefix_with_gradient() {
    let case = Case::new(16, &[4, 3], 5);
    let r = random_matrix(&mut rng(17), 7, 12);
    let input = Input {
        prefix_gradient: true,
        ..case.input()
    };
    let (gradients, _) = backward(&input, &PlainReader, &r);
    let (Some(d_prefix), Some(prefix)) = (gradients.d_prefix, &case.prefix) else {
        panic!("no gradient of the prefix");
    };
    let loss = |k: &[f32], v: &[f32]| {
        let prefix = KeyValues {
            k: Matrix::from_vec(5, 6, k.to_vec()),
            v: Matrix::from_vec(5, 6, v.to_vec()),
        };
        let input = Input {
            prefix: Some(&prefix),
            ..case.input()
        };
        testing::dot(forward(&input, &PlainReader).0.data(), r.data())
    };
    check_gradient(prefix.k.data(), d_prefix.k.data(), |k| {
        loss(k, prefix.v.data())
    });
    check_gradient(prefix.v.data(), d_prefix.v.data(), |v| {
        loss(prefix.k.data(), v)
    });
}

#[test]
fn backward_of_many_blocks_equals_backward_of_the_same_rows_seen_through_a_prefix() {
    // Rows 100.. of one segment, once as part of it, once with the first 100 as a constant prefix:
    // the gradients of their queries are the same.
    let whole = Case::new(14, &[150], 0);
    let mut d_out = random_matrix(&mut rng(15), 150, 12);
    d_out.data_mut()[..100 * 12].fill(0.0);
    let (want, _) = backward(&whole.input(), &PlainReader, &d_out);
    let split = |m: &Matrix, r: Range<usize>| m.rows_copy(r);
    let part = Case {
        segments: std::iter::once(0..50).collect(),
        prefix: Some(KeyValues {
            k: split(&whole.own.k, 0..100),
            v: split(&whole.own.v, 0..100),
        }),
        q: split(&whole.q, 100..150),
        own: KeyValues {
            k: split(&whole.own.k, 100..150),
            v: split(&whole.own.v, 100..150),
        },
    };
    let (got, _) = backward(&part.input(), &PlainReader, &d_out.rows_copy(100..150));
    let pairs = [
        (got.d_q, want.d_q.rows_copy(100..150)),
        (got.d_k, want.d_k.rows_copy(100..150)),
        (got.d_v, want.d_v.rows_copy(100..150)),
    ];
    for (got, want) in pairs {
        for (a, b) in got.data().iter().zip(want.data()) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }
}
