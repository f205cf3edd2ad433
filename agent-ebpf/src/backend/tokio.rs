//! Uprobes in tokio, where tasks spawn and wake each other, and in h2, whose streams they serve.
//!
//! Attached as those of `runtime`, at a branch that the kernel emulates and before which the first
//! two arguments do not change.

use agent_common::record::{HANDED, LINKED};
use agent_common::runtime::{Runtime, THREAD_LOCAL, thread_local};
use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;

use crate::kernel::read_user;
use crate::probes::tokio::Made;
use crate::probes::{fiber, native, tokio};

/// tokio: `fn TaskHooks::spawn(&self, meta: &TaskMeta)`, which every spawned task passes in the
/// context of its maker; `meta` in rsi begins with the new task's id.
#[uprobe]
pub fn tokio_task_spawned(ctx: ProbeContext) -> u32 {
    if let Some(new) = new(&ctx, read_user) {
        spawned(&ctx, &new);
    }
    0
}

/// tokio: `fn Spawner::spawn_task(&self, task: Task, rt: &Handle)`, which every blocking task passes in the
/// context of its maker; `task` in rsi begins with the address of its head.
#[uprobe]
pub fn tokio_blocking_spawned(ctx: ProbeContext) -> u32 {
    if let Some(new) = new(&ctx, tokio::id) {
        fiber::tell(LINKED, new.task, new.maker);
    }
    0
}

/// A task, and who made it.
struct New {
    runtime: &'static Runtime,
    task: u64,
    maker: u64,
}

/// The current task has made the one that `id` finds at the second argument.
#[inline(always)]
fn new(ctx: &ProbeContext, id: impl FnOnce(u64) -> Option<u64>) -> Option<New> {
    let runtime = fiber::runtime(THREAD_LOCAL)?;
    // SAFETY: the context of a uprobe is the registers of the probed thread.
    let made = unsafe { (*ctx.regs).rsi };
    let maker = native::thread_local_word(runtime)?;
    Some(New {
        runtime,
        task: id(made)?,
        maker,
    })
}

/// The new task may handle a stream of HTTP/2. Its address is at hand for those who will run it, in one of the
/// registers that functions leave as they were.
#[inline(always)]
fn spawned(ctx: &ProbeContext, new: &New) {
    // SAFETY: as above.
    let kept = unsafe {
        let regs = &*ctx.regs;
        [regs.rbx, regs.r15, regs.r14, regs.r12, regs.r13, regs.rbp]
    };
    for head in kept {
        match tokio::made(new.runtime, head, new.task, new.maker) {
            Made::Elsewhere => {}
            Made::Alone => break,
            Made::Told => return,
        }
    }
    // Ids are never used again: nothing else is known of the task.
    fiber::tell(LINKED, new.task, new.maker);
}

/// h2: `fn Recv::take_request(&mut self, stream: &mut store::Ptr) -> Request<()>`, which the task that reads a
/// connection calls for each stream that it takes up; the answer's place in rdi, `stream` in rdx.
#[uprobe]
pub fn tokio_stream_taken(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = fiber::runtime(THREAD_LOCAL) {
        // SAFETY: as above.
        tokio::take(runtime, unsafe { (*ctx.regs).rdx });
    }
    0
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
    let waiting = tokio::id(head)?;
    let by = native::thread_local_word(runtime).unwrap_or(0);
    fiber::tell(HANDED, waiting, by);
    Some(())
}
