//! WebSocket behind HTTP/1: the fuzzer decides about frames, calls, directions, gaps and limits.
#![no_main]

use harness::hostile::{WEBSOCKET, check};
use libfuzzer_sys::fuzz_target;
use weft::protocol::http1::Http1;

fuzz_target!(|data: &[u8]| check(&Http1, WEBSOCKET, data));
