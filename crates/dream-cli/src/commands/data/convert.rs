//! `dream data convert`: rows of the field's other forms into native ones.

use super::check_out;
use crate::cli::App;
use crate::output::{Output, print_json};
use crate::progress::{Progress, Unit};
use anyhow::Result;
use dream_ir::training::{Conversion, RowFormat, TargetFrom};
use std::path::PathBuf;

const EXAMPLE: &str = "Examples:
  dream data convert nq-train.jsonl.gz --out nq
  dream data convert pairs.csv --target positive --out pairs
  dream data convert kd.jsonl --queries queries.jsonl --corpus documents.jsonl --target positive --out kd
  dream data convert queries.train.tsv --format msmarco --corpus collection.tsv --qrels qrels.train.tsv --target positive --out marco";

/// Convert training rows of other programs into corpus.jsonl and train.jsonl.
///
/// Forms: native; tevatron (texts in the row) and tevatron-ids (--corpus); flagembedding; sentence-transformers (JSON Lines,
/// CSV or TSV, columns by their order); kd (--queries, --corpus); msmarco-triples (texts, or ids with --queries and
/// --corpus); msmarco (queries, with --corpus and --qrels). Files may be .gz or .zst. Positives and negatives become candidates
/// (`pool = "as-given"`), positives known passages.
///
/// DREAM learns from a target that the language model shall write. --target answers takes a row's written answer (`target`,
/// `answer` or the first of `answers`). --target positive takes the text of its known passage: if that passage is among
/// the candidates, the model can copy the target word for word, and the loss measures copying, a label in
/// disguise; keep it out with `known_passage = "exclude"`. --target query takes the question, which stands in the prompt
/// already, so that no document is needed for it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// The rows
    #[arg(value_name = "FILE")]
    input: PathBuf,
    /// Folder for corpus.jsonl and train.jsonl
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Form of the rows; auto looks at the first one
    #[arg(long, value_name = "FORM", default_value = "auto", value_parser = format)]
    format: Form,
    /// Documents, where rows name them: JSON Lines, or id and text in a .tsv
    #[arg(long, value_name = "FILE")]
    corpus: Option<PathBuf>,
    /// Queries, where rows name them: JSON Lines, or id and text in a .tsv
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// Judgements, for msmarco
    #[arg(long, value_name = "FILE")]
    qrels: Option<PathBuf>,
    /// What the language model shall write: answers, positive or query
    #[arg(long, value_name = "WHAT", default_value_t)]
    target: TargetFrom,
    /// Replace what the folder holds
    #[arg(long)]
    overwrite: bool,
}

/// A form, or the one that the first row looks like.
#[derive(Clone, Copy, Debug)]
struct Form(Option<RowFormat>);

fn format(text: &str) -> Result<Form, String> {
    match text {
        "auto" => Ok(Form(None)),
        _ => text
            .parse()
            .map(|format| Form(Some(format)))
            .map_err(|e: dream_ir::Error| e.to_string()),
    }
}

/// Reads, writes, prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    check_out(&args.out, args.overwrite)?;
    let conversion = Conversion {
        input: args.input.clone(),
        format: args.format.0,
        corpus: args.corpus.clone(),
        queries: args.queries.clone(),
        qrels: args.qrels.clone(),
        target: args.target,
    };
    let mut progress = Progress::new("converting", Unit::Of("rows"), app);
    let converted = conversion.write(&args.out, &mut |rows| progress.update(rows, 0))?;
    progress.finish();
    match args.target {
        TargetFrom::Positive => tracing::warn!(
            "targets are the known passages' own texts: set known_passage = \"exclude\", or the loss measures copying"
        ),
        TargetFrom::Query => tracing::warn!(
            "targets are the questions, which stand in the prompt: the loss hardly depends on documents"
        ),
        TargetFrom::Answers => {}
    }
    if converted.queries_without_judgement > 0 {
        tracing::warn!(
            "{} queries without a judgement are left out",
            converted.queries_without_judgement
        );
    }
    if app.json {
        return print_json(&converted);
    }
    let mut output = Output::stdout();
    output.line(format!(
        "{} rows of the form {}, {} with a known passage, on {} documents",
        converted.rows, converted.format, converted.rows_with_known_passage, converted.documents
    ))?;
    output.line(format!("look:  dream data inspect {}", args.out.display()))?;
    output.flush()
}
