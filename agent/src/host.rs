//! The allocator: mimalloc, by its C interface.
#![expect(unsafe_code, reason = "the functions of mimalloc are foreign")]

use libmimalloc_sys as mimalloc;
use std::alloc::{GlobalAlloc, Layout};

/// A span is some twenty small allocations: this allocator takes a fifth of the instructions of
/// the C library's. The crate of that name always asks for an alignment, which takes twice as
/// many as not to ask.
struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// What every block is aligned to, bytes; more must be asked for (mimalloc.h, `mi_malloc`).
const WORD: usize = size_of::<usize>();

// SAFETY: blocks are of at least the size and the alignment asked for, they are given back by
// the function that belongs to the one that made them, and no function unwinds.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= WORD {
            // SAFETY: any size may be asked for; null says that there is none.
            unsafe { mimalloc::mi_malloc(layout.size()).cast() }
        } else {
            // SAFETY: the alignment of a layout is a power of two.
            unsafe { mimalloc::mi_malloc_aligned(layout.size(), layout.align()).cast() }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= WORD {
            // SAFETY: as in `alloc`.
            unsafe { mimalloc::mi_zalloc(layout.size()).cast() }
        } else {
            // SAFETY: as in `alloc`.
            unsafe { mimalloc::mi_zalloc_aligned(layout.size(), layout.align()).cast() }
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller promises that the block came from here and is not used any more.
        unsafe { mimalloc::mi_free(block.cast()) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= WORD {
            // SAFETY: the caller promises that the block came from here.
            unsafe { mimalloc::mi_realloc(block.cast(), size).cast() }
        } else {
            // SAFETY: the same; the alignment is that of a layout.
            unsafe { mimalloc::mi_realloc_aligned(block.cast(), size, layout.align()).cast() }
        }
    }
}

/// `mi_option_purge_delay`, as mimalloc.h numbers it.
const PURGE_DELAY: mimalloc::mi_option_t = 15;

/// How long a free page is kept for its next use, ms. The default is a second, in which a loaded
/// agent goes through ten megabytes more than it needs.
const PURGE_AFTER: std::ffi::c_long = 10;

/// From now on free pages go back to the system soon, unless the environment says otherwise.
pub(crate) fn return_memory_soon() {
    // SAFETY: sets a number; may be called by any thread at any time (mimalloc.h).
    unsafe { mimalloc::mi_option_set_default(PURGE_DELAY, PURGE_AFTER) };
}

/// Has the kernel give memory in pages of 4 KiB only: pieces of 2 MiB, which the allocator asks for,
/// would be half empty for good (12 of 42 MiB after the start). Children inherit it, so it comes
/// after the one that is started on behalf of the user.
pub(crate) fn use_small_pages() {
    // SAFETY: takes no pointer; concerns only what is asked for later (prctl(2)).
    let done = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
    if done != 0 {
        tracing::debug!("memory may come in huge pages");
    }
}

/// Gives memory that is free back to the system. Reading the kernel's types at the start takes
/// tens of megabytes for a moment.
pub(crate) fn release_memory() {
    // SAFETY: takes no pointer; may be called by any thread at any time (mimalloc.h).
    unsafe { mimalloc::mi_collect(true) };
}
