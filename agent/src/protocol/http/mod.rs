//! What the versions of HTTP have in common: header fields, what a request asks for, how an
//! answer went.
//!
//! In: names and values of header fields, in whatever form a version sends them. Out:
//! [`Operation`](super::exchange::Operation), [`Outcome`]. Not here: bytes of the wire
//! (`http1`, `http2`), routes and redaction (`span`).
//!
//! | file | what |
//! |---|---|
//! | `field` | names of header fields that matter, and their values |
//! | `head` | what is kept of a request's head |
//! | `operation` | attributes of a request |
//! | `rpc` | requests that are calls: gRPC, gRPC-Web, Connect |

pub(super) mod field;
pub(super) mod head;
pub(super) mod operation;
pub(super) mod rpc;

use super::exchange::{Attribute, Moment, Outcome};

/// How a request with that status went.
pub(super) fn outcome(status: Option<u16>) -> Outcome {
    match status {
        None => Outcome::Unknown,
        Some(status @ 400..500) => Outcome::ClientError {
            kind: status.to_string(),
        },
        Some(status @ 500..) => Outcome::ServerError {
            kind: status.to_string(),
        },
        Some(_) => Outcome::Ok,
    }
}

/// Adds the size of a body, if it is known.
pub(super) fn put_size(key: &'static str, size: Option<u64>, attributes: &mut Vec<Attribute>) {
    if let Some(size) = size.and_then(|size| i64::try_from(size).ok()) {
        attributes.push(Attribute::new(key, size));
    }
}

/// The moment of the last of `taken` bytes from `first` on.
pub(super) fn behind(first: Moment, last: Moment, taken: usize) -> Moment {
    let taken = u64::try_from(taken).unwrap_or(u64::MAX);
    Moment {
        offset: first.offset.saturating_add(taken.saturating_sub(1)),
        ..last
    }
}

/// `moment`, but not before `earliest`: records of two CPUs may come with times that overlap.
pub(super) fn not_before(moment: Moment, earliest: Moment) -> Moment {
    Moment {
        at: moment.at.max(earliest.at),
        ..moment
    }
}
