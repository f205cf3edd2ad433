//! Process life by the scheduler's tracepoints.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::probes::process;

/// A process or thread was made: a child of a watched process is watched.
///
/// Kernel: `trace_sched_process_fork(struct task_struct *parent, struct task_struct *child)`, raw
/// tracepoints since 4.17, `include/trace/events/sched.h`.
/// Seen: 5.10, 6.1, 6.12, 6.18.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn sched_process_fork(ctx: RawTracePointContext) -> i32 {
    process::forked(ctx.arg(0), ctx.arg(1));
    0
}

/// A process runs another program: user space decides anew whether to watch it.
///
/// Kernel: `trace_sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm
/// *bprm)`, raw tracepoints since 4.17, `include/trace/events/sched.h`.
/// Seen: 5.10, 6.1, 6.12, 6.18.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn sched_process_exec(ctx: RawTracePointContext) -> i32 {
    process::executed(ctx.arg(0));
    0
}

/// A thread ends, and with the last one its process.
///
/// Kernel: `trace_sched_process_exit(struct task_struct *p)`, with a second argument `bool
/// group_dead` since 6.16, raw tracepoints since 4.17, `include/trace/events/sched.h`.
/// Seen: 5.10, 6.1, 6.12, 6.18.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn sched_process_exit(ctx: RawTracePointContext) -> i32 {
    process::exited(ctx.arg(0));
    0
}
