use super::*;
use crate::gemm::product;
use crate::testing::{random_matrix, rng, rounded};
use half::bf16;

/// Largest difference between sums of equal products in another order, relative to the sum of their sizes.
const REORDERED: f32 = 1e-5;

const BOTH: [Dtype; 2] = [Dtype::F32, Dtype::Bf16];

fn assert_close(got: &Matrix, want: &Matrix, sizes: &Matrix) {
    for (i, ((g, w), size)) in got
        .data()
        .iter()
        .zip(want.data())
        .zip(sizes.data())
        .enumerate()
    {
        let (row, col) = (i / got.cols(), i % got.cols());
        assert!(
            (g - w).abs() <= REORDERED * size,
            "at {row}, {col}: {g} instead of {w}"
        );
    }
}

fn absolute(matrix: &Matrix) -> Matrix {
    let data = matrix.data().iter().map(|v| v.abs()).collect();
    Matrix::from_vec(matrix.rows(), matrix.cols(), data)
}

/// Rows of activations, output features, input features: whole tiles, edges of each kind, one of all.
const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (1, 40, 7),
    (5, 31, 3),
    (11, 32, 16),
    (12, 64, 32),
    (13, 65, 33),
    (50, 96, 130),
    (100, 17, 576),
    (7, 600, 64),
];

#[test]
fn products_equal_those_of_rounded_values_in_f32() {
    let mut rng = rng(21);
    for (dtype, (n, rows, cols)) in BOTH.into_iter().flat_map(|d| SHAPES.map(|s| (d, s))) {
        let weight = random_matrix(&mut rng, rows, cols);
        let packed = Packed::new(&weight, dtype);
        let weight = rounded(&weight, dtype);

        let x = random_matrix(&mut rng, n, cols);
        let want = product(rounded(&x, dtype).view(), weight.view().t());
        let sizes = product(absolute(&x).view(), absolute(&weight).view().t());
        let words = Words::new(&x, dtype);
        let y = packed.forward(&words, Start::Zero, None);
        assert_close(&y, &want, &sizes);
        let mut twice = want.clone();
        twice.add_assign(&want);
        assert_close(
            &packed.forward(&words, Start::Copy(&y), None),
            &twice,
            &sizes,
        );
        assert_close(
            &packed.forward(&words, Start::Into(y), None),
            &twice,
            &sizes,
        );

        let d_y = random_matrix(&mut rng, n, rows);
        let want = product(rounded(&d_y, dtype).view(), weight.view());
        let sizes = product(absolute(&d_y).view(), absolute(&weight).view());
        let d_x = packed.input_gradient(&Words::new(&d_y, dtype), Start::Zero, None);
        assert_close(&d_x, &want, &sizes);
    }
}

#[test]
fn bias_and_low_rank_product_are_added_in_f32() {
    let mut rng = rng(25);
    for (dtype, (n, rows, cols)) in BOTH.into_iter().flat_map(|d| SHAPES.map(|s| (d, s))) {
        let packed = Packed::new(&random_matrix(&mut rng, rows, cols), dtype);
        let x = random_matrix(&mut rng, n, cols);
        let words = Words::new(&x, dtype);
        let (left, right) = (
            random_matrix(&mut rng, n, 5),
            random_matrix(&mut rng, 5, rows),
        );
        let bias = random_matrix(&mut rng, 1, rows);
        let mut want = packed.forward(&words, Start::Zero, None);
        let mut sizes = product(absolute(&left).view(), absolute(&right).view());
        want.add_assign(&product(left.view(), right.view()));
        for row in 0..n {
            for (col, bias) in bias.data().iter().enumerate() {
                want.row_mut(row)[col] += bias;
                sizes.row_mut(row)[col] += bias.abs() + cols as f32;
            }
        }
        let low_rank = LowRank {
            left: &left,
            right: &right,
        };
        let got = packed.forward(&words, Start::Bias(bias.data()), Some(low_rank));
        assert_close(&got, &want, &sizes);
    }
}

#[test]
fn the_portable_kernel_equals_the_processors() {
    let mut rng = rng(22);
    for (dtype, rows) in BOTH
        .into_iter()
        .flat_map(|d| (1..=TILE_ROWS).map(move |r| (d, r)))
    {
        let x = random_matrix(&mut rng, rows, 37);
        let x = Words::new(&x, dtype);
        let weight = Packed::new(&random_matrix(&mut rng, PANEL, 37), dtype);
        let (left, right) = (
            random_matrix(&mut rng, rows, 3),
            random_matrix(&mut rng, 3, PANEL),
        );
        let base = random_matrix(&mut rng, rows, PANEL);
        let tile = Tile {
            dtype,
            a: x.block(0).1,
            b: &weight.lanes,
            rows,
            cols: PANEL,
            row_stride: PANEL,
            low_rank: Some(TileLowRank {
                left: left.data(),
                right: right.data(),
                rank: 3,
                stride: PANEL,
            }),
        };
        let (mut native, mut portable) = (Matrix::zeros(rows, PANEL), Matrix::zeros(rows, PANEL));
        let base = Some((base.data().as_ptr(), PANEL));
        // SAFETY: outputs and base are `rows` rows of `PANEL` values.
        unsafe {
            tile.multiply(native.data_mut().as_mut_ptr(), base);
            tile.multiply_portably(portable.data_mut().as_mut_ptr(), base);
        }
        let sizes = Matrix::from_vec(rows, PANEL, vec![41.0; rows * PANEL]);
        assert_close(&native, &portable, &sizes);
    }
}

#[test]
fn the_split_among_threads_changes_no_bit() {
    let mut rng = rng(23);
    let packed = Packed::new(&random_matrix(&mut rng, 200, 96), Dtype::Bf16);
    let x = random_matrix(&mut rng, 70, 96);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool").install(|| {
            let y = packed.forward(&Words::new(&x, Dtype::Bf16), Start::Zero, None);
            let d_y = Words::new(&y, Dtype::Bf16);
            let d_x = packed.input_gradient(&d_y, Start::Zero, None);
            (y, d_x)
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn rows_come_back_rounded_and_nan_stays_nan() {
    let mut rng = rng(24);
    let mut weight = random_matrix(&mut rng, 40, 5);
    weight.row_mut(33)[4] = f32::from_bits(0x7fff_ffff);
    let packed = Packed::new(&weight, Dtype::Bf16);
    let mut row = [0.0; 5];
    for i in 0..40 {
        packed.copy_row(i, &mut row);
        for (got, want) in row.iter().zip(weight.row(i)) {
            let want = bf16::from_f32(*want).to_f32();
            assert!(
                *got == want || (got.is_nan() && want.is_nan()),
                "{got} {want}"
            );
        }
    }
    assert!(row.iter().all(|v| v.is_finite()));
}
