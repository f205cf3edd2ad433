//! HTTP/2 clients of proxies: which stream the task serves that asks another server.
//!
//! In: the structures of nginx and HAProxy, in the process's own memory, at the moment of a call to
//! another server. Out: `Stream` records, one for each stream. Every step is proven by a pointer
//! back: who was given a wrong place, or meets a structure of another version, finds nothing.

use agent_common::record::STREAM_SERVED;
use agent_common::runtime::{NOWHERE, Runtime, nginx as in_nginx, thread_local as in_haproxy};

use crate::kernel::read_user;
use crate::maps::{CONNECTIONS, SERVED, Served};
use crate::probes::fiber::{self, in_process};
use crate::probes::{connection, file, go};

/// The beginning of an `ngx_http_v2_stream_t`.
#[repr(C)]
#[derive(Clone, Copy)]
struct NginxStream {
    request: u64,
    connection: u64,
    node: u64,
}

/// nginx gives each stream a connection of its own, a copy of the client's, and a request, which
/// names its stream; a stream names the request that it came as, which subrequests share, and the
/// HTTP/2 connection, which the client's connection serves. Answers `client`, the stream's own
/// connection, once it is told which stream it stands for.
#[inline(always)]
pub fn nginx(runtime: &Runtime, stream: u64, client: u64) -> Option<u64> {
    let found: NginxStream = read_user(stream)?;
    let own: u64 = read_user(found.request.wrapping_add(runtime.at[in_nginx::CLIENT]))?;
    let carrier: u64 = read_user(found.connection)?;
    let serves: u64 = read_user(carrier.wrapping_add(runtime.at[in_nginx::DATA]))?;
    if own != client || serves != found.connection {
        return None;
    }
    let fd: u32 = read_user(carrier.wrapping_add(runtime.at[in_nginx::FD]))?;
    let same: u32 = read_user(client.wrapping_add(runtime.at[in_nginx::FD]))?;
    if fd != same {
        return None;
    }
    serve(client, u64::from(fd), read_user(found.node)?)?;
    Some(client)
}

/// `task.context`, the stream of a task that serves one (HAProxy 2.5 and later).
const CONTEXT: u64 = 16;

/// The beginning of a `struct h2s`: its number stands in it twice, the first time as the key by
/// which its connection finds it.
#[repr(C)]
#[derive(Clone, Copy)]
struct HaproxyStream {
    endpoint: u64,
    session: u64,
    connection: u64,
    by_id: [u32; 9],
    key: u32,
    id: u32,
    flags: u32,
}

/// HAProxy: `task` asks another server. If it serves a stream of HTTP/2, that is told; if it served
/// one before, and now serves something else at the same address, that is told, too.
#[inline(always)]
pub fn haproxy(runtime: &Runtime, task: u64) {
    if runtime.at[in_haproxy::FRONT] == NOWHERE || haproxy_stream(runtime, task).is_some() {
        return;
    }
    let key = in_process(task);
    if SERVED.remove(key).is_ok() {
        fiber::made(task, 0);
    }
}

#[inline(always)]
fn haproxy_stream(runtime: &Runtime, task: u64) -> Option<()> {
    let stream: u64 = read_user(task.wrapping_add(CONTEXT))?;
    let front: u64 = read_user(stream.wrapping_add(runtime.at[in_haproxy::FRONT]))?;
    let app: u64 = read_user(front.wrapping_add(runtime.at[in_haproxy::APP]))?;
    if app != stream {
        return None;
    }
    let endpoint: u64 = read_user(front.wrapping_add(runtime.at[in_haproxy::ENDPOINT]))?;
    let served: u64 = read_user(endpoint)?;
    let found: HaproxyStream = read_user(served)?;
    if found.endpoint != endpoint || found.key != found.id {
        return None;
    }
    let carrier: u64 = read_user(found.connection)?;
    let fd: u32 = read_user(carrier.wrapping_add(runtime.at[in_haproxy::FD]))?;
    serve(task, u64::from(fd), found.id)
}

/// `task` serves stream `id` of the client on descriptor `fd`.
#[inline(always)]
fn serve(task: u64, fd: u64, id: u32) -> Option<()> {
    // Streams that clients begin have odd numbers.
    if id & 1 == 0 {
        return None;
    }
    let sk = file::socket_of(fd)?;
    // SAFETY: a map value read once.
    let carrier = *unsafe { CONNECTIONS.get(sk) }?;
    if connection::inode(sk) != Some(carrier.inode) {
        return None;
    }
    let served = Served {
        conn: carrier.id,
        stream: u64::from(id),
    };
    let key = in_process(task);
    // SAFETY: as above.
    let known = unsafe { SERVED.get(key) };
    if known.is_some_and(|known| known.conn == served.conn && known.stream == served.stream) {
        return Some(());
    }
    // The address was another stream's before.
    fiber::made(task, 0);
    let _ = SERVED.insert(key, served, 0);
    go::tell(STREAM_SERVED, served.conn, id, task);
    Some(())
}
