//! A WebSocket on a stream (RFC 8441): its frames are what DATA frames carry.
//!
//! In: bytes of both directions of the stream. Out: what is told of it at its end. Memory: the head
//! of a frame that is not whole. Not here: the frames (`websocket`).

use super::conversation::ASKING;
use super::section::Section;
use crate::protocol::exchange::{Attribute, Outcome, Role};
use crate::protocol::websocket::{Ended, Tally};
use crate::record::Direction;
use crate::semconv;

/// A stream from the answer that made it a WebSocket.
pub(super) struct Socket {
    role: Role,
    tally: Tally,
    /// The beginning of a frame's head, by half.
    rests: [Vec<u8>; 2],
    subprotocol: Option<String>,
}

impl Socket {
    /// As the `answer` says.
    pub(super) fn new(role: Role, answer: &Section) -> Self {
        Self {
            role,
            tally: Tally::new(role, answer.extended),
            rests: [Vec::new(), Vec::new()],
            subprotocol: answer.subprotocol.clone(),
        }
    }

    const fn direction(&self, half: usize) -> Direction {
        match (self.role, half) {
            (Role::Server, ASKING) => Direction::Received,
            (Role::Server, _) => Direction::Sent,
            (Role::Client, ASKING) => Direction::Sent,
            (Role::Client, _) => Direction::Received,
        }
    }

    /// `bytes` went in one direction; they themselves, if they were seen.
    pub(super) fn moved(&mut self, half: usize, bytes: u64, seen: Option<&[u8]>) {
        match seen {
            Some(seen) => self.feed(half, seen),
            None => self.skip(half, bytes),
        }
    }

    fn feed(&mut self, half: usize, seen: &[u8]) {
        let direction = self.direction(half);
        let Some(rest) = self.rests.get_mut(half) else {
            return;
        };
        let joined;
        let mut bytes = seen;
        if !rest.is_empty() {
            rest.extend(seen);
            joined = std::mem::take(rest);
            bytes = &joined;
        }
        while !bytes.is_empty() {
            match self.tally.feed(direction, bytes) {
                // A few bytes, as a head is short.
                0 => {
                    *rest = bytes.to_vec();
                    return;
                }
                taken => bytes = bytes.get(taken..).unwrap_or_default(),
            }
        }
    }

    fn skip(&mut self, half: usize, mut missing: u64) {
        let direction = self.direction(half);
        if self.rests.get(half).is_some_and(|rest| !rest.is_empty()) {
            self.lose(half);
        }
        while missing > 0 {
            let bridged = self.tally.gap(direction, missing);
            missing = missing.saturating_sub(bridged.max(1));
        }
    }

    /// Bytes of a direction were missing, nobody knows how many.
    pub(super) fn lose(&mut self, half: usize) {
        self.tally.lose(self.direction(half));
        if let Some(rest) = self.rests.get_mut(half) {
            rest.clear();
        }
    }

    /// Both sides have closed.
    pub(super) fn is_over(&self) -> bool {
        self.tally.is_over()
    }

    /// One side has closed: the other may leave without a word.
    pub(super) const fn is_closing(&self) -> bool {
        self.tally.is_closing()
    }

    /// What is to be told, where the stream itself came to `outcome`.
    pub(super) fn ended(self, outcome: Outcome) -> Ended {
        let closing = self.is_closing();
        let mut ended = self.tally.ended();
        if let Some(name) = self.subprotocol {
            let name = Attribute::new(semconv::WEFT_WEBSOCKET_SUBPROTOCOL, name);
            ended.attributes.push(name);
        }
        match outcome {
            Outcome::Unknown => ended.outcome = Outcome::Unknown,
            // The stream was reset, or the connection is gone, before anybody closed.
            outcome if !closing && outcome != Outcome::Ok => ended.outcome = outcome,
            _ => {}
        }
        ended
    }
}
