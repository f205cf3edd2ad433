//! `weft config`: the documented default, a check, and where each value came from.

use super::{Exit, Options, load, print};
use crate::config::{Sources, document};
use clap::Args;
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

/// Print the default settings with their explanations
#[derive(Debug, Args)]
pub(super) struct Config {
    /// Check a settings file instead
    #[arg(long, value_name = "FILE", conflicts_with = "show")]
    check: Option<PathBuf>,
    /// Print every value that is in force, and where it came from
    #[arg(long)]
    show: bool,
}

impl Config {
    pub(super) fn call(&self, options: &Options, out: &mut dyn Write) -> Result<(), Exit> {
        if let Some(file) = &self.check {
            let sources = Sources {
                file: Some(file.clone()),
                ..Sources::default()
            };
            crate::config::load(&sources)?;
            return print(out, &format!("{} is right\n", file.display()));
        }
        if !self.show {
            return print(out, &document());
        }
        let loaded = load(options, Vec::new())?;
        let mut text = String::new();
        for origin in loaded.origins {
            let value = format!("{} = {}", origin.key, origin.value);
            let _ = writeln!(text, "{value:<56}  # {}", origin.from);
        }
        print(out, &text)
    }
}
