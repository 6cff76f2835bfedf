//! The one place where commands load a retriever: model, adapter, settings, and what the command line
//! says instead.

use crate::cli::App;
use crate::errors::usage;
use crate::models;
use anyhow::Result;
use dream::model::Model;
use dream::retriever::adapter::{AdapterFolder, RETRIEVER_CONFIG, STANDARDIZER_WEIGHTS};
use dream::retriever::{Pooling, Retriever, RetrieverConfig, Standardize};
use dream_nn::Dtype;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Options that say how texts become embeddings. What is not given comes from the adapter's
/// `retriever.json`, else from the defaults.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Retriever options")]
pub struct RetrieverArgs {
    /// Folder of a trained adapter: PEFT's two files, and retriever.json if `dream train` made it
    #[arg(long, value_name = "DIR")]
    pub adapter: Option<PathBuf>,
    /// Longest query and document in tokens, the end-of-text token included [default: 512]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// Longest query in tokens
    #[arg(long, value_name = "N", conflicts_with = "max_tokens")]
    pub max_query_tokens: Option<usize>,
    /// Longest document in tokens
    #[arg(long, value_name = "N", conflicts_with = "max_tokens")]
    pub max_document_tokens: Option<usize>,
    /// Do not append the end-of-text token
    #[arg(long)]
    pub no_eos: bool,
    /// How token states become one vector [default: lasttoken]
    #[arg(long, value_enum, value_name = "HOW")]
    pub pooling: Option<PoolingArg>,
    /// Leave the first token out of the mean
    #[arg(long)]
    pub skip_first_token: bool,
    /// Text put before every query
    #[arg(long, value_name = "TEXT")]
    pub query_prompt: Option<String>,
    /// Text put before every document
    #[arg(long, value_name = "TEXT")]
    pub document_prompt: Option<String>,
    /// Keep so many of an embedding's first numbers and normalise again (Matryoshka) [default: all]
    #[arg(long, value_name = "N")]
    pub dim: Option<usize>,
}

/// [`Pooling`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PoolingArg {
    /// The last token's state
    #[value(name = "lasttoken")]
    LastToken,
    /// The mean over tokens
    Mean,
}

/// Loads a language model by path or name, with weights in `dtype`.
pub fn load_llm(model: &str, dtype: Dtype, app: &App) -> Result<Arc<Model>> {
    let path = models::resolve(model, &app.env)?;
    Ok(Arc::new(Model::load(&path, dtype)?))
}

/// The same, unless it is the model that is loaded already: then both share its weights.
pub fn share_model(
    model: &str,
    loaded: &Arc<Model>,
    dtype: Dtype,
    app: &App,
) -> Result<Arc<Model>> {
    let path = models::resolve(model, &app.env)?;
    if path == loaded.path {
        return Ok(Arc::clone(loaded));
    }
    Ok(Arc::new(Model::load(&path, dtype)?))
}

/// Loads a model by path or name, and the adapter if there is one.
pub fn load_retriever(model: &str, args: &RetrieverArgs, app: &App) -> Result<Retriever> {
    retriever_on(load_llm(model, app.dtype(), app)?, args)
}

/// The same on a model that is there already.
pub fn retriever_on(model: Arc<Model>, args: &RetrieverArgs) -> Result<Retriever> {
    let mut retriever = match &args.adapter {
        None => Retriever {
            model,
            config: RetrieverConfig::default(),
            adapter: None,
            standardizer: None,
        },
        Some(folder) => with_adapter(model, folder)?,
    };
    let context = retriever.model.decoder.config.max_position_embeddings;
    override_settings(&mut retriever.config, args, context)?;
    if let Some(dim) = args.dim {
        retriever.config.dim = Some(dim);
    }
    retriever.check()?;
    Ok(retriever)
}

fn with_adapter(model: Arc<Model>, folder: &Path) -> Result<Retriever> {
    let read = AdapterFolder::read(folder, &model.decoder.config)?;
    if let Some(file) = &read.file {
        let trained_on = &file.provenance.base_model_digest;
        if !trained_on.is_empty() && *trained_on != model.digest {
            tracing::warn!(
                "{} was trained on other weights than {} (digest {trained_on}, not {})",
                folder.display(),
                model.path.display(),
                model.digest,
            );
        }
    }
    let config = read.file.map(|file| file.retriever).unwrap_or_default();
    let is_standardized = config.standardize != Standardize::None;
    if is_standardized && read.standardizer.is_none() {
        return Err(usage(format!(
            "{}: {RETRIEVER_CONFIG} asks for standardisation, but {STANDARDIZER_WEIGHTS} is missing",
            folder.display()
        )));
    }
    Ok(Retriever {
        model,
        config,
        adapter: Some(read.adapter),
        standardizer: read.standardizer.filter(|_| is_standardized),
    })
}

/// Lengths of the settings are cut down to the model's context; lengths asked for must fit it.
fn override_settings(
    config: &mut RetrieverConfig,
    args: &RetrieverArgs,
    context: usize,
) -> Result<()> {
    for (asked, tokens) in [
        (args.max_query_tokens, &mut config.max_query_tokens),
        (args.max_document_tokens, &mut config.max_document_tokens),
    ] {
        match asked.or(args.max_tokens) {
            Some(asked) if asked > context => {
                let what = format!("{asked} tokens do not fit the model's context of {context}");
                return Err(usage(what));
            }
            Some(asked) => *tokens = asked,
            None => *tokens = (*tokens).min(context),
        }
    }
    config.append_eos &= !args.no_eos;
    config.skip_first_token |= args.skip_first_token;
    if let Some(pooling) = args.pooling {
        config.pooling = match pooling {
            PoolingArg::LastToken => Pooling::LastToken,
            PoolingArg::Mean => Pooling::Mean,
        };
    }
    if let Some(prompt) = &args.query_prompt {
        config.query_prompt.clone_from(prompt);
    }
    if let Some(prompt) = &args.document_prompt {
        config.document_prompt.clone_from(prompt);
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_line_does_not_say_stays_as_the_settings_have_it() {
        let mut config = RetrieverConfig {
            pooling: Pooling::Mean,
            query_prompt: "Q: ".into(),
            max_document_tokens: 4096,
            ..RetrieverConfig::default()
        };
        let wanted = RetrieverConfig {
            max_document_tokens: 2048, // the context
            ..config.clone()
        };
        override_settings(&mut config, &RetrieverArgs::default(), 2048).unwrap();
        assert_eq!(config, wanted);
    }

    #[test]
    fn what_the_command_line_says_wins() {
        let args = RetrieverArgs {
            max_tokens: Some(8),
            no_eos: true,
            pooling: Some(PoolingArg::Mean),
            document_prompt: Some("D: ".into()),
            ..RetrieverArgs::default()
        };
        let mut config = RetrieverConfig::default();
        override_settings(&mut config, &args, 512).unwrap();
        assert_eq!(
            (config.max_query_tokens, config.max_document_tokens),
            (8, 8)
        );
        assert_eq!((config.append_eos, config.pooling), (false, Pooling::Mean));
        assert_eq!(config.document_prompt, "D: ");
        assert!(override_settings(&mut config, &args, 7).is_err());
    }
}
