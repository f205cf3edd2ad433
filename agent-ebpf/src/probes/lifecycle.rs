//! A TCP socket changed its state.

use agent_common::record::{END_BOTH, END_SENT, ENDED, Ended};

use crate::emit::{emit, header};
use crate::kernel::{offset, read};
use crate::maps::{CONNECTING, CONNECTIONS};
use crate::probes::connection::{self, RCV_SHUTDOWN, SEND_SHUTDOWN};
use crate::probes::fiber;
use crate::probes::socket_io::watched;

// States of `net/tcp_states.h`.
const ESTABLISHED: i32 = 1;
const SYN_SENT: i32 = 2;
const FIN_WAIT2: i32 = 5;
const CLOSE: i32 = 7;
const CLOSE_WAIT: i32 = 8;
const CLOSING: i32 = 11;

/// No socket holds so many bytes, `tcp_rmem` being an `int`.
const MOST_UNREAD: u32 = i32::MAX as u32;

/// The process has closed `sk`, or both directions have ended.
#[inline(always)]
fn is_shut(sk: u64) -> bool {
    connection::is_shut(sk, RCV_SHUTDOWN | SEND_SHUTDOWN)
}

/// `sk` goes from `old` to `new`. Only a `connect` runs in the task that owns the socket; all
/// else may run in any task's context, so only known sockets are looked at.
#[inline(always)]
pub fn state_changed(sk: u64, old: i32, new: i32) {
    if new == SYN_SENT {
        if let Some(watch) = watched() {
            let _ = CONNECTING.insert(sk, fiber::connector(watch), 0);
        }
        return;
    }
    if new == CLOSE {
        let _ = CONNECTING.remove(sk);
    }
    let Some(found) = CONNECTIONS.get_ptr(sk) else {
        return;
    };
    // SAFETY: a live map value.
    let known = unsafe { *found };
    let was_open = old == ESTABLISHED || old == CLOSE_WAIT;
    let which = match new {
        CLOSE => END_BOTH,
        CLOSE_WAIT => return,
        // The process closed it, so it reads no more either, whatever still arrives.
        _ if was_open && is_shut(sk) => END_BOTH,
        _ if was_open => END_SENT,
        _ => return,
    };
    let unread = if new == CLOSE {
        left(sk, old, known.inode)
    } else {
        0
    };
    let mut head = header(ENDED, size_of::<Ended>());
    // A segment that arrives is handled in whatever task the CPU runs.
    head.tgid = 0;
    head.tid = 0;
    emit(&Ended {
        header: head,
        conn: known.id,
        sent: known.next[0],
        received: known.next[1],
        which,
        unread,
    });
    if new == CLOSE && unread == 0 {
        let _ = CONNECTIONS.remove(sk);
    }
}

/// Bytes that have arrived on `sk` and that its process may still read, although it goes from `old`
/// to `CLOSE`: the peer has reset the connection, or ended it after the process had ended its own
/// direction. A process that closes the socket reads nothing more.
#[inline(always)]
fn left(sk: u64, old: i32, inode: u64) -> u32 {
    let half_closed = old == FIN_WAIT2 || old == CLOSING;
    // Closed by the process before, no file is behind it any more.
    if (is_shut(sk) && !half_closed) || connection::inode(sk) != Some(inode) {
        return 0;
    }
    let arrived: u32 = read(sk, offset!(tcp_rcv_nxt)).unwrap_or(0);
    let taken: u32 = read(sk, offset!(tcp_copied_seq)).unwrap_or(0);
    let unread = arrived.wrapping_sub(taken);
    // More than any buffer holds: not all of that was read.
    if arrived == 0 || unread > MOST_UNREAD {
        return 0;
    }
    // The end of the stream counts as a byte.
    let ended = connection::is_shut(sk, RCV_SHUTDOWN);
    unread.saturating_sub(u32::from(ended))
}
