//! Bytes went over a socket.

use agent_common::conn::{RECEIVED, SENT};
use agent_common::loss::Loss;
use agent_common::record::{
    CHUNK, CHUNK_BYTES, CHUNK_FAULT, CHUNK_FIBER, CHUNK_NO_BUFFER, CHUNK_SEQUENCED, Chunk,
    END_RECEIVED, ENDED, Ended, FIBER_OBJECT, FIBER_THREAD,
};
use agent_common::watch::{Policy, RUSTLS, TLS, WATCH};
use rules::rules::{FLAGS_NO_BYTES, Layout, NO_CALL, copy, flags_argument, layout};

use crate::emit::{emit, emit_bytes, header, lost};
use crate::kernel::{copy_user, opaque, read_user, task_id, tgid};
use crate::maps::{
    BATCHES, Batch, CONNECTIONS, Call, FLAG_ASKED, FLAG_READ_TO_END, FLAG_TCP, Moving, POLICY,
    SCRATCH, WATCHED,
};
use crate::probes::connection::{self, Socket};
use crate::probes::rustls::rustls_moved;
use crate::probes::tls::tls_nested;
use crate::probes::{fiber, native};

/// `EAGAIN` of `asm-generic/errno-base.h`: nothing was there to read, and nothing follows.
pub const EAGAIN: i32 = 11;
/// Most buffers of one call that are looked at: gRPC's C core gives a call one for each text of a
/// head, two dozen for a request, and 260 at most; Node's writes the frames of all requests at once.
const BUFFERS: u64 = 260;
/// Most bytes of one chunk, as the verifier's type.
const BYTES: u64 = CHUNK_BYTES as u64;

/// The `watch::*` bits of the current process; `None` when it is not watched.
#[inline(always)]
pub fn watched() -> Option<u32> {
    // SAFETY: a map value read once; it may change, which is harmless.
    let flags = *unsafe { WATCHED.get(tgid()) }?;
    if flags & WATCH != 0 {
        Some(flags)
    } else {
        None
    }
}

/// `len` bytes went over `sk` in `direction`, moved by `call` of the current task, whose process
/// has the `watch::*` bits `watch`. `flags` are the call's `MSG_*`.
#[inline(always)]
pub fn moved(sk: u64, direction: u16, len: i32, call: &Call, flags: u64, watch: u32) {
    if flags & FLAGS_NO_BYTES != 0 {
        return;
    }
    if len <= 0 && direction == RECEIVED as u16 && len != -EAGAIN {
        fiber::read_nothing(watch);
    }
    if len < 0 {
        return;
    }
    if len == 0 {
        if direction == RECEIVED as u16 {
            read_to_end(sk);
        }
        return;
    }
    let len = len as u32;
    let Some(socket) = Socket::of(sk) else { return };
    let Some(found) = connection::find(&socket, direction, len) else {
        return;
    };
    // SAFETY: a live map value; two CPUs may write at once, which costs at most a few bytes
    // copied more or less, as offsets come from the socket itself.
    let connection = unsafe { &mut *found };
    let connector = connection::announce(&socket, connection, direction, len);
    if connector != 0 {
        connection.connector = connector;
    }
    let opposite = connection::opposite(&socket, connection, direction);
    let offset = connection::advance(&socket, connection, direction, len);
    let want = budget(
        connection.id,
        &mut connection.turn,
        &mut connection.left,
        direction,
        len,
    );
    let Some(moving) = Moving::of(direction.into()) else {
        return;
    };
    *moving = Moving {
        call: *call,
        sk,
        conn: connection.id,
        connector,
        len,
        flags: connection.flags,
    };
    if watch & TLS != 0 {
        tls_nested(direction.into());
    }
    if watch & RUSTLS != 0 && call.nr != NO_CALL {
        rustls_moved(direction.into());
    }

    let Some(scratch) = SCRATCH.get_ptr_mut(direction as u32) else {
        return;
    };
    // SAFETY: this CPU's own slot for this direction.
    let scratch = unsafe { &mut *scratch };
    let mut bits = if connection.flags & FLAG_TCP != 0 {
        CHUNK_SEQUENCED
    } else {
        0
    };
    // What was moved for an earlier call is not for the task that runs now.
    let mut fiber = 0;
    if call.nr != NO_CALL {
        fiber = fiber::current(watch, direction);
    }
    let answers = connection.flags & FLAG_ASKED != 0 && native::is_virtual(fiber);
    let known = fiber != 0 && fiber & (FIBER_THREAD | FIBER_OBJECT) == 0 || answers;
    if direction == SENT as u16 && !known && call.nr != NO_CALL {
        fiber = native::unknown(moving.sk, fiber);
    }
    if fiber != 0 {
        bits |= CHUNK_FIBER;
    }
    let captured = if want == 0 {
        0
    } else {
        let gathered = gather_call(direction.into(), want.into());
        bits |= (gathered >> 32) as u16;
        gathered as u32
    };
    if captured < len {
        lost(if bits & CHUNK_NO_BUFFER != 0 {
            Loss::NoBuffer
        } else if bits & CHUNK_FAULT != 0 {
            Loss::Fault
        } else {
            Loss::Cut
        });
    }
    scratch.head = Chunk {
        header: header(CHUNK, size_of::<Chunk>() + captured as usize),
        conn: connection.id,
        offset,
        opposite,
        fiber,
        len,
        captured,
        direction,
        flags: bits,
        syscall: call.nr as u32,
    };
    let captured = opaque(u64::from(captured));
    if captured > BYTES {
        return;
    }
    emit_bytes(
        (&raw const *scratch).cast(),
        size_of::<Chunk>() as u64 + captured,
    );
    fiber::served(watch, fiber, moving.sk, connection);
}

/// Address of the first byte that `call` moved; 0 when that is not told.
#[inline(always)]
pub fn first_byte(call: &Call) -> u64 {
    let pointer = call.args[1];
    let vector = match layout(call.nr) {
        Layout::Buffer => return pointer,
        Layout::Vector => pointer,
        Layout::Message => message(pointer).0,
        Layout::Batch | Layout::Nowhere => return 0,
    };
    read_user(vector).unwrap_or(0)
}

/// Where the buffers of `call` are listed, and how many there are; of a single buffer its address and
/// none.
#[inline(always)]
pub fn vector(call: &Call) -> (u64, u64) {
    match layout(call.nr) {
        Layout::Buffer => (call.args[1], 0),
        Layout::Vector => (call.args[1], call.args[2]),
        Layout::Message => message(call.args[1]),
        Layout::Batch | Layout::Nowhere => (0, 0),
    }
}

/// How many bytes of a call of `len` bytes to copy, by the policy of connection or session `id`;
/// moves its turn, of which `left` bytes are still to be copied.
#[inline(always)]
pub fn budget(id: u64, turn: &mut u16, left: &mut u32, direction: u16, len: u32) -> u32 {
    // SAFETY: a map value that user space may replace, read once.
    let policy = unsafe { POLICY.get(id) }
        .copied()
        .unwrap_or(Policy::DEFAULT);
    if *turn != direction {
        *turn = direction;
        *left = policy.turn;
    }
    let rest = if *left < policy.turn {
        *left
    } else {
        policy.turn
    };
    let want = copy(len, rest, policy);
    *left = rest.saturating_sub(want);
    want
}

/// The process read the end of the stream of `sk`.
#[inline(always)]
fn read_to_end(sk: u64) {
    let Some(found) = CONNECTIONS.get_ptr_mut(sk) else {
        return;
    };
    // SAFETY: as in `moved`.
    let connection = unsafe { &mut *found };
    if connection.flags & FLAG_READ_TO_END != 0 || connection::inode(sk) != Some(connection.inode) {
        return;
    }
    connection.flags |= FLAG_READ_TO_END;
    emit(&Ended {
        header: header(ENDED, size_of::<Ended>()),
        conn: connection.id,
        sent: connection.next[SENT as usize],
        received: connection.next[RECEIVED as usize],
        which: END_RECEIVED,
        unread: 0,
    });
}

/// An `iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Buffer {
    base: u64,
    len: u64,
}

/// Copies up to `want` bytes of what the current call moved into the scratch of `direction`; answers how
/// many, with `CHUNK_*` bits in the upper half. A function of its own, as there are many ways through it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn gather_call(direction: u64, want: u64) -> u64 {
    let Some(moving) = Moving::of(direction) else {
        return 0;
    };
    let Some(scratch) = SCRATCH.get_ptr_mut(direction as u32) else {
        return 0;
    };
    // SAFETY: this CPU's own slot for this direction, which `moved` lends while this runs.
    let to = unsafe { (&raw mut (*scratch).bytes).cast::<u8>() };
    let mut bits = 0;
    let filled = gather(to, moving, direction, want, &mut bits);
    u64::from(bits) << 32 | filled
}

#[inline(always)]
fn gather(to: *mut u8, moving: &Moving, direction: u64, want: u64, bits: &mut u16) -> u64 {
    let call = &moving.call;
    let pointer = call.args[1];
    let (vector, count) = match layout(call.nr) {
        Layout::Buffer => {
            let len = opaque(want);
            if len > BYTES || !copy_user(to, len, pointer) {
                *bits |= CHUNK_FAULT;
                return 0;
            }
            return len;
        }
        Layout::Vector => (pointer, call.args[2]),
        Layout::Message => message(pointer),
        Layout::Batch => match batch(pointer, call.args[2], moving.len) {
            Some(index) => message(pointer + u64::from(index) * MMSGHDR),
            None => (0, 0),
        },
        Layout::Nowhere => {
            *bits |= CHUNK_NO_BUFFER;
            return 0;
        }
    };
    let filled = gather_vector(direction, vector, count, want);
    if filled == 0 {
        *bits |= CHUNK_FAULT;
    }
    filled
}

/// `msg_iov` and `msg_iovlen` of a user `struct msghdr` (at 16 and 24 on 64 bits).
#[inline(always)]
fn message(header: u64) -> (u64, u64) {
    let vector = read_user(header + 16).unwrap_or(0);
    (vector, read_user(header + 24).unwrap_or(0))
}

/// Bytes of a user `struct mmsghdr`: a `msghdr` of 56, `msg_len` at 56, padding.
const MMSGHDR: u64 = 64;

/// Which message of a batch call at `vector` has just been moved. The kernel writes `msg_len` of
/// each message behind it: the one before must hold what was moved before.
#[inline(always)]
fn batch(vector: u64, count: u64, moved: u32) -> Option<u32> {
    let id = task_id();
    let mut index = 0;
    // SAFETY: a map value of this thread's own.
    if let Some(before) = unsafe { BATCHES.get(id) } {
        let next = before.index + 1;
        if before.vector == vector && u64::from(next) < count {
            let written: u32 = read_user(vector + u64::from(before.index) * MMSGHDR + 56)?;
            if written == before.last {
                index = next;
            }
        }
    }
    let state = Batch {
        vector,
        index,
        last: moved,
    };
    if BATCHES.insert(id, state, 0).is_err() {
        lost(Loss::Message);
    }
    Some(index)
}

/// Copies from the `count` `iovec`s at `vector`, in order, up to `want` bytes, into the scratch of
/// `direction`; answers how many.
#[inline(always)]
fn gather_vector(direction: u64, vector: u64, count: u64, want: u64) -> u64 {
    let count = if count < BUFFERS { count } else { BUFFERS };
    let mut filled = 0u64;
    let mut first = 0u64;
    while first < BUFFERS {
        if first >= count || filled >= want {
            break;
        }
        let some = count - first;
        let next = gather_some(direction, vector + first * IOVEC, some, want, filled);
        filled = next & !ENDED_EARLY;
        if next != filled {
            break;
        }
        first += SOME;
    }
    if filled > BYTES { BYTES } else { filled }
}

/// Buffers that [`gather_some`] looks at.
const SOME: u64 = 20;
/// In the answer of [`gather_some`]: a buffer could not be read.
const ENDED_EARLY: u64 = 1 << 63;
/// Bytes of an `iovec`.
const IOVEC: u64 = size_of::<Buffer>() as u64;

/// The same for the first [`SOME`] of the buffers, behind the `filled` bytes that are there; answers how
/// many there are then. A function by itself, which the verifier goes through once, and not for each
/// buffer that there may be, on every path that leads here.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn gather_some(direction: u64, vector: u64, count: u64, want: u64, filled: u64) -> u64 {
    let Some(scratch) = SCRATCH.get_ptr_mut(direction as u32) else {
        return ENDED_EARLY;
    };
    // SAFETY: as in `gather_call`.
    let bytes = unsafe { (&raw mut (*scratch).bytes).cast::<u8>() };
    let mut filled = filled;
    let mut i = 0u64;
    while i < SOME {
        if i >= count || filled >= want {
            break;
        }
        let Some(buffer) = read_user::<Buffer>(vector + i * IOVEC) else {
            return filled | ENDED_EARLY;
        };
        let rest = want - filled;
        let len = opaque(if buffer.len < rest { buffer.len } else { rest });
        let at = opaque(filled);
        if len > BYTES || at >= BYTES {
            return filled | ENDED_EARLY;
        }
        // SAFETY: `at` is below the chunk's size, the scratch has room for two.
        let to = unsafe { bytes.add(at as usize) };
        if !copy_user(to, len, buffer.base) {
            return filled | ENDED_EARLY;
        }
        filled = at + len;
        i += 1;
    }
    filled
}

/// `MSG_*` flags of `call`, where they are an argument.
#[inline(always)]
pub fn message_flags(call: &Call) -> u64 {
    match flags_argument(call.nr) {
        Some(2) => call.args[2],
        Some(3) => call.args[3],
        _ => 0,
    }
}
