//! Thread-local storage of libraries, as glibc lays it out on x86-64.

use crate::kernel::read_user;

/// `tcbhead_t.dtv`, blocks of thread-local storage by module: 16 bytes each, the number of them
/// stands before the first.
const DTV: u64 = 8;

/// The block of the module whose number stands at `module_at`, of the thread with the thread
/// pointer `thread`. A thread that never asked for its block has none.
#[inline(always)]
pub fn of_module(thread: u64, module_at: u64) -> Option<u64> {
    let module: u64 = read_user(module_at)?;
    let blocks: u64 = read_user(thread.wrapping_add(DTV))?;
    let count: u64 = read_user(blocks.wrapping_sub(16))?;
    if module == 0 || module > count {
        return None;
    }
    let block: u64 = read_user(blocks.wrapping_add(module.wrapping_mul(16)))?;
    // `TLS_DTV_UNALLOCATED`
    if block == u64::MAX { None } else { Some(block) }
}
