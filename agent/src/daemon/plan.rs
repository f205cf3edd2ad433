//! From settings to what the stages are started with.

use super::capture::{Plan, RecordLog};
use crate::cli::Exit;
use crate::config::{Config, Query, SocketIo, Switch, Tasks};
use crate::discovery::select::Rules;
use crate::pipeline::Options;
use crate::probe::object;
use crate::probe::runtime::{Probed, Switches};
use crate::span::{redact, route};
use crate::stream::table;
use crate::trace::assembly;
use std::collections::BTreeMap;

/// What capture is started with; `only` limits it to processes and what they start.
///
/// # Errors
/// When the selection rules make no sense.
pub fn capture(
    config: &Config,
    only: Option<Vec<u32>>,
    log: Option<RecordLog>,
) -> Result<Plan, Exit> {
    Ok(Plan {
        probes: probes(config, only.is_none()),
        pipeline: pipeline(config),
        rules: rules(config)?,
        switches: switches(&config.tasks),
        only,
        log,
    })
}

/// The kernel side.
#[must_use]
pub fn probes(config: &Config, watch_new: bool) -> object::Options {
    let socket_io = match config.capture.socket_io {
        SocketIo::Auto => None,
        SocketIo::SockLength => Some("sock_length"),
        SocketIo::SysExit => Some("sys_exit"),
        SocketIo::Syscalls => Some("syscalls"),
    };
    let forced = socket_io.map(|name| ("socket_io".to_owned(), name.to_owned()));
    object::Options {
        ring_bytes: u32::try_from(config.capture.ring_bytes.0).unwrap_or(1 << 30),
        connections: config.capture.connections,
        watch_new,
        tls: config.capture.tls,
        database_calls: config.capture.database_calls,
        btf: config.capture.btf.clone(),
        forced: forced.into_iter().collect::<BTreeMap<_, _>>(),
    }
}

/// The pipeline.
#[must_use]
pub fn pipeline(config: &Config) -> Options {
    Options {
        table: table::Limits::default(),
        protocol: crate::protocol::Limits::default(),
        assembly: assembly::Limits {
            nodes: config.trace.max_open_spans,
            settle: config.trace.settle_ms.saturating_mul(1_000_000),
            hold: u64::try_from(config.trace.max_trace_age.0.as_nanos()).unwrap_or(u64::MAX),
        },
        routes: route::Limits {
            routes: config.http.max_span_names,
            ..route::Limits::default()
        },
        query: match config.http.query {
            Query::Redact => redact::Query::Names,
            Query::Keep => redact::Query::Signatures,
            Query::Drop => redact::Query::Nothing,
        },
        tls_connections: config.trace.tls_connections,
    }
}

/// Which runtimes are probed.
#[must_use]
pub fn switches(tasks: &Tasks) -> Switches {
    Switches::new(|probed| match setting(tasks, probed) {
        Switch::Auto => None,
        Switch::On => Some(true),
        Switch::Off => Some(false),
    })
}

/// Runtimes that are off for what their probes cost, and because nobody said otherwise.
#[must_use]
pub fn too_dear(tasks: &Tasks) -> Vec<Probed> {
    let mut dear = Probed::ALL.to_vec();
    dear.retain(|probed| setting(tasks, *probed) == Switch::Auto && !probed.affordable());
    dear
}

/// The setting of one runtime.
#[must_use]
pub const fn setting(tasks: &Tasks, probed: Probed) -> Switch {
    match probed {
        Probed::Go => tasks.go,
        Probed::Python => tasks.python,
        Probed::Node => tasks.node,
        Probed::Tokio => tasks.rust,
        Probed::Nginx => tasks.nginx,
        Probed::Haproxy => tasks.haproxy,
    }
}

/// The selection rules, in the words of discovery: both read the same keys.
///
/// # Errors
/// When a rule makes no sense.
pub fn rules(config: &Config) -> Result<Rules, Exit> {
    serde_json::to_value(&config.select)
        .and_then(serde_json::from_value)
        .map_err(|error| Exit::misuse("the section [select]", error.to_string(), ""))
}
