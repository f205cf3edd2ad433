//! Decisions of the kernel side as plain functions: no maps, no helpers.

use agent_common::record::CHUNK_BYTES;
use agent_common::watch::Policy;

/// Where bytes of a call lie, by x86-64 system call number (`arch/x86/entry/syscalls`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `buf` is the second argument.
    Buffer,
    /// An array of `iovec` is the second argument, its length the third.
    Vector,
    /// A `msghdr` is the second argument.
    Message,
    /// An array of `mmsghdr` is the second argument, its length the third.
    Batch,
    /// The bytes never are in user memory, or the call is unknown.
    Nowhere,
}

/// Which way a system call moves bytes, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Sends,
    Receives,
    /// From the first argument to the third, either of which may be the socket.
    Splices,
    Neither,
}

/// Where the bytes of system call `nr` lie.
#[inline(always)]
pub const fn layout(nr: u64) -> Layout {
    match nr {
        0 | 1 | 44 | 45 => Layout::Buffer, // read write sendto recvfrom
        19 | 20 | 327 | 328 => Layout::Vector, // readv writev preadv2 pwritev2
        46 | 47 => Layout::Message,        // sendmsg recvmsg
        299 | 307 => Layout::Batch,        // recvmmsg sendmmsg
        _ => Layout::Nowhere,
    }
}

/// Is the system call in the saved registers under way? From its entry to its end `rax` holds
/// `-ENOSYS`, then its result. What moves bytes meanwhile for io_uring finds another value: work
/// that a task does on its way back to user space, and threads of the kernel, whose registers are
/// a copy of those of some other call.
#[inline(always)]
pub const fn is_under_way(rax: u64) -> bool {
    rax as i64 == -38
}

/// A number that no system call has.
pub const NO_CALL: u64 = u64::MAX;

/// Which way system call `nr` moves bytes on the socket in its first argument.
#[inline(always)]
pub const fn way(nr: u64) -> Way {
    match nr {
        1 | 20 | 40 | 44 | 46 | 307 | 328 => Way::Sends,
        0 | 19 | 45 | 47 | 299 | 327 => Way::Receives,
        275 => Way::Splices,
        _ => Way::Neither,
    }
}

/// Index of the argument of system call `nr` that holds `MSG_*` flags.
#[inline(always)]
pub const fn flags_argument(nr: u64) -> Option<usize> {
    match nr {
        45 | 299 => Some(3), // recvfrom recvmmsg
        47 => Some(2),       // recvmsg
        _ => None,
    }
}

/// `MSG_PEEK | MSG_TRUNC | MSG_ERRQUEUE`: bytes that stay in the queue, are thrown away, or are
/// no bytes of the stream.
pub const FLAGS_NO_BYTES: u64 = 0x2 | 0x20 | 0x2000;

/// Offset in 64 bits of the sequence number `seq`, near the last known offset `known`.
#[inline(always)]
pub const fn extend(known: u64, seq: u32) -> u64 {
    let drift = seq.wrapping_sub(known as u32) as i32;
    known.wrapping_add(drift as i64 as u64)
}

/// First offset for the sequence number `seq`: one turn above zero, so that bytes before it
/// still have an offset.
#[inline(always)]
pub const fn anchor(seq: u32) -> u64 {
    (1 << 32) | seq as u64
}

/// How many bytes of a call of `len` bytes to copy, given what is left of the turn.
#[inline(always)]
pub const fn copy(len: u32, left: u32, policy: Policy) -> u32 {
    let allowed = if left > policy.peek {
        left
    } else {
        policy.peek
    };
    let want = if len < allowed { len } else { allowed };
    if want < CHUNK_BYTES as u32 {
        want
    } else {
        CHUNK_BYTES as u32
    }
}

/// TCP counts the end of the stream as one byte. `copied_seq` has it included when the last
/// bytes and the end came in one segment.
#[inline(always)]
pub const fn without_fin(known: u64, end: u64, len: u32) -> u64 {
    if end.wrapping_sub(known) == len as u64 + 1 {
        end - 1
    } else {
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_follow_sequence_numbers_over_the_wrap() {
        let start = anchor(u32::MAX - 9);
        assert_eq!(extend(start, u32::MAX - 9), start);
        assert_eq!(extend(start, 90), start + 100);
        assert_eq!(extend(start + 100, u32::MAX - 9), start);
        assert_eq!(extend(anchor(5), 2), anchor(2));
    }

    #[test]
    fn the_end_of_a_stream_is_no_byte() {
        assert_eq!(without_fin(100, 151, 50), 150);
        assert_eq!(without_fin(100, 150, 50), 150);
        assert_eq!(without_fin(100, 160, 50), 160);
    }

    #[test]
    fn heads_are_copied_and_bodies_peeked() {
        let policy = Policy {
            turn: 16384,
            peek: 64,
        };
        assert_eq!(copy(100, 16384, policy), 100);
        assert_eq!(copy(100_000, 16384, policy), CHUNK_BYTES as u32);
        assert_eq!(copy(100_000, 10, policy), 64);
        assert_eq!(copy(5, 0, policy), 5);
        assert_eq!(copy(5, 0, Policy::COUNT), 0);
    }

    #[test]
    fn a_finished_call_has_no_buffer() {
        assert!(is_under_way(38u64.wrapping_neg()));
        // A result, a restart after a signal, a fresh thread.
        for rax in [1, 512u64.wrapping_neg(), 0] {
            assert!(!is_under_way(rax), "{rax}");
        }
        assert_eq!(layout(NO_CALL), Layout::Nowhere);
        assert_eq!(way(NO_CALL), Way::Neither);
    }

    #[test]
    fn every_call_with_a_buffer_has_a_way() {
        for nr in 0..512 {
            if layout(nr) != Layout::Nowhere {
                assert_ne!(way(nr), Way::Neither, "system call {nr}");
            }
        }
    }
}
