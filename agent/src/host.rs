//! The allocator, and its one call that has no safe wrapper.
#![expect(unsafe_code, reason = "mi_collect is a foreign function")]

/// A span is some forty small allocations: this allocator takes a fifth of the instructions of
/// the C library's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives memory that is free back to the system. Reading the kernel's types at the start takes
/// tens of megabytes for a moment.
pub(crate) fn release_memory() {
    // SAFETY: takes no pointer; may be called by any thread at any time (mimalloc.h).
    unsafe { libmimalloc_sys::mi_collect(true) };
}
