//! `weft targets`: which processes are seen, and which of them are watched.

use super::{Exit, Host, Options, Target, print, settings};
use clap::Args;
use std::fmt::Write as _;
use std::io::Write;

/// List the processes that are seen, and which of them are watched
#[derive(Debug, Args)]
pub(super) struct Targets {}

impl Targets {
    pub(super) fn call(
        &self,
        options: &Options,
        host: &dyn Host,
        out: &mut dyn Write,
    ) -> Result<(), Exit> {
        let targets = host.targets(&settings(options, Vec::new())?)?;
        print(out, &shown(&targets))
    }
}

fn shown(targets: &[Target]) -> String {
    let mut text = format!(
        "{:>8}  {:<7}  {:<8}  {:<24}  WHY\n",
        "PID", "WATCHED", "RUNTIME", "SERVICE"
    );
    for target in targets {
        let watched = if target.selected { "yes" } else { "no" };
        let runtime = format!("{:?}", target.runtime).to_lowercase();
        let line = format!(
            "{:>8}  {watched:<7}  {runtime:<8}  {:<24}  {}",
            target.pid, target.service, target.reason
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}
