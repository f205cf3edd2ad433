//! Connection life by the state changes of TCP sockets.
//!
//! Kernel: `trace_inet_sock_set_state(const struct sock *sk, const int oldstate, const int
//! newstate)`, since 4.16 (`include/trace/events/sock.h`); as a plain tracepoint `skaddr` lies
//! at byte 8, `oldstate` at 16, `newstate` at 20.

use aya_ebpf::macros::{raw_tracepoint, tracepoint};
use aya_ebpf::programs::{RawTracePointContext, TracePointContext};

use crate::probes::lifecycle::state_changed;

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn inet_sock_set_state(ctx: RawTracePointContext) -> i32 {
    state_changed(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[tracepoint]
pub fn inet_sock_set_state_event(ctx: TracePointContext) -> u32 {
    // SAFETY: the helper checks the addresses; the layout is the tracepoint's.
    let (sk, old, new) = unsafe { (ctx.read_at(8), ctx.read_at(16), ctx.read_at(20)) };
    if let (Ok(sk), Ok(old), Ok(new)) = (sk, old, new) {
        state_changed(sk, old, new);
    }
    0
}
