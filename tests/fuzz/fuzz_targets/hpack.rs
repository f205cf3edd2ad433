//! Field blocks of HTTP/2: the fuzzer decides about their bytes, how they are cut, and what was missed.
#![no_main]

use harness::hostile::check_blocks;
use libfuzzer_sys::fuzz_target;
use weft::protocol::http2::Http2;

fuzz_target!(|data: &[u8]| check_blocks(&Http2, data));
