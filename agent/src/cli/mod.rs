//! The command line: what may be asked, and how answers are printed.
//!
//! In: arguments, the environment. Out: calls of a [`Host`], text on standard output. Not here:
//! the work itself, which `daemon` does.

mod check;
mod config;
mod exit;
mod explain;
mod host;
mod log;
mod options;
mod record;
mod replay;
mod run;
mod targets;

pub use exit::{Code, Exit};
pub use host::{Check, Fact, Hook, Host, RecordJob, ReplayJob, RunJob, State, Target};
pub use options::Options;

use crate::config::{Config, Loaded, Setting, Sources};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// Zero-code distributed tracing from the kernel.
#[derive(Debug, Parser)]
#[command(name = "weft", version, about)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 misuse, 3 this host cannot.")]
pub struct Cli {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: run::Run,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Run),
    Check(check::Check),
    Targets(targets::Targets),
    Explain(explain::Explain),
    Record(record::Record),
    Replay(replay::Replay),
    Config(config::Config),
}

/// The whole program: parses the arguments, does what they say, prints what went wrong.
pub fn start(host: &dyn Host) -> ExitCode {
    // Misuse ends in clap, with its own message and exit code 2.
    let cli = Cli::parse();
    match main(&cli, host, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            eprintln!("{exit}");
            exit.code.into()
        }
    }
}

/// Does what the arguments say. Standard output gets answers, the log goes to standard error.
pub fn main(cli: &Cli, host: &dyn Host, out: &mut dyn Write) -> Result<(), Exit> {
    let verb = match &cli.verb {
        None => return cli.run.call(&cli.options, host),
        Some(verb) => verb,
    };
    if cli.run != run::Run::default() {
        return Err(Exit::misuse(
            "the command line",
            "flags of `weft run` stand before another command",
            "flags come after the command: weft run --for 30s",
        ));
    }
    match verb {
        Verb::Run(run) => run.call(&cli.options, host),
        Verb::Check(check) => check.call(&cli.options, host, out),
        Verb::Targets(targets) => targets.call(&cli.options, host, out),
        Verb::Explain(explain) => explain.call(&cli.options, host, out),
        Verb::Record(record) => record.call(&cli.options, host),
        Verb::Replay(replay) => replay.call(&cli.options, host),
        Verb::Config(config) => config.call(&cli.options, out),
    }
}

/// Settings from everywhere, with the flags of a verb, and the log as they say.
fn settings(options: &Options, flags: Vec<Setting>) -> Result<Config, Exit> {
    let loaded = load(options, flags)?;
    log::start(&loaded.config.log)?;
    Ok(loaded.config)
}

fn load(options: &Options, flags: Vec<Setting>) -> Result<Loaded, Exit> {
    let mut all = options.settings();
    all.extend(flags);
    let sources = Sources {
        file: options.config.clone(),
        vars: std::env::vars_os()
            .filter_map(|(name, text)| Some((name.into_string().ok()?, text.into_string().ok()?)))
            .collect(),
        flags: all,
    };
    Ok(crate::config::load(&sources)?)
}

/// A write to standard output that failed: a closed pipe is nobody's mistake.
fn print(out: &mut dyn Write, text: &str) -> Result<(), Exit> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Exit::failed(
            "printing on standard output",
            error.to_string(),
            "is the disk behind it full?",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
