//! The kernel object: every program and map of weft. User space loads only what it chose.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod backend;
mod emit;
mod kernel;
mod maps;
mod probes;

/// Helpers such as `bpf_probe_read_kernel` are for GPL programs only.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
