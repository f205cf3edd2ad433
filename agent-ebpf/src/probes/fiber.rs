//! Which task of a language runtime makes a call: goroutine, coroutine, greenlet.
//!
//! Read from the process's own memory at the moment of the call, by the map `RUNTIMES`; nothing
//! is probed for it. Where tasks hand work to each other, the probes of `runtime` say on whose
//! behalf the current one works.

use agent_common::record::{HANDED as GIVEN, LINKED, Linked};
use agent_common::runtime::{
    GO, JAVA, NGINX, NOWHERE, PYTHON, Runtime, THREAD_LOCAL, go, nginx, python, thread_local,
};
use agent_common::settings::ABSENT;
use agent_common::watch::FIBERS;

use crate::emit::{emit, header};
use crate::kernel::{offset, read, read_user, task, tgid};
use crate::maps::{ADOPTED, Call, HANDED, InProcess, RUNTIMES};

/// glibc, x86-64: `struct pthread.specific_1stblock`, pairs of sequence number and value.
const SPECIFIC: u64 = 0x310;
/// Keys of that block (`PTHREAD_KEY_2NDLEVEL_SIZE`).
const KEYS: u32 = 32;
/// Most chunks of a Python stack that are walked; each holds 16 KiB of frames.
const STACK_CHUNKS: u32 = 8;

/// The task on whose behalf the current thread makes `call` on socket `sk`; 0 when nothing names
/// one. `watch` holds the `watch::*` bits of the process.
#[inline(always)]
pub fn current(watch: u32, call: &Call, sk: u64) -> u64 {
    if watch & FIBERS == 0 {
        return 0;
    }
    // SAFETY: a map value; user space replaces it as a whole and rarely.
    let Some(runtime) = (unsafe { RUNTIMES.get(tgid()) }) else {
        return 0;
    };
    match runtime.kind {
        // Where nothing is known the socket stands for itself: it asks for nobody.
        THREAD_LOCAL => return thread_local_word(runtime).unwrap_or(sk),
        JAVA => return if steals() { sk } else { 0 },
        NGINX => return nginx_client(runtime, call.args[0], sk).unwrap_or(sk),
        _ => {}
    }
    let own = own(runtime, call.r14).unwrap_or(0);
    if own == 0 {
        return 0;
    }
    // SAFETY: a map value read once.
    match unsafe { ADOPTED.get(in_process(own)) } {
        Some(other) => *other,
        None => own,
    }
}

/// The task that calls `connect` on the current thread, where who connects is who uses the
/// connection first; 0 elsewhere.
#[inline(always)]
pub fn connector(watch: u32) -> u64 {
    if watch & FIBERS == 0 {
        return 0;
    }
    match runtime(THREAD_LOCAL) {
        Some(runtime) if runtime.at[thread_local::CONNECTS] == 1 => {
            thread_local_word(runtime).unwrap_or(0)
        }
        _ => 0,
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

/// The number in thread-local storage that names the current task.
#[inline(always)]
pub fn thread_local_word(runtime: &Runtime) -> Option<u64> {
    let thread: u64 = read(task(), offset!(task_fsbase))?;
    let mut word: u64 = read_user(thread.wrapping_add(runtime.at[thread_local::WORD]))?;
    if word != 0 && runtime.at[thread_local::INNER] != NOWHERE {
        word = read_user(word.wrapping_add(runtime.at[thread_local::INNER]))?;
    }
    if word == 0 { None } else { Some(word) }
}

/// The first field of an `ngx_http_request_t` ("HTTP") and of an `ngx_stream_session_t` ("STRM").
const HTTP: u32 = 0x5054_5448;
const STREAM: u32 = 0x4d52_5453;

/// nginx gives epoll the address of its `ngx_connection_t` for each socket, with a bit that tells
/// reuses. Its `data` is the request that it serves at present, which names its client's
/// connection: that stands for the request, on both sides. `fd` proves that this is nginx.
#[inline(always)]
fn nginx_client(runtime: &Runtime, fd: u64, sk: u64) -> Option<u64> {
    let connection = epoll_data(sk)? & !1;
    let known: u32 = read_user(connection.wrapping_add(runtime.at[nginx::FD]))?;
    if known != fd as u32 {
        return None;
    }
    let request: u64 = read_user(connection.wrapping_add(runtime.at[nginx::DATA]))?;
    let signature: u32 = match read_user(request) {
        Some(signature) => signature,
        None => return Some(connection),
    };
    if signature != HTTP && signature != STREAM {
        return Some(connection);
    }
    read_user(request.wrapping_add(runtime.at[nginx::CLIENT]))
}

/// What the process told epoll about socket `sk`; the first, if it waits for it in several places.
#[inline(always)]
fn epoll_data(sk: u64) -> Option<u64> {
    if offset!(epitem_link) == ABSENT {
        return None;
    }
    let item = epoll_link(sk)?.wrapping_sub(u64::from(offset!(epitem_link)));
    read(item, offset!(epitem_data))
}

/// The first link in the list of those that wait for socket `sk` by epoll:
/// `sk → socket → file → f_ep → link`, until 5.10 `file → f_ep_links`.
#[inline(always)]
fn epoll_link(sk: u64) -> Option<u64> {
    let socket: u64 = read(sk, offset!(sock_socket))?;
    let file: u64 = read(socket, offset!(socket_file))?;
    if offset!(file_ep) != ABSENT {
        let list: u64 = read(file, offset!(file_ep))?;
        let link: u64 = read(list, 0)?;
        return if link == 0 { None } else { Some(link) };
    }
    let link: u64 = read(file, offset!(file_ep_links))?;
    let end = file.wrapping_add(u64::from(offset!(file_ep_links)));
    if link == end { None } else { Some(link) }
}

/// Who sends on socket `sk` is told by nothing but its thread: a loop, if the socket is waited for
/// by epoll, whose thread sends for whoever is next. Then the socket stands for itself.
#[inline(always)]
pub fn unknown(sk: u64) -> u64 {
    match epoll_link(sk) {
        Some(_) => sk,
        None => 0,
    }
}

/// `maker` gave the task `fiber`, which waited for it, something to do.
#[inline(always)]
pub fn given(fiber: u64, maker: u64) {
    emit(&Linked {
        header: header(GIVEN, size_of::<Linked>()),
        fiber,
        maker,
    });
}

/// The current thread is named `ForkJoinPool...`: one that joins runs others' work meanwhile, and
/// one that carries virtual threads runs each for a while.
#[inline(always)]
fn steals() -> bool {
    let comm: [u8; 16] = read(task(), offset!(task_comm)).unwrap_or([0; 16]);
    let pool = b"ForkJoinPool";
    let mut i = 0;
    while i < pool.len() {
        if comm[i] != pool[i] {
            return false;
        }
        i += 1;
    }
    true
}
