//! `weft check`: what this host allows, one line a hook.

use super::{Exit, Host, Options, State, host, print, settings};
use clap::Args;
use std::fmt::Write as _;
use std::io::Write;

/// Say what this host allows, hook by hook; exit code 3 when nothing can work
#[derive(Debug, Args)]
pub(super) struct Check {}

impl Check {
    pub(super) fn call(
        &self,
        options: &Options,
        host: &dyn Host,
        out: &mut dyn Write,
    ) -> Result<(), Exit> {
        let check = host.check(&settings(options, Vec::new())?)?;
        print(out, &shown(&check))?;
        match check.hopeless {
            None => Ok(()),
            Some(why) => {
                let hint = "the remedies stand beside the hooks above";
                Err(Exit::host("tracing on this host", why, hint))
            }
        }
    }
}

fn shown(check: &host::Check) -> String {
    let mut text = String::new();
    for fact in &check.facts {
        let _ = writeln!(text, "{:<12} {}", fact.name, fact.value);
    }
    if !check.facts.is_empty() {
        text.push('\n');
    }
    let widest = |length: fn(&host::Hook) -> usize| check.hooks.iter().map(length).max();
    let subject = widest(|hook| hook.subject.chars().count()).unwrap_or(0);
    let name = widest(|hook| hook.name.chars().count()).unwrap_or(0);
    for hook in &check.hooks {
        let (state, why) = match &hook.state {
            State::Active => ("active", ""),
            State::Off(why) => ("off", why.as_str()),
            State::Refused(why) => ("refused", why.as_str()),
        };
        let line = format!(
            "{:<subject$}  {:<name$}  {state:<7}  {why}",
            hook.subject, hook.name
        );
        let _ = writeln!(text, "{}", line.trim_end());
        if let Some(remedy) = &hook.remedy {
            let _ = writeln!(text, "{:subject$}  {:name$}  remedy: {remedy}", "", "");
        }
    }
    text
}
