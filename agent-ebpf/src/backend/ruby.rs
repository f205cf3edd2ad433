//! Uprobes in CRuby, where its threads begin and end.
//!
//! Attached as those of `runtime`, at the first instruction that the kernel emulates; the first
//! argument is still in its register.

use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;

use crate::probes::ruby;

/// CRuby: `void rb_native_mutex_initialize(rb_nativethread_lock_t *lock)`, which `Thread.new` calls
/// for the new thread's own lock; `lock` in rdi.
#[uprobe]
pub fn ruby_lock_made(ctx: ProbeContext) -> u32 {
    // SAFETY: the context of a uprobe is the registers of the probed thread.
    ruby::lock_made(unsafe { (*ctx.regs).rdi });
    0
}

/// CRuby: `void rb_native_mutex_destroy(rb_nativethread_lock_t *lock)`, which each thread calls for
/// its own lock at its end; `lock` in rdi.
#[uprobe]
pub fn ruby_lock_destroyed(ctx: ProbeContext) -> u32 {
    // SAFETY: as above.
    ruby::lock_destroyed(unsafe { (*ctx.regs).rdi });
    0
}
