//! Go: what carries the bytes of a `net.Conn`, what goes over a `tls.Conn`, and which goroutine a
//! stream is of.
//!
//! A `net.Conn` is an interface: a table whose second word is the type, and the object. Of the
//! types that are known by their addresses, `*net.TCPConn` and `*net.UnixConn` begin with a
//! `*netFD`, whose descriptor leads to the socket; `*tls.Conn` begins with the `net.Conn` below
//! it, and so do most types that wrap one. Where they do not, no known type is found there.
//!
//! A `tls.Conn` is one connection for all its life, which begins with a handshake: so an address
//! means another one when a handshake begins there.

use agent_common::conn::SENT;
use agent_common::record::{STREAM, Stream};
use agent_common::runtime::{NOWHERE, Runtime, WHILE_OPEN, go};

use crate::emit::{emit, header};
use crate::kernel::{number, read, read_user};
use crate::probes::connection::{self, Socket};
use crate::probes::fiber;
use crate::probes::file;
use crate::probes::plain::{self, Moved};

/// Most `net.Conn`s within each other.
const WRAPPED: u32 = 4;
/// `poll.FD.Sysfd`, behind a `fdMutex`; `netFD` begins with its `poll.FD`.
const SYSFD: u64 = 16;

/// An interface value: its table and its object.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Interface {
    pub table: u64,
    pub object: u64,
}

impl Interface {
    /// Address of the type of the object.
    #[inline(always)]
    pub fn kind(&self) -> Option<u64> {
        read_user(self.table.wrapping_add(8))
    }
}

/// A socket and its descriptor.
pub struct Carrier {
    pub sk: u64,
    pub fd: u64,
}

/// The socket under the `net.Conn` that stands at address `at`, if no TLS is between them.
#[inline(always)]
pub fn carrier(runtime: &Runtime, at: u64) -> Option<Carrier> {
    match below(runtime, at)? {
        Below::Socket(carrier) => Some(carrier),
        Below::Tls(_) => None,
    }
}

/// What is found under a `net.Conn`.
enum Below {
    Socket(Carrier),
    /// Address of a `tls.Conn`.
    Tls(u64),
}

#[inline(always)]
fn below(runtime: &Runtime, at: u64) -> Option<Below> {
    let mut at = at;
    let mut i = 0;
    while i < WRAPPED {
        let found: Interface = read_user(at)?;
        let kind = found.kind()?;
        if kind == runtime.at[go::TLS] {
            return Some(Below::Tls(found.object));
        }
        if kind == runtime.at[go::TCP] || kind == runtime.at[go::UNIX] {
            let descriptor: u64 = read_user(found.object)?;
            let fd: u64 = read_user(descriptor.wrapping_add(SYSFD))?;
            let sk = file::socket_of(fd)?;
            return Some(Below::Socket(Carrier { sk, fd }));
        }
        at = found.object;
        i += 1;
    }
    None
}

/// Id of the connection of socket `sk`.
#[inline(always)]
pub fn connection(sk: u64) -> Option<u64> {
    let socket = Socket::of(sk)?;
    let found = connection::find(&socket, SENT as u16, 0)?;
    // SAFETY: a live map value; the field is set once.
    Some(unsafe { (*found).id })
}

/// Id of what carries the bytes of the `net.Conn` at address `at`: a TLS session, or the
/// connection itself.
#[inline(always)]
pub fn layer(runtime: &Runtime, at: u64) -> Option<u64> {
    match below(runtime, at)? {
        Below::Socket(carrier) => connection(carrier.sk),
        Below::Tls(object) => plain::session(object).map(|session| session.id),
    }
}

/// A `tls.Conn` begins its handshake: what was at its address is over, unless it is the same
/// connection that shakes hands again.
#[inline(always)]
pub fn handshake(runtime: &Runtime, object: u64) {
    let conn = match carrier(runtime, object) {
        Some(carrier) => connection(carrier.sk).unwrap_or(0),
        None => 0,
    };
    if conn == 0 || plain::session(object).is_none_or(|session| session.conn != conn) {
        plain::begun(object);
    }
}

/// The current goroutine moves `len` bytes, which stand at `buffer`, over the `tls.Conn` at
/// `object`.
#[inline(always)]
pub fn moved(runtime: &Runtime, object: u64, bytes: &Moved) -> Option<()> {
    let session = plain::session(object)?;
    if session.conn == 0 {
        if let Some(carrier) = carrier(runtime, object) {
            if let Some(conn) = connection(carrier.sk) {
                plain::carried(session, conn, carrier.sk, carrier.fd);
            }
        }
    }
    plain::moved(session, bytes);
    Some(())
}

/// Word `index` of the registers `regs` of the probed thread; the verifier allows no variable
/// place in a context.
#[inline(always)]
pub fn register(regs: u64, index: u64) -> Option<u64> {
    read(number(regs), (index as u32 & 31) * 8)
}

/// Tells that `fiber` has to do with `stream` on `conn`, in the way `role`.
#[inline(always)]
pub fn tell(role: u32, conn: u64, stream: u32, fiber: u64) {
    emit(&Stream {
        header: header(STREAM, size_of::<Stream>()),
        conn,
        fiber,
        stream,
        role,
    });
}

/// The task on whose behalf `goroutine` asks with the context whose data stands at `context`; 0 is none.
#[inline(always)]
pub fn asker(runtime: &Runtime, goroutine: u64, context: u64) -> u64 {
    if runtime.at[go::REQUEST_CTX] == NOWHERE {
        return goroutine;
    }
    // A goroutine that serves a request, or that was made for one, says so itself.
    if fiber::handed(goroutine).is_some() {
        return goroutine;
    }
    match known_context(context) {
        Some(context) if is_done(context) => context,
        Some(context) => context | WHILE_OPEN,
        None => goroutine,
    }
}

/// `context.cancelCtx.err`, the same since Go 1.7: its first word is a type once there is one.
const ERROR: u64 = 48;

/// The request of this context is over: `net/http` has cancelled it, and whoever holds it still
/// works for that request, as nobody else can have been given its address meanwhile.
#[inline(always)]
fn is_done(context: u64) -> bool {
    let error: u64 = read_user(context.wrapping_add(ERROR)).unwrap_or(0);
    error != 0
}

/// Most contexts that are followed upwards.
const CONTEXTS: u32 = 16;

/// The context of a server's request that `context` was made from. Every type of the package
/// `context` has its parent for its first field, an interface whose data pointer is its second
/// word. That of a request's context is the context of its connection: a context at the address
/// of a former request's has another parent, or is told by that request being over.
#[inline(always)]
fn known_context(context: u64) -> Option<u64> {
    let mut context = context;
    let mut i = 0;
    while i < CONTEXTS {
        let parent = read_user(context + 8)?;
        if fiber::handed(context) == Some(parent) {
            return Some(context);
        }
        context = parent;
        i += 1;
    }
    None
}
