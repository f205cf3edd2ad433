//! `[select]`: which processes are watched.

use super::section::section;
use serde::{Deserialize, Serialize};

section! {
    /// Which processes are watched. A rule is a table of exe, command, service, port, pid,
    /// container and runtime; all it names must match, texts are globs. A process is watched when
    /// one rule of include matches, or include is empty, and no rule of exclude does.
    pub struct Select in "select" {
        /// Rules of what is watched; empty is the whole host.
        pub include: Vec<Rule> = Vec::new(), like "[{ exe = \"*/node\" }, { port = 8080 }]";
        /// Rules of what is not watched.
        pub exclude: Vec<Rule> = Vec::new(), like "[{ container = \"abc*\" }]";
    }
}

/// One selection rule: every key that is given must match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Glob over the path of the executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exe: Option<String>,
    /// Glob over the command line, arguments joined by blanks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Glob over the service's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// A port it listens on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Its process id in the root namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Glob over the container's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Its runtime: node, python, java, go, ruby, php, dotnet, rust, native.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<crate::metadata::Runtime>,
}

impl std::str::FromStr for Rule {
    type Err = String;

    /// `KEY=VALUE[,KEY=VALUE...]`, as on the command line.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut table = toml::Table::new();
        for part in text.split(',') {
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is not KEY=VALUE"))?;
            let value = match (key, value.parse::<i64>()) {
                ("port" | "pid", Ok(number)) => toml::Value::Integer(number),
                ("port" | "pid", Err(_)) => return Err(format!("`{value}` is not a number")),
                _ => toml::Value::String(value.to_owned()),
            };
            table.insert(key.to_owned(), value);
        }
        let rule = toml::Value::Table(table).try_into::<Self>();
        rule.map_err(|error| error.message().trim().replace('\n', "; "))
    }
}
