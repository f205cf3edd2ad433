//! Which thread of CRuby makes a call, read from the process's own memory.
//!
//! Not the kernel's thread: CRuby gives one that has done its work to the next `Thread.new`.
//! Fibers of a thread are not told apart: such a thread handles several requests, and is not
//! believed then, as any event loop.

use agent_common::record::{FIBER_THREAD, OVER};
use agent_common::runtime::{NOWHERE, RUBY, Runtime, ruby};

use crate::kernel::{offset, read, read_user, task};
use crate::probes::{fiber, storage};

/// The Ruby thread that runs on the current thread.
#[inline(always)]
pub fn current(runtime: &Runtime) -> Option<u64> {
    running(runtime).map(named)
}

/// Threads of Ruby are told by their addresses.
#[inline(always)]
const fn named(thread: u64) -> u64 {
    thread | FIBER_THREAD
}

/// `rb_thread_t *` of the current thread.
#[inline(always)]
fn running(runtime: &Runtime) -> Option<u64> {
    let pointer: u64 = read(task(), offset!(task_fsbase))?;
    let block = if runtime.at[ruby::MODULE] == NOWHERE {
        pointer
    } else {
        storage::of_module(pointer, runtime.at[ruby::MODULE])?
    };
    let context: u64 = read_user(block.wrapping_add(runtime.at[ruby::CONTEXT]))?;
    if context == 0 {
        return None;
    }
    read_user(context.wrapping_add(runtime.at[ruby::THREAD])).filter(|thread| *thread != 0)
}

/// A native mutex at `lock` is initialized: if it is a new thread's, the current one makes it.
#[inline(always)]
pub fn lock_made(lock: u64) -> Option<()> {
    let runtime = fiber::runtime(RUBY)?;
    let thread = lock.wrapping_sub(runtime.at[ruby::LOCK]);
    // Each thread has an execution context, which names it: nothing else that has a mutex does.
    let context: u64 = read_user(thread.wrapping_add(runtime.at[ruby::OF_THREAD]))?;
    let of: u64 = read_user(context.wrapping_add(runtime.at[ruby::THREAD]))?;
    if of != thread || thread == 0 {
        return None;
    }
    fiber::made(named(thread), current(runtime).unwrap_or(0));
    Some(())
}

/// A native mutex at `lock` is destroyed: if it is the current thread's own, the thread ends. It
/// still holds the lock of its interpreter, so that who joins it goes on only afterwards.
#[inline(always)]
pub fn lock_destroyed(lock: u64) -> Option<()> {
    let runtime = fiber::runtime(RUBY)?;
    let thread = running(runtime)?;
    if thread == lock.wrapping_sub(runtime.at[ruby::LOCK]) {
        fiber::tell(OVER, named(thread), 0);
    }
    Some(())
}
