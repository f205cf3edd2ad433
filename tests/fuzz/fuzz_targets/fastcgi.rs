//! FastCGI: the fuzzer decides about records, calls, directions, gaps and limits.
#![no_main]

use harness::hostile::{FASTCGI, check};
use libfuzzer_sys::fuzz_target;
use weft::protocol::fastcgi::FastCgi;

fuzz_target!(|data: &[u8]| check(&FastCgi, FASTCGI, data));
