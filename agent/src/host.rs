//! Calls of the C library that have no safe wrapper.
#![expect(unsafe_code, reason = "malloc_trim is a foreign function")]

/// Gives memory that is free back to the system. Reading the kernel's types at the start takes
/// tens of megabytes for a moment, which the C library would keep for good.
pub(crate) fn release_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer and locks the allocator itself (malloc_trim(3)).
    unsafe {
        libc::malloc_trim(0);
    }
}
