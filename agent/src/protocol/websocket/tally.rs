//! What went over one WebSocket: messages both ways, and how it was closed.
//!
//! In: bytes and gaps by direction, from wherever the frames are carried: a connection that was
//! upgraded (RFC 6455), or a stream of another protocol (RFC 8441). Out: attributes and an
//! outcome. Bounded: a few words, whatever comes.

use super::half::Half;
use crate::protocol::exchange::{Attribute, Outcome, Role};
use crate::record::Direction;
use crate::semconv;

/// Counts of one WebSocket.
#[derive(Clone, Debug)]
pub struct Tally {
    role: Role,
    halves: [Half; 2],
    /// Who closed first.
    closer: Option<Direction>,
}

/// How a WebSocket ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// By the code of the first close frame.
    pub outcome: Outcome,
    /// Counts of the directions that were seen without a break, and the code.
    pub attributes: Vec<Attribute>,
    /// Frames of a direction were lost.
    pub cut: bool,
}

impl Tally {
    /// Nothing has come yet. `extended`: the answer agreed on an extension.
    #[must_use]
    pub const fn new(role: Role, extended: bool) -> Self {
        let client = matches!(role, Role::Client);
        Self {
            role,
            // By `Direction::index`: sent, received.
            halves: [Half::new(client, extended), Half::new(!client, extended)],
            closer: None,
        }
    }

    /// Takes some of the bytes of a direction; 0 if more are needed, which are at most 14.
    pub fn feed(&mut self, direction: Direction, bytes: &[u8]) -> usize {
        let taken = self.half(direction).feed(bytes);
        self.note_closer(direction);
        taken
    }

    /// `missing` bytes were not seen: how many of them are bridged, at least one.
    pub fn gap(&mut self, direction: Direction, missing: u64) -> u64 {
        let bridged = self.half(direction).skip(missing);
        self.note_closer(direction);
        bridged
    }

    /// Where frames of a direction begin is unknown.
    pub fn lose(&mut self, direction: Direction) {
        self.half(direction).lose();
    }

    /// Both sides have closed: no message comes any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.halves.iter().all(|half| half.closed.is_some())
    }

    /// One side has closed: the other's answer need not come.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        self.closer.is_some()
    }

    /// Bytes of a direction from here on that need not be seen.
    #[must_use]
    pub fn skippable(&self, direction: Direction) -> u64 {
        self.halves[direction.index()].skippable()
    }

    /// No message of a direction is under way.
    #[must_use]
    pub fn at_boundary(&self, direction: Direction) -> bool {
        self.halves[direction.index()].at_boundary()
    }

    /// What is to be told when what carries it has ended.
    #[must_use]
    pub fn ended(&self) -> Ended {
        let cut = self.halves.iter().any(Half::is_blind);
        let mut attributes = Vec::with_capacity(3);
        for (half, key) in self.halves.iter().zip([
            semconv::WEFT_WEBSOCKET_MESSAGES_SENT,
            semconv::WEFT_WEBSOCKET_MESSAGES_RECEIVED,
        ]) {
            // A part of the messages would be taken for all of them.
            if !half.is_blind() {
                let messages = i64::try_from(half.messages).unwrap_or(i64::MAX);
                attributes.push(Attribute::new(key, messages));
            }
        }
        let outcome = match self.closer.map(|closer| (closer, self.code(closer))) {
            Some((closer, Some(code))) => {
                let key = semconv::WEFT_WEBSOCKET_CLOSE_CODE;
                attributes.push(Attribute::new(key, i64::from(code)));
                outcome(code, self.is_client(closer))
            }
            Some((_, None)) => Outcome::Ok,
            // A close frame may have been among the bytes that were not understood.
            None if cut => Outcome::Unknown,
            None => Outcome::Aborted,
        };
        Ended {
            outcome,
            attributes,
            cut,
        }
    }

    const fn half(&mut self, direction: Direction) -> &mut Half {
        &mut self.halves[direction.index()]
    }

    fn note_closer(&mut self, direction: Direction) {
        if self.closer.is_none() && self.half(direction).closed.is_some() {
            self.closer = Some(direction);
        }
    }

    fn code(&self, direction: Direction) -> Option<u16> {
        self.halves[direction.index()].closed.flatten()
    }

    /// Are the bytes of this direction the client's?
    const fn is_client(&self, direction: Direction) -> bool {
        matches!(
            (self.role, direction),
            (Role::Client, Direction::Sent) | (Role::Server, Direction::Received)
        )
    }
}

/// How it went by the code of the close frame (RFC 6455, 7.4.1), which the client sent, or the
/// server did. Codes from 3000 on are the applications' own: no error that is known.
fn outcome(code: u16, by_client: bool) -> Outcome {
    let clients_fault = match code {
        // The sender complains of what it got.
        1002 | 1003 | 1007..=1010 => !by_client,
        // The sender failed: internal error, restart, overload, bad gateway.
        1011..=1014 => by_client,
        _ => return Outcome::Ok,
    };
    let kind = code.to_string();
    if clients_fault {
        Outcome::ClientError { kind }
    } else {
        Outcome::ServerError { kind }
    }
}

#[cfg(test)]
#[path = "tally_tests.rs"]
mod tests;
