//! Uprobes in tokio, where tasks spawn and wake each other.
//!
//! Attached as those of `runtime`, at a branch that the kernel emulates and before which the first
//! two arguments do not change.

use agent_common::record::HANDED;
use agent_common::runtime::{THREAD_LOCAL, thread_local};
use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;

use crate::kernel::read_user;
use crate::probes::{fiber, native};

/// tokio: `fn TaskHooks::spawn(&self, meta: &TaskMeta)`, which every spawned task passes in the
/// context of its maker; `meta` in rsi begins with the new task's id.
#[uprobe]
pub fn tokio_task_spawned(ctx: ProbeContext) -> u32 {
    spawned(&ctx, read_user);
    0
}

/// tokio: `fn Spawner::spawn_task(&self, task: Task, rt: &Handle)`, which every blocking task passes in the
/// context of its maker; `task` in rsi begins with the address of its head.
#[uprobe]
pub fn tokio_blocking_spawned(ctx: ProbeContext) -> u32 {
    spawned(&ctx, id);
    0
}

/// The current task has made the one that `id` finds at the second argument.
#[inline(always)]
fn spawned(ctx: &ProbeContext, id: impl FnOnce(u64) -> Option<u64>) -> Option<()> {
    let runtime = fiber::runtime(THREAD_LOCAL)?;
    // SAFETY: the context of a uprobe is the registers of the probed thread.
    let made = unsafe { (*ctx.regs).rsi };
    let maker = native::thread_local_word(runtime)?;
    fiber::made(id(made)?, maker);
    Some(())
}

/// `Header { state, queue_next, vtable, .. }` of a task: offset of `vtable`.
const VTABLE: u64 = 16;
/// `Vtable { poll, schedule, dealloc, try_read_output, drop_join_handle_slow, drop_abort_handle,
/// shutdown, trailer_offset, scheduler_offset, id_offset }`: offset of `id_offset`.
const ID_OFFSET: u64 = 72;
/// Farthest that an id stands from the task's head.
const HEAD: u64 = 256;

/// The id of the task whose head is at `head`.
#[inline(always)]
fn id(head: u64) -> Option<u64> {
    let of_task: u64 = read_user(head.wrapping_add(VTABLE))?;
    let offset: u64 = read_user(of_task.wrapping_add(ID_OFFSET))?;
    if offset >= HEAD {
        return None;
    }
    read_user(head.wrapping_add(offset))
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
    let waiting = id(head)?;
    let by = native::thread_local_word(runtime).unwrap_or(0);
    fiber::tell(HANDED, waiting, by);
    Some(())
}
