//! Which task of a language runtime makes a call: goroutine, coroutine, greenlet.
//!
//! Read from the process's own memory at the moment of the call, by the map `RUNTIMES`; nothing
//! is probed for it. Where tasks hand work to each other, the probes of `runtime` say on whose
//! behalf the current one works. Not here: how CPython's tasks are found.

use agent_common::conn::SENT;
use agent_common::record::{FIBER_THREAD, LINKED, Linked};
use agent_common::runtime::python as runtime_python;
use agent_common::runtime::{
    GO, JAVA, NGINX, NODE, NOWHERE, PYTHON, RUBY, Runtime, THREAD_LOCAL, go,
};
use agent_common::watch::FIBERS;

use crate::emit::{emit, header};
use crate::kernel::{read_user, tgid};
use crate::maps::{
    ADOPTED, Connection, FLAG_ASKED, FLAG_CLIENT, HANDED, InProcess, Moving, RUNTIMES,
};
use crate::probes::{java, native, node, python, ruby, socket_io};

/// The task on whose behalf the current thread moves bytes in `direction`; 0 when nothing names one.
/// `watch` holds the `watch::*` bits of the process.
#[inline(always)]
pub fn current(watch: u32, direction: u16) -> u64 {
    if watch & FIBERS == 0 {
        return 0;
    }
    current_task(direction.into())
}

/// The same, of a process whose runtime is known: a function of its own, as there are many ways through
/// it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn current_task(direction: u64) -> u64 {
    let Some(moving) = Moving::of(direction) else {
        return 0;
    };
    let sends = direction == u64::from(SENT);
    // SAFETY: a map value; user space replaces it as a whole and rarely.
    let Some(runtime) = (unsafe { RUNTIMES.get(tgid()) }) else {
        return 0;
    };
    let (call, sk) = (&moving.call, moving.sk);
    let asks = sends && moving.flags & FLAG_ASKED == 0;
    if runtime.kind == NODE {
        return if !sends {
            node::received(moving.conn, moving.flags)
        } else {
            // Whoever connected speaks first, if nobody else is known to.
            match node::current() {
                0 => moving.connector,
                task => task,
            }
        };
    }
    if moving.connector != 0 && sends {
        return moving.connector;
    }
    let found = match runtime.kind {
        GO => goroutine(runtime, call.r14).map(acting),
        PYTHON => {
            let sent = if sends {
                socket_io::first_byte(call)
            } else {
                0
            };
            python::current(runtime, sent)
        }
        THREAD_LOCAL => Some(native::by_thread_local(sk, asks)),
        NGINX => Some(native::nginx_client(call.args[0], sk).unwrap_or(native::nobody(sk))),
        RUBY => ruby::current(runtime),
        JAVA => match java::carried(asks) {
            None if native::steals() => Some(native::nobody(sk)),
            None if asks => java::current(),
            found => found,
        },
        _ => None,
    };
    found.unwrap_or(0)
}

/// The task on whose behalf the current thread moves bytes over TLS session `session`, carried by
/// socket `sk` with descriptor `fd`; `sk` is 0 where that is not known. `watch`: as above.
#[inline(always)]
pub fn of_plain(watch: u32, direction: u16, sk: u64, fd: u64, session: u64) -> u64 {
    let found = plain_task(watch, direction, sk, fd, session);
    let thread = found & FIBER_THREAD != 0;
    if direction != SENT as u16 || (found != 0 && !thread) {
        return found;
    }
    // As of what is sent in the clear; without a socket, what is given to the library now may be
    // sent by whoever is next.
    if sk != 0 {
        native::unknown(sk, found)
    } else if thread {
        found
    } else {
        native::nobody(session)
    }
}

#[inline(always)]
fn plain_task(watch: u32, direction: u16, sk: u64, fd: u64, session: u64) -> u64 {
    if watch & FIBERS == 0 {
        return 0;
    }
    task_of_plain(direction.into(), sk, fd, session)
}

/// As [`current_task`].
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn task_of_plain(direction: u64, sk: u64, fd: u64, session: u64) -> u64 {
    let sends = direction == u64::from(SENT);
    // SAFETY: a map value; user space replaces it as a whole and rarely.
    let Some(runtime) = (unsafe { RUNTIMES.get(tgid()) }) else {
        return 0;
    };
    let socket = if sk == 0 { session } else { sk };
    let found = match runtime.kind {
        // What the library gives was received in this very event.
        NODE if !sends => Some(node::event()),
        NODE => Some(node::current()),
        // uvloop hands on what it reads in a context that its connections share.
        PYTHON if !sends && runtime.at[runtime_python::UVLOOP] != NOWHERE => None,
        // Written by its task at once, also where a loop sends what is encrypted later.
        PYTHON => python::current(runtime, 0),
        // To whom a session leads is not looked at: what serves no client finds nothing.
        THREAD_LOCAL => Some(native::by_thread_local(socket, sends)),
        NGINX if sk == 0 => Some(native::nobody(socket)),
        NGINX => Some(native::nginx_client(fd, sk).unwrap_or(native::nobody(socket))),
        RUBY => ruby::current(runtime),
        JAVA => match java::carried(false) {
            None if native::steals() => Some(native::nobody(socket)),
            found => found,
        },
        _ => None,
    };
    found.unwrap_or(0)
}

/// The task that calls `connect` on the current thread, where it tells who uses the connection
/// first; 0 elsewhere.
#[inline(always)]
pub fn connector(watch: u32) -> u64 {
    if watch & FIBERS == 0 {
        return 0;
    }
    if runtime(NODE).is_some() {
        return node::connects();
    }
    native::connector().unwrap_or(0)
}

/// Reading failed, or came to the end: what follows is for no task.
#[inline(always)]
pub fn read_nothing(watch: u32) {
    if watch & FIBERS != 0 && runtime(NODE).is_some() {
        node::entered();
    }
}

/// The current thread moved bytes on socket `sk`, as `connection`, for `fiber`, and that is reported.
#[inline(always)]
pub fn served(watch: u32, fiber: u64, sk: u64, connection: &Connection) {
    let serves = connection.flags & FLAG_CLIENT == 0 || native::is_virtual(fiber);
    if watch & FIBERS != 0 && serves {
        java::served(fiber, sk, connection.id);
    }
}

/// The task that `own` works for at present: itself, if nobody handed it anything.
#[inline(always)]
pub fn acting(own: u64) -> u64 {
    if own == 0 {
        return 0;
    }
    // SAFETY: a map value read once.
    match unsafe { ADOPTED.get(in_process(own)) } {
        Some(other) => *other,
        None => own,
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

/// `object` is not what it was.
#[inline(always)]
pub fn forget(object: u64) {
    let _ = HANDED.remove(in_process(object));
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

/// As [`take`], of an object that is handed on once: its address may be another's afterwards.
#[inline(always)]
pub fn take_once(object: u64, fiber: u64) {
    take(object, fiber);
    let _ = HANDED.remove(in_process(object));
}

/// `maker` made the task `fiber`; 0 when that is nobody.
#[inline(always)]
pub fn made(fiber: u64, maker: u64) {
    // A new task has not been handed anything, whoever had its identity before.
    let _ = ADOPTED.remove(in_process(fiber));
    tell(LINKED, fiber, maker);
}

/// Reports what happened to task `fiber` because of `maker`.
#[inline(always)]
pub fn tell(kind: u32, fiber: u64, maker: u64) {
    emit(&Linked {
        header: header(kind, size_of::<Linked>()),
        fiber,
        maker,
    });
}
