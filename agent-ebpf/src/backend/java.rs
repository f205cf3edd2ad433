//! Uprobes in HotSpot, where its threads begin to allocate elsewhere, or carry another thread.

use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;

use crate::probes::java;

/// HotSpot: `void ThreadLocalAllocBuffer::fill(HeapWord *start, HeapWord *top, size_t new_size)`,
/// called by the thread whose buffer was full; `start` in rsi, `new_size`, in words, in rcx.
#[uprobe]
pub fn java_buffer_filled(ctx: ProbeContext) -> u32 {
    // SAFETY: the context of a uprobe is the registers of the probed thread.
    let (rsi, rcx) = unsafe { ((*ctx.regs).rsi, (*ctx.regs).rcx) };
    java::filled(rsi, rcx);
    0
}

/// HotSpot: `int freeze<...>(JavaThread *current, intptr_t *sp)`, called where a virtual thread begins to
/// wait; `current` in rdi.
#[uprobe]
pub fn java_yielded(ctx: ProbeContext) -> u32 {
    // SAFETY: the context of a uprobe is the registers of the probed thread.
    let rdi = unsafe { (*ctx.regs).rdi };
    java::yielded(rdi);
    0
}
