//! Spans: an exchange as one process saw it.
//!
//! In: exchanges, connections, services. Out: [`Span`]. Not here: who its parent is (`trace`).

pub mod build;
pub mod name;
pub mod redact;
pub mod route;
pub mod status;

use crate::metadata::Service;
use crate::protocol::exchange::{Attribute, Role};
use std::sync::Arc;

/// W3C trace id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub [u8; 16]);

/// W3C span id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub [u8; 8]);

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Display for SpanId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How the parent of a span is known. Strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Evidence {
    /// A trace header that the request carried.
    Header,
    /// Both ends of the connection were seen, and the request at the same offset.
    SocketPair,
    /// The runtime's own task.
    Task,
    /// The thread was handling exactly one server request.
    Thread,
}

impl Evidence {
    /// Value of `weft.parent.evidence`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::SocketPair => "socket_pair",
            Self::Task => "task",
            Self::Thread => "thread",
        }
    }
}

/// Status of a span, as OTLP has it. `Ok` is left to the applications by the specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// No error.
    Unset,
    /// An error; what it was stands in `error.type`.
    Error,
}

/// A finished span, ready to export.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Trace it belongs to.
    pub trace: TraceId,
    /// Itself.
    pub id: SpanId,
    /// Parent, if one is known.
    pub parent: Option<Parent>,
    /// `tracestate` that came with the trace.
    pub state: Option<String>,
    /// The trace flags' sampled bit, as carried; set when the trace began here.
    pub sampled: bool,
    /// Server or client.
    pub role: Role,
    /// Low-cardinality name.
    pub name: String,
    /// Wall clock, ns since 1970.
    pub start: u64,
    /// Wall clock, ns since 1970.
    pub end: u64,
    /// Status.
    pub status: Status,
    /// Attributes in the order they were found; keys are unique.
    pub attributes: Vec<Attribute>,
    /// Who did it.
    pub service: Arc<Service>,
}

/// A span's parent and how it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its id.
    pub id: SpanId,
    /// Not seen by this agent: known from a header only.
    pub remote: bool,
    /// How it is known.
    pub evidence: Evidence,
}
