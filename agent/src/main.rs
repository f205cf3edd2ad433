//! `weft`: see the library for what it does.

use std::process::ExitCode;
use weft::daemon::ThisHost;

fn main() -> ExitCode {
    weft::cli::start(&ThisHost)
}
