//! Options that every verb has.

use crate::config::Setting;
use clap::Args;
use std::path::PathBuf;

/// Options that every verb has.
#[derive(Debug, Default, Args)]
pub struct Options {
    /// Settings file, TOML or YAML
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "WEFT_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// error, warn, info, debug, trace, or directives such as info,weft=debug
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

impl Options {
    pub(super) fn settings(&self) -> Vec<Setting> {
        let level = self.log_level.as_deref();
        let level = level.map(|level| Setting::text("--log-level", "log.level", level));
        level.into_iter().collect()
    }
}
