//! `weft`: see the library for what it does.

use std::process::ExitCode;
use weft::daemon::ThisHost;

/// Gives memory back as soon as a burst is over, which the system's allocator does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    weft::cli::start(&ThisHost)
}
