//! The rules of the kernel side that need no kernel: how much to copy, where bytes stand in
//! their stream, which system call moved them. Tested on the host.
#![cfg_attr(not(test), no_std)]

pub mod rules;
