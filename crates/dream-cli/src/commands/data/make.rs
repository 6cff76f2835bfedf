//! `dream data make`: a corpus, rows and a configuration from people's own documents.

use super::check_out;
use crate::cli::App;
use crate::errors::usage;
use crate::models::{self, DEFAULT_MODEL};
use crate::output::{Output, print_json};
use crate::progress::{Progress, Unit};
use anyhow::Result;
use dream::tokenizer::Tokenizer;
use dream::train::starter::Starter;
use dream_ir::analyzer::words;
use dream_ir::lines::LineReader;
use dream_ir::make::{Made, MakeCounts, MakeSettings, RowKind, SourcePassage, make, read_pairs};
use dream_ir::{Bm25Params, KnownPassage, Language, PoolSource};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Candidates that a continuation row names.
const CANDIDATES: usize = 16;
/// Tokens of a heading or a question in a prompt.
const QUESTION_TOKENS: usize = 64;
/// Tokens that a title adds to a document.
const TITLE_TOKENS: usize = 32;
/// Files named in warnings; the others are counted.
const NAMED: usize = 5;

const EXAMPLE: &str = "Examples:
  dream data make docs --out mydata && dream train mydata/train.toml
  dream data make docs notes.jsonl --rows continuation --tokenizer smollm2-135m-instruct --out mydata
  dream data make docs --rows qa --pairs questions.csv --out mydata";

/// Make training data from your own documents: no label, no question, no answer needed.
///
/// Reads .txt, .md, .html, .htm and .jsonl ({"_id","title"?,"text"}), folders in the order of names; hidden
/// files and symbolic links are passed over. Each file is cut at its headings, then between sentences, into documents of at
/// most --tokens. Writes corpus.jsonl, train.jsonl and train.toml, a complete configuration for `dream train`.
///
/// The document that a row was made of is its known passage, and so is every document that shares 8 words in a row with
/// the target (all of a shorter target): neighbours that overlap, copies. With --source out none of them is a candidate of that
/// row, because a target that stands in one candidate can be copied from it, and the loss would then measure copying.
/// Known passages judge held-out rows and find the heads; the training loss never sees them.
///
/// Headings are left out of the documents unless --title in, because a retriever that finds a heading's words in a
/// title has learned nothing. A query that is a first sentence, or a first half, does stand in its own document: held-out figures
/// of such rows flatter.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Files and folders
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Folder for corpus.jsonl, train.jsonl and train.toml
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// What rows are made of: a heading asks for the text below it (a first sentence where there is none), the first half
    /// of a document for the second, or written questions for answers
    #[arg(long, value_enum, value_name = "KIND", default_value = "heading")]
    rows: Kind,
    /// Questions with answers for --rows qa: .jsonl, .csv or .tsv with question, answer and, if known, source (a file's
    /// path below its folder)
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
    /// Whether a row's own document may be among its candidates [default: out; for qa: in]
    #[arg(long, value_enum, value_name = "in|out")]
    source: Option<Switch>,
    /// Whether documents keep their headings as titles [default: out for headings, else in]
    #[arg(long, value_enum, value_name = "in|out")]
    title: Option<Switch>,
    /// Length of a document, at most
    #[arg(long, value_name = "N", default_value_t = 160)]
    tokens: usize,
    /// What a document repeats of the one before it in the same section, at most
    #[arg(long, value_name = "N", default_value_t = 32)]
    overlap: usize,
    /// Length of a target, at most; a first sentence may be longer (not for continuation and qa)
    #[arg(long, value_name = "N", default_value_t = 64)]
    target_tokens: usize,
    /// Count in tokens of this model instead of words
    #[arg(long, value_name = "PATH|NAME")]
    tokenizer: Option<String>,
    /// Rows, at most; drawn by --seed where there are more
    #[arg(long, value_name = "N")]
    max_rows: Option<usize>,
    /// Seed of that draw, and of training
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed: u64,
    /// Language of the texts, for BM25's stop words and stemmer
    #[arg(long, value_name = "LANGUAGE", default_value_t)]
    language: Language,
    /// Language model, and base of the retriever, in train.toml
    #[arg(long, value_name = "PATH|NAME", default_value = DEFAULT_MODEL)]
    model: String,
    /// Replace what the folder holds
    #[arg(long)]
    overwrite: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// A heading, or a first sentence, asks for the text that follows it
    Heading,
    /// The first half of a document asks for the second
    Continuation,
    /// Questions and answers of --pairs
    Qa,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    /// It is
    In,
    /// It is not
    Out,
}

#[derive(Serialize)]
struct Report<'a> {
    out: &'a Path,
    rows_of: String,
    counted_in: String,
    source: &'static str,
    title: &'static str,
    #[serde(flatten)]
    counts: MakeCounts,
    next: String,
}

/// Reads, cuts, writes, prints.
pub fn run(args: &Args, app: &App) -> Result<()> {
    check_out(&args.out, args.overwrite)?;
    let settings = settings(args)?;
    settings.check()?;
    let pairs = match (&args.pairs, args.rows) {
        (Some(file), Kind::Qa) => read_pairs(LineReader::open(file)?)?,
        (None, Kind::Qa) => return Err(usage("--rows qa needs --pairs FILE")),
        (Some(_), _) => return Err(usage("--pairs goes with --rows qa")),
        (None, _) => Vec::new(),
    };
    let tokenizer = match &args.tokenizer {
        Some(name) => Some(Tokenizer::for_model(&models::resolve(name, &app.env)?)?),
        None => None,
    };
    let mut count = |text: &str| match &tokenizer {
        None => Ok(words(text).count()),
        Some(tokenizer) => match tokenizer.encode(text) {
            Ok(ids) => Ok(ids.len()),
            Err(error) => Err(dream_ir::Error::Invalid(error.to_string())),
        },
    };
    let mut progress = Progress::new("reading", Unit::Of("files"), app);
    let made = make(
        &args.paths,
        Some(&args.out),
        &pairs,
        &settings,
        &mut count,
        &mut |done, total| progress.update(done as u64, total as u64),
    )?;
    progress.finish();
    warn(&made);
    let toml = starter(args, &settings, &made).to_toml()?;
    made.write(&args.out)?;
    let config = args.out.join("train.toml");
    dream::files::write_atomic(&config, toml.as_bytes())?;
    print(args, &settings, &made, &config, app)
}

fn settings(args: &Args) -> Result<MakeSettings> {
    let is_in = |switch: Option<Switch>, default: Switch| switch.unwrap_or(default) == Switch::In;
    let (rows, source, title) = match args.rows {
        Kind::Heading => (RowKind::Heading, Switch::Out, Switch::Out),
        Kind::Continuation => (RowKind::Continuation, Switch::Out, Switch::In),
        Kind::Qa => (RowKind::Qa, Switch::In, Switch::In),
    };
    if args.model.trim().is_empty() {
        return Err(usage("--model wants a name"));
    }
    Ok(MakeSettings {
        tokens: args.tokens,
        overlap: args.overlap,
        target_tokens: args.target_tokens,
        rows,
        source: if is_in(args.source, source) {
            SourcePassage::In
        } else {
            SourcePassage::Out
        },
        keep_titles: is_in(args.title, title),
        max_rows: args.max_rows,
        seed: args.seed,
        candidates: CANDIDATES,
        bm25: Bm25Params {
            language: args.language,
            ..Bm25Params::default()
        },
    })
}

/// A configuration whose lengths hold what was made. A word is taken for one and a half tokens.
fn starter(args: &Args, settings: &MakeSettings, made: &Made) -> Starter {
    let tokens = |count: usize| match args.tokenizer {
        Some(_) => count,
        None => count + count / 2,
    };
    let title_tokens = if settings.keep_titles {
        TITLE_TOKENS
    } else {
        0
    };
    let half = tokens(settings.tokens).div_ceil(2);
    let (question_tokens, target_tokens) = match settings.rows {
        RowKind::Heading | RowKind::Qa => (QUESTION_TOKENS, tokens(settings.target_tokens)),
        // Halves are parted between sentences: one may be longer.
        RowKind::Continuation => (half + half / 2, half + half / 2),
    };
    Starter {
        data: args.out.clone(),
        output: args.out.join("run"),
        model: args.model.clone(),
        rows: made.counts.rows,
        rows_with_known_passage: made.counts.rows_with_known_passage,
        documents: made.counts.documents,
        document_tokens: tokens(settings.tokens) + title_tokens,
        question_tokens,
        target_tokens,
        pool: match settings.rows {
            RowKind::Continuation => PoolSource::AsGiven,
            RowKind::Heading | RowKind::Qa => PoolSource::Bm25,
        },
        known_passage: match settings.source {
            SourcePassage::In => KnownPassage::AsFound,
            SourcePassage::Out => KnownPassage::Exclude,
        },
        language: args.language,
        seed: args.seed,
    }
}

fn warn(made: &Made) {
    let counts = &made.counts;
    let read = made
        .skipped
        .iter()
        .filter_map(|file| Some((&file.path, file.why.as_ref()?)));
    for (path, why) in read.take(NAMED) {
        tracing::warn!("{} is not read: {why}", path.display());
    }
    if counts.files_skipped > NAMED {
        tracing::warn!("{} more files are not read", counts.files_skipped - NAMED);
    }
    if counts.rows_without_candidate > 0 {
        tracing::warn!(
            "{} rows are left out: there is no candidate for them beside what they were made of",
            counts.rows_without_candidate
        );
    }
    if counts.rows_with_known_passage == 0 {
        tracing::warn!(
            "no row has a known passage: nothing is held out, and train.toml needs `heads` of another run"
        );
    }
}

fn print(
    args: &Args,
    settings: &MakeSettings,
    made: &Made,
    config: &Path,
    app: &App,
) -> Result<()> {
    let counts = made.counts;
    let next = format!("dream train {}", config.display());
    let counted_in = args
        .tokenizer
        .as_ref()
        .map_or("words".to_owned(), |name| format!("tokens of {name}"));
    let source = if settings.source == SourcePassage::In {
        "in"
    } else {
        "out"
    };
    let title = if settings.keep_titles { "in" } else { "out" };
    if app.json {
        return print_json(&Report {
            out: &args.out,
            rows_of: settings.rows.to_string(),
            counted_in,
            source,
            title,
            counts,
            next,
        });
    }
    let mut output = Output::stdout();
    output.line(format!(
        "{} documents of at most {} {counted_in} from {} texts in {} files ({} files of other kinds, {} not read); {} copies dropped",
        counts.documents,
        settings.tokens,
        counts.sources,
        counts.files,
        counts.files_of_other_kinds,
        counts.files_skipped,
        counts.duplicate_documents
    ))?;
    output.line(format!(
        "{} rows of kind {}: {} from headings, {} with a known passage; {} documents gave none, {} rows had no candidate, {} were not drawn",
        counts.rows,
        settings.rows,
        counts.rows_from_headings,
        counts.rows_with_known_passage,
        counts.documents_without_row,
        counts.rows_without_candidate,
        counts.rows_not_drawn
    ))?;
    output.line(format!(
        "source passage {source} of the pools, headings {title} the documents"
    ))?;
    output.line(format!("look:  dream data inspect {}", args.out.display()))?;
    output.line(format!("train: {next}"))?;
    output.flush()
}
