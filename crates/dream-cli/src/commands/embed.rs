//! `dream embed`: texts in, embeddings out, one a line, in constant memory.

use crate::cli::App;
use crate::load::{RetrieverArgs, load_retriever};
use crate::output::Output;
use anyhow::{Result, bail};
use dream::encode::tokenize;
use dream::retriever::{Role, Text};
use dream_ir::lines::LineReader;
use serde::Serialize;
use std::io::BufReader;

/// Texts that are embedded together.
const CHUNK_TEXTS: usize = 64;
/// A chunk ends early when its texts hold this many bytes.
const CHUNK_BYTES: usize = 1 << 20;
/// Numbers of an embedding that people are shown.
const SHOWN_NUMBERS: usize = 6;

const EXAMPLE: &str = "Example:
  echo 'Where does the Rhine rise?' | dream embed --model smollm2-135m-instruct --json";

/// Turn texts on the standard input into embeddings.
///
/// One text a line; an empty line is a text too. With --json, each line out is
/// {"index":0,"tokens":7,"embedding":[...]}; the numbers are f32 and read back exactly.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLE)]
pub struct Args {
    /// Model folder, .gguf file, short name or hub id (see: dream models list)
    #[arg(long, value_name = "PATH|NAME")]
    model: String,
    /// What the texts are: queries and documents may have their own prompts and lengths
    #[arg(long, value_enum, default_value_t = RoleArg::Document)]
    role: RoleArg,
    #[command(flatten)]
    retriever: RetrieverArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum RoleArg {
    Query,
    Document,
}

#[derive(Serialize)]
struct Embedded<'a> {
    index: u64,
    tokens: usize,
    embedding: &'a [f32],
}

/// Reads, embeds and prints chunk by chunk.
pub fn run(args: &Args, app: &App) -> Result<()> {
    let retriever = load_retriever(&args.model, &args.retriever, app)?;
    let role = match args.role {
        RoleArg::Query => Role::Query,
        RoleArg::Document => Role::Document,
    };
    let stdin = BufReader::new(std::io::stdin());
    let mut lines = LineReader::new("standard input", Box::new(stdin));
    let mut output = Output::stdout();
    let mut index = 0;
    loop {
        let mut texts = Vec::new();
        let end = read_chunk(&mut lines, &mut texts);
        let tokenized = tokenize(&retriever, role, &texts)?;
        let embeddings = retriever.embed(&tokenized);
        for (row, Text { ids, .. }) in tokenized.iter().enumerate() {
            let embedded = Embedded {
                index,
                tokens: ids.len(),
                embedding: embeddings.row(row),
            };
            print(&mut output, &embedded, app.json)?;
            index += 1;
        }
        output.flush()?;
        // What came before a line that cannot be read was worth its embedding.
        if end? {
            return Ok(());
        }
    }
}

/// Reads up to a chunk; whether the input is at its end.
fn read_chunk(lines: &mut LineReader, texts: &mut Vec<String>) -> dream_ir::Result<bool> {
    let mut bytes = 0;
    while texts.len() < CHUNK_TEXTS && bytes < CHUNK_BYTES {
        match lines.next_line()? {
            None => return Ok(true),
            Some(line) => {
                bytes += line.len();
                texts.push(line.to_owned());
            }
        }
    }
    Ok(false)
}

fn print(output: &mut Output, embedded: &Embedded<'_>, json: bool) -> Result<()> {
    let &Embedded {
        index,
        tokens,
        embedding,
    } = embedded;
    if embedding.iter().any(|x| !x.is_finite()) {
        bail!("text {index}: the model gives numbers that are not finite");
    }
    if json {
        return output.json(embedded);
    }
    let shown = embedding.iter().take(SHOWN_NUMBERS);
    let shown: Vec<String> = shown.map(|x| format!("{x:.4}")).collect();
    let (dim, shown) = (embedding.len(), shown.join(", "));
    output.line(format!(
        "{index}: {tokens} tokens, {dim} dimensions: [{shown}, ...]"
    ))
}
