//! Records into the ring buffer: a loss is counted when it refuses.

use agent_common::loss::Loss;
use agent_common::record::Header;
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use zerocopy::IntoBytes;

use crate::kernel::{now, setting, task_id};
use crate::maps::{LOSSES, RECORDS, WOKEN};

/// `BPF_RB_NO_WAKEUP` of `linux/bpf.h`.
const NO_WAKEUP: u64 = 1;
/// `BPF_RB_FORCE_WAKEUP`.
const FORCE_WAKEUP: u64 = 2;

/// Counts a loss.
#[inline(always)]
pub fn lost(cause: Loss) {
    if let Some(counter) = LOSSES.get_ptr_mut(cause as u32) {
        // SAFETY: a slot of this CPU's own.
        unsafe { *counter += 1 };
    }
}

/// Head of a record of `size` bytes made now by the current task.
#[inline(always)]
pub fn header(kind: u32, size: usize) -> Header {
    let id = task_id();
    Header {
        at: now(),
        tgid: (id >> 32) as u32,
        tid: id as u32,
        kind,
        size: size as u32,
    }
}

/// A CPU wakes the reader no more often, ns: one that is woken reads all there is, and on a busy
/// host it may take a while until it can.
const WAKE_AFTER: u64 = 1_000_000;

/// Waking the reader for each record would cost more than all the rest: it polls, and is woken
/// only when much waits.
#[inline(always)]
pub fn wakeup() -> u64 {
    if RECORDS.query(0) <= u64::from(setting!(wake_at)) {
        return NO_WAKEUP;
    }
    let Some(woken) = WOKEN.get_ptr_mut(0) else {
        return FORCE_WAKEUP;
    };
    let now = now();
    // SAFETY: a slot of this CPU's own.
    unsafe {
        if now.wrapping_sub(*woken) < WAKE_AFTER {
            return NO_WAKEUP;
        }
        *woken = now;
    }
    FORCE_WAKEUP
}

/// Puts `len` bytes at `record` into the ring.
#[inline(always)]
fn output(record: *const u8, len: u64, flags: u64) -> bool {
    let ring = (&raw const RECORDS).cast_mut().cast();
    // SAFETY: the verifier proves that `record` has `len` bytes.
    let refused = unsafe { bpf_ringbuf_output(ring, record.cast_mut().cast(), len, flags) } != 0;
    if refused {
        lost(Loss::RingFull);
    }
    !refused
}

/// Emits a record of fixed size.
#[inline(always)]
pub fn emit<T: IntoBytes + zerocopy::Immutable>(record: &T) -> bool {
    output((&raw const *record).cast(), size_of::<T>() as u64, wakeup())
}

/// Emits a record of fixed size and wakes the reader: `/proc` may be gone in a moment.
#[inline(always)]
pub fn emit_now<T: IntoBytes + zerocopy::Immutable>(record: &T) {
    output(
        (&raw const *record).cast(),
        size_of::<T>() as u64,
        FORCE_WAKEUP,
    );
}

/// Emits the first `len` bytes at `record`.
#[inline(always)]
pub fn emit_bytes(record: *const u8, len: u64) -> bool {
    output(record, len, wakeup())
}
