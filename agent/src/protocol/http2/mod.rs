//! HTTP/2 (RFC 9113), with HPACK (RFC 7541).
//!
//! In: bytes of a connection, from its first one, from where HTTP/1.1 was upgraded, or from
//! anywhere in the middle. Out: one exchange per stream. Payloads of DATA frames may be missing;
//! when the heads of frames were missing, too, they are found again at the next call that begins
//! with one, and what the field tables held before is unknown from there on: unknown fields are
//! counted, and never guessed. Not here: pushed answers (all clients refuse them), priorities and
//! flow control, which change nothing about who asked what.
//!
//! | file | what |
//! |---|---|
//! | `frame` | heads of frames, and whether bytes can be one |
//! | `huffman`, `table`, `hpack` | fields |
//! | `section` | what the fields of one block tell |
//! | `stream` | a request and its answer |
//! | `socket` | a WebSocket on a stream (RFC 8441) |
//! | `conversation` | the state of both directions |

mod conversation;
mod frame;
mod hpack;
mod huffman;
mod section;
mod socket;
mod stream;
mod table;

pub(super) use conversation::{Upgraded, upgraded};

use super::exchange::Role;
use super::{Conversation, Limits, Protocol, Verdict};
use crate::record::Direction;
use agent_common::watch::Policy;
use frame::{PREFACE, Start};

/// HTTP/2.
pub struct Http2;

impl Protocol for Http2 {
    fn name(&self) -> &'static str {
        "http2"
    }

    fn probe(&self, direction: Direction, bytes: &[u8]) -> Verdict {
        let role = match direction {
            Direction::Received => Role::Server,
            Direction::Sent => Role::Client,
        };
        if bytes.starts_with(PREFACE) {
            return Verdict::Yes(role);
        }
        if PREFACE.starts_with(bytes) {
            return Verdict::More;
        }
        match frame::walk(bytes) {
            Start::Request => Verdict::Yes(role),
            Start::Frames => Verdict::More,
            Start::No => Verdict::No,
        }
    }

    fn open(&self, role: Role, limits: Limits) -> Box<dyn Conversation> {
        Box::new(conversation::Http2Conversation::new(role, limits))
    }

    fn capture(&self) -> Policy {
        CAPTURE
    }
}

/// Frames of many streams follow each other in one direction, and each head that is not copied
/// costs the field tables. So more of a run of calls is copied than of HTTP/1, and of each later
/// call so much that it holds the heads of a few frames.
pub(super) const CAPTURE: Policy = Policy {
    turn: 64 * 1024,
    peek: 1024,
};

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
