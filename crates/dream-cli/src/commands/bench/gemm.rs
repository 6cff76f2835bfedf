//! `dream bench gemm`: products of a model's shapes.

use super::{median, time};
use crate::cli::App;
use crate::models;
use crate::output::{print_json, print_lines};
use anyhow::Result;
use dream::model::checkpoint::Checkpoint;
use dream::model::lora::Module;
use dream_nn::{Activations, Frozen, Matrix, Start, peak};
use serde::Serialize;
use std::collections::BTreeSet;
use std::hint::black_box;

const EXAMPLE: &str = "Example:
  dream bench gemm --model smollm2-135m-instruct --rows 768 --dtype bf16";

/// Time the products of a model's linear layers, forward and back.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The model whose sizes are used; its weights are not read
    #[arg(long, value_name = "PATH|NAME", default_value = models::DEFAULT_MODEL)]
    model: String,
    /// Rows of activations
    #[arg(long, value_name = "N", default_value_t = 768)]
    rows: usize,
    /// Runs timed, after one that is not
    #[arg(long, value_name = "N", default_value_t = 21)]
    repeats: usize,
}

#[derive(Serialize)]
struct Product {
    direction: &'static str,
    rows: usize,
    out_features: usize,
    in_features: usize,
    seconds: f64,
    gflops: f64,
    share_of_peak: f64,
}

#[derive(Serialize)]
struct Timed {
    dtype: String,
    threads: usize,
    peak_gflops: f64,
    products: Vec<Product>,
}

/// Times each distinct shape.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let dtype = app.dtype();
    let config = Checkpoint::open(&models::resolve(&args.model, &app.env)?)?.config;
    let shapes: BTreeSet<(usize, usize)> = Module::ALL.map(|m| m.shape(&config)).into();
    let peak_gflops = peak::gflops(dtype);
    let mut products = Vec::new();
    for (out_features, in_features) in shapes {
        let weight = Frozen::new(pattern(out_features, in_features), dtype);
        let operations = 2.0 * (args.rows * out_features * in_features) as f64;
        let mut add = |direction: &'static str, from: usize| -> Result<()> {
            let x = pattern(args.rows, from);
            let seconds = time(args.repeats, || {
                let x = Activations::from(&x);
                black_box(if direction == "forward" {
                    weight.forward(&x, Start::Zero, None)
                } else {
                    weight.input_gradient(&x, Start::Zero, None)
                });
                Ok(())
            })?;
            let seconds = median(&seconds);
            let gflops = operations / seconds / 1e9;
            products.push(Product {
                direction,
                rows: args.rows,
                out_features,
                in_features,
                seconds,
                gflops,
                share_of_peak: gflops / peak_gflops,
            });
            Ok(())
        };
        add("forward", in_features)?;
        add("input_gradient", out_features)?;
    }
    let timed = Timed {
        dtype: dtype.to_string(),
        threads: rayon::current_num_threads(),
        peak_gflops,
        products,
    };
    if app.json {
        return print_json(&timed);
    }
    let head = format!(
        "{} on {} threads, peak {peak_gflops:.0} GFLOP/s, {} rows",
        timed.dtype, timed.threads, args.rows
    );
    let lines = timed.products.iter().map(|p| {
        let shape = format!("{} x {}", p.out_features, p.in_features);
        format!(
            "{:<15} {shape:<14} {:>9.3} ms {:>6.0} GFLOP/s {:>4.0} % of peak",
            p.direction,
            1e3 * p.seconds,
            p.gflops,
            100.0 * p.share_of_peak
        )
    });
    print_lines(std::iter::once(head).chain(lines))
}

/// Some numbers between -1 and 1, `[rows, cols]`.
fn pattern(rows: usize, cols: usize) -> Matrix {
    let data = (0..rows * cols).map(|i| (i * 7919 % 2003) as f32 / 1001.5 - 1.0);
    Matrix::from_vec(rows, cols, data.collect())
}
