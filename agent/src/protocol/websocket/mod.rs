//! WebSocket (RFC 6455): a connection that HTTP/1 handed over, as the rest of one exchange.
//!
//! In: the upgrade's request and answer so far, and bytes of the connection. Out: the one answer
//! of that exchange, when the connection is closed, with the number of messages each way and the
//! code of the close frame. Payloads are skipped by their announced lengths, so neither masks nor
//! compression matter. Not here: how a connection is upgraded (`http1`); WebSockets older than the
//! agent, whose frames nothing tells from other bytes.
//!
//! | file | what |
//! |---|---|
//! | `frame` | head of a frame; stateless |
//! | `half` | one direction: frames skipped, messages counted |
//! | `tally` | both directions, outcome and attributes; for any carrier of frames |

mod frame;
mod half;
mod tally;

pub use tally::{Ended, Tally};

use super::exchange::{Answer, Attribute, Moment, Outcome, Report, Role};
use super::{Conversation, Progress};
use crate::record::Direction;

/// An exchange whose answer switched the connection to WebSocket.
#[derive(Clone, Debug)]
pub struct Upgraded {
    /// Its number.
    pub number: u64,
    /// First byte of the answer.
    pub first: Moment,
    /// Last byte of the answer's head.
    pub last: Moment,
    /// Attributes known from the answer's head.
    pub attributes: Vec<Attribute>,
    /// Bytes of the exchange were missing.
    pub cut: bool,
}

/// The connection from the switch on.
pub struct WebSocket {
    /// None once it was answered.
    upgraded: Option<Upgraded>,
    tally: Tally,
    /// Directions that have ended.
    ended: [bool; 2],
}

impl WebSocket {
    /// Goes on with what `upgraded` began. `extended`: the answer agreed on an extension.
    #[must_use]
    pub const fn new(role: Role, extended: bool, upgraded: Upgraded) -> Self {
        Self {
            upgraded: Some(upgraded),
            tally: Tally::new(role, extended),
            ended: [false; 2],
        }
    }

    /// Where frames of a direction begin is unknown from the start.
    pub fn lose(&mut self, direction: Direction) {
        self.tally.lose(direction);
    }

    /// Answers the exchange, once, with its last byte at `end`.
    fn answer(&mut self, ended: Ended, end: Moment, out: &mut Vec<Report>) {
        let Some(mut upgraded) = self.upgraded.take() else {
            return;
        };
        upgraded.attributes.extend(ended.attributes);
        out.push(Report::Answered(Box::new(Answer {
            number: upgraded.number,
            first: Some(upgraded.first),
            // Records of two CPUs may come with times that overlap.
            end: Moment {
                at: end.at.max(upgraded.last.at),
                ..end
            },
            outcome: ended.outcome,
            attributes: upgraded.attributes,
            cut: upgraded.cut || ended.cut,
        })));
    }

    fn answer_if_over(&mut self, end: Moment, out: &mut Vec<Report>) {
        if self.tally.is_over() {
            self.answer(self.tally.ended(), end, out);
        }
    }
}

impl Conversation for WebSocket {
    fn feed(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        moment: Moment,
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        match self.tally.feed(direction, bytes) {
            0 => Progress::Want,
            taken => {
                let before = u64::try_from(taken - 1).unwrap_or(0);
                let end = Moment {
                    offset: moment.offset.saturating_add(before),
                    ..last
                };
                self.answer_if_over(end, out);
                Progress::Took(taken)
            }
        }
    }

    fn gap(
        &mut self,
        direction: Direction,
        missing: u64,
        moment: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        let bridged = self.tally.gap(direction, missing);
        self.answer_if_over(moment, out);
        Progress::Took(usize::try_from(bridged).unwrap_or(usize::MAX))
    }

    fn end(&mut self, direction: Direction, moment: Moment, out: &mut Vec<Report>) {
        self.ended[direction.index()] = true;
        // The last words of the other side may still come, unless they were said.
        if self.ended == [true; 2] || self.tally.is_closing() {
            self.answer(self.tally.ended(), moment, out);
        }
    }

    fn abandon(&mut self, moment: Moment, out: &mut Vec<Report>) {
        // Whatever was said so far, the end was not seen.
        let ended = Ended {
            outcome: Outcome::Unknown,
            ..self.tally.ended()
        };
        self.answer(ended, moment, out);
    }

    fn skippable(&self, direction: Direction) -> u64 {
        self.tally.skippable(direction)
    }

    fn at_boundary(&self, direction: Direction) -> bool {
        self.tally.at_boundary(direction)
    }
}
