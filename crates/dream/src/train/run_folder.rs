//! The files of a run beside its checkpoints: configuration, heads, curves for TensorBoard, and at the
//! end the adapter, the loss plot and the report.

use super::config::TrainConfig;
use super::observer::Event;
use super::trainer::Trainer;
use crate::events::EventWriter;
use crate::explain::explain;
use crate::files::{write_atomic, write_json};
use crate::heads::HeadList;
use crate::llm::InjectionConfig;
use crate::model::Model;
use crate::prompt::Packer;
use crate::report::curves;
use crate::report::explanation::{ExplainedDocument, Explanation};
use crate::report::html::{self, Block, Fact, RunReport, Section};
use crate::report::metrics::{Record, read_metrics};
use crate::report::svg::{Chart, HeatMap, Reference, WIDE};
use crate::retriever::{Retriever, Role};
use crate::{Error, Result};
use dream_ir::{Document, TrainingRow};
use dream_nn::ops::elementwise::dot;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Name of the folder with the trained adapter.
pub const ADAPTER: &str = "adapter";

/// Name of the head list.
pub const HEADS: &str = "heads.json";

/// A run's folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    events: EventWriter,
}

/// What a report can show beyond the curves.
#[derive(Debug, Default)]
pub struct ReportParts<'a> {
    /// Heading of the page.
    pub title: String,
    /// A first paragraph.
    pub intro: String,
    /// The heads that were used, and all others where they have scores.
    pub heads: Option<&'a HeadList>,
    /// Levels to compare nDCG@10 with, such as BM25's.
    pub references: Vec<Reference>,
    /// Further facts for the summary.
    pub facts: Vec<Fact>,
    /// Explained examples.
    pub explanations: Vec<Explanation>,
    /// What to do next.
    pub commands: Vec<(String, String)>,
}

impl RunFolder {
    /// Opens a folder for a run that starts, or goes on after `resumed_after` steps. Writes
    /// `config.toml`.
    pub fn open(config: &TrainConfig, resumed_after: Option<u64>, host: &str) -> Result<Self> {
        let path = config.output.clone();
        std::fs::create_dir_all(&path).map_err(|e| Error::io(&path, e))?;
        let text = toml::to_string_pretty(config)
            .map_err(|e| Error::Invalid(format!("cannot write the configuration: {e}")))?;
        write_atomic(&path.join("config.toml"), text.as_bytes())?;
        let mut events = EventWriter::create(&path, SystemTime::now(), host, std::process::id())?;
        if let Some(step) = resumed_after {
            events.restarted_at(step + 1)?;
        }
        Ok(Self { path, events })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what an event says for TensorBoard.
    pub fn record(&mut self, event: &Event<'_>) -> Result<()> {
        match event {
            Event::Step(step) => {
                let n = step.step;
                self.events.scalar("train/loss", n, step.loss as f32)?;
                self.events.scalar("train/lr", n, step.lr as f32)?;
                self.events
                    .scalar("train/grad_norm", n, step.grad_norm as f32)?;
                self.events
                    .scalar("train/weight_entropy", n, step.weight_entropy as f32)?;
                self.events
                    .scalar("train/temperature", n, step.tau as f32)?;
                if let Some(weight) = step.weight_on_positive {
                    self.events
                        .scalar("train/weight_on_positive", n, weight as f32)?;
                }
                self.events.flush()
            }
            Event::Evaluated(record) => {
                for (measure, value) in &record.eval.measures {
                    let name = measure.to_lowercase().replace('@', "_at_");
                    let tag = format!("eval/{}/{name}", record.eval.name);
                    self.events.scalar(&tag, record.step, *value as f32)?;
                }
                self.events.flush()
            }
            Event::Searched(record) => {
                let refresh = &record.refresh;
                if let Some(share) = refresh.with_known_passage {
                    let tag = "train/pools_with_known_passage";
                    self.events.scalar(tag, record.step, share as f32)?;
                }
                self.events.flush()
            }
            _ => Ok(()),
        }
    }

    /// Writes the head list.
    pub fn write_heads(&self, heads: &HeadList) -> Result<()> {
        write_json(&self.path.join(HEADS), heads)
    }

    /// Writes adapter, plots and report of a run that is over, or as far as it came.
    pub fn finish(&self, trainer: &Trainer<'_>, parts: ReportParts<'_>) -> Result<()> {
        let adapters = trainer.adapters();
        adapters.retriever.write(&self.path.join(ADAPTER))?;
        adapters.write_llm(&self.path)?;
        let records = read_metrics(&self.path.join("metrics.jsonl"))?;
        let loss = Chart::Line(curves::loss(&records));
        write_atomic(&self.path.join("loss.svg"), loss.to_svg(WIDE).as_bytes())?;
        if let Some(map) = parts.heads.filter(|list| list.is_scored()).map(heat_map) {
            write_atomic(
                &self.path.join("heads.svg"),
                Chart::HeatMap(map).to_svg(WIDE).as_bytes(),
            )?;
        }
        html::write(&report(&records, parts), &self.path.join("report.html"))
    }
}

/// All heads' scores as a map, the chosen ones outlined.
pub fn heat_map(list: &HeadList) -> HeatMap {
    let (layers, heads) = list.heads.iter().fold((0, 0), |(l, h), scored| {
        (l.max(scored.head.layer + 1), h.max(scored.head.head + 1))
    });
    let mut values = vec![vec![f64::NAN; heads]; layers];
    for scored in &list.heads {
        values[scored.head.layer][scored.head.head] = f64::from(scored.score);
    }
    let chosen = list.heads.iter().take(list.selected);
    HeatMap {
        title: "How well each attention head finds the known document".into(),
        value_label: format!(
            "{} of the head's ranking",
            list.selector.unwrap_or_default().label()
        ),
        values,
        selected: chosen
            .map(|scored| (scored.head.layer, scored.head.head))
            .collect(),
    }
}

/// Explains a row with a retriever's own scores over `documents`.
pub fn explain_row(
    model: &Model,
    packer: &Packer<'_>,
    injection: &InjectionConfig,
    retriever: &Retriever,
    temperature: f32,
    row: &TrainingRow,
    documents: &[&Document],
) -> Result<Explanation> {
    let query = retriever.embed(&[retriever.tokenize(Role::Query, &row.query)?]);
    let texts = documents
        .iter()
        .map(|d| retriever.tokenize(Role::Document, &d.full_text()))
        .collect::<Result<Vec<_>>>()?;
    let embeddings = retriever.embed(&texts);
    let scores: Vec<f32> = (0..documents.len())
        .map(|i| dot(query.row(0), embeddings.row(i)))
        .collect();
    let prefix = packer.prefix(documents.iter().copied())?;
    let suffix = packer.suffix(&row.query, &row.target)?;
    packer.fits(prefix.ids.len(), suffix.ids.len())?;
    let said = explain(
        &model.decoder,
        injection,
        &prefix,
        &suffix,
        &scores,
        temperature,
    )?;
    let explained = documents
        .iter()
        .enumerate()
        .map(|(i, document)| ExplainedDocument {
            id: document.id.clone(),
            title: document.title.clone(),
            text: document.text.clone(),
            retriever_weight: f64::from(said.weights[i]),
            loss_gradient: f64::from(said.dloss_dscores[i]),
            own_share: Some(f64::from(said.own_distribution[i])),
            is_known_passage: row.positive_ids.contains(&document.id),
        });
    Ok(Explanation {
        question: row.query.clone(),
        target: row.target.clone(),
        documents: explained.collect(),
    })
}

fn report(records: &[Record], parts: ReportParts<'_>) -> RunReport {
    let mut sections = vec![Section {
        heading: "Training".into(),
        blocks: vec![Block::Chart {
            chart: Chart::Line(curves::loss(records)),
            caption: "The frozen language model's loss on the answers, in nats a token, under the \
                      retriever's document weights. Lower means that the documents the retriever \
                      prefers help the model more."
                .into(),
        }],
    }];
    if records.iter().any(|r| matches!(r, Record::Eval(_))) {
        let chart = curves::measure(records, "nDCG@10", parts.references);
        sections[0].blocks.push(Block::Chart {
            chart: Chart::Line(chart),
            caption:
                "How high the right document stands in the results for held-out queries: 1 is \
                      always first, 0 never among the first ten."
                    .into(),
        });
    }
    if let Some(list) = parts.heads.filter(|list| list.is_scored()) {
        sections.push(Section {
            heading: "Heads".into(),
            blocks: vec![Block::Chart {
                chart: Chart::HeatMap(heat_map(list)),
                caption: format!(
                    "Attention heads of the language model, scored on {} prompts: the higher on the \
                     scale, the better the head's attention tells the known document from the \
                     others. The outlined heads carry the retriever's weights.",
                    list.prompts
                ),
            }],
        });
    } else if let Some(list) = parts.heads {
        let heads = list.heads.iter().take(list.selected);
        let heads: Vec<String> = heads.map(|scored| scored.head.to_string()).collect();
        let text = format!(
            "Heads that carry the retriever's weights: {}.",
            heads.join(",")
        );
        sections.push(Section {
            heading: "Heads".into(),
            blocks: vec![Block::Text { text }],
        });
    }
    if !parts.explanations.is_empty() {
        let blocks = parts
            .explanations
            .into_iter()
            .map(Block::Explanation)
            .collect();
        sections.push(Section {
            heading: "Three questions explained".into(),
            blocks,
        });
    }
    if !parts.commands.is_empty() {
        let blocks = parts.commands.into_iter();
        let blocks = blocks
            .map(|(intro, code)| Block::Commands { intro, code })
            .collect();
        sections.push(Section {
            heading: "What next".into(),
            blocks,
        });
    }
    RunReport {
        title: parts.title,
        intro: parts.intro,
        summary: parts.facts,
        sections,
        made_by: vec![("dream".into(), env!("CARGO_PKG_VERSION").into())],
    }
}
