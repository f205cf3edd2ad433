//! HTTP/1.0 and HTTP/1.1 (RFC 9112).

use super::exchange::Role;
use super::{Conversation, Limits, Protocol, Verdict};
use crate::record::Direction;

/// HTTP/1.x.
pub struct Http1;

impl Protocol for Http1 {
    fn name(&self) -> &'static str {
        "http"
    }
    fn probe(&self, _direction: Direction, _bytes: &[u8]) -> Verdict {
        Verdict::No
    }
    fn open(&self, _role: Role, _limits: Limits) -> Box<dyn Conversation> {
        unreachable!("written next")
    }
}
