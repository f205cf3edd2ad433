//! Calls that may be for a request: each was made in the event of an answer that the request waited
//! for, where a callback may run that another request has put into a queue (a lock, a pool).
//!
//! In: such calls, and requests that are answered. Out: the calls that were for them. If the
//! request is answered in the very event that brings the answer to the call, the way from the
//! request to its answer leads over the call: a callback of another request would have answered
//! that one. So an event that has answered another request before says nothing. Only one call
//! behind a certain one is told so: of several in a row, those in the middle may be of others that
//! took turns with the request.
//!
//! Each call is a node, so their number is bounded by that of nodes.

use super::assembly::NodeId;
use crate::span::SpanId;
use foldhash::HashMap;

/// Most calls that wait for one request; more are refused.
const CALLS: usize = 64;

/// Calls by the request that they may be for.
#[derive(Default)]
pub struct Supposed(HashMap<SpanId, Vec<(NodeId, SpanId)>>);

impl Supposed {
    /// `call` may be for `request`; false when too many are.
    pub fn insert(&mut self, request: SpanId, call: (NodeId, SpanId)) -> bool {
        let calls = self.0.entry(request).or_default();
        if calls.len() >= CALLS {
            return false;
        }
        calls.push(call);
        true
    }

    /// `request` is over: the calls that may have been for it.
    pub fn take(&mut self, request: SpanId) -> Vec<(NodeId, SpanId)> {
        self.0.remove(&request).unwrap_or_default()
    }

    /// `call` is gone.
    pub fn forget(&mut self, request: SpanId, call: SpanId) {
        let Some(calls) = self.0.get_mut(&request) else {
            return;
        };
        calls.retain(|(_, id)| *id != call);
        if calls.is_empty() {
            self.0.remove(&request);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_a_request_are_bounded_and_go_with_it() {
        let id = |number: u8| SpanId([number; 8]);
        let mut supposed = Supposed::default();
        for call in 0..CALLS as u32 {
            assert!(supposed.insert(id(1), (NodeId(call), id(2))));
        }
        assert!(!supposed.insert(id(1), (NodeId(99), id(2))));
        assert!(supposed.insert(id(3), (NodeId(99), id(4))));
        supposed.forget(id(3), id(5));
        assert_eq!(supposed.len(), CALLS + 1);
        supposed.forget(id(3), id(4));
        assert_eq!(supposed.take(id(3)), []);
        assert_eq!(supposed.take(id(1)).len(), CALLS);
        assert!(supposed.is_empty());
    }
}
