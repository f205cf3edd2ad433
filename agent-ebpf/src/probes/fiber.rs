//! Which task of a language runtime makes a call: goroutine, coroutine, greenlet.
//!
//! Read from the process's own memory at the moment of the call, by the map `RUNTIMES`; nothing
//! is probed for it. Where tasks hand work to each other, the probes of `runtime` say on whose
//! behalf the current one works.

use agent_common::record::{LINKED, Linked};
use agent_common::conn::RECEIVED;
use agent_common::runtime::{GO, NODE, NOWHERE, PYTHON, Runtime, go, python};
use agent_common::watch::FIBERS;

use crate::emit::{emit, header};
use crate::kernel::{offset, read, read_user, task, tgid};
use crate::maps::{ADOPTED, Connection, HANDED, InProcess, RUNTIMES};
use crate::probes::node;

/// glibc, x86-64: `struct pthread.specific_1stblock`, pairs of sequence number and value.
const SPECIFIC: u64 = 0x310;
/// Keys of that block (`PTHREAD_KEY_2NDLEVEL_SIZE`).
const KEYS: u32 = 32;
/// Most chunks of a Python stack that are walked; each holds 16 KiB of frames.
const STACK_CHUNKS: u32 = 8;

/// The task on whose behalf the current thread moves bytes in `direction` of `connection`; 0 when nothing names
/// one. `watch` holds the `watch::*` bits of the process.
#[inline(always)]
pub fn moving(watch: u32, r14: u64, direction: u16, connection: &Connection) -> u64 {
    if watch & FIBERS == 0 {
        return 0;
    }
    // SAFETY: a map value; user space replaces it as a whole and rarely.
    let Some(runtime) = (unsafe { RUNTIMES.get(tgid()) }) else {
        return 0;
    };
    if runtime.kind != NODE {
        return current(runtime, r14);
    }
    if direction == RECEIVED as u16 {
        node::received(connection)
    } else {
        node::current()
    }
}

/// The task on whose behalf the current thread connects, where its first bytes may go out on
/// nobody's.
#[inline(always)]
pub fn connecting(watch: u32) -> u64 {
    if watch & FIBERS == 0 || runtime(NODE).is_none() {
        return 0;
    }
    node::current()
}

/// Reading failed, or came to the end: what follows is for no task.
#[inline(always)]
pub fn read_nothing(watch: u32) {
    if watch & FIBERS != 0 && runtime(NODE).is_some() {
        node::entered();
    }
}

#[inline(always)]
fn current(runtime: &Runtime, r14: u64) -> u64 {
    let own = own(runtime, r14).unwrap_or(0);
    if own == 0 {
        return 0;
    }
    // SAFETY: a map value read once.
    match unsafe { ADOPTED.get(in_process(own)) } {
        Some(other) => *other,
        None => own,
    }
}

/// The task that runs on the current thread.
#[inline(always)]
fn own(runtime: &Runtime, r14: u64) -> Option<u64> {
    match runtime.kind {
        GO => goroutine(runtime, r14),
        PYTHON => python_task(runtime),
        _ => None,
    }
}

/// A key for the current process.
#[inline(always)]
pub fn in_process(value: u64) -> InProcess {
    InProcess {
        tgid: u64::from(tgid()),
        value,
    }
}

/// How the tasks of the current process are named, if it is a watched one of `kind`.
#[inline(always)]
pub fn runtime(kind: u32) -> Option<&'static Runtime> {
    // SAFETY: a map value; user space replaces it as a whole and rarely.
    let found = unsafe { RUNTIMES.get(tgid()) }?;
    if found.kind == kind {
        Some(found)
    } else {
        None
    }
}

/// Id of the goroutine `g`; the scheduler's own have none.
#[inline(always)]
pub fn goroutine(runtime: &Runtime, g: u64) -> Option<u64> {
    read_user(g.wrapping_add(runtime.at[go::GOID]))
}

/// Nobody known hands `object` on.
#[inline(always)]
pub fn unhand(object: u64) {
    let _ = HANDED.remove(in_process(object));
}

/// The current task handed `object` on.
#[inline(always)]
pub fn hand(object: u64, fiber: u64) {
    let _ = HANDED.insert(in_process(object), fiber, 0);
}

/// Who handed `object` on.
#[inline(always)]
pub fn handed(object: u64) -> Option<u64> {
    // SAFETY: a map value read once.
    unsafe { HANDED.get(in_process(object)) }.copied()
}

/// Task `fiber` took `object` up: it works for whoever handed it on, or for itself.
#[inline(always)]
pub fn take(object: u64, fiber: u64) {
    let key = in_process(fiber);
    // SAFETY: a map value read once.
    match unsafe { HANDED.get(in_process(object)) } {
        Some(other) => {
            let other = *other;
            let _ = ADOPTED.insert(key, other, 0);
        }
        None => {
            let _ = ADOPTED.remove(key);
        }
    }
}

/// `maker` made the task `fiber`.
#[inline(always)]
pub fn made(fiber: u64, maker: u64) {
    // A new task has not been handed anything, whoever had its identity before.
    let _ = ADOPTED.remove(in_process(fiber));
    emit(&Linked {
        header: header(LINKED, size_of::<Linked>()),
        fiber,
        maker,
    });
}

/// The Python task on this thread: the `contextvars` context that it was entered with, which
/// asyncio gives each of its tasks for its own; else the root of its stack of frames, which each
/// thread and each greenlet has for its own.
#[inline(always)]
pub fn python_task(runtime: &Runtime) -> Option<u64> {
    let state = python_state(runtime)?;
    let context: u64 = read_user(state.wrapping_add(runtime.at[python::CONTEXT]))?;
    if context != 0 {
        let entered: u32 = read_user(context.wrapping_add(runtime.at[python::ENTERED]))?;
        if entered == 1 {
            return Some(context);
        }
    }
    if runtime.at[python::STACK] == NOWHERE {
        return None;
    }
    let mut chunk: u64 = read_user(state.wrapping_add(runtime.at[python::STACK]))?;
    let mut i = 0;
    while i < STACK_CHUNKS {
        // `struct _PyStackChunk { struct _PyStackChunk *previous; ... }`
        let previous: u64 = read_user(chunk)?;
        if previous == 0 {
            return Some(chunk);
        }
        chunk = previous;
        i += 1;
    }
    None
}

/// `PyThreadState *` of the current thread.
#[inline(always)]
fn python_state(runtime: &Runtime) -> Option<u64> {
    // `Py_tss_t { int _is_initialized; pthread_key_t _key; }`
    let [made, key]: [u32; 2] = read_user(runtime.at[python::KEY])?;
    if made != 1 || key >= KEYS {
        return None;
    }
    let thread: u64 = read(task(), offset!(task_fsbase))?;
    let state: u64 = read_user(thread + SPECIFIC + u64::from(key) * 16 + 8)?;
    if state == 0 { None } else { Some(state) }
}
