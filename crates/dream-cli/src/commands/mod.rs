//! The commands: one module each, with its arguments and a `run`.

mod bench;
mod compare;
mod data;
mod embed;
mod encode;
mod eval;
mod experiment;
mod explain;
mod fuse;
mod heads;
mod index;
mod leaderboard;
mod mine;
mod models;
mod objectives;
mod quickstart;
mod reproduce;
mod search;
mod tasks;
pub mod train;

use crate::cli::App;
use anyhow::Result;

/// What `dream` can do; the help of each command is the documentation of its arguments.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    Quickstart(quickstart::Args),
    Embed(embed::Args),
    Encode(encode::Args),
    Index(index::Args),
    Search(search::Args),
    Eval(eval::Args),
    Tasks(tasks::Args),
    Leaderboard(leaderboard::Args),
    Fuse(fuse::Args),
    Compare(compare::Args),
    Heads(heads::Args),
    Explain(explain::Args),
    Data(data::Args),
    Mine(mine::Args),
    Train(train::Args),
    Objectives(objectives::Args),
    Experiment(experiment::Args),
    Reproduce(reproduce::Args),
    Models(models::Args),
    Bench(bench::Args),
}

impl Command {
    /// Does it.
    pub fn run(&self, app: &App) -> Result<()> {
        match self {
            Self::Quickstart(args) => quickstart::run(args, app),
            Self::Embed(args) => embed::run(args, app),
            Self::Encode(args) => encode::run(args, app),
            Self::Index(args) => index::run(args, app),
            Self::Search(args) => search::run(args, app),
            Self::Eval(args) => eval::run(args, app),
            Self::Tasks(args) => tasks::run(args, app),
            Self::Leaderboard(args) => leaderboard::run(args, app),
            Self::Fuse(args) => fuse::run(args, app),
            Self::Compare(args) => compare::run(args, app),
            Self::Heads(args) => heads::run(args, app),
            Self::Explain(args) => explain::run(args, app),
            Self::Data(args) => data::run(args, app),
            Self::Mine(args) => mine::run(args, app),
            Self::Train(args) => train::run(args, app),
            Self::Objectives(args) => objectives::run(args, app),
            Self::Experiment(args) => experiment::run(args, app),
            Self::Reproduce(args) => reproduce::run(args, app),
            Self::Models(args) => models::run(args, app),
            Self::Bench(args) => bench::run(args, app),
        }
    }
}
