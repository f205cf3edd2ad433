//! Uprobes in language runtimes, where tasks make and hand work to each other.
//!
//! Attached per file by `agent/src/probe/uprobes.rs` at an instruction that the kernel emulates,
//! at which the arguments of the function are still in their registers. Each filters by process,
//! as a file may be shared with processes that are not watched.

use agent_common::runtime::{GO, NOWHERE, PYTHON, Runtime, WHILE_OPEN};
use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};

use crate::kernel::read_user;
use crate::probes::{fiber, go, python};

/// Go: `func (pc *persistConn) roundTrip(req *transportRequest) (resp *Response, err error)` of
/// `net/http`. ABIInternal: `pc` in rax, `req` in rbx, `g` in r14. The first field of a
/// `transportRequest` is the `*Request` that the connection's own goroutine will write.
#[uprobe]
pub fn go_round_trip(ctx: ProbeContext) -> u32 {
    round_trip(&ctx);
    0
}

#[inline(always)]
fn round_trip(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: the context of a uprobe is the registers of the probed thread.
    let (rbx, r14) = unsafe { ((*ctx.regs).rbx, (*ctx.regs).r14) };
    let request: u64 = read_user(rbx)?;
    let goroutine = fiber::goroutine(runtime, r14)?;
    let context = request_context(runtime, request).unwrap_or(0);
    let asker = go::asker(runtime, goroutine, context);
    fiber::hand(request, asker);
    Some(())
}

/// Go: `func (sh serverHandler) ServeHTTP(rw ResponseWriter, req *Request)` of `net/http`; `sh`
/// in rax, `rw` in rbx and rcx, `req` in rdi. Each request has a context of its own: calls that
/// carry it, or one made from it, are made for this request, whichever goroutine makes them.
#[uprobe]
pub fn go_serve(ctx: ProbeContext) -> u32 {
    serve(&ctx);
    0
}

#[inline(always)]
fn serve(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: as above.
    let (rdi, r14) = unsafe { ((*ctx.regs).rdi, (*ctx.regs).r14) };
    let context = request_context(runtime, rdi)?;
    let goroutine = fiber::goroutine(runtime, r14)?;
    fiber::hand(goroutine, context);
    fiber::hand(context, read_user(context + 8)?);
    fiber::made(context | WHILE_OPEN, goroutine);
    Some(())
}

/// Data pointer of the `context.Context` of the `*http.Request` at `request`.
#[inline(always)]
fn request_context(runtime: &Runtime, request: u64) -> Option<u64> {
    let at = runtime.at[agent_common::runtime::go::REQUEST_CTX];
    if at == NOWHERE {
        return None;
    }
    read_user(request.wrapping_add(at + 8)).filter(|context| *context != 0)
}

/// Go: `func (r *Request) write(w io.Writer, usingProxy bool, extraHeaders Header,
/// waitForContinue func() bool) (err error)` of `net/http`; `r` in rax. Called in the goroutine
/// of the connection.
#[uprobe]
pub fn go_request_write(ctx: ProbeContext) -> u32 {
    request_write(&ctx);
    0
}

#[inline(always)]
fn request_write(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: as above.
    let (rax, r14) = unsafe { ((*ctx.regs).rax, (*ctx.regs).r14) };
    fiber::take(rax, fiber::goroutine(runtime, r14)?);
    Some(())
}

/// Go: the call of `func runqput(pp *p, gp *g, next bool)` within `runtime.newproc.func1`, where
/// every `go` statement passes; `gp`, the new goroutine, in rbx. It runs on the stack of the
/// scheduler, whose `g` is in r14; before Go 1.21 only the thread says for which goroutine.
#[uprobe]
pub fn go_goroutine_made(ctx: ProbeContext) -> u32 {
    goroutine_made(&ctx);
    0
}

#[inline(always)]
fn goroutine_made(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: as above.
    let (g, scheduler) = unsafe { ((*ctx.regs).rbx, (*ctx.regs).r14) };
    let made = fiber::goroutine(runtime, g)?;
    let maker = maker(runtime, g, scheduler)?;
    match fiber::handed(maker) {
        Some(context) => fiber::hand(made, context),
        None => fiber::forget(made),
    }
    fiber::made(made, maker);
    Some(())
}

/// The goroutine whose `go` statement made `g`.
#[inline(always)]
fn maker(runtime: &Runtime, g: u64, scheduler: u64) -> Option<u64> {
    use agent_common::runtime::go;
    if runtime.at[go::PARENT] != NOWHERE {
        return read_user(g.wrapping_add(runtime.at[go::PARENT]));
    }
    let m: u64 = read_user(scheduler.wrapping_add(runtime.at[go::M]))?;
    let current: u64 = read_user(m.wrapping_add(runtime.at[go::CURRENT]))?;
    fiber::goroutine(runtime, current)
}

/// CPython: return of `PyObject *PyContext_CopyCurrent(void)`: asyncio makes a task, or something
/// is to run later in the context of now.
#[uretprobe]
pub fn python_context_copied(ctx: RetProbeContext) -> u32 {
    context_copied(&ctx);
    0
}

#[inline(always)]
fn context_copied(ctx: &RetProbeContext) -> Option<()> {
    let runtime = fiber::runtime(PYTHON)?;
    let copy: u64 = ctx.ret();
    if copy != 0 {
        fiber::made(copy, python::acting(runtime).unwrap_or(0));
    }
    Some(())
}

/// CPython: `PyObject *_queue_SimpleQueue_put(simplequeueobject *self, PyObject *const *args,
/// Py_ssize_t nargs, PyObject *kwnames)`; `args` in rsi. An executor's work item becomes a task
/// of its own, which whoever submits it makes.
#[uprobe]
pub fn python_item_put(ctx: ProbeContext) -> u32 {
    item_put(&ctx);
    0
}

#[inline(always)]
fn item_put(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(PYTHON)?;
    // SAFETY: as above.
    let args = unsafe { (*ctx.regs).rsi };
    let item = python::work_item(read_user(args)?)?;
    let maker = python::acting(runtime).unwrap_or(0);
    fiber::made(item, maker);
    fiber::hand(item, item);
    Some(())
}

/// CPython: return of `_queue_SimpleQueue_get` and `_queue_SimpleQueue_get_nowait`: from now on
/// this thread works on the item, until it asks for the next.
#[uretprobe]
pub fn python_item_got(ctx: RetProbeContext) -> u32 {
    item_got(&ctx);
    0
}

#[inline(always)]
fn item_got(ctx: &RetProbeContext) -> Option<()> {
    let runtime = fiber::runtime(PYTHON)?;
    fiber::take_once(ctx.ret(), python::running(runtime)?.own);
    Some(())
}

/// greenlet: the jump in `static PyObject *green_new(PyTypeObject *type, PyObject *args,
/// PyObject *kwargs)` behind the making of the object, which is in rax.
#[uprobe]
pub fn python_greenlet_made(ctx: ProbeContext) -> u32 {
    greenlet_made(&ctx);
    0
}

#[inline(always)]
fn greenlet_made(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(PYTHON)?;
    // SAFETY: as above.
    let greenlet = unsafe { (*ctx.regs).rax };
    if greenlet != 0 {
        fiber::made(greenlet, python::acting(runtime).unwrap_or(0));
    }
    Some(())
}

/// uvloop: `UVStream._buffer_write(self, data)`; `data` in rsi. The bytes are sent when the loop
/// has run what is ready.
#[uprobe]
pub fn python_stream_written(ctx: ProbeContext) -> u32 {
    stream_written(&ctx);
    0
}

#[inline(always)]
fn stream_written(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(PYTHON)?;
    // SAFETY: as above.
    let data = unsafe { (*ctx.regs).rsi };
    python::write(data, python::acting(runtime)?);
    Some(())
}
