//! Uprobes in Go programs, where plain bytes pass `crypto/tls`, and where goroutines take up and
//! ask for streams of shared connections.
//!
//! Attached and filtered as those of `runtime`. ABIInternal (Go 1.17 and later): arguments are in
//! rax, rbx, rcx, rdi, rsi, r8, ..., an interface takes two of them; the current `g` is in r14.

use agent_common::conn::{RECEIVED, SENT};
use agent_common::record::{STREAM_ASKED, STREAM_SERVED, STREAM_WRITER};
use agent_common::runtime::{GO, go as at};
use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;

use crate::kernel::read_user;
use crate::probes::plain::Moved;
use crate::probes::{fiber, go};

/// `serverConn.conn`, behind two pointers, and `stream.id`, behind one: both are among the first
/// fields of their structs in every version since `runHandler` came to be.
const SERVER_CONN: u64 = 16;
const STREAM_ID: u64 = 8;

/// Go: `func (sc *serverConn) runHandler(rw *responseWriter, req *http.Request, handler
/// func(http.ResponseWriter, *http.Request))` of `net/http` and `golang.org/x/net/http2`, the
/// whole life of the goroutine that handles a stream. `sc` in rax, `rw` in rbx; the first fields
/// lead from `rw` over its state to the stream, whose first field is `sc` again.
#[uprobe]
pub fn go_h2_run_handler(ctx: ProbeContext) -> u32 {
    run_handler(&ctx);
    0
}

#[inline(always)]
fn run_handler(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: the context of a uprobe is the registers of the probed thread.
    let (rax, rbx, r14) = unsafe { ((*ctx.regs).rax, (*ctx.regs).rbx, (*ctx.regs).r14) };
    let state: u64 = read_user(rbx)?;
    let stream: u64 = read_user(state)?;
    let server: u64 = read_user(stream)?;
    if server != rax {
        return None;
    }
    let id: u32 = read_user(stream.wrapping_add(STREAM_ID))?;
    let conn = go::layer(runtime, rax.wrapping_add(SERVER_CONN))?;
    let goroutine = fiber::goroutine(runtime, r14)?;
    go::tell(STREAM_SERVED, conn, id, goroutine);
    Some(())
}

/// Go: `func (cs *clientStream) doRequest(req *http.Request, streamf func(*clientStream))` of
/// `net/http` and `golang.org/x/net/http2`, the whole life of the goroutine that writes a request
/// and that `RoundTrip` makes for it.
#[uprobe]
pub fn go_h2_do_request(ctx: ProbeContext) -> u32 {
    do_request(&ctx);
    0
}

#[inline(always)]
fn do_request(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: as above.
    let goroutine = fiber::goroutine(runtime, unsafe { (*ctx.regs).r14 })?;
    go::tell(STREAM_WRITER, 0, 0, goroutine);
    Some(())
}

/// Go: `func (s *Server) handleStream(t transport.ServerTransport, stream
/// *transport.ServerStream)` of `google.golang.org/grpc`, in the goroutine that handles the call,
/// of its own or one of a pool. `t` in rbx and rcx, `stream` in rdi.
#[uprobe]
pub fn go_grpc_handle_stream(ctx: ProbeContext) -> u32 {
    handle_stream(&ctx);
    0
}

#[inline(always)]
fn handle_stream(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: as above.
    let (table, object, stream, r14) = unsafe {
        let regs = &*ctx.regs;
        (regs.rbx, regs.rcx, regs.rdi, regs.r14)
    };
    // Another one serves what `net/http` has read, and tells so.
    if (go::Interface { table, object }).kind()? != runtime.at[at::GRPC_SERVER] {
        return None;
    }
    let offset = runtime.at[at::GRPC_STREAM];
    let stream = if offset & at::BEHIND == 0 {
        stream
    } else {
        read_user(stream)?
    };
    let id: u32 = read_user(stream.wrapping_add(offset & !at::BEHIND))?;
    let conn = go::layer(
        runtime,
        object.wrapping_add(runtime.at[at::GRPC_SERVER_CONN]),
    )?;
    go::tell(STREAM_SERVED, conn, id, fiber::goroutine(runtime, r14)?);
    Some(())
}

/// Go: the call of `runtime.mapassign_fast32` by which `(*http2Client).NewStream` of
/// `google.golang.org/grpc` enters a stream among the open ones, in the goroutine of the caller and
/// before anything is written: its number is in ecx, and a register or a place on the stack that was
/// found in the code holds the `*http2Client`, whose map is in rbx.
#[uprobe]
pub fn go_grpc_new_stream(ctx: ProbeContext) -> u32 {
    new_stream(&ctx);
    0
}

#[inline(always)]
fn new_stream(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: as above.
    let (rbx, rcx, rsp, r14) = unsafe {
        let regs = &*ctx.regs;
        (regs.rbx, regs.rcx, regs.rsp, regs.r14)
    };
    let place = runtime.at[at::GRPC_CLIENT_REGISTER];
    let client = if place & at::ON_STACK == 0 {
        go::register(ctx.regs as u64, place)?
    } else {
        read_user(rsp.wrapping_add(place & !at::ON_STACK))?
    };
    let streams: u64 = read_user(client.wrapping_add(runtime.at[at::GRPC_CLIENT_STREAMS]))?;
    if streams != rbx {
        return None;
    }
    let conn = go::layer(
        runtime,
        client.wrapping_add(runtime.at[at::GRPC_CLIENT_CONN]),
    )?;
    let asker = fiber::acting(fiber::goroutine(runtime, r14)?);
    go::tell(STREAM_ASKED, conn, rcx as u32, asker);
    Some(())
}

/// `recordTypeApplicationData` of `crypto/tls`.
const APPLICATION_DATA: u8 = 23;
/// Most bytes that one call moves.
const MOST: u64 = i32::MAX as u64;

/// Go: the calls of `func (c *Conn) writeRecordLocked(typ recordType, data []byte) (int, error)`
/// within `(*Conn).Write` of `crypto/tls`: the handshake is done and nothing has failed. `c` in
/// rax, `typ` in bl, `data` in rcx and rdi. Should it fail, the connection takes no more.
#[uprobe]
pub fn go_tls_write(ctx: ProbeContext) -> u32 {
    tls_write(&ctx);
    0
}

#[inline(always)]
fn tls_write(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: as above.
    let (object, kind, buffer, len, r14) = unsafe {
        let regs = &*ctx.regs;
        (regs.rax, regs.rbx as u8, regs.rcx, regs.rdi, regs.r14)
    };
    if kind != APPLICATION_DATA || len == 0 || len > MOST {
        return None;
    }
    let moved = Moved {
        direction: SENT as u16,
        buffer,
        len: len as u32,
        fiber: fiber::acting(fiber::goroutine(runtime, r14).unwrap_or(0)),
    };
    go::moved(runtime, object, &moved)
}

/// A `bytes.Reader`: a slice, and how far it has been read.
#[repr(C)]
#[derive(Clone, Copy)]
struct Reader {
    bytes: u64,
    len: u64,
    capacity: u64,
    read: u64,
}

/// Go: the call of `runtime.memmove` within `(*Conn).Read` of `crypto/tls`, where `c.input.Read(b)`
/// is inlined: decrypted bytes are copied to the caller. How many is in rcx, from where in rbx; a
/// register that was found in the code holds the `*Conn`, whose `input` confirms both.
#[uprobe]
pub fn go_tls_read(ctx: ProbeContext) -> u32 {
    tls_read(&ctx);
    0
}

#[inline(always)]
fn tls_read(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: as above.
    let (rbx, rcx, r14) = unsafe { ((*ctx.regs).rbx, (*ctx.regs).rcx, (*ctx.regs).r14) };
    let object = go::register(ctx.regs as u64, runtime.at[at::TLS_REGISTER])?;
    let input: Reader = read_user(object.wrapping_add(runtime.at[at::TLS_INPUT]))?;
    let left = input.len.wrapping_sub(input.read);
    if rcx == 0 || rcx > left || rcx > MOST || rbx != input.bytes.wrapping_add(input.read) {
        return None;
    }
    let moved = Moved {
        direction: RECEIVED as u16,
        buffer: rbx,
        len: rcx as u32,
        fiber: fiber::acting(fiber::goroutine(runtime, r14).unwrap_or(0)),
    };
    go::moved(runtime, object, &moved)
}

/// Go: `func (c *Conn) clientHandshake(ctx context.Context) (err error)` and
/// `func (c *Conn) serverHandshake(ctx context.Context) error` of `crypto/tls`; `c` in rax.
#[uprobe]
pub fn go_tls_handshake(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = fiber::runtime(GO) {
        // SAFETY: as above.
        go::handshake(runtime, unsafe { (*ctx.regs).rax });
    }
    0
}
