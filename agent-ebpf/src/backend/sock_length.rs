//! Socket I/O by the tracepoints of socket lengths.
//!
//! They fire on sockets only, in the caller's task, after the bytes were moved: other system
//! calls cost nothing. `bpf_task_pt_regs`, by which the buffer is found, is there since 5.15.

use agent_common::conn::{RECEIVED, SENT};
use aya_ebpf::helpers::generated::{bpf_get_current_task_btf, bpf_task_pt_regs};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use rules::rules::{NO_CALL, is_under_way};

use crate::kernel::regs;
use crate::maps::Call;
use crate::probes::socket_io;

/// Bytes were sent on a socket.
///
/// Kernel: `trace_sock_send_length(struct sock *sk, int ret, int flags)`, since 6.3,
/// `include/trace/events/sock.h`.
/// Seen: 6.12, 6.18.
#[btf_tracepoint(function = "sock_send_length")]
pub fn sock_send_length(ctx: BtfTracePointContext) -> i32 {
    moved(&ctx, SENT as u16)
}

/// Bytes were received on a socket, or its end was read.
///
/// Kernel: `trace_sock_recv_length(struct sock *sk, int ret, int flags)`, since 6.3,
/// `include/trace/events/sock.h`.
/// Seen: 6.12, 6.18.
#[btf_tracepoint(function = "sock_recv_length")]
pub fn sock_recv_length(ctx: BtfTracePointContext) -> i32 {
    moved(&ctx, RECEIVED as u16)
}

#[inline(always)]
fn moved(ctx: &BtfTracePointContext, direction: u16) -> i32 {
    let Some(watch) = socket_io::watched() else {
        return 0;
    };
    let (sk, len, flags): (u64, i32, u32) = (ctx.arg(0), ctx.arg(1), ctx.arg(2));
    let flags = u64::from(flags);
    let call = current_call();
    socket_io::moved(sk, direction, len, &call, flags, watch);
    0
}

/// The system call that the current task is in, from its saved registers; none when the bytes
/// were moved on behalf of an earlier call. Then the registers name memory that has nothing to
/// do with the socket, and nothing of it may be copied.
#[inline(always)]
fn current_call() -> Call {
    // SAFETY: the helpers answer pointers that the verifier follows; the saved registers of a
    // task lie on its own stack.
    unsafe {
        let words = bpf_task_pt_regs(bpf_get_current_task_btf()) as *const u64;
        if !is_under_way(*words.add(regs::AX)) {
            return Call {
                nr: NO_CALL,
                args: [0; 4],
                r14: 0,
            };
        }
        Call {
            nr: *words.add(regs::ORIG_AX),
            args: [
                *words.add(regs::DI),
                *words.add(regs::SI),
                *words.add(regs::DX),
                *words.add(regs::R10),
            ],
            r14: *words.add(regs::R14),
        }
    }
}
