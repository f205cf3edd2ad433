//! Records to streams: the fuzzer decides what happens on connections, and damages records.
#![no_main]

use harness::scenario::{check_table, frames};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check_table(&frames(data)));
