//! Socket I/O by the plain tracepoints of single system calls: the last resort, where typed
//! tracepoints are refused.
//!
//! Each call costs two hooks, as the exit does not show the arguments. The register that holds
//! Go's `g` is not shown either: goroutines are unknown here.

use agent_common::loss::Loss;
use aya_ebpf::macros::tracepoint;
use aya_ebpf::programs::TracePointContext;

use crate::backend::sys_exit::finished;
use crate::emit::lost;
use crate::kernel::task_id;
use crate::maps::{Call, PENDING};
use crate::probes::socket_io;

/// A system call that may move bytes on a socket begins: its arguments are kept.
///
/// Kernel: `long nr` at byte 8, `unsigned long args[6]` from byte 16 on, since 2.6.33,
/// `include/trace/events/syscalls.h` and `kernel/trace/trace_syscalls.c`.
/// Seen: 5.10, 6.1, 6.12, 6.18.
#[tracepoint]
pub fn sys_enter_call(ctx: TracePointContext) -> u32 {
    if socket_io::watched().is_none() {
        return 0;
    }
    let word = |at: usize| -> u64 {
        // SAFETY: the helper checks the address; the layout is the tracepoint's.
        unsafe { ctx.read_at(at) }.unwrap_or(0)
    };
    let call = Call {
        nr: word(8) & 0xffff_ffff,
        args: [word(16), word(24), word(32), word(40)],
        r14: 0,
    };
    if PENDING.insert(task_id(), call, 0).is_err() {
        lost(Loss::Pending);
    }
    0
}

/// It ends: what it moved is looked at with the arguments that were kept.
///
/// Kernel: `long nr` at byte 8, `long ret` at byte 16, since 2.6.33,
/// `include/trace/events/syscalls.h` and `kernel/trace/trace_syscalls.c`.
/// Seen: 5.10, 6.1, 6.12, 6.18.
#[tracepoint]
pub fn sys_exit_call(ctx: TracePointContext) -> u32 {
    let Some(watch) = socket_io::watched() else {
        return 0;
    };
    let id = task_id();
    // SAFETY: a map value of this thread's own, copied before it is removed.
    let Some(call) = unsafe { PENDING.get(id) }.copied() else {
        return 0;
    };
    let _ = PENDING.remove(id);
    // SAFETY: the helper checks the address.
    let ret: i64 = unsafe { ctx.read_at(16) }.unwrap_or(-1);
    finished(&call, ret, watch);
    0
}
