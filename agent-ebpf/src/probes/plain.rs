//! Bytes before and after a TLS library's cipher: which session they belong to, where they stand in
//! it, what of them is copied.
//!
//! A session is an object of its library in a process, from the moment at which the object is made
//! to the next that is made at its address. Its connection is told once and stays. Whoever probes a
//! library says when sessions begin ([`begun`]), what moves over them ([`moved`]), and, where that
//! can be seen, which socket carries them ([`carried`]). Not here: any library.

use agent_common::conn::SENT;
use agent_common::loss::Loss;
use agent_common::record::{
    CHUNK_BYTES, CHUNK_FAULT, CHUNK_FIBER, CHUNK_NO_BUFFER, PLAIN, PLAIN_FRESH, PLAIN_KEY, Plain,
    RANDOM_BYTES, SECURED, Secured,
};
use agent_common::watch::Policy;

use crate::emit::{emit, header, lost, wakeup};
use crate::kernel::{copy_user, fresh_id, opaque, read_user};
use crate::maps::{RECORDS, SESSION_FRESH, SESSION_KEY, SESSION_TOLD, SESSIONS, Session};
use crate::probes::fiber::in_process;
use crate::probes::socket_io::budget;

/// The session of `object`; one that was not known is older than what is seen of it.
#[inline(always)]
pub fn session(object: u64) -> Option<&'static mut Session> {
    session_or(object, 0)
}

/// The session of `object`; one that was not known has `SESSION_*` bits `flags`.
#[inline(always)]
pub fn session_or(object: u64, flags: u16) -> Option<&'static mut Session> {
    let key = in_process(object);
    if let Some(found) = SESSIONS.get_ptr_mut(key) {
        // SAFETY: a live map value; a library lets one thread at a time move bytes one way.
        return Some(unsafe { &mut *found });
    }
    let _ = SESSIONS.insert(key, made(flags), 0);
    // SAFETY: as above.
    SESSIONS
        .get_ptr_mut(key)
        .map(|found| unsafe { &mut *found })
}

/// The library has made `object`, or made it as new: what was at its address is over.
#[inline(always)]
pub fn begun(object: u64) {
    let _ = SESSIONS.insert(in_process(object), made(SESSION_FRESH), 0);
}

/// `object` is no more.
#[inline(always)]
pub fn over(object: u64) {
    let _ = SESSIONS.remove(in_process(object));
}

#[inline(always)]
fn made(flags: u16) -> Session {
    Session {
        // Ids of connections have a CPU in the low byte, too: made at the same moment on the same
        // one, they cannot be.
        id: fresh_id(),
        conn: 0,
        sk: 0,
        next: [0; 2],
        left: Policy::DEFAULT.turn,
        fd: 0,
        turn: SENT as u16,
        flags,
        reserved: 0,
    }
}

/// `session` is carried by connection `conn` on socket `sk`, descriptor `fd`, unless another
/// connection is known to.
#[inline(always)]
pub fn carried(session: &mut Session, conn: u64, sk: u64, fd: u64) {
    if session.conn == 0 || session.conn == conn {
        session.conn = conn;
        session.sk = sk;
        session.fd = fd as u32;
    }
}

/// The connection of `session` can be found by the random number at `address` of its process's
/// memory. Told once.
#[inline(always)]
pub fn secured(session: &mut Session, address: u64) {
    if session.flags & SESSION_TOLD != 0 {
        return;
    }
    let Some(client_random) = read_user::<[u8; RANDOM_BYTES]>(address) else {
        return;
    };
    session.flags |= SESSION_TOLD;
    emit(&Secured {
        header: header(SECURED, size_of::<Secured>()),
        session: session.id,
        conn: session.conn,
        client_random,
    });
}

/// Plain bytes that one call has moved.
pub struct Moved {
    /// `SENT` or `RECEIVED`.
    pub direction: u16,
    /// Where they are in user memory; 0 when they never were there.
    pub buffer: u64,
    /// How many.
    pub len: u32,
    /// The runtime's task that made the call, 0 when none is known.
    pub fiber: u64,
}

/// `moved` went over `session`.
#[inline(always)]
pub fn moved(session: &mut Session, moved: &Moved) {
    let side = if moved.direction == SENT as u16 { 0 } else { 1 };
    let offset = session.next[side];
    session.next[side] = offset + u64::from(moved.len);
    let mut want = budget(
        session.id,
        &mut session.turn,
        &mut session.left,
        moved.direction,
        moved.len,
    );
    let mut flags = 0;
    if session.flags & SESSION_FRESH != 0 {
        flags |= PLAIN_FRESH;
    }
    if session.flags & SESSION_KEY != 0 {
        flags |= PLAIN_KEY;
    }
    if moved.fiber != 0 {
        flags |= CHUNK_FIBER;
    }
    if moved.buffer == 0 {
        flags |= CHUNK_NO_BUFFER;
        want = 0;
        lost(Loss::NoBuffer);
    } else if want < moved.len {
        lost(Loss::Cut);
    }
    let head = Plain {
        header: header(PLAIN, size_of::<Plain>() + want as usize),
        session: session.id,
        conn: session.conn,
        offset,
        opposite: session.next[1 - side],
        fiber: moved.fiber,
        len: moved.len,
        captured: want,
        direction: moved.direction,
        flags,
        reserved: 0,
    };
    if want <= SMALL as u32 {
        emit_plain::<SMALL>(head, moved.buffer);
    } else if want <= MEDIUM as u32 {
        emit_plain::<MEDIUM>(head, moved.buffer);
    } else {
        emit_plain::<CHUNK_BYTES>(head, moved.buffer);
    }
}

/// Room for bytes in records of three sizes: a uprobe may be interrupted by another task's on the
/// same CPU, so a record is put together in the ring itself, whose places are of fixed size.
const SMALL: usize = 432;
const MEDIUM: usize = 2000;

/// A record in the ring.
#[repr(C)]
struct Room<const N: usize> {
    head: Plain,
    bytes: [u8; N],
}

/// Emits `head` and what it says of the bytes at `buffer`, which is at most `N`.
#[inline(always)]
fn emit_plain<const N: usize>(mut head: Plain, buffer: u64) {
    let Some(mut entry) = RECORDS.reserve::<Room<N>>(0) else {
        lost(Loss::RingFull);
        return;
    };
    let room = entry.as_mut_ptr();
    let len = opaque(u64::from(head.captured));
    let whole = len <= N as u64 && {
        // SAFETY: `bytes` has `N` bytes, all of them in the reserved place.
        len == 0 || copy_user(unsafe { (&raw mut (*room).bytes).cast() }, len, buffer)
    };
    if !whole {
        head.flags |= CHUNK_FAULT;
        head.captured = 0;
        head.header.size = size_of::<Plain>() as u32;
        lost(Loss::Fault);
    }
    // SAFETY: the place is ours until it is submitted.
    unsafe { (*room).head = head };
    entry.submit(wakeup());
}
