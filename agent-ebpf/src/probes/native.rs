//! Tasks of compiled programs: tokio and HAProxy by thread-local storage, nginx by what it told
//! epoll; and threads that say nothing of whose work they do.

use agent_common::record::{FIBER_OBJECT, FIBER_VIRTUAL};
use agent_common::runtime::{NGINX, NOWHERE, Runtime, SOCKET, THREAD_LOCAL, nginx, thread_local};
use agent_common::settings::ABSENT;

use crate::kernel::{number, offset, read, read_user, task, task_id};
use crate::maps::POLLERS;
use crate::probes::fiber::runtime;
use crate::probes::proxied;

/// Stands for socket `sk`, where nothing else is known: no task is called so.
#[inline(always)]
pub fn nobody(sk: u64) -> u64 {
    // The upper bits of all addresses of the kernel are the same, and are those of other tasks.
    (number(sk) & (FIBER_OBJECT - 1)) | SOCKET
}

/// The task that calls `connect` on the current thread, where who connects is who uses the
/// connection first.
#[inline(always)]
pub fn connector() -> Option<u64> {
    let runtime = runtime(THREAD_LOCAL)?;
    if runtime.at[thread_local::CONNECTS] != 1 {
        return None;
    }
    let task = thread_local_word(runtime)?;
    proxied::haproxy(runtime, task);
    Some(task)
}

/// The task that moves bytes on socket `sk`, by thread-local storage; `asks`: to another server.
/// Where nothing is known the socket stands for itself: it asks for nobody.
#[inline(always)]
pub fn by_thread_local(sk: u64, asks: bool) -> u64 {
    thread_local_task(sk, asks.into())
}

/// The same: a function of its own, as there are many ways through it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn thread_local_task(sk: u64, asks: u64) -> u64 {
    let Some(runtime) = runtime(THREAD_LOCAL) else {
        return 0;
    };
    match thread_local_word(runtime) {
        Some(task) => {
            if asks != 0 {
                proxied::haproxy(runtime, task);
            }
            task
        }
        None => nobody(sk),
    }
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
pub fn nginx_client(fd: u64, sk: u64) -> Option<u64> {
    match nginx_task(fd, sk) {
        0 => None,
        client => Some(client),
    }
}

/// The same, 0 where there is none: a function of its own, as there are many ways through it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn nginx_task(fd: u64, sk: u64) -> u64 {
    let found = runtime(NGINX).and_then(|runtime| client(runtime, fd, sk));
    found.unwrap_or(0)
}

#[inline(always)]
fn client(runtime: &Runtime, fd: u64, sk: u64) -> Option<u64> {
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
    let client: u64 = read_user(request.wrapping_add(runtime.at[nginx::CLIENT]))?;
    if signature == STREAM || runtime.at[nginx::STREAM] == NOWHERE {
        return Some(client);
    }
    match read_user(request.wrapping_add(runtime.at[nginx::STREAM]))? {
        0 => Some(client),
        stream => proxied::nginx(runtime, stream, client),
    }
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

/// Who sends on socket `sk` is told by nothing but its `thread`: a loop, if the socket is waited for
/// by epoll, whose thread sends for whoever is next. Then the socket stands for itself. Not so where
/// it is waited for on behalf of a virtual thread: of this one, or of another that used it before.
#[inline(always)]
pub fn unknown(sk: u64, thread: u64) -> u64 {
    unknown_task(sk, thread)
}

/// The same: a function of its own, as there are many ways through it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn unknown_task(sk: u64, thread: u64) -> u64 {
    match epoll_link(sk) {
        Some(link) if !(is_of_jdk(thread) && wakes_once(link)) => nobody(sk),
        _ => thread,
    }
}

/// Is `fiber` a virtual thread?
#[inline(always)]
pub fn is_virtual(fiber: u64) -> bool {
    fiber & (SOCKET | FIBER_VIRTUAL) == FIBER_VIRTUAL
}

/// Is `fiber` a virtual thread, or a task of an executor of the JDK?
#[inline(always)]
fn is_of_jdk(fiber: u64) -> bool {
    fiber & SOCKET == 0 && fiber & (FIBER_VIRTUAL | FIBER_OBJECT) != 0
}

/// `EPOLLONESHOT` of `include/uapi/linux/eventpoll.h`.
const ONE_SHOT: u32 = 1 << 30;

/// Whoever waits by epoll for the socket of `link` is to be told once. So does the JDK where a virtual
/// thread waits for what it reads, and no loop of the JDK's or of Netty's.
#[inline(always)]
fn wakes_once(link: u64) -> bool {
    if offset!(epitem_link) == ABSENT || offset!(epitem_data) == ABSENT {
        return false;
    }
    let item = link.wrapping_sub(u64::from(offset!(epitem_link)));
    // `struct epoll_event` is packed: its data stands right behind.
    let events = read(item, offset!(epitem_data).wrapping_sub(4));
    events.unwrap_or(0u32) & ONE_SHOT != 0
}

/// May the current thread be the one that waits for socket `sk` by epoll? Not if another one was
/// seen to do so, or if nobody does at all.
#[inline(always)]
pub fn polls(sk: u64) -> bool {
    match epoll_link(sk) {
        Some(link) => poller(link) != Some(false),
        None => false,
    }
}

/// Is the current thread the one that was last seen to wait for the socket of `link`? While it
/// runs, who waits there is another: threads that wait by turns are not told apart.
#[inline(always)]
fn poller(link: u64) -> Option<bool> {
    if offset!(epitem_link) == ABSENT
        || offset!(eventpoll_waiters) == ABSENT
        || offset!(waiter_link) == ABSENT
    {
        return None;
    }
    let item = link.wrapping_sub(u64::from(offset!(epitem_link)));
    let poll: u64 = read(item, offset!(epitem_ep))?;
    let first: u64 = read(poll, offset!(eventpoll_waiters))?;
    if first != poll.wrapping_add(u64::from(offset!(eventpoll_waiters))) {
        let entry = first.wrapping_sub(u64::from(offset!(waiter_link)));
        let waiter: u64 = read(entry, offset!(waiter_task))?;
        let tid: u32 = read(waiter, offset!(task_pid))?;
        let _ = POLLERS.insert(&poll, u64::from(tid), 0);
    }
    // SAFETY: a map value read once.
    let known = *unsafe { POLLERS.get(&poll) }?;
    Some(known == task_id() & 0xffff_ffff)
}

/// The current thread is named `ForkJoinPool...`: one that joins runs others' work meanwhile, and
/// one that carries virtual threads runs each for a while.
#[inline(always)]
pub fn steals() -> bool {
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
