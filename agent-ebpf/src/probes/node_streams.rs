//! Node.js: which stream of a connection of HTTP/2 the running code continues, and who asks for one.
//!
//! One call may read frames of many streams. Node.js enters JavaScript for one after the other, and each
//! time runs all ticks and microtasks before it goes on: so the *event* becomes narrower, one for each
//! stream that is heard of. Where that is not as described (JavaScript is around, frames were kept for later,
//! the session is not that of the bytes) nobody is current.
//!
//! What is sent for all streams is sent by the loop. Before that, at the end of what was read, nobody is
//! current any more, and so it is where a stream ends among it.
//!
//! The client's JavaScript makes a resource for each request and asks for its stream in the scope of
//! that, at once or when the connection is there: so whoever made the resource asks.
//!
//! A session names its connection by itself: it holds the stream that it reads from, whose table of
//! virtual functions tells whether that is a socket's or TLS upon one.

use agent_common::record::{FIBER_ANSWER, STREAM_ASKED, STREAM_HEARD};
use agent_common::runtime::{NOWHERE, Runtime, node as at};

use crate::kernel::read_user;
use crate::maps::NodeThread;
use crate::probes::node::{depth, fresh_event, log, made_by, newest, of, thread, turn};
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

/// JavaScript is told of stream `stream` now, or of none if that is 0; `begins`: of its beginning,
/// as a request.
#[inline(always)]
pub fn heard(runtime: &Runtime, session: u64, stream: u32, begins: bool) {
    let Some(thread) = thread(false) else { return };
    let mut event = 0;
    if stream != 0 && depth(thread, runtime) == Some(0) && feeds(thread, runtime, session) {
        if thread.stream == u64::from(stream) {
            event = thread.event;
        }
        if event == 0 {
            event = fresh_event() | thread.read & FIBER_ANSWER;
            go::tell(STREAM_HEARD, thread.reading, stream, event);
            if begins {
                made_itself(thread, event);
            }
        }
    }
    turn(thread, event);
    if event != 0 {
        thread.stream = u64::from(stream);
    }
}

/// The newest resource is the stream that `event` is for, made before it.
#[inline(always)]
fn made_itself(thread: &mut NodeThread, event: u64) {
    let newest = newest(thread);
    let before = previous(newest);
    if newest != 0 && thread.last.after < before {
        log(thread, before, event);
    }
}

/// A number behind which `id` is the next one: ids are integers, their doubles ordered like their bits.
#[inline(always)]
fn previous(id: u64) -> u64 {
    let exponent = (id >> 52).wrapping_sub(1023);
    id.wrapping_sub(1 << (52_u64.wrapping_sub(exponent) & 63))
}

/// What the loop reads at present is given to `session`.
#[inline(always)]
fn feeds(thread: &mut NodeThread, runtime: &Runtime, session: u64) -> bool {
    if thread.reading == 0 {
        return false;
    }
    if thread.session != session {
        if connection(runtime, session) != Some(thread.reading) {
            return false;
        }
        thread.session = session;
        thread.stream = 0;
    }
    true
}

/// What was read has been told, or what is to be sent is sent in between: for whomever.
#[inline(always)]
pub fn sends() {
    if let Some(thread) = thread(false)
        && thread.reading != 0
    {
        turn(thread, 0);
    }
}

/// Stream `stream` of `session` is over: its last frame was heard, or sent. Among callbacks of many it
/// is the stream's own resource that tells.
#[inline(always)]
pub fn over(runtime: &Runtime, session: u64, stream: u32) {
    let Some(thread) = thread(false) else { return };
    if thread.makers != 0 {
        return;
    }
    let known = thread.reading != 0 && thread.session == session;
    if known && thread.stream == u64::from(stream) && depth(thread, runtime) == Some(0) {
        return;
    }
    turn(thread, 0);
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
