//! `cargo xtask`: every development command of weft, so that one tool proves a change here and
//! in CI. Only the command line is here; each command has its file.

mod apt;
mod bench;
mod bpf_toolchain;
mod build;
mod capture;
mod certificates;
mod collector;
mod demo;
mod dist;
mod fuzz;
mod hooks;
mod libtest;
mod mounts;
mod process;
mod protocols;
mod runtimes;
mod setup;
mod step;
mod survey;
mod test;
mod tidy;
mod truth;
mod vm;
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
    /// Build the agent with its kernel object
    Build {
        /// As released, optimised
        #[arg(long)]
        release: bool,
    },
    /// Run all tests, or one layer of them; the last line sums up
    Test {
        /// The layer
        #[arg(value_enum)]
        layer: Option<test::Layer>,
        /// Names of tests (for vm: kernels such as 6.1)
        filters: Vec<String>,
    },
    /// Check the rules of the house
    Tidy,
    /// Show traces of services that nobody changed, from nothing, in one command
    Demo {
        /// Leave everything running at the end
        #[arg(long)]
        keep: bool,
        /// Added to the services' ports 3000 and 3001
        #[arg(long, default_value_t = 0)]
        port_offset: u16,
        /// This weft instead of one built now
        #[arg(long, value_name = "PATH")]
        binary: Option<std::path::PathBuf>,
    },
    /// Run the fuzz targets
    Fuzz {
        /// Time for each target
        #[arg(default_value = "60s")]
        time: String,
        /// Only these targets
        targets: Vec<String>,
    },
    /// Record the traffic of real servers anew, as fixtures
    Capture {
        /// Only these protocols
        protocols: Vec<String>,
    },
    /// Write docs/hooks.md from the comments of the kernel programs
    Hooks,
    /// Build the static release binary
    Dist,
    /// Prove parents under concurrency against what the services themselves say
    Truth(truth::Options),
    /// Prove what is seen of real servers and clients, TLS and HTTP/2 included, in one table
    Protocols(protocols::Options),
    /// `truth` in a guest
    #[command(hide = true)]
    GuestTruth {
        /// The agent
        weft: std::path::PathBuf,
        /// Rows
        rows: Vec<String>,
    },
    /// The upstream of `truth`
    #[command(hide = true)]
    Leaf {
        /// Where it listens
        port: u16,
    },
    /// Measure what weft costs
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// CPU time per request of services without weft, with it, and with its probes in runtimes
    Overhead {
        /// Rounds of each kind for each service
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Length of a round
        #[arg(long, default_value_t = 3)]
        seconds: u32,
        /// Only services whose names contain one of these
        only: Vec<String>,
        /// This weft instead of one built now
        #[arg(long, value_name = "PATH")]
        binary: Option<std::path::PathBuf>,
    },
    /// Instructions per request in guests that count them, held to a bound
    Instructions {
        /// Only these kernels, such as 6.1
        kernels: Vec<String>,
        /// Only services whose names contain one of these, bound or not
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// This static weft instead of one built now
        #[arg(long, value_name = "PATH")]
        binary: Option<std::path::PathBuf>,
    },
}

fn dispatch(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Setup { only } => setup::run(&only)?,
        Verb::Build { release } => build::run(release)?,
        Verb::Test { layer, filters } => return test::run(layer, &filters),
        Verb::Tidy => tidy::run()?,
        Verb::Demo {
            keep,
            port_offset,
            binary,
        } => demo::run(keep, port_offset, binary)?,
        Verb::Fuzz { time, targets } => fuzz::run(&time, &targets)?,
        Verb::Capture { protocols } => capture::run(&protocols)?,
        Verb::Hooks => hooks::run()?,
        Verb::Dist => dist::run()?,
        Verb::Truth(options) => truth::run(&options)?,
        Verb::Protocols(options) => protocols::run(&options)?,
        Verb::GuestTruth { weft, rows } => truth::guest::run(weft, &rows)?,
        Verb::Leaf { port } => truth::leaf::serve(port)?,
        Verb::Bench {
            what:
                Bench::Overhead {
                    rounds,
                    seconds,
                    only,
                    binary,
                },
        } => {
            bench::overhead(rounds, seconds, &only, binary.as_deref())?;
        }
        Verb::Bench {
            what:
                Bench::Instructions {
                    kernels,
                    only,
                    binary,
                },
        } => {
            if !bench::instructions::run(&kernels, &only, binary)? {
                return Ok(ExitCode::FAILURE);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    let ready = runtimes::first_in_path();
    ready
        .and_then(|()| dispatch(command))
        .unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        })
}
