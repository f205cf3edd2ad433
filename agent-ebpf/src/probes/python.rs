//! Which task of CPython makes a call, read from the process's own memory.
//!
//! From the outermost: the thread, by the root of its stack of frames (by its state before
//! CPython 3.11); the greenlet that runs on it; the `contextvars` context that was entered, which
//! asyncio gives each of its tasks for its own; and the work item of an executor that the thread
//! took up.

use agent_common::runtime::{NOWHERE, PYTHON, Runtime, python};

use crate::kernel::{offset, read, read_user, task, task_id};
use crate::maps::{InProcess, WRITTEN};
use crate::probes::{fiber, storage};

/// glibc, x86-64: `struct pthread.specific_1stblock`, pairs of sequence number and value.
const SPECIFIC: u64 = 0x310;
/// Keys of that block (`PTHREAD_KEY_2NDLEVEL_SIZE`).
const KEYS: u32 = 32;
/// Most chunks of a Python stack that are walked; each holds 16 KiB of frames.
const STACK_CHUNKS: u32 = 8;
/// `PyObject.ob_type`.
const TYPE: u64 = 8;
/// `PyTypeObject.tp_name`.
const NAME: u64 = 24;
/// `PyBytesObject.ob_sval`.
const BYTES: u64 = 32;
/// The class of what `concurrent.futures` puts into the queue of its threads.
const WORK_ITEM: [u8; 10] = *b"_WorkItem\0";

/// Who runs on this thread.
#[derive(Clone, Copy)]
pub struct Running {
    /// Its identity.
    pub own: u64,
    /// Neither a context nor a greenlet: the thread itself.
    pub is_thread: bool,
}

/// The task that makes a call, with the first byte that it sends at `sent`, or 0.
#[inline(always)]
pub fn current(runtime: &Runtime, sent: u64) -> Option<u64> {
    if sent != 0 && runtime.at[python::UVLOOP] != NOWHERE {
        let key = written(sent);
        // SAFETY: a map value read once.
        if let Some(writer) = unsafe { WRITTEN.get(key) } {
            let writer = *writer;
            let _ = WRITTEN.remove(key);
            return Some(writer);
        }
    }
    match python_task() {
        0 => None,
        task => Some(task),
    }
}

/// As [`acting`], 0 where there is none: a function of its own, as there are many ways through it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn python_task() -> u64 {
    fiber::runtime(PYTHON).and_then(acting).unwrap_or(0)
}

/// The task that runs on this thread, or the one that it works for.
#[inline(always)]
pub fn acting(runtime: &Runtime) -> Option<u64> {
    let running = running(runtime)?;
    let acting = fiber::acting(running.own);
    // uvloop reads and writes for all tasks on one thread, outside of any context: that thread
    // is nobody's.
    if acting == running.own && running.is_thread && runtime.at[python::UVLOOP] != NOWHERE {
        return None;
    }
    Some(acting)
}

/// Whoever runs on this thread.
#[inline(always)]
pub fn running(runtime: &Runtime) -> Option<Running> {
    let thread: u64 = read(task(), offset!(task_fsbase))?;
    let state = state(runtime, thread)?;
    let context: u64 = read_user(state.wrapping_add(runtime.at[python::CONTEXT]))?;
    if context != 0 {
        let entered: u32 = read_user(context.wrapping_add(runtime.at[python::ENTERED]))?;
        if entered == 1 {
            return Some(Running {
                own: context,
                is_thread: false,
            });
        }
    }
    if let Some(own) = greenlet(runtime, thread) {
        return Some(Running {
            own,
            is_thread: false,
        });
    }
    let own = if runtime.at[python::STACK] == NOWHERE {
        state
    } else {
        root(runtime, state)?
    };
    Some(Running {
        own,
        is_thread: true,
    })
}

/// `PyThreadState *` of the current thread. Threads of other libraries than glibc, and states of
/// builds that are laid out differently, do not name the thread and are none.
#[inline(always)]
fn state(runtime: &Runtime, thread: u64) -> Option<u64> {
    // `Py_tss_t { int _is_initialized; pthread_key_t _key; }`
    let [made, key]: [u32; 2] = read_user(runtime.at[python::KEY])?;
    if made != 1 || key >= KEYS {
        return None;
    }
    let state: u64 = read_user(thread + SPECIFIC + u64::from(key) * 16 + 8)?;
    if state == 0 {
        return None;
    }
    let of: u64 = read_user(state.wrapping_add(runtime.at[python::THREAD]))?;
    if of == thread { Some(state) } else { None }
}

/// The first chunk of the stack of frames, which each thread and each greenlet keeps as long as
/// it lives.
#[inline(always)]
fn root(runtime: &Runtime, state: u64) -> Option<u64> {
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

/// The greenlet that runs on this thread, unless it is the thread's own.
#[inline(always)]
fn greenlet(runtime: &Runtime, thread: u64) -> Option<u64> {
    if runtime.at[python::GREENLET_MODULE] == NOWHERE {
        return None;
    }
    let block = storage::of_module(thread, runtime.at[python::GREENLET_MODULE])?;
    let state: u64 = read_user(block.wrapping_add(runtime.at[python::GREENLET_STATE]))?;
    // 1: this thread has no greenlets.
    if state <= 1 {
        return None;
    }
    // `class ThreadState { main_greenlet; current_greenlet; ... }`
    let [main, current]: [u64; 2] = read_user(state)?;
    if current == 0 || current == main {
        None
    } else {
        Some(current)
    }
}

/// The object of `concurrent.futures` that `item` is: each is made for one call of `submit`, put
/// into a queue once and taken out once, so that it names that call.
#[inline(always)]
pub fn work_item(item: u64) -> Option<u64> {
    let class: u64 = read_user(item + TYPE)?;
    let name: u64 = read_user(class + NAME)?;
    let name: [u8; 10] = read_user(name)?;
    if name == WORK_ITEM { Some(item) } else { None }
}

/// The bytes of the object `data` were written by `writer`: the thread that runs the loop sends
/// them later.
#[inline(always)]
pub fn write(data: u64, writer: u64) {
    let _ = WRITTEN.insert(written(data + BYTES), writer, 0);
}

/// Bytes at `address`, sent by this thread.
#[inline(always)]
fn written(address: u64) -> InProcess {
    InProcess {
        tgid: task_id(),
        value: address,
    }
}
