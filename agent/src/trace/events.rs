//! What events of an event loop are for: Node.js's, of which each that brings bytes is a task.
//!
//! In: which request or answer an event has brought. Out: the request that code works for which
//! continues the event. Identities of events are never used again, so what is known of one holds
//! for ever; the table is bounded by two generations.

use super::assembly::NodeId;
use crate::span::SpanId;
use foldhash::HashMap;

/// Events of one generation.
const GENERATION: usize = 32_768;

/// What an event is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It brought this request, or more of it.
    Request(NodeId, SpanId),
    /// It brought the answer to a call made for this request. A callback may run there that
    /// another request has put into a queue.
    Answer(NodeId, SpanId),
    /// It brought the answer to this call, of which it is not certain whom it was made for.
    Call(NodeId, SpanId),
    /// It brought several requests, or parts of them, or answers one for which it was not made:
    /// which of them it works for at a moment cannot be told.
    Several,
}

/// Events by process and identity.
#[derive(Default)]
pub struct Events {
    young: HashMap<(u32, u64), Purpose>,
    old: HashMap<(u32, u64), Purpose>,
}

impl Events {
    /// The event is for `purpose`, and for what it was known to be for.
    pub fn insert(&mut self, tgid: u32, event: u64, purpose: Purpose) {
        let known = self.find(tgid, event);
        let whole = match (known, purpose) {
            (None, purpose) => purpose,
            (Some(known), purpose) if known == purpose => return,
            (Some(_), _) => Purpose::Several,
        };
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((tgid, event), whole);
    }

    /// What the event is for, if that was seen.
    #[must_use]
    pub fn find(&self, tgid: u32, event: u64) -> Option<Purpose> {
        let key = (tgid, event);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    /// A process ended.
    pub fn exited(&mut self, tgid: u32) {
        self.young.retain(|(process, _), _| *process != tgid);
        self.old.retain(|(process, _), _| *process != tgid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Purpose = Purpose::Request(NodeId(1), SpanId([1; 8]));
    const OTHER: Purpose = Purpose::Request(NodeId(2), SpanId([2; 8]));
    const ANSWER: Purpose = Purpose::Answer(NodeId(1), SpanId([1; 8]));
    const CALL: Purpose = Purpose::Call(NodeId(3), SpanId([3; 8]));

    #[test]
    fn an_event_is_for_all_that_it_brought() {
        for (purposes, expected) in [
            (&[][..], None),
            (&[ONE], Some(ONE)),
            (&[ONE, ONE], Some(ONE)),
            (&[ANSWER, ANSWER], Some(ANSWER)),
            (&[ONE, OTHER], Some(Purpose::Several)),
            (&[CALL, CALL], Some(CALL)),
            (&[CALL, ANSWER], Some(Purpose::Several)),
            (&[ONE, OTHER, OTHER], Some(Purpose::Several)),
            (&[ANSWER, ONE], Some(Purpose::Several)),
        ] {
            let mut events = Events::default();
            for purpose in purposes {
                events.insert(1, 7, *purpose);
            }
            assert_eq!(events.find(1, 7), expected, "{purposes:?}");
            assert_eq!(events.find(2, 7), None);
            events.exited(1);
            assert_eq!(events.find(1, 7), None);
        }
    }

    #[test]
    fn the_table_is_bounded() {
        let mut events = Events::default();
        for event in 0..10 * GENERATION as u64 {
            events.insert(1, event, ONE);
        }
        assert!(events.young.len() + events.old.len() <= 2 * GENERATION);
    }
}
