//! The only file that asks the kernel for memory, task and time.

use agent_common::settings::ABSENT;
use aya_ebpf::helpers::{
    bpf_get_current_pid_tgid, bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_probe_read_kernel,
    bpf_probe_read_user, generated,
};

/// Reads one field of the frozen settings; the verifier knows its value.
macro_rules! setting {
    ($($field:ident).+) => {
        // SAFETY: a field of a static; volatile because user space replaces it before loading.
        unsafe { core::ptr::read_volatile(&raw const $crate::maps::SETTINGS.$($field).+) }
    };
}
pub(crate) use setting;

/// Offset of a kernel struct field.
macro_rules! offset {
    ($field:ident) => {
        $crate::kernel::setting!(offsets.$field)
    };
}
pub(crate) use offset;

/// Time, ns of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: a helper without preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// Process and thread of the current task: tgid in the high half, tid in the low.
#[inline(always)]
pub fn task_id() -> u64 {
    bpf_get_current_pid_tgid()
}

/// Process of the current task.
#[inline(always)]
pub fn tgid() -> u32 {
    (task_id() >> 32) as u32
}

/// The current `struct task_struct *`.
#[inline(always)]
pub fn task() -> u64 {
    // SAFETY: a helper without preconditions.
    unsafe { generated::bpf_get_current_task() }
}

/// A number that is not handed out twice while the host is up: time and CPU.
#[inline(always)]
pub fn fresh_id() -> u64 {
    // SAFETY: a helper without preconditions.
    let cpu = unsafe { bpf_get_smp_processor_id() };
    (now() << 8) | u64::from(cpu & 0xff)
}

/// Reads kernel memory at `base + offset`. `None` when unreadable, or the field is absent here.
#[inline(always)]
pub fn read<T>(base: u64, offset: u32) -> Option<T> {
    if offset == ABSENT || base == 0 {
        return None;
    }
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel((base + u64::from(offset)) as *const T) }.ok()
}

/// The number of a `pointer` that the kernel handed us typed, with which the verifier allows no
/// arithmetic: as it is in memory.
#[inline(always)]
pub fn number(pointer: u64) -> u64 {
    // SAFETY: the helper copies a variable of ours.
    unsafe { bpf_probe_read_kernel(&raw const pointer) }.unwrap_or(0)
}

/// Reads user memory of the current task.
#[inline(always)]
pub fn read_user<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user(address as *const T) }.ok()
}

/// Copies `len` bytes of user memory to `to`, which must have room for them.
#[inline(always)]
pub fn copy_user(to: *mut u8, len: u64, from: u64) -> bool {
    // SAFETY: the verifier proves the bounds of `to`, the helper checks `from`.
    unsafe { generated::bpf_probe_read_user(to.cast(), len as u32, from as *const _) == 0 }
}

/// Copies `len` bytes of kernel memory to `to`, which must have room for them.
#[inline(always)]
pub fn copy_kernel(to: *mut u8, len: u64, from: u64) -> bool {
    // SAFETY: the verifier proves the bounds of `to`, the helper checks `from`.
    unsafe { generated::bpf_probe_read_kernel(to.cast(), len as u32, from as *const _) == 0 }
}

/// Hides what the compiler knows of `x`, so that the bound check that follows reaches the
/// verifier, which does not follow sums and differences of variables.
#[inline(always)]
pub fn opaque(x: u64) -> u64 {
    let mut y = x;
    // SAFETY: one move of a register to itself (an empty block would upset the line table).
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) y, options(nomem, nostack)) };
    y
}

/// Saved user registers, x86-64 `struct pt_regs` in words.
pub mod regs {
    pub const R14: usize = 1;
    pub const R10: usize = 7;
    pub const AX: usize = 10;
    pub const DX: usize = 12;
    pub const SI: usize = 13;
    pub const DI: usize = 14;
    pub const ORIG_AX: usize = 15;
    pub const CS: usize = 17;
    /// `__USER32_CS`: a 32-bit program, whose calls are numbered differently.
    pub const CS_32: u64 = 0x23;
}
