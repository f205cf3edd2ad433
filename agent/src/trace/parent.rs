//! The choice of a parent, with its evidence, strongest first.

use super::assembly::NodeId;
use super::context::Context;
use super::departed::Gone;
use crate::span::Evidence;

/// Why a possible parent was not taken. Each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refusal {
    /// The thread or task had several requests open.
    Ambiguous,
    /// The runtime's task handles no request itself, nor did whoever made it, nor did it answer
    /// any.
    Unrelated,
    /// The runtime moves tasks between threads unseen.
    Migrating,
    /// The process was not identified yet.
    UnknownRuntime,
    /// Both sides already belong to different traces that left the agent, or the request of a
    /// task that outlived it did.
    Late,
    /// Records were lost a moment before: a request may be open that was never seen.
    Lossy,
}

impl Refusal {
    /// All, for metrics.
    pub const ALL: [Self; 6] = [
        Self::Ambiguous,
        Self::Unrelated,
        Self::Migrating,
        Self::UnknownRuntime,
        Self::Late,
        Self::Lossy,
    ];

    /// Name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Unrelated => "unrelated_task",
            Self::Migrating => "migrating",
            Self::UnknownRuntime => "unknown_runtime",
            Self::Late => "late",
            Self::Lossy => "lost_records",
        }
    }
}

/// A parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// A span of this agent.
    Local(NodeId, Evidence),
    /// A span that only a header names.
    Remote(Context),
    /// A span of this agent that has left it.
    Departed(Gone, Evidence),
}

/// What is known when a client's request is seen.
///
/// A header that was merely handed on from the request being handled (as proxies do) says
/// nothing of this process: its own request is the parent. A header of another span was made in
/// this process by an instrumentation of its own, and names the parent.
#[must_use]
pub fn of_client(
    header: Option<&Context>,
    handling: Option<(NodeId, Evidence)>,
    handling_header: Option<&Context>,
) -> Option<Parent> {
    match (header, handling) {
        (Some(own), Some((node, evidence))) if handling_header.is_some_and(|c| same(c, own)) => {
            Some(Parent::Local(node, evidence))
        }
        (Some(own), _) => Some(Parent::Remote(own.clone())),
        (None, Some((node, evidence))) => Some(Parent::Local(node, evidence)),
        (None, None) => None,
    }
}

/// What is known when a server's request is seen, with the other end of its connection or
/// without. The other end sent the very same header, if any, and is nearer than the span that
/// the header names.
#[must_use]
pub fn of_server(header: Option<&Context>, client: Option<NodeId>) -> Option<Parent> {
    match (client, header) {
        (Some(node), _) => Some(Parent::Local(node, Evidence::SocketPair)),
        (None, Some(context)) => Some(Parent::Remote(context.clone())),
        (None, None) => None,
    }
}

fn same(one: &Context, other: &Context) -> bool {
    one.trace == other.trace && one.span == other.span
}
