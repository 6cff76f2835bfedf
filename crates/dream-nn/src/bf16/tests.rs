use super::*;
use crate::gemm::product;
use crate::testing::{random_matrix, rng};
use half::bf16;

/// Largest difference between sums of equal products in another order, relative to the sum of their sizes.
const REORDERED: f32 = 1e-5;

fn rounded(matrix: &Matrix) -> Matrix {
    let round = |v: &f32| bf16::from_f32(*v).to_f32();
    let data = matrix.data().iter().map(round).collect();
    Matrix::from_vec(matrix.rows(), matrix.cols(), data)
}

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
    for (n, rows, cols) in SHAPES {
        let weight = random_matrix(&mut rng, rows, cols);
        let packed = PackedBf16::new(&weight);
        let weight = rounded(&weight);

        let x = random_matrix(&mut rng, n, cols);
        let start = random_matrix(&mut rng, n, rows);
        let want = product(rounded(&x).view(), weight.view().t());
        let sizes = product(absolute(&x).view(), absolute(&weight).view().t());
        let mut y = start.clone();
        packed.forward(&Rounded::new(&x), &mut y, false);
        assert_close(&y, &want, &sizes);
        packed.forward(&Rounded::new(&x), &mut y, true);
        let mut twice = want.clone();
        twice.add_assign(&want);
        assert_close(&y, &twice, &sizes);

        let d_y = random_matrix(&mut rng, n, rows);
        let want = product(rounded(&d_y).view(), weight.view());
        let sizes = product(absolute(&d_y).view(), absolute(&weight).view());
        let mut d_x = Matrix::zeros(n, cols);
        packed.input_gradient(&Rounded::new(&d_y), &mut d_x, true);
        assert_close(&d_x, &want, &sizes);
    }
}

#[test]
fn the_portable_kernel_equals_the_processors() {
    let mut rng = rng(22);
    for rows in 1..=TILE_ROWS {
        let x = RoundedRows::new(&random_matrix(&mut rng, rows, 37));
        let weight = PackedBf16::new(&random_matrix(&mut rng, PANEL, 37));
        let tile = Tile {
            a: x.block(0).1,
            b: &weight.lanes,
            rows,
            cols: PANEL,
            row_stride: PANEL,
            accumulate: false,
        };
        let (mut native, mut portable) = (Matrix::zeros(rows, PANEL), Matrix::zeros(rows, PANEL));
        // SAFETY: both outputs are `rows` rows of `PANEL` values.
        unsafe {
            tile.multiply(native.data_mut().as_mut_ptr());
            tile.multiply_portably(portable.data_mut().as_mut_ptr());
        }
        let sizes = Matrix::from_vec(rows, PANEL, vec![37.0; rows * PANEL]);
        assert_close(&native, &portable, &sizes);
    }
}

#[test]
fn the_split_among_threads_changes_no_bit() {
    let mut rng = rng(23);
    let packed = PackedBf16::new(&random_matrix(&mut rng, 200, 96));
    let x = random_matrix(&mut rng, 70, 96);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool").install(|| {
            let mut y = Matrix::zeros(70, 200);
            packed.forward(&Rounded::new(&x), &mut y, false);
            let mut d_x = Matrix::zeros(70, 96);
            packed.input_gradient(&Rounded::new(&y), &mut d_x, false);
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
    let packed = PackedBf16::new(&weight);
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
