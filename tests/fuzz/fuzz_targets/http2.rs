//! HTTP/2: the fuzzer decides about frames, calls, directions, gaps and limits.
#![no_main]

use harness::hostile::{HTTP2, check};
use libfuzzer_sys::fuzz_target;
use weft::protocol::http2::Http2;

fuzz_target!(|data: &[u8]| check(&Http2, HTTP2, data));
