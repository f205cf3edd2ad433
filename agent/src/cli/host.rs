//! What the verbs need done, as a trait: `daemon` does it, tests pretend to.

use super::Exit;
use crate::config::Config;
use crate::metadata::Runtime;
use std::path::PathBuf;
use std::time::Duration;

/// The machine behind the command line.
pub trait Host {
    /// Traces until a signal, the end of the command, or the end of the time.
    fn run(&self, job: RunJob) -> Result<(), Exit>;

    /// Finds out what this host allows.
    fn check(&self, config: &Config) -> Result<Check, Exit>;

    /// Lists the processes that are seen.
    fn targets(&self, config: &Config) -> Result<Vec<Target>, Exit>;

    /// Says what is known about one process, and why it has no data if it has none.
    fn explain(&self, config: &Config, pid: u32) -> Result<Vec<Fact>, Exit>;

    /// Writes what the kernel side reports into a file.
    fn record(&self, job: RecordJob) -> Result<(), Exit>;

    /// Runs the pipeline over such a file.
    fn replay(&self, job: ReplayJob) -> Result<(), Exit>;
}

/// What `weft run` is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct RunJob {
    /// Settings.
    pub config: Config,
    /// Command to start and watch; empty watches what the settings select.
    pub command: Vec<String>,
    /// End after this time.
    pub period: Option<Duration>,
}

/// What `weft record` is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordJob {
    /// Settings.
    pub config: Config,
    /// File to write.
    pub file: PathBuf,
    /// Command to start and watch; empty watches what the settings select.
    pub command: Vec<String>,
    /// End after this time.
    pub period: Option<Duration>,
}

/// What `weft replay` is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayJob {
    /// Settings.
    pub config: Config,
    /// File to read.
    pub file: PathBuf,
}

/// What a host allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Facts about the host: kernel, privileges, BTF.
    pub facts: Vec<Fact>,
    /// Every candidate of every hook.
    pub hooks: Vec<Hook>,
    /// Why nothing can work at all.
    pub hopeless: Option<String>,
}

/// Something known, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Of what.
    pub name: String,
    /// What.
    pub value: String,
}

/// One candidate of one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// What it is for: `bytes`, `connections`, `processes`.
    pub subject: String,
    /// The candidate's name.
    pub name: String,
    /// What became of it.
    pub state: State,
    /// What to do about a refusal.
    pub remedy: Option<String>,
}

/// What became of a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is used.
    Active,
    /// It is not needed, or switched off.
    Off(String),
    /// The kernel refused it.
    Refused(String),
}

/// A process that is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its id in the root namespace.
    pub pid: u32,
    /// Its service's name.
    pub service: String,
    /// Its runtime.
    pub runtime: Runtime,
    /// Whether it is watched.
    pub selected: bool,
    /// Why, or why not.
    pub reason: String,
}
