//! Node.js: which stream of a connection of HTTP/2 the running code continues, and who asks for one.
//!
//! One call may read frames of many streams. Node.js enters JavaScript for one after the other, and each
//! time runs all ticks and microtasks before it goes on: so the *event* becomes narrower, one for each
//! stream that is heard of. When all is told, nobody is current.
//!
//! A session that waits until its answers are written keeps what it has read. Then it goes on among what the
//! loop does for many: there ticks come at the end, all together, so that the ids of what was made
//! tell whose they are, and what runs at once is nobody's. Where JavaScript is around that feeds
//! the session itself, nobody is current.
//!
//! What is sent for all streams is sent by the loop; a stream that ends there is nobody's, or its own
//! resource's: that is made before the stream is told of, and for it.
//!
//! The client's JavaScript makes a resource for each request and asks for its stream in the scope of
//! that, at once or when the connection is there: so whoever made the resource asks.
//!
//! A session names its connection by itself: it holds the stream that it reads from, whose table of
//! virtual functions tells whether that is a socket's or TLS upon one. Where the loop has just read,
//! it must be that connection.

use agent_common::record::{STREAM_ANSWERED, STREAM_ASKED, STREAM_HEARD};
use agent_common::runtime::{NOWHERE, Runtime, node as at};

use crate::kernel::read_user;
use crate::maps::NodeThread;
use crate::probes::node::{depth, fresh_event, log, made_by, makers, newest, of, thread, turn};
use crate::probes::{file, go};

/// Most streams upon each other: TLS within TLS within a socket.
const LAYERS: u32 = 3;

/// Kinds of frames: those that JavaScript hears of as of a stream.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
/// It hears nothing of these.
const WINDOW_UPDATE: u8 = 8;
/// Of [`Frame::category`]: a request begins.
const REQUEST: u32 = 0;

/// `nghttp2_frame` of `nghttp2.h`, a public struct: its head, and if it is a `nghttp2_headers` the
/// rest of it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Frame {
    len: u64,
    stream: u32,
    kind: u8,
    flags: u8,
    reserved: [u8; 2],
    padding: u64,
    priority: [u64; 2],
    fields: [u64; 2],
    category: u32,
}

/// A whole frame was read, of which JavaScript is told now; bytes of a body were told before.
#[inline(always)]
pub fn frame(runtime: &Runtime, session: u64, frame: u64) -> Option<()> {
    let frame: Frame = read_user(frame)?;
    match frame.kind {
        WINDOW_UPDATE => {}
        HEADERS => heard(runtime, session, frame.stream, frame.category == REQUEST),
        DATA | RESET => heard(runtime, session, frame.stream, false),
        _ => heard(runtime, session, 0, false),
    }
    Some(())
}

/// JavaScript is told of stream `stream` now, or of what is of none if that is 0; `begins`: of its
/// beginning, as a request.
#[inline(always)]
pub fn heard(runtime: &Runtime, session: u64, stream: u32, begins: bool) {
    let Some(thread) = thread(false) else { return };
    let mut event = 0;
    let depth = depth(thread, runtime);
    if stream != 0 && is_loop(thread, depth) && feeds(thread, runtime, session) {
        event = if thread.stream == u64::from(stream) {
            thread.heard
        } else {
            fresh_event()
        };
        if thread.stream != u64::from(stream) {
            go::tell(STREAM_HEARD, thread.carrier, stream, event);
        }
    }
    if thread.makers != 0 {
        thread.resume = 1;
    }
    if event == 0 {
        turn(thread, 0);
        return;
    }
    let after = made_before(thread, begins);
    if depth == Some(0) {
        log(thread, after, event);
        turn(thread, event);
    } else {
        turn(thread, 0);
        log(thread, after, event);
    }
    thread.stream = u64::from(stream);
    thread.heard = event;
}

/// No JavaScript is around what runs, nor anything but what the loop itself does for many.
#[inline(always)]
fn is_loop(thread: &NodeThread, depth: Option<u32>) -> bool {
    match depth {
        Some(0) => true,
        Some(1) if thread.makers | thread.resume as u32 != 0 && thread.microtasks == 0 => {
            read_user::<u64>(thread.ids) == Some(0)
        }
        _ => false,
    }
}

/// The newest id before that of what is heard of: a stream that `begins` has just been made itself.
#[inline(always)]
fn made_before(thread: &mut NodeThread, begins: bool) -> u64 {
    let newest = newest(thread);
    let before = previous(newest);
    if begins && newest != 0 && thread.last.after < before {
        before
    } else {
        newest
    }
}

/// A number behind which `id` is the next one: ids are integers, their doubles ordered like their bits.
#[inline(always)]
fn previous(id: u64) -> u64 {
    let exponent = (id >> 52).wrapping_sub(1023);
    id.wrapping_sub(1 << (52_u64.wrapping_sub(exponent) & 63))
}

/// Frames are given to `session`, whose connection is known.
#[inline(always)]
fn feeds(thread: &mut NodeThread, runtime: &Runtime, session: u64) -> bool {
    if thread.session == session {
        return true;
    }
    let Some(carrier) = connection(runtime, session) else {
        return false;
    };
    if thread.reading != 0 && thread.reading != carrier {
        return false;
    }
    thread.session = session;
    thread.carrier = carrier;
    thread.stream = 0;
    true
}

/// Among what is read something is sent, for whomever.
#[inline(always)]
pub fn sends() {
    if let Some(thread) = thread(false)
        && thread.session != 0
    {
        turn(thread, 0);
    }
}

/// All that was read is told.
#[inline(always)]
pub fn told() {
    let Some(thread) = thread(false) else { return };
    if thread.resume != 0 {
        makers();
    } else if thread.makers == 0 && thread.reading | thread.session != 0 {
        thread.session = 0;
        turn(thread, 0);
    }
}

/// Stream `stream` of `session` is over: its last frame was heard, or sent. Among callbacks of many it
/// is the stream's own resource that tells.
#[inline(always)]
pub fn over(session: u64, stream: u32) {
    let Some(thread) = thread(false) else { return };
    let known = thread.session == session && thread.stream == u64::from(stream);
    if !known && thread.makers == 0 {
        turn(thread, 0);
    }
}

/// Stream `stream` of `session` is asked for.
#[inline(always)]
pub fn asked(runtime: &Runtime, session: u64, stream: u32) -> Option<()> {
    let asker = asker(thread(false)?);
    if asker != 0 {
        go::tell(STREAM_ASKED, connection(runtime, session)?, stream, asker);
    }
    Some(())
}

/// The request of stream `stream` of `session` is answered.
#[inline(always)]
pub fn answered(runtime: &Runtime, session: u64, stream: u32) -> Option<()> {
    let task = of(thread(false)?);
    if task != 0 {
        go::tell(STREAM_ANSWERED, connection(runtime, session)?, stream, task);
    }
    Some(())
}

/// The task that made the resource in whose scope the current thread runs.
#[inline(always)]
fn asker(thread: &NodeThread) -> u64 {
    if thread.ids != 0
        && thread.microtasks == 0
        && let Some([id, trigger]) = read_user::<[u64; 2]>(thread.ids)
        && id != 0
        && id <= thread.since
    {
        // It had to wait for the connection.
        return made_by(thread, id, trigger);
    }
    of(thread)
}

/// Id of the connection under `session`.
#[inline(always)]
fn connection(runtime: &Runtime, session: u64) -> Option<u64> {
    if runtime.at[at::SESSION] == NOWHERE {
        return None;
    }
    let mut stream: u64 = read_user(session.wrapping_add(runtime.at[at::SESSION]))?;
    let mut i = 0;
    while i < LAYERS {
        let table: u64 = read_user(stream)?;
        let kind: u64 = read_user(table.wrapping_add(runtime.at[at::DESCRIPTOR]))?;
        if kind == runtime.at[at::SOCKET] {
            let handle: u64 = read_user(stream.wrapping_add(runtime.at[at::HANDLE]))?;
            let fd: u32 = read_user(handle.wrapping_add(runtime.at[at::FD]))?;
            return go::connection(file::socket_of(u64::from(fd))?);
        }
        if kind != runtime.at[at::TLS] {
            return None;
        }
        stream = read_user(stream.wrapping_add(runtime.at[at::BELOW]))?;
        i += 1;
    }
    None
}
