//! Executables: the fuzzer decides about sections, symbols, tables of functions, code and lies.
#![no_main]

use harness::executable::{Bench, executable};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::new().expect("a temporary file"));

fuzz_target!(|data: &[u8]| {
    // The first byte tells what the length of the file is.
    let (kind, data) = data.split_first().unwrap_or((&0, &[]));
    let bytes = executable(data);
    let len = match kind % 3 {
        0 => bytes.len() as u64,
        1 => bytes.len() as u64 / 2,
        _ => 1 << 20,
    };
    BENCH
        .examine(&bytes, len)
        .expect("a file that can be written");
});
