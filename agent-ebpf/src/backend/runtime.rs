//! Uprobes in language runtimes, where tasks make and hand work to each other.
//!
//! Attached per file by `agent/src/probe/uprobes.rs` at an instruction that the kernel emulates,
//! at which the arguments of the function are still in their registers. Each filters by process,
//! as a file may be shared with processes that are not watched.

use agent_common::runtime::{GO, PYTHON};
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
    fiber::hand(request, fiber::goroutine(runtime, r14)?);
    Some(())
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
