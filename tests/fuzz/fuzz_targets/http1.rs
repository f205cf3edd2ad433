//! HTTP/1: the fuzzer decides about messages, calls, directions, gaps and limits.
#![no_main]

use harness::hostile::{HTTP1, check};
use libfuzzer_sys::fuzz_target;
use weft::protocol::http1::Http1;

fuzz_target!(|data: &[u8]| check(&Http1, HTTP1, data));
