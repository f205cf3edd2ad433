//! Requests whose spans have left the agent, for tasks that outlive them: a call that such a task
//! makes later still belongs to its request.
//!
//! Bounded by two generations; a call that comes after both has no parent.

use crate::span::{SpanId, TraceId};
use foldhash::HashMap;

/// Requests of one generation: as many as a table of 8192 places takes before it grows.
const GENERATION: usize = 7168;

/// Where a request that has left belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// Its trace.
    pub trace: TraceId,
    /// Its span.
    pub span: SpanId,
    /// The sampled flag that came with the trace.
    pub sampled: Option<bool>,
    /// `tracestate` as carried.
    pub state: Option<String>,
}

/// Requests by their spans.
#[derive(Default)]
pub struct Departed {
    young: HashMap<SpanId, Gone>,
    old: HashMap<SpanId, Gone>,
}

impl Departed {
    /// A request leaves.
    pub fn insert(&mut self, gone: Gone) {
        if self.young.len() >= GENERATION {
            // The memory of the one before is used again.
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        self.young.insert(gone.span, gone);
    }

    /// A request that has left.
    #[must_use]
    pub fn find(&self, span: SpanId) -> Option<&Gone> {
        self.young.get(&span).or_else(|| self.old.get(&span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered() {
        let mut departed = Departed::default();
        let gone = |number: u64| Gone {
            trace: TraceId([1; 16]),
            span: SpanId(number.to_be_bytes()),
            sampled: None,
            state: None,
        };
        for number in 0..10 * GENERATION as u64 {
            departed.insert(gone(number));
        }
        let last = 10 * GENERATION as u64 - 1;
        assert!(departed.find(gone(last).span).is_some());
        assert!(departed.find(gone(0).span).is_none());
        assert!(departed.young.len() + departed.old.len() <= 2 * GENERATION);
    }
}
