//! TLS: the fuzzer decides about records, calls, directions, gaps and limits.
#![no_main]

use harness::hostile::{TLS, check};
use libfuzzer_sys::fuzz_target;
use weft::protocol::tls::Tls;

fuzz_target!(|data: &[u8]| check(&Tls, TLS, data));
