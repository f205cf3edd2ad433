//! Connection life by the state changes of TCP sockets.

use aya_ebpf::macros::{raw_tracepoint, tracepoint};
use aya_ebpf::programs::{RawTracePointContext, TracePointContext};

use crate::probes::lifecycle::state_changed;

/// A TCP socket changes its state: it connects, or is over.
///
/// Kernel: `trace_inet_sock_set_state(const struct sock *sk, const int oldstate, const int
/// newstate)`, since 4.16, raw tracepoints since 4.17, `include/trace/events/sock.h`.
/// Seen: 5.10, 6.1, 6.12, 6.18.
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub fn inet_sock_set_state(ctx: RawTracePointContext) -> i32 {
    state_changed(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

/// The same by the plain tracepoint.
///
/// Kernel: `const void *skaddr` at byte 8, `int oldstate` at 16, `int newstate` at 20, since 4.16,
/// `include/trace/events/sock.h`.
/// Seen: 5.10, 6.1, 6.12, 6.18.
#[tracepoint]
pub fn inet_sock_set_state_event(ctx: TracePointContext) -> u32 {
    // SAFETY: the helper checks the addresses; the layout is the tracepoint's.
    let (sk, old, new) = unsafe { (ctx.read_at(8), ctx.read_at(16), ctx.read_at(20)) };
    if let (Ok(sk), Ok(old), Ok(new)) = (sk, old, new) {
        state_changed(sk, old, new);
    }
    0
}
