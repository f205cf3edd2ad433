//! The agent's own log: standard error, so that standard output is free for traces.

use super::Exit;
use crate::config::{Format, Log};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// The export libraries log every failed request by themselves; our queue says it once, better.
const QUIET: &[&str] = &[
    "opentelemetry=off",
    "opentelemetry_sdk=off",
    "opentelemetry-otlp=off",
];

pub(super) fn start(log: &Log) -> Result<(), Exit> {
    let mut filter = EnvFilter::try_new(&log.level).map_err(|error| {
        Exit::misuse(
            format!("log.level = \"{}\"", log.level),
            error.to_string(),
            "try info, debug, or info,weft=debug",
        )
    })?;
    for directive in QUIET.iter().filter_map(|text| text.parse().ok()) {
        filter = filter.add_directive(directive);
    }
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    // A second start, as in tests, keeps the first.
    let _ = match log.format {
        Format::Text => builder.with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    Ok(())
}
