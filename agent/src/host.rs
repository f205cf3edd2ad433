//! This process's own memory: the allocator, mimalloc by its C interface, and the code that the
//! start needed.
#![expect(
    unsafe_code,
    reason = "the functions of mimalloc and of the kernel are foreign"
)]

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
/// would be half empty for good (12 of 42 MiB after the start).
pub(crate) fn use_small_pages() {
    if !set_small_pages(true) {
        tracing::debug!("memory may come in huge pages");
    }
}

/// Starts a child, which shall have its memory as it would have without this program: it inherits how
/// pages are given.
pub(crate) fn with_any_pages<R>(start: impl FnOnce() -> R) -> R {
    set_small_pages(false);
    let started = start();
    set_small_pages(true);
    started
}

fn set_small_pages(small: bool) -> bool {
    let small = libc::c_ulong::from(small);
    // SAFETY: takes no pointer; concerns only what is asked for later (prctl(2)).
    unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, small, 0, 0, 0) == 0 }
}

/// Gives memory that is free back to the system. Reading the kernel's types at the start takes
/// tens of megabytes for a moment.
pub(crate) fn release_memory() {
    // SAFETY: takes no pointer; may be called by any thread at any time (mimalloc.h).
    unsafe { mimalloc::mi_collect(true) };
}

/// Gives back the pages of this program's code. Those that are still in use are mapped again from
/// the kernel's cache at their next call; what only the start needed, half of them, is not.
pub(crate) fn release_code() {
    let Some(code) = std::fs::read_to_string("/proc/self/maps")
        .ok()
        .and_then(|maps| code_around(&maps, release_code as *const () as usize))
    else {
        return;
    };
    let start = std::ptr::without_provenance_mut(code.start);
    // SAFETY: pages that hold code as it stands in the file, and are not written by anyone, are
    // read from there again; `maps` says that these cannot be written (madvise(2), MADV_DONTNEED).
    let done = unsafe { libc::madvise(start, code.len(), libc::MADV_DONTNEED) };
    if done != 0 {
        tracing::debug!("the code of the start stays in memory");
    }
}

/// The mapping of code around `address`, as `/proc/self/maps` tells it: `from-to r-xp ...`.
fn code_around(maps: &str, address: usize) -> Option<std::ops::Range<usize>> {
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let start = usize::from_str_radix(start, 16).ok()?;
        let end = usize::from_str_radix(end, 16).ok()?;
        (rest.starts_with("r-xp") && (start..end).contains(&address)).then_some(start..end)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_code_around_an_address() {
        let maps = "1000-3000 r--p 00000000 fe:00 7 /usr/bin/weft\n\
                    3000-9000 r-xp 00002000 fe:00 7 /usr/bin/weft\n\
                    9000-a000 rwxp 00008000 fe:00 7 /usr/bin/weft\nffff\n";
        let check = |address, expected| assert_eq!(code_around(maps, address), expected);
        check(0x3000, Some(0x3000..0x9000));
        check(0x8fff, Some(0x3000..0x9000));
        check(0x2fff, None);
        check(0x9000, None);
        check(0xb000, None);
    }

    #[test]
    fn goes_on_without_the_code_of_before() {
        release_code();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let here = goes_on_without_the_code_of_before as *const () as usize;
        assert!(code_around(&maps, here).is_some());
    }
}
