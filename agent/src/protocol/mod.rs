//! Protocols: streams in, exchanges out.
//!
//! A protocol is one file (or folder), one line in [`ALL`] and one folder of fixtures. It sees
//! bytes with their moments, never sockets, processes or clocks, and owns all the state of a
//! connection in its [`Conversation`].

pub mod exchange;
pub mod fastcgi;
mod http;
pub mod http1;
pub mod http2;
pub mod session;
pub mod sql;
pub mod text;
pub mod tls;
pub mod websocket;

use crate::record::Direction;
use agent_common::watch::Policy;
use exchange::{Moment, Report, Role};

/// Every protocol, in the order of detection.
pub static ALL: &[&dyn Protocol] = &[
    // First: a request begins with a method and a blank, an answer with `HTTP/1.`, which no
    // other protocol does.
    &http1::Http1,
    // Sixteen bytes of which nine are given; begins with 1, which is no letter.
    &fastcgi::FastCgi,
    // Begins with 22 or 23, which is no letter, and 3.
    &tls::Tls,
    // A preface of 24 given bytes; or, in the middle of a connection, frames that follow each
    // other to the end of the call, with a request among them. Neither begins with a method, and
    // a record of FastCGI would be a frame of 65,792 bytes.
    &http2::Http2,
];

/// A protocol: stateless, one static each.
pub trait Protocol: Sync {
    /// Name: configuration key, fixture folder, fuzz target, `network.protocol.name`.
    fn name(&self) -> &'static str;

    /// Looks at the first bytes of one direction of a connection, or of any call after sync was
    /// lost. `bytes` start where a message is believed to start.
    fn probe(&self, direction: Direction, bytes: &[u8]) -> Verdict;

    /// How much of a connection that speaks it is to be copied.
    fn capture(&self) -> Policy {
        Policy::DEFAULT
    }

    /// A conversation for a connection on which `role` was decided by [`Protocol::probe`].
    fn open(&self, role: Role, limits: Limits) -> Box<dyn Conversation>;
}

/// What [`Protocol::probe`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Surely not.
    No,
    /// Possibly: more bytes are needed.
    More,
    /// Yes, and this process has that role.
    Yes(Role),
    /// Yes, and nothing is to be learnt from its bytes: it is encrypted.
    Opaque,
}

/// Bounds of a conversation's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest head of a message, bytes.
    pub head: usize,
    /// Most requests waiting for their answers.
    pub pending: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 64 * 1024,
            pending: 1024,
        }
    }
}

/// The state of one connection in one protocol.
///
/// The caller keeps the bytes of each direction in order and offers what is contiguous; the
/// conversation keeps no bytes itself.
pub trait Conversation: Send {
    /// The connection is older than what is fed from here on: requests that were not seen may
    /// still wait for their answers. Called before anything is fed.
    fn joined_midway(&mut self) {}

    /// Were sync lost now, would requests be left whose answers have not begun?
    fn leaves_requests(&self) -> bool {
        false
    }

    /// Offers `bytes` of one direction, the first at `moment.offset`. They begin with what an
    /// earlier call left. `moment` is of the call that moved the *first* of them, `last` of the
    /// call that moved the last of them.
    fn feed(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        moment: Moment,
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress;

    /// `missing` bytes at `moment.offset` were moved at `moment` but not seen. Bytes offered and
    /// not taken before are given up by the caller. Answers like [`Conversation::feed`]:
    /// `Took(n)` says how many of the missing bytes are bridged because a body covers them.
    fn gap(
        &mut self,
        direction: Direction,
        missing: u64,
        moment: Moment,
        out: &mut Vec<Report>,
    ) -> Progress;

    /// One direction ended at `moment`: no more bytes come.
    fn end(&mut self, direction: Direction, moment: Moment, out: &mut Vec<Report>);

    /// Sync is lost for good or the connection is forgotten at `moment`: reports every open
    /// exchange with [`exchange::Outcome::Unknown`]. Nothing is fed afterwards.
    fn abandon(&mut self, moment: Moment, out: &mut Vec<Report>);

    /// After [`Progress::Switched`]: the conversation that goes on, which counts its requests
    /// behind those of this one and answers what this one left open. `None` when what follows is
    /// opaque.
    fn successor(&mut self) -> Option<Successor> {
        None
    }

    /// Number of bytes in `direction` that may come as a gap without harm: a body of known size.
    fn skippable(&self, direction: Direction) -> u64;

    /// Every message of this direction is over: a new one may begin with the next byte.
    fn at_boundary(&self, direction: Direction) -> bool;
}

/// What follows a conversation on the same connection.
pub struct Successor {
    /// It takes the bytes that follow, in both directions.
    pub conversation: Box<dyn Conversation>,
    /// How much is to be copied from there on.
    pub capture: Policy,
}

/// What a conversation did with what it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Took that many bytes; call again with the rest, if any.
    Took(usize),
    /// Needs more bytes than were offered; took none.
    Want,
    /// These bytes are no message of this protocol. The caller abandons the conversation, looks
    /// for the next call whose bytes [`Protocol::probe`] recognises as a request, and opens a
    /// new conversation there; answers that were under way before that request are discarded.
    Lost,
    /// Took that many bytes; behind them the connection speaks another protocol (upgrade,
    /// tunnel). [`Conversation::successor`] goes on, if there is one.
    Switched(usize),
    /// Opaque from here on.
    Opaque,
}
