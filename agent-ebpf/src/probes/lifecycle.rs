//! A TCP socket changed its state.

use agent_common::record::{END_BOTH, END_SENT, ENDED, Ended};

use crate::emit::{emit, header};
use crate::kernel::{offset, read};
use crate::maps::{CONNECTING, CONNECTIONS};
use crate::probes::fiber;
use crate::probes::socket_io::watched;

// States of `net/tcp_states.h`.
const ESTABLISHED: i32 = 1;
const SYN_SENT: i32 = 2;
const CLOSE: i32 = 7;
const CLOSE_WAIT: i32 = 8;

/// `SHUTDOWN_MASK` of `net/sock.h`: set by `close` before the state changes, while `shutdown` sets
/// one of its bits.
const SHUTDOWN_MASK: u8 = 3;

#[inline(always)]
fn is_shut(sk: u64) -> bool {
    let shut: u8 = read(sk, offset!(sock_shutdown)).unwrap_or(0);
    shut & SHUTDOWN_MASK == SHUTDOWN_MASK
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
    let connection = unsafe { *found };
    let was_open = old == ESTABLISHED || old == CLOSE_WAIT;
    let which = match new {
        CLOSE => END_BOTH,
        CLOSE_WAIT => return,
        // The process closed it, so it reads no more either, whatever still arrives.
        _ if was_open && is_shut(sk) => END_BOTH,
        _ if was_open => END_SENT,
        _ => return,
    };
    let mut head = header(ENDED, size_of::<Ended>());
    // A segment that arrives is handled in whatever task the CPU runs.
    head.tgid = 0;
    head.tid = 0;
    emit(&Ended {
        header: head,
        conn: connection.id,
        sent: connection.next[0],
        received: connection.next[1],
        which,
        reserved: 0,
    });
    if new == CLOSE {
        let _ = CONNECTIONS.remove(sk);
    }
}
