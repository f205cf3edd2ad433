//! Socket I/O by the typed tracepoint of all system calls, for kernels before 6.3.
//!
//! One hook is enough: on x86-64 the argument registers still hold the arguments at exit, and the
//! order of the two directions comes from the socket.

use agent_common::conn::{RECEIVED, SENT};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use rules::rules::{Way, way};

use crate::kernel::regs;
use crate::maps::{CALL, Call};
use crate::probes::socket_io::EAGAIN;
use crate::probes::{fiber, file, socket_io};

/// Any system call has ended; those that move bytes on sockets are looked at.
///
/// Kernel: `trace_sys_exit(struct pt_regs *regs, long ret)`, typed programs since 5.5,
/// `include/trace/events/syscalls.h`.
/// Seen: 5.10, 6.1, 6.12, 6.18.
#[btf_tracepoint(function = "sys_exit")]
pub fn sys_exit(ctx: BtfTracePointContext) -> i32 {
    let words: *const u64 = ctx.arg(0);
    // SAFETY: a typed pointer that the verifier follows.
    let nr = unsafe { *words.add(regs::ORIG_AX) };
    if way(nr) == Way::Neither {
        return 0;
    }
    let Some(watch) = socket_io::watched() else {
        return 0;
    };
    // SAFETY: as above.
    let call = unsafe {
        if *words.add(regs::CS) == regs::CS_32 {
            return 0;
        }
        Call {
            nr,
            args: [
                *words.add(regs::DI),
                *words.add(regs::SI),
                *words.add(regs::DX),
                *words.add(regs::R10),
            ],
            r14: *words.add(regs::R14),
        }
    };
    finished(&call, ctx.arg(1), watch);
    0
}

/// `call` moved `ret` bytes, or messages of a batch. `watch`: the bits of the process.
#[inline(always)]
pub fn finished(call: &Call, ret: i64, watch: u32) {
    // By way of a map: the verifier forgets which call it is, and follows what comes next once
    // for all of them.
    if let Some(slot) = CALL.get_ptr_mut(0) {
        // SAFETY: this CPU's own; a program is not entered twice on one CPU.
        unsafe { *slot = *call };
    }
    if let Some(call) = CALL.get_ptr(0) {
        // SAFETY: the same.
        done(unsafe { &*call }, ret, watch);
    }
}

#[inline(always)]
fn done(call: &Call, ret: i64, watch: u32) {
    if ret < 0 {
        if ret != -i64::from(EAGAIN) && way(call.nr) == Way::Receives {
            fiber::read_nothing(watch);
        }
        return;
    }
    let Some((sk, direction)) = socket_and_direction(call) else {
        return;
    };
    let len = if ret > i64::from(i32::MAX) {
        i32::MAX
    } else {
        ret as i32
    };
    let len = if matches!(call.nr, 299 | 307) {
        batch_bytes(call.args[1], len)
    } else {
        len
    };
    let flags = socket_io::message_flags(call);
    socket_io::moved(sk, direction, len, call, flags, watch);
}

/// The socket that `call` used, and which way.
#[inline(always)]
fn socket_and_direction(call: &Call) -> Option<(u64, u16)> {
    let mut fd = call.args[0];
    let mut direction = RECEIVED;
    match way(call.nr) {
        Way::Sends => direction = SENT,
        Way::Receives => {}
        Way::Splices => {
            if let Some(sk) = file::socket_of(call.args[2]) {
                return Some((sk, SENT as u16));
            }
        }
        Way::Neither => fd = u64::MAX,
    }
    Some((file::socket_of(fd)?, direction as u16))
}

/// Most messages of a batch whose lengths are summed; the sequence numbers of TCP show the rest.
const BATCH: i32 = 16;

/// Sum of `msg_len` over the `count` messages at `vector`.
#[inline(always)]
fn batch_bytes(vector: u64, count: i32) -> i32 {
    let mut sum = 0u32;
    let mut i = 0;
    while i < BATCH {
        if i >= count {
            break;
        }
        let at = vector + i as u64 * 64 + 56;
        sum = sum.saturating_add(crate::kernel::read_user::<u32>(at).unwrap_or(0));
        i += 1;
    }
    (sum & 0x7fff_ffff) as i32
}
