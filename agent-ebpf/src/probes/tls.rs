//! Calls of TLS libraries written in C: from their beginning to their return, and the system calls
//! within them.
//!
//! What a call moved is known when it returns: a call that fails is made again with the same bytes.
//! The socket of a session is the one on which its own calls move TLS records; a callback may use
//! any other socket, and any other session, meanwhile. So the innermost call counts, and bytes that
//! begin no record are not its. Libraries that are given their bytes by the program (memory BIOs)
//! make no system call; their sessions are found by the ClientHello's random number, which holds
//! against what a callback may have done within their calls.

use agent_common::conn::{RECEIVED, SENT};
use agent_common::loss::Loss;
use agent_common::watch::{TLS, WATCH};

use crate::emit::lost;
use crate::kernel::{opaque, read_user, task_id, tgid};
use crate::maps::{
    CONNECTIONS, Moving, Session, TLS_DEPTH, TLS_THREADS, TlsCall, TlsThread, WATCHED,
};
use crate::probes::plain::{self, Moved};
use crate::probes::{fiber, socket_io};

/// [`TlsCall::direction`] of calls that move no plain bytes, such as handshakes.
pub const NEITHER: u64 = 2;

/// The `watch::*` bits of the current process, which calls a TLS library; `None` when it is not
/// watched.
#[inline(always)]
pub fn watched() -> Option<u32> {
    uses(TLS)
}

/// The same; `bit` of them says from now on that it uses a library of that kind.
#[inline(always)]
pub fn uses(bit: u32) -> Option<u32> {
    let flags = WATCHED.get_ptr_mut(tgid())?;
    // SAFETY: a live map value. User space replaces it as a whole; then the bit is set again by
    // the next call.
    unsafe {
        if *flags & WATCH == 0 {
            return None;
        }
        if *flags & bit == 0 {
            *flags |= bit;
        }
        Some(*flags)
    }
}

const NO_CALL: TlsCall = TlsCall {
    stack: 0,
    object: 0,
    buffer: 0,
    count: 0,
    direction: NEITHER,
};

/// A call begins on the current thread.
#[inline(always)]
pub fn called(call: TlsCall) {
    let id = task_id();
    let Some(found) = TLS_THREADS.get_ptr_mut(id) else {
        let mut thread = TlsThread {
            depth: 1,
            calls: [NO_CALL; TLS_DEPTH],
        };
        thread.calls[0] = call;
        if TLS_THREADS.insert(id, thread, 0).is_err() {
            lost(Loss::Pending);
        }
        return;
    };
    // SAFETY: a live map value that only its own thread writes.
    let thread = unsafe { &mut *found };
    // The stack grows down: calls that began below this one were left without a return.
    let mut i = 0;
    while i < TLS_DEPTH {
        match innermost(thread) {
            Some(above) if above.stack <= call.stack => thread.depth -= 1,
            // One way to read is made of another: the outer one tells.
            Some(above) if above.object == call.object && above.direction == call.direction => {
                return;
            }
            _ => break,
        }
        i += 1;
    }
    match place(thread, thread.depth) {
        Some(to) => {
            *to = call;
            thread.depth += 1;
        }
        None => lost(Loss::Pending),
    }
}

/// Call `index` of `thread`, from the outermost.
#[inline(always)]
fn place(thread: &mut TlsThread, index: u64) -> Option<&mut TlsCall> {
    let index = opaque(index);
    if index >= TLS_DEPTH as u64 {
        return None;
    }
    // SAFETY: below the number of calls.
    Some(unsafe { thread.calls.get_unchecked_mut(index as usize) })
}

/// The call that `thread` is in.
#[inline(always)]
fn innermost(thread: &mut TlsThread) -> Option<TlsCall> {
    place(thread, thread.depth.wrapping_sub(1)).map(|call| *call)
}

/// The call that began at stack pointer `stack` on the current thread returns.
#[inline(always)]
pub fn returned(stack: u64) -> Option<TlsCall> {
    let found = TLS_THREADS.get_ptr_mut(task_id())?;
    // SAFETY: as above.
    let thread = unsafe { &mut *found };
    let mut i = 0;
    while i < TLS_DEPTH {
        let call = innermost(thread)?;
        if call.stack > stack {
            return None;
        }
        thread.depth -= 1;
        if call.stack == stack {
            return Some(call);
        }
        i += 1;
    }
    None
}

/// The `call` of the current thread, in a process of `watch::*` bits `watch`, has moved `len`
/// bytes. `random`: where in the object the ClientHello's random number is found, if that is known.
#[inline(always)]
pub fn moved(call: &TlsCall, len: u32, watch: u32, random: Random) {
    if len == 0 || call.direction == NEITHER {
        return;
    }
    let Some(session) = plain::session(call.object) else {
        return;
    };
    let direction = call.direction as u16;
    if let Some(address) = random.address(call.object) {
        plain::secured(session, address);
    }
    let fiber = fiber_of(session, direction, watch);
    plain::moved(
        session,
        &Moved {
            direction,
            buffer: call.buffer,
            len,
            fiber,
        },
    );
}

/// The task on whose behalf the current thread moves bytes over `session`.
#[inline(always)]
pub fn fiber_of(session: &Session, direction: u16, watch: u32) -> u64 {
    let mut sk = 0;
    if session.sk != 0 {
        // SAFETY: a map value read once.
        if let Some(connection) = unsafe { CONNECTIONS.get(session.sk) } {
            if connection.id == session.conn {
                // Whoever connects is the first to use the connection: what its handshake moved
                // was for that.
                let first = direction == SENT as u16 && session.next[0] | session.next[1] == 0;
                if first && connection.connector != 0 {
                    return connection.connector;
                }
                sk = session.sk;
            }
        }
    }
    fiber::of_plain(watch, direction, sk, u64::from(session.fd), session.id)
}

/// Where a library keeps the ClientHello's random number, in numbers that fit into the cookie of a
/// probe: `object + last`, or, with `first`, `*(object + first - 1) + last`.
#[derive(Clone, Copy)]
pub struct Random {
    cookie: u64,
}

impl Random {
    /// As user space has told when the probe was attached.
    #[inline(always)]
    pub fn of(cookie: u64) -> Self {
        Self { cookie }
    }

    #[inline(always)]
    fn address(self, object: u64) -> Option<u64> {
        let (first, last) = (self.cookie >> 32, self.cookie & 0xffff_ffff);
        if last == 0 {
            return None;
        }
        let base = if first == 0 {
            object
        } else {
            read_user(object.wrapping_add(first - 1))?
        };
        Some(base.wrapping_add(last))
    }
}

/// The current thread moves bytes in `direction`: if a TLS library does and they begin a TLS record,
/// their connection carries its session. A function of its own, as there are many ways through it.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn tls_nested(direction: u64) -> u32 {
    let nested = Moving::of(direction).and_then(|moving| nested(moving));
    nested.map_or(0, |()| 1)
}

#[inline(always)]
fn nested(moving: &Moving) -> Option<()> {
    let found = TLS_THREADS.get_ptr_mut(task_id())?;
    // SAFETY: a live map value that only its own thread writes.
    let object = innermost(unsafe { &mut *found })?.object;
    let session = plain::session(object)?;
    if session.conn != 0 {
        return None;
    }
    let [kind, major, minor]: [u8; 3] = read_user(socket_io::first_byte(&moving.call))?;
    // change_cipher_spec, alert, handshake, application_data; SSL 3 to TLS 1.3.
    if !(0x14..=0x17).contains(&kind) || major != 3 || minor > 4 {
        return None;
    }
    plain::carried(session, moving.conn, moving.sk, moving.call.args[0]);
    Some(())
}

/// `SENT` and `RECEIVED` as [`TlsCall::direction`].
pub const SENDS: u64 = SENT as u64;
/// See [`SENDS`].
pub const RECEIVES: u64 = RECEIVED as u64;
