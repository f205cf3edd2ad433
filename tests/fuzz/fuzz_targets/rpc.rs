//! Bodies of calls: the fuzzer decides about messages, last messages, and what is not seen.
#![no_main]

use harness::hostile::check_bodies;
use libfuzzer_sys::fuzz_target;
use weft::protocol::http2::Http2;

fuzz_target!(|data: &[u8]| check_bodies(&Http2, data));
