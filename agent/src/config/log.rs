//! `[log]`: the agent's own log.

use super::section::section;
use serde::{Deserialize, Serialize};

section! {
    /// The agent's own log, on standard error.
    pub struct Log in "log" {
        /// "error", "warn", "info", "debug", "trace", or directives such as "info,weft=debug".
        pub level: String = "info".to_owned();
        /// "text" or "json".
        pub format: Format = Format::Text;
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines, one object a line.
    Json,
}
