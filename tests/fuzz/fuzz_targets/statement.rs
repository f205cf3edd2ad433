//! Statements of databases: the fuzzer decides about who reads them, where they are cut, and all of them but a
//! mark in a literal.
#![no_main]

use harness::hostile::check_statement;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| check_statement(data));
