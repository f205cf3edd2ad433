//! `weft explain`: all about one process.

use super::{Exit, Fact, Host, Options, print, settings};
use clap::Args;
use std::fmt::Write as _;
use std::io::Write;

/// Say what is known about a process, and why it has no data
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// Its process id, in the root namespace
    pid: u32,
}

impl Explain {
    pub(super) fn call(
        &self,
        options: &Options,
        host: &dyn Host,
        out: &mut dyn Write,
    ) -> Result<(), Exit> {
        let facts = host.explain(&settings(options, Vec::new())?, self.pid)?;
        print(out, &shown(&facts))
    }
}

fn shown(facts: &[Fact]) -> String {
    let width = facts.iter().map(|fact| fact.name.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut text = String::new();
    for fact in facts {
        let _ = writeln!(text, "{:<width$}  {}", fact.name, fact.value);
    }
    text
}
