//! Streams: records in, the bytes of each connection out, in causal order and with gaps of known
//! size.
//!
//! Within a direction order comes from offsets. Between the directions it comes from the record
//! itself: each chunk tells how far the other direction had come, so an answer is never handed on
//! before the request it answers, whatever the order in which two CPUs reported them. Not here:
//! what the bytes mean (`protocol`), and any clock (time is that of the records).

pub mod lengths;
pub mod plain;
pub mod table;
pub mod time;

use crate::record::{Direction, Nanos, Task};

/// When something happened and who did it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Time.
    pub at: Nanos,
    /// Thread whose call moved the bytes.
    pub task: Task,
    /// The runtime's task that made that call, 0 when none is known.
    pub fiber: u64,
    /// Offset in its direction of the byte that is meant.
    pub offset: u64,
}

/// What happens on a connection, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Bytes of one call, contiguous with what came before in this direction.
    Bytes {
        /// Which way.
        direction: Direction,
        /// The bytes; `moment.offset` is that of the first.
        bytes: &'a [u8],
        /// Of the call.
        moment: Moment,
        /// How far the opposite direction had come.
        opposite: u64,
        /// The first byte is the first of its call.
        call_start: bool,
    },
    /// Bytes that were moved but not seen.
    Gap {
        /// Which way.
        direction: Direction,
        /// How many.
        missing: u64,
        /// `moment.offset` is that of the first missing byte.
        moment: Moment,
    },
    /// Bytes were moved that cannot be told yet: the other direction has not come so far. They
    /// follow, or a gap does.
    Waiting {
        /// Of the call.
        moment: Moment,
    },
    /// No more bytes come in this direction.
    End {
        /// Which way.
        direction: Direction,
        /// When.
        moment: Moment,
    },
    /// The connection is no longer followed, ended or not: always the last piece.
    Forgotten {
        /// When.
        moment: Moment,
    },
    /// Bytes came twice or out of order: sync cannot be kept.
    Torn {
        /// Which way.
        direction: Direction,
        /// When.
        moment: Moment,
    },
}
