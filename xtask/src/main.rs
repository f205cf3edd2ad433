//! `cargo xtask`: every development command of weft, so that one tool proves a change here and
//! in CI. Only the command line is here; each command has its file.

mod apt;
mod bpf_toolchain;
mod mounts;
mod setup;
mod step;
mod workloads;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    about = "Development commands of weft",
    max_term_width = 100
)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Find or install what the other commands need
    Setup {
        /// Only these parts
        #[arg(long, value_enum, value_delimiter = ',')]
        only: Vec<setup::Part>,
    },
}

fn dispatch(verb: Verb) -> Result<()> {
    match verb {
        Verb::Setup { only } => setup::run(&only),
    }
}

fn main() -> ExitCode {
    match dispatch(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
