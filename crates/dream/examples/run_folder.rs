//! Writes what a training run leaves behind, from made-up numbers: metrics, event files with a
//! resume in the middle, charts and the report page. For looking at the page, and for
//! `checks/tensorboard.py`.
//!
//! ```sh
//! cargo run -p dream --example run_folder -- /tmp/run
//! ```

use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use dream::events::EventWriter;
use dream::report::explanation::{ExplainedDocument, Explanation};
use dream::report::metrics::{
    EvalRecord, Evaluation, MetricsWriter, Record, StepRecord, Timing, read_metrics,
};
use dream::report::svg::{Bar, BarChart, Chart, HeatMap, LineChart, Reference, Series, WIDE};
use dream::report::{curves, html};
use dream_ir::atomic_write::write_atomically;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

const N_STEPS: u64 = 300;
const EVAL_EVERY: u64 = 50;
/// The made-up run is killed after the step before, and goes on from the checkpoint of this one.
const CHECKPOINT: u64 = 150;

fn main() -> Outcome {
    let folder = std::env::args()
        .nth(1)
        .ok_or("usage: run_folder NEW_FOLDER")?;
    let folder = Path::new(&folder);
    // A folder of its own: event files of another run would mix with these.
    std::fs::create_dir(folder)?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let records = made_up_records(&mut rng);
    log_with_a_resume(folder, &records)?;

    let records = read_metrics(&folder.join("metrics.jsonl"))?;
    let report = report(&records, &mut rng);
    html::write(&report, &folder.join("report.html"))?;
    for (name, chart) in [
        ("loss.svg", Chart::Line(curves::loss(&records))),
        ("heads.svg", Chart::HeatMap(heat_map(30, 9, &mut rng))),
    ] {
        let svg = chart.to_svg(WIDE);
        write_atomically(&folder.join(name), |file| file.write_all(svg.as_bytes()))?;
    }
    Ok(())
}

fn made_up_records(rng: &mut ChaCha8Rng) -> Vec<Record> {
    let mut records = vec![evaluation(0)];
    for step in 1..=N_STEPS {
        let progress = 1.0 - (-(step as f64) / 90.0).exp();
        let mut noise = |size: f64| size * (rng.random::<f64>() - 0.5);
        records.push(Record::Step(StepRecord {
            step,
            queries_seen: 16 * step,
            loss: 2.1 - 0.5 * progress + noise(0.5),
            lr: 2e-4 * (1.0 - step as f64 / N_STEPS as f64),
            grad_norm: 0.3 + noise(0.2),
            weight_entropy: 2.0 - 0.9 * progress + noise(0.2),
            weight_on_positive: Some(0.1 + 0.5 * progress + noise(0.15)),
            tau: 0.05,
            llm_tokens: 24_000,
            retriever_tokens: Some(19_000),
            timing: Timing {
                wall_secs: 1.7 * step as f64,
                tokens_per_sec: Some(14_100.0),
                ..Timing::default()
            },
        }));
        if step % EVAL_EVERY == 0 {
            records.push(evaluation(step));
        }
    }
    records
}

fn evaluation(step: u64) -> Record {
    let value = 0.31 + 0.5 * (1.0 - (-(step as f64) / 90.0).exp());
    let measures = [
        ("nDCG@10".to_owned(), value),
        ("R@100".to_owned(), 0.9 + value / 12.0),
    ];
    let eval = Evaluation {
        name: "held-out".into(),
        measures: measures.into(),
    };
    Record::Eval(EvalRecord {
        step,
        eval,
        timing: Timing::default(),
    })
}

/// The first part runs ten steps past its checkpoint; the second starts from the checkpoint.
fn log_with_a_resume(folder: &Path, records: &[Record]) -> Outcome {
    let path = folder.join("metrics.jsonl");
    let events_folder = folder.join("tensorboard");
    let pid = std::process::id();
    let mut metrics = MetricsWriter::create(&path)?;
    let mut events = EventWriter::create(&events_folder, SystemTime::now(), "example", pid)?;
    for record in records
        .iter()
        .filter(|record| record.step() <= CHECKPOINT + 10)
    {
        metrics.write(record)?;
        log_events(&mut events, record)?;
    }
    let mut metrics = MetricsWriter::resume(&path, CHECKPOINT)?;
    let mut events = EventWriter::create(&events_folder, SystemTime::now(), "example", pid)?;
    events.restarted_at(CHECKPOINT + 1)?;
    // The checkpoint's own evaluation is done again.
    let again = |record: &&Record| {
        record.step() > CHECKPOINT
            || (record.step() == CHECKPOINT && matches!(record, Record::Eval(_)))
    };
    for record in records.iter().filter(again) {
        metrics.write(record)?;
        log_events(&mut events, record)?;
    }
    Ok(events.flush()?)
}

fn log_events(events: &mut EventWriter, record: &Record) -> Outcome {
    match record {
        Record::Step(step) => {
            events.scalar("train/loss", step.step, step.loss as f32)?;
            events.scalar("train/lr", step.step, step.lr as f32)?;
            events.scalar("train/grad_norm", step.step, step.grad_norm as f32)?;
        }
        Record::Eval(eval) => {
            let tag = format!("eval/{}/ndcg_at_10", eval.eval.name);
            let value = eval.eval.measures.get("nDCG@10").ok_or("no nDCG@10")?;
            events.scalar(&tag, eval.step, *value as f32)?;
        }
        Record::Refresh(_) => {}
    }
    Ok(())
}

fn heat_map(n_layers: usize, n_heads: usize, rng: &mut ChaCha8Rng) -> HeatMap {
    let value = |layer: usize, rng: &mut ChaCha8Rng| {
        let middle = 1.0 - (layer as f64 / n_layers as f64 - 0.55).abs() * 1.6;
        (0.2 + 0.72 * middle * rng.random::<f64>().sqrt()).clamp(0.05, 0.98)
    };
    let values: Vec<Vec<f64>> = (0..n_layers)
        .map(|layer| (0..n_heads).map(|_| value(layer, rng)).collect())
        .collect();
    let mut cells: Vec<(usize, usize)> = (0..n_layers)
        .flat_map(|layer| (0..n_heads).map(move |head| (layer, head)))
        .collect();
    cells.sort_by(|a, b| values[b.0][b.1].total_cmp(&values[a.0][a.1]));
    cells.truncate(16);
    HeatMap {
        title: "Which attention heads look at the right document".into(),
        value_label: "nDCG@10 of the documents ranked by the head's attention".into(),
        values,
        selected: cells,
    }
}

fn report(records: &[Record], rng: &mut ChaCha8Rng) -> html::RunReport {
    let references = [("BM25", 0.71), ("untrained", 0.31)];
    let references = references
        .map(|(label, value)| Reference {
            label: label.into(),
            value,
        })
        .to_vec();
    html::RunReport {
        title: "A sample report with made-up numbers".into(),
        intro: "A retriever was trained with nothing but the next-token loss of a frozen language \
                model: it learned to bring up documents that help the model to write the answer. \
                No label said which document is right. All numbers here are invented to show the \
                page."
            .into(),
        summary: facts(),
        sections: vec![
            training(records, references),
            heads(rng),
            examples(),
            odd_charts(rng),
            next_steps(),
        ],
        made_by: [
            ("configuration", "quickstart.toml"),
            ("model", "made-up-135M, blake3 0f3a91c2"),
            ("data", "made-up facts, blake3 77d1b0ee"),
            ("version", env!("CARGO_PKG_VERSION")),
        ]
        .map(|(label, value)| (label.into(), value.into()))
        .to_vec(),
    }
}

fn facts() -> Vec<html::Fact> {
    let facts = [
        ("BM25", "0.71", "ranking by shared words", false),
        ("Before training", "0.31", "the retriever as it came", false),
        (
            "After training",
            "0.79",
            "nDCG@10; 1 would be perfect",
            true,
        ),
        ("Time", "8 min 40 s", "on 2 processor cores", false),
    ];
    facts
        .map(|(label, value, note, emphasis)| html::Fact {
            label: label.into(),
            value: value.into(),
            note: note.into(),
            emphasis,
        })
        .to_vec()
}

fn training(records: &[Record], references: Vec<Reference>) -> html::Section {
    let row = |name: &str, a: &str, b: &str| vec![name.to_owned(), a.to_owned(), b.to_owned()];
    html::Section {
        heading: "Did retrieval get better?".into(),
        blocks: vec![
            html::Block::Chart {
                chart: Chart::Line(curves::measure(records, "nDCG@10", references)),
                caption:
                    "Quality of the ranking on questions never used in training. nDCG@10 is 1 \
                          when the right document is always first, and falls the further down it \
                          stands. The dashed lines are fixed: ranking by shared words (BM25), and \
                          this retriever before training."
                        .into(),
            },
            html::Block::Chart {
                chart: Chart::Line(curves::loss(records)),
                caption: "How badly the language model predicts the right answers, given the \
                          documents as the retriever weighs them. Lower is better: falling means \
                          that the retriever puts its weight on documents that help. Single steps \
                          jump because each sees other questions; the thick curve is their moving \
                          average."
                    .into(),
            },
            html::Block::Table {
                headers: ["system", "nDCG@10", "R@100"].map(str::to_owned).to_vec(),
                rows: vec![
                    row("BM25", "0.71", "0.94"),
                    row("retriever before training", "0.31", "0.92"),
                    row("retriever after training", "0.79", "0.97"),
                ],
                caption: "R@100 is the share of questions whose right document is among the first \
                          hundred."
                    .into(),
            },
        ],
    }
}

fn heads(rng: &mut ChaCha8Rng) -> html::Section {
    html::Section {
        heading: "Where the language model looks".into(),
        blocks: vec![html::Block::Chart {
            chart: Chart::HeatMap(heat_map(30, 9, rng)),
            caption: "A language model reads with many attention heads; each cell is one. Its \
                      colour says how well one could find the right document just by where this \
                      head looks while the model reads the question. The outlined heads do it best \
                      and carry the training signal."
                .into(),
        }],
    }
}

fn examples() -> html::Section {
    let long = "The Rhine rises in the Swiss Alps, forms parts of the borders with Liechtenstein, \
                Austria, Germany and France, and reaches the North Sea in the Netherlands. It is \
                one of the busiest waterways of the continent. Cities on its banks include Basel, \
                Strasbourg, Mannheim, Mainz, Cologne, Düsseldorf and Rotterdam; its main \
                tributaries are the Aare, the Neckar, the Main and the Moselle.";
    let document =
        |id: &str, title: &str, text: &str, numbers: [f64; 3], known| ExplainedDocument {
            id: id.into(),
            title: title.into(),
            text: text.into(),
            retriever_weight: numbers[0],
            loss_gradient: numbers[1],
            own_share: Some(numbers[2]),
            is_known_passage: known,
        };
    let documents = vec![
        document("d1", "Rhine", long, [0.22, 0.021, 0.2], false),
        document(
            "d2",
            "Vltava",
            "The Vltava flows through Prague.",
            [0.61, -0.24, 0.66],
            true,
        ),
        document(
            "d3",
            "Vistula",
            "The Vistula passes Warsaw.",
            [0.12, 0.11, 0.09],
            false,
        ),
        document(
            "d4",
            "",
            "Prague castle <overlooks> the river.",
            [0.05, -0.002, 0.05],
            false,
        ),
    ];
    html::Section {
        heading: "Which documents helped".into(),
        blocks: vec![
            html::Block::Text {
                text: "For each example, the documents are in the retriever's order. “Effect on \
                       the answer” is what training uses: green means that more weight on the \
                       document would make the right answer more likely, orange that it would make \
                       it less likely."
                    .into(),
            },
            html::Block::Explanation(Explanation {
                question: "Which river flows through Prague?".into(),
                target: "Vltava".into(),
                documents,
            }),
        ],
    }
}

/// Cases that a chart must survive.
fn odd_charts(rng: &mut ChaCha8Rng) -> html::Section {
    let curve = |decay: f64| {
        (0..200)
            .map(|i| (f64::from(i), 3.0 * decay.powi(i)))
            .collect()
    };
    let gap = |i: i32| {
        if (8..12).contains(&i) {
            f64::NAN
        } else {
            f64::from(i * i)
        }
    };
    let log = LineChart {
        title: "Three curves on a logarithmic axis".into(),
        x_label: "steps".into(),
        y_label: "gradient norm".into(),
        y_axis: dream::report::svg::Axis::Log,
        series: vec![
            Series::new("learning rate 1e-4", curve(0.99)),
            Series::new("learning rate 3e-4", curve(0.97)),
            Series::new("learning rate 1e-3", curve(0.93)),
        ],
        ..LineChart::default()
    };
    let gaps = LineChart {
        title: "A gap in the middle".into(),
        x_label: "steps".into(),
        y_label: "queries".into(),
        series: vec![Series::new(
            "queries",
            (0..20).map(|i| (f64::from(i), gap(i))).collect(),
        )],
        ..LineChart::default()
    };
    let empty = LineChart {
        title: "Nothing yet".into(),
        ..LineChart::default()
    };
    let bars = BarChart {
        title: "Systems compared".into(),
        value_label: "nDCG@10 on held-out questions".into(),
        bars: [
            ("BM25", 0.71, false),
            ("untrained retriever", 0.31, false),
            ("trained through selected heads", 0.79, true),
            ("trained through random heads", 0.36, false),
        ]
        .map(|(label, value, emphasis)| Bar {
            label: label.into(),
            value,
            emphasis,
            interval: None,
        })
        .to_vec(),
    };
    let signed = BarChart {
        title: "Effect of each document".into(),
        value_label: "fall of the loss for more weight".into(),
        bars: [("Vltava", 0.24), ("Rhine", -0.021), ("Vistula", -0.11)]
            .map(|(label, value)| Bar {
                label: label.into(),
                value,
                emphasis: false,
                interval: None,
            })
            .to_vec(),
    };
    let charts = [
        Chart::Line(log),
        Chart::Line(gaps),
        Chart::Line(empty),
        Chart::Bars(bars),
        Chart::Bars(signed),
        Chart::HeatMap(heat_map(4, 4, rng)),
        Chart::HeatMap(heat_map(36, 32, rng)),
    ];
    let block = |chart| html::Block::Chart {
        chart,
        caption: "A case to look at.".into(),
    };
    html::Section {
        heading: "Odd cases".into(),
        blocks: charts.map(block).to_vec(),
    }
}

fn next_steps() -> html::Section {
    let commands = [
        (
            "Search the corpus with the trained retriever:",
            "dream search --model runs/quickstart/retriever --index runs/quickstart/index \\\n  \"which river flows through Prague\"",
        ),
        (
            "Train on your own questions and answers:",
            "dream train --help\ndream train my-config.toml",
        ),
    ];
    html::Section {
        heading: "What next".into(),
        blocks: commands
            .map(|(intro, code)| html::Block::Commands {
                intro: intro.into(),
                code: code.into(),
            })
            .to_vec(),
    }
}
