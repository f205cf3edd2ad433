//! Uprobes in language runtimes, where tasks make and hand work to each other.
//!
//! Attached per file by `agent/src/probe/uprobes.rs` at an instruction that the kernel emulates,
//! at which the arguments of the function are still in their registers. Each filters by process,
//! as a file may be shared with processes that are not watched.

use agent_common::runtime::{GO, PYTHON, Runtime, THREAD_LOCAL, thread_local};
use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};

use crate::kernel::read_user;
use crate::probes::fiber;

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
    let asker = match request_context(runtime, request).and_then(known_context) {
        Some(context) => context,
        None => fiber::goroutine(runtime, r14)?,
    };
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
    fiber::made(context, fiber::goroutine(runtime, r14)?);
    fiber::hand(context, context);
    Some(())
}

/// Data pointer of the `context.Context` of the `*http.Request` at `request`.
#[inline(always)]
fn request_context(runtime: &Runtime, request: u64) -> Option<u64> {
    let at = runtime.at[agent_common::runtime::go::REQUEST_CTX];
    read_user(request.wrapping_add(at + 8)).filter(|context| *context != 0)
}

/// Most contexts that are followed upwards.
const CONTEXTS: u32 = 16;

/// The context of a server's request that `context` was made from. Every type of the package
/// `context` has its parent for its first field, an interface whose data pointer is its second
/// word.
#[inline(always)]
fn known_context(context: u64) -> Option<u64> {
    let mut context = context;
    let mut i = 0;
    while i < CONTEXTS {
        if fiber::handed(context) == Some(context) {
            return Some(context);
        }
        context = read_user(context + 8)?;
        i += 1;
    }
    None
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
/// every `go` statement passes; `gp`, the new goroutine, in rbx.
#[uprobe]
pub fn go_goroutine_made(ctx: ProbeContext) -> u32 {
    goroutine_made(&ctx);
    0
}

#[inline(always)]
fn goroutine_made(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(GO)?;
    // SAFETY: as above.
    let g = unsafe { (*ctx.regs).rbx };
    let made = fiber::goroutine(runtime, g)?;
    let maker: u64 = read_user(g.wrapping_add(runtime.at[agent_common::runtime::go::PARENT]))?;
    fiber::made(made, maker);
    Some(())
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
        fiber::made(copy, fiber::python_task(runtime)?);
    }
    Some(())
}

/// tokio: `fn TaskHooks::spawn(&self, meta: &TaskMeta)`, which every spawned task passes in the
/// context of its maker; `meta` in rsi begins with the new task's id.
#[uprobe]
pub fn tokio_task_spawned(ctx: ProbeContext) -> u32 {
    task_spawned(&ctx);
    0
}

#[inline(always)]
fn task_spawned(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(THREAD_LOCAL)?;
    // SAFETY: as above.
    let meta = unsafe { (*ctx.regs).rsi };
    let maker = fiber::thread_local_word(runtime)?;
    fiber::made(read_user(meta)?, maker);
    Some(())
}

/// tokio: `fn AtomicWaker::wake(&self)` of its channels; `self` in rdi begins with the waker of
/// the task that waits: `{ vtable, data }`. Those of tasks have `data` point to the task's head.
#[uprobe]
pub fn tokio_task_woken(ctx: ProbeContext) -> u32 {
    task_woken(&ctx);
    0
}

/// `RawWakerVTable { clone, wake, wake_by_ref, drop }`: offset of `wake`.
const WAKE: u64 = 8;
/// `Header { state, queue_next, vtable, .. }` of a task: offset of `vtable`.
const VTABLE: u64 = 16;
/// `Vtable { poll, schedule, dealloc, try_read_output, drop_join_handle_slow, drop_abort_handle,
/// shutdown, trailer_offset, scheduler_offset, id_offset }`: offset of `id_offset`.
const ID_OFFSET: u64 = 72;
/// Farthest that an id stands from the task's head.
const HEAD: u64 = 256;

#[inline(always)]
fn task_woken(ctx: &ProbeContext) -> Option<()> {
    let runtime = fiber::runtime(THREAD_LOCAL)?;
    // SAFETY: as above.
    let waker = unsafe { (*ctx.regs).rdi };
    let [vtable, head]: [u64; 2] = read_user(waker)?;
    let wake: u64 = read_user(vtable.wrapping_add(WAKE))?;
    if vtable == 0 || wake != runtime.at[thread_local::WAKE] {
        return None;
    }
    let of_task: u64 = read_user(head.wrapping_add(VTABLE))?;
    let offset: u64 = read_user(of_task.wrapping_add(ID_OFFSET))?;
    if offset >= HEAD {
        return None;
    }
    let waiting: u64 = read_user(head.wrapping_add(offset))?;
    fiber::given(waiting, fiber::thread_local_word(runtime).unwrap_or(0));
    Some(())
}
