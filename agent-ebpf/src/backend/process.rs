//! Process life by the scheduler's tracepoints.
//!
//! Kernel (`include/trace/events/sched.h`): `trace_sched_process_fork(struct task_struct
//! *parent, struct task_struct *child)`; `trace_sched_process_exec(struct task_struct *p, pid_t
//! old_pid, struct linux_binprm *bprm)`; `trace_sched_process_exit(struct task_struct *p)`, with
//! a second argument `bool group_dead` since 6.16. Raw tracepoints, since 4.17.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;

use crate::probes::process;

#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub fn sched_process_fork(ctx: RawTracePointContext) -> i32 {
    process::forked(ctx.arg(0), ctx.arg(1));
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub fn sched_process_exec(ctx: RawTracePointContext) -> i32 {
    process::executed(ctx.arg(0));
    0
}

#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub fn sched_process_exit(ctx: RawTracePointContext) -> i32 {
    process::exited(ctx.arg(0));
    0
}
