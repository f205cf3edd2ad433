//! HTTP/1.0 and HTTP/1.1 (RFC 9110, 9112).
//!
//! In: bytes of a connection. Out: one exchange per request. Heads are taken line by line and
//! bodies at once, so that nothing is waited for but the end of a line, and a head or body that
//! the capture cut still gives an exchange. Not here: HTTP/2, what a tunnel carries or an upgraded
//! connection does (`websocket`), routes and redaction (`span`).
//!
//! | file | what |
//! |---|---|
//! | `line` | request line, status line, header line; stateless |
//! | `head` | the header fields that matter, and the framing they ask for |
//! | `body` | where a body ends |
//! | `conversation` | which answer belongs to which request, and when |
//! | `switch` | what a 101 says of the protocol behind it |

mod body;
mod conversation;
mod head;
mod line;
mod switch;

use super::exchange::Role;
use super::{Conversation, Limits, Protocol, Verdict};
use crate::record::Direction;

/// Line ends tolerated before the first request of a connection, bytes.
const MOST_BLANK: usize = 64;

/// HTTP/1.x.
pub struct Http1;

impl Protocol for Http1 {
    fn name(&self) -> &'static str {
        "http"
    }

    fn probe(&self, direction: Direction, bytes: &[u8]) -> Verdict {
        let blank = line::blank(bytes);
        if blank > MOST_BLANK {
            return Verdict::No;
        }
        let bytes = bytes.get(blank..).unwrap_or(b"");
        match line::request(bytes) {
            line::Start::Bad => Verdict::No,
            line::Start::Partial => Verdict::More,
            line::Start::Whole(..) => Verdict::Yes(match direction {
                Direction::Received => Role::Server,
                Direction::Sent => Role::Client,
            }),
        }
    }

    fn open(&self, role: Role, limits: Limits) -> Box<dyn Conversation> {
        Box::new(conversation::Http1Conversation::new(role, limits))
    }
}

/// The head of the request in `text`, for tests of what is made of heads.
#[cfg(test)]
pub(super) fn head(text: &str) -> super::http::head::Head {
    let line::Start::Whole(line, mut at) = line::request(text.as_bytes()) else {
        panic!("no request line: {text}");
    };
    let mut head = head::RequestHead::new(line);
    while let Some(len) = line::length(&text.as_bytes()[at..]) {
        head.line(&text.as_bytes()[at..at + len]);
        at += len;
    }
    head.told().clone()
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
