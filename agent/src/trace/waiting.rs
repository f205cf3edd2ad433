//! Calls whose request is told only by its answer.
//!
//! An event loop reads requests in one task and handles them in another; which one is known when
//! that task writes the answer. Until then its calls wait. Each waits no longer than the requests
//! that were open when it was made: when none of them is open any more, nobody will claim it.
//!
//! A thread that was made while a request was handled may be one of a pool, which goes on to work
//! for others. If it ends before the answer, it worked for that request alone.

use super::assembly::NodeId;
use super::fibers::Lineage;
use crate::record::Nanos;
use crate::span::SpanId;
use foldhash::HashMap;

/// A call that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its node.
    pub node: NodeId,
    /// Its span: the node may be another's by now.
    pub id: SpanId,
    /// The task that made it.
    pub by: Lineage,
    /// When.
    pub at: Nanos,
    /// Number of the newest server request that was open then; 0 when none was.
    pub newest: u64,
    /// Server requests that were open then, and how many of them other tasks have answered since.
    pub open: usize,
    /// See `open`.
    pub passed: usize,
    /// The calling thread, where that may tell.
    pub thread: Option<Thread>,
}

/// A thread that was made while a request was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// Which, as [`super::handlers`] names threads among tasks.
    pub fiber: u64,
    /// The request.
    pub made_for: SpanId,
    /// It has ended.
    pub ended: bool,
}

/// Calls that wait, by process. Each is a node, so their number is bounded by that of nodes.
#[derive(Default)]
pub struct Waiting(HashMap<u32, Vec<Call>>);

impl Waiting {
    /// A call begins to wait.
    pub fn push(&mut self, tgid: u32, call: Call) {
        self.0.entry(tgid).or_default().push(call);
    }

    /// Takes the calls of a process that are `claimed`.
    pub fn claim(&mut self, tgid: u32, mut claimed: impl FnMut(&mut Call) -> bool) -> Vec<Call> {
        let Some(calls) = self.0.get_mut(&tgid) else {
            return Vec::new();
        };
        let taken = calls.extract_if(.., |call| claimed(call)).collect();
        if calls.is_empty() {
            self.0.remove(&tgid);
        }
        taken
    }

    /// A thread of process `tgid` ended.
    pub fn thread_ended(&mut self, tgid: u32, fiber: u64) {
        let calls = self.0.get_mut(&tgid).into_iter().flatten();
        let threads = calls.filter_map(|call| call.thread.as_mut());
        for thread in threads.filter(|thread| thread.fiber == fiber) {
            thread.ended = true;
        }
    }

    /// A node is gone.
    pub fn forget(&mut self, tgid: u32, id: SpanId) {
        self.claim(tgid, |call| call.id == id);
    }

    /// Calls that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// None waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
