//! A session: from the pieces of one connection to the reports of its conversation.
//!
//! It finds out which protocol is spoken, keeps the bytes that the conversation could not take
//! yet, and starts anew at the next request when sync is lost. In: [`Piece`]. Out: [`Report`].

use super::exchange::{Report, Role};
use super::tls::Tls;
use super::{ALL, Conversation, Limits, Progress, Protocol, Verdict};
use crate::record::Direction;
use crate::stream::{Moment, Piece};
use agent_common::watch::Policy;
use std::collections::VecDeque;

/// Turns without any recognised request after which a connection is left alone.
const PATIENCE: u32 = 12;
/// Most bytes kept while the protocol is not decided.
const UNDECIDED: usize = 16 * 1024;
/// Most calls of kept bytes that are told apart; a reader that takes a head byte by byte must
/// not cost more than the head.
const CALLS: usize = 64;
/// Losses of sync after which a connection is left alone.
const LOSSES: u32 = 64;

/// The state of one connection.
#[derive(Default)]
pub struct Session {
    talk: Talk,
    halves: [Half; 2],
    /// Direction of the last bytes: a change is a turn.
    last: Option<Direction>,
    losses: u32,
    /// Bytes may have gone before, or were not understood: requests may be open unseen.
    midway: bool,
    /// The direction of the answers, once a conversation has told.
    answers: Option<Direction>,
    /// Its TLS handshake was seen: whoever follows such connections counts its bytes.
    pub secured: bool,
    /// How much is to be copied, when that changed.
    capture: Option<Policy>,
    /// How much is copied, unless it is the default.
    capturing: Option<Policy>,
}

enum Talk {
    Seeking {
        turns: u32,
    },
    Talking(Box<Talking>),
    /// The protocol was left for one that is not known: TLS, if at once, or nothing.
    Tunnel,
    Opaque,
}

impl Default for Talk {
    fn default() -> Self {
        Self::Seeking { turns: 0 }
    }
}

struct Talking {
    conversation: Box<dyn Conversation>,
    /// Direction of the answers, and the offset of the first request: answers that were moved
    /// before it belong to requests that were not seen.
    answers: Direction,
    first: u64,
}

/// Bytes of one direction that were offered and not taken.
#[derive(Default)]
struct Half {
    kept: Vec<u8>,
    /// Calls that moved the kept bytes, with the offset behind their last byte.
    calls: VecDeque<(u64, Moment)>,
}

/// What a piece led to, beyond reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing of note.
    None,
    /// From now on nothing of this connection needs to be copied.
    Opaque,
    /// Sync was lost; it is sought from here on.
    Lost,
}

impl Session {
    /// The connection is older than its first piece, which is still to come.
    pub const fn joined_midway(&mut self) {
        self.midway |= self.last.is_none();
    }

    /// Bytes of `direction` were not looked at: a request may have been among them.
    fn overlook(&mut self, direction: Direction) {
        if self.answers != Some(direction) {
            self.midway = true;
        }
    }

    /// What the connection carries is taken from elsewhere: nothing of it is looked at any more,
    /// nor told of what was.
    pub fn cover(&mut self) {
        self.close();
    }

    /// Takes one piece; reports go to `out`.
    pub fn take(&mut self, piece: &Piece<'_>, limits: Limits, out: &mut Vec<Report>) -> Change {
        match *piece {
            Piece::Bytes {
                direction,
                bytes,
                moment,
                opposite,
                call_start,
            } => {
                let turned = self.last != Some(direction);
                self.last = Some(direction);
                match &mut self.talk {
                    Talk::Opaque => Change::None,
                    Talk::Tunnel => self.look_into(direction, bytes, moment, limits, out),
                    Talk::Seeking { turns } => {
                        *turns += u32::from(turned);
                        let turns = *turns;
                        self.seek(direction, bytes, moment, call_start, turns, limits, out)
                    }
                    Talk::Talking(talking) => {
                        if direction == talking.answers && opposite <= talking.first {
                            return Change::None;
                        }
                        self.offer(direction, bytes, moment, limits, out)
                    }
                }
            }
            Piece::Gap {
                direction,
                missing,
                moment,
            } => self.gap(direction, missing, moment, out),
            Piece::Torn { direction, moment } => {
                self.midway = true;
                self.lose(direction, moment, out)
            }
            Piece::Waiting { .. } => Change::None,
            Piece::End { direction, moment } => {
                if let Talk::Talking(talking) = &mut self.talk {
                    talking.conversation.end(direction, moment, out);
                }
                Change::None
            }
            Piece::Forgotten { moment } => {
                if let Talk::Talking(talking) = &mut self.talk {
                    talking.conversation.abandon(moment, out);
                }
                // Nothing comes any more: no change that anyone has to know of.
                self.close();
                Change::None
            }
        }
    }

    /// How much is to be copied from now on, if that changed since it was asked last.
    pub const fn capture(&mut self) -> Option<Policy> {
        self.capture.take()
    }

    fn set_capture(&mut self, policy: Policy) {
        if self.capturing.unwrap_or(Policy::DEFAULT) != policy {
            self.capturing = Some(policy);
            self.capture = Some(policy);
        }
    }

    /// Bytes held in memory.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.halves.iter().map(|half| half.kept.len()).sum()
    }

    /// Looks for a request at the start of a call.
    #[expect(clippy::too_many_arguments, reason = "the fields of one piece")]
    fn seek(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        moment: Moment,
        call_start: bool,
        turns: u32,
        limits: Limits,
        out: &mut Vec<Report>,
    ) -> Change {
        let half = &mut self.halves[direction.index()];
        if half.kept.is_empty() && !call_start {
            self.overlook(direction);
            return Change::None;
        }
        let seen: &[u8] = if half.kept.is_empty() {
            bytes
        } else {
            half.keep(bytes, moment);
            &half.kept
        };
        let mut found = recognise(direction, seen);
        let mut overlooked = false;
        if matches!(found, Recognised::No) && !half.kept.is_empty() {
            // What was kept led nowhere, but this call may begin a request.
            half.clear();
            overlooked = true;
            found = recognise(direction, bytes);
        }
        let seen = half.kept.len().max(bytes.len());
        if overlooked {
            self.overlook(direction);
        }
        let half = &mut self.halves[direction.index()];
        match found {
            Recognised::Yes(protocol, role) => {
                let fresh = half.kept.is_empty();
                let first = if fresh { moment.offset } else { half.start() };
                self.open(protocol, role, first, limits);
                self.halves[direction.opposite().index()].clear();
                if fresh {
                    self.offer(direction, bytes, moment, limits, out)
                } else {
                    self.feed_kept(direction, moment, limits, out)
                }
            }
            Recognised::More if seen < UNDECIDED => {
                if half.kept.is_empty() {
                    half.keep(bytes, moment);
                }
                Change::None
            }
            Recognised::Opaque => self.close(),
            Recognised::More | Recognised::No => {
                half.clear();
                self.overlook(direction);
                if turns > PATIENCE {
                    return self.close();
                }
                Change::None
            }
        }
    }

    /// A conversation begins with the byte at `first`.
    fn open(&mut self, protocol: &dyn Protocol, role: Role, first: u64, limits: Limits) {
        let mut conversation = protocol.open(role, limits);
        if self.midway {
            conversation.joined_midway();
        }
        let answers = match role {
            Role::Server => Direction::Sent,
            Role::Client => Direction::Received,
        };
        self.answers = Some(answers);
        self.set_capture(protocol.capture());
        self.midway = false;
        self.talk = Talk::Talking(Box::new(Talking {
            conversation,
            answers,
            first,
        }));
    }

    /// The first bytes of what a tunnel carries.
    fn look_into(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        moment: Moment,
        limits: Limits,
        out: &mut Vec<Report>,
    ) -> Change {
        let half = &mut self.halves[direction.index()];
        half.keep(bytes, moment);
        match Tls.probe(direction, &half.kept) {
            Verdict::Yes(role) => {
                let first = half.start();
                self.open(&Tls, role, first, limits);
                self.feed_kept(direction, moment, limits, out)
            }
            Verdict::More => Change::None,
            Verdict::No | Verdict::Opaque => self.close(),
        }
    }

    /// Offers new bytes to the conversation, behind what it left.
    fn offer(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        moment: Moment,
        limits: Limits,
        out: &mut Vec<Report>,
    ) -> Change {
        if !self.halves[direction.index()].kept.is_empty() {
            self.halves[direction.index()].keep(bytes, moment);
            return self.feed_kept(direction, moment, limits, out);
        }
        // The common case: whole messages in one call, nothing copied.
        let Talk::Talking(talking) = &mut self.talk else {
            return Change::None;
        };
        let mut taken = 0;
        while taken < bytes.len() {
            let first = Moment {
                offset: moment.offset + taken as u64,
                ..moment
            };
            let last = Moment {
                offset: moment.offset + bytes.len() as u64 - 1,
                ..moment
            };
            match talking
                .conversation
                .feed(direction, &bytes[taken..], first, last, out)
            {
                Progress::Took(0) | Progress::Want => {
                    self.halves[direction.index()].keep(&bytes[taken..], first);
                    return Change::None;
                }
                Progress::Took(n) => taken += n.min(bytes.len() - taken),
                Progress::Lost => return self.lose(direction, first, out),
                Progress::Switched(n) => {
                    taken += n.min(bytes.len() - taken);
                    if !self.switch() {
                        return self.leave(taken == bytes.len());
                    }
                    return self.offer_rest(direction, bytes, taken, moment, limits, out);
                }
                Progress::Opaque => return self.close(),
            }
        }
        Change::None
    }

    /// Another conversation goes on, if there is one.
    fn switch(&mut self) -> bool {
        let Talk::Talking(talking) = &mut self.talk else {
            return false;
        };
        let Some(next) = talking.conversation.successor() else {
            return false;
        };
        talking.conversation = next.conversation;
        self.set_capture(next.capture);
        true
    }

    /// The connection speaks another protocol, which begins with the next call if the last one is
    /// `over`.
    fn leave(&mut self, over: bool) -> Change {
        if !over {
            return self.close();
        }
        self.halves = Default::default();
        self.set_capture(Tls.capture());
        self.talk = Talk::Tunnel;
        Change::None
    }

    /// Offers what is behind the first `taken` bytes of a call.
    fn offer_rest(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        taken: usize,
        moment: Moment,
        limits: Limits,
        out: &mut Vec<Report>,
    ) -> Change {
        let rest = Moment {
            offset: moment.offset + taken as u64,
            ..moment
        };
        self.offer(direction, &bytes[taken..], rest, limits, out)
    }

    /// Offers all that is kept of a direction.
    fn feed_kept(
        &mut self,
        direction: Direction,
        moment: Moment,
        limits: Limits,
        out: &mut Vec<Report>,
    ) -> Change {
        let Talk::Talking(talking) = &mut self.talk else {
            return Change::None;
        };
        let half = &mut self.halves[direction.index()];
        while !half.kept.is_empty() {
            let first = half.first_moment();
            let last = Moment {
                offset: half.end() - 1,
                ..moment
            };
            match talking
                .conversation
                .feed(direction, &half.kept, first, last, out)
            {
                Progress::Took(0) | Progress::Want => {
                    if half.kept.len() > limits.head + UNDECIDED {
                        return self.lose(direction, first, out);
                    }
                    return Change::None;
                }
                Progress::Took(n) => half.drop_front(n),
                Progress::Lost => return self.lose(direction, first, out),
                Progress::Switched(n) => {
                    half.drop_front(n);
                    let whole = half.kept.is_empty();
                    if !self.switch() {
                        return self.leave(whole);
                    }
                    return self.feed_kept(direction, moment, limits, out);
                }
                Progress::Opaque => return self.close(),
            }
        }
        Change::None
    }

    fn gap(
        &mut self,
        direction: Direction,
        missing: u64,
        moment: Moment,
        out: &mut Vec<Report>,
    ) -> Change {
        let half = &mut self.halves[direction.index()];
        let had = !half.kept.is_empty();
        half.clear();
        if matches!(self.talk, Talk::Tunnel) {
            return self.close();
        }
        let Talk::Talking(talking) = &mut self.talk else {
            self.overlook(direction);
            return Change::None;
        };
        if had {
            // Part of a head, and then a hole.
            return self.lose(direction, moment, out);
        }
        let mut left = missing;
        while left > 0 {
            let at = Moment {
                offset: moment.offset + (missing - left),
                ..moment
            };
            match talking.conversation.gap(direction, left, at, out) {
                Progress::Took(n) if n > 0 => left -= (n as u64).min(left),
                Progress::Opaque | Progress::Switched(_) => return self.close(),
                Progress::Took(_) | Progress::Want | Progress::Lost => {
                    return self.lose(direction, at, out);
                }
            }
        }
        Change::None
    }

    /// Sync is lost in `direction`: what is open is given up, and the next request is sought.
    fn lose(&mut self, direction: Direction, moment: Moment, out: &mut Vec<Report>) -> Change {
        self.overlook(direction);
        if let Talk::Talking(talking) = &mut self.talk {
            self.midway |= talking.conversation.leaves_requests();
            talking.conversation.abandon(moment, out);
            self.losses += 1;
        } else if matches!(self.talk, Talk::Opaque) {
            return Change::None;
        } else if matches!(self.talk, Talk::Tunnel) {
            return self.close();
        }
        self.halves = Default::default();
        if self.losses > LOSSES {
            return self.close();
        }
        self.talk = Talk::default();
        Change::Lost
    }

    fn close(&mut self) -> Change {
        self.capture = None;
        self.talk = Talk::Opaque;
        self.halves = Default::default();
        Change::Opaque
    }
}

impl Half {
    fn keep(&mut self, bytes: &[u8], moment: Moment) {
        self.kept.extend_from_slice(bytes);
        let end = moment.offset + bytes.len() as u64;
        let many = self.calls.len() >= CALLS;
        match self.calls.back_mut() {
            Some(last) if many => last.0 = end,
            _ => self.calls.push_back((end, moment)),
        }
    }

    fn clear(&mut self) {
        self.kept = Vec::new();
        self.calls.clear();
    }

    /// Offset behind the last kept byte.
    fn end(&self) -> u64 {
        self.calls.back().map_or(0, |(end, _)| *end)
    }

    /// Offset of the first kept byte.
    fn start(&self) -> u64 {
        self.end() - self.kept.len() as u64
    }

    /// Moment of the first kept byte.
    fn first_moment(&self) -> Moment {
        let offset = self.start();
        let moment = self
            .calls
            .front()
            .map(|(_, moment)| *moment)
            .unwrap_or_default();
        Moment { offset, ..moment }
    }

    fn drop_front(&mut self, count: usize) {
        self.kept.drain(..count.min(self.kept.len()));
        let start = self.start();
        while self.calls.front().is_some_and(|(end, _)| *end <= start) && self.calls.len() > 1 {
            self.calls.pop_front();
        }
        if self.kept.is_empty() {
            self.clear();
        }
    }
}

enum Recognised {
    Yes(&'static dyn Protocol, Role),
    Opaque,
    More,
    No,
}

/// The first protocol that knows these bytes as the start of a request.
fn recognise(direction: Direction, bytes: &[u8]) -> Recognised {
    let mut open = false;
    for protocol in ALL {
        match protocol.probe(direction, bytes) {
            Verdict::Yes(role) if !open => return Recognised::Yes(*protocol, role),
            Verdict::Opaque if !open => return Recognised::Opaque,
            Verdict::Yes(_) | Verdict::Opaque | Verdict::No => {}
            Verdict::More => open = true,
        }
    }
    if open {
        Recognised::More
    } else {
        Recognised::No
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
