//! Status codes of calls, and which of them are whose error.
//!
//! In: numbers and words of the wire. Out: the conventions' words.

use crate::protocol::exchange::{Outcome, Value};
use std::borrow::Cow;

/// By number: gRPC's word, and Connect's.
const WORDS: [(&str, &str); 17] = [
    ("OK", "ok"),
    ("CANCELLED", "canceled"),
    ("UNKNOWN", "unknown"),
    ("INVALID_ARGUMENT", "invalid_argument"),
    ("DEADLINE_EXCEEDED", "deadline_exceeded"),
    ("NOT_FOUND", "not_found"),
    ("ALREADY_EXISTS", "already_exists"),
    ("PERMISSION_DENIED", "permission_denied"),
    ("RESOURCE_EXHAUSTED", "resource_exhausted"),
    ("FAILED_PRECONDITION", "failed_precondition"),
    ("ABORTED", "aborted"),
    ("OUT_OF_RANGE", "out_of_range"),
    ("UNIMPLEMENTED", "unimplemented"),
    ("INTERNAL", "internal"),
    ("UNAVAILABLE", "unavailable"),
    ("DATA_LOSS", "data_loss"),
    ("UNAUTHENTICATED", "unauthenticated"),
];

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) struct Code {
    number: u16,
    /// In Connect's words.
    connect: bool,
}

impl Code {
    /// `grpc-status`.
    pub(super) const fn grpc(number: u16) -> Self {
        Self {
            number,
            connect: false,
        }
    }

    /// The word of a Connect error.
    pub(super) fn connect(word: &[u8]) -> Option<Self> {
        let number = WORDS.iter().position(|(_, own)| own.as_bytes() == word)?;
        Some(Self {
            number: u16::try_from(number).ok()?,
            connect: true,
        })
    }

    /// No error, in Connect.
    pub(super) const fn connect_ok() -> Self {
        Self {
            number: 0,
            connect: true,
        }
    }

    pub(super) const fn deadline_exceeded() -> Self {
        Self::grpc(4)
    }

    /// What gRPC makes of an answer without its own status ("HTTP to gRPC Status Code Mapping").
    pub(super) const fn of_http(status: u16) -> Self {
        Self::grpc(match status {
            400 => 13,
            401 => 16,
            403 => 7,
            404 => 12,
            429 | 502..=504 => 14,
            _ => 2,
        })
    }

    /// What gRPC makes of the error code of a stream ("HTTP2 Transport Mapping, Errors").
    pub(super) const fn of_reset(error: u32) -> Self {
        Self::grpc(match error {
            7 => 14,
            8 => 1,
            11 => 8,
            12 => 7,
            0..=10 => 13,
            _ => 2,
        })
    }

    fn word(self) -> Cow<'static, str> {
        match WORDS.get(usize::from(self.number)) {
            Some((_, word)) if self.connect => Cow::Borrowed(word),
            Some((word, _)) => Cow::Borrowed(word),
            None => Cow::Owned(self.number.to_string()),
        }
    }

    /// `rpc.status_code`.
    pub(super) fn value(self) -> Value {
        Value::Text(self.word())
    }

    /// Whose error it is. The conventions name those that are the server's; any is the client's.
    pub(super) fn outcome(self) -> Outcome {
        let kind = self.word().into_owned();
        match self.number {
            0 => Outcome::Ok,
            2 | 4 | 12..=15 => Outcome::ServerError { kind },
            _ => Outcome::ClientError { kind },
        }
    }
}
