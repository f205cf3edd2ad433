//! Uprobes in programs that rustls is linked into, where a cipher seals and opens records.
//!
//! Attached and filtered as those of `tls`. Rust's own calling convention passes what these
//! functions take as C does: where the answer goes is in rdi, `self` in rsi, the message's address
//! in rdx, the record's number in rcx. What is found there is checked (`probes/rustls.rs`).

use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};

use crate::probes::rustls::{self, Arguments, Version};

#[inline(always)]
fn arguments(ctx: &ProbeContext) -> Option<Arguments> {
    rustls::watched()?;
    // SAFETY: the context of a uprobe is the registers of the probed thread.
    let regs = unsafe { &*ctx.regs };
    Some(Arguments {
        stack: regs.rsp,
        out: regs.rdi,
        object: regs.rsi,
        message: regs.rdx,
        seq: regs.rcx,
    })
}

/// Stack pointer at the beginning of the call that returns, and the bits of the process.
#[inline(always)]
fn back(ctx: &RetProbeContext) -> Option<(u64, u32)> {
    let watch = rustls::watched()?;
    // SAFETY: as above. The return address is gone from the stack.
    let rsp = unsafe { (*ctx.regs).rsp };
    Some((rsp.wrapping_sub(8), watch))
}

/// rustls: `fn MessageDecrypter::decrypt(&mut self, msg: InboundOpaqueMessage, seq: u64) ->
/// Result<InboundPlainMessage, Error>` of any cipher.
#[uprobe]
pub fn rustls_open(ctx: ProbeContext) -> u32 {
    if let Some(arguments) = arguments(&ctx) {
        rustls::opens(&arguments);
    }
    0
}

/// Its return, of a cipher of TLS 1.3.
#[uretprobe]
pub fn rustls_opened_13(ctx: RetProbeContext) -> u32 {
    if let Some((stack, watch)) = back(&ctx) {
        rustls::opened(stack, Version::Tls13, watch);
    }
    0
}

/// Its return, of a cipher of TLS 1.2.
#[uretprobe]
pub fn rustls_opened_12(ctx: RetProbeContext) -> u32 {
    if let Some((stack, watch)) = back(&ctx) {
        rustls::opened(stack, Version::Tls12, watch);
    }
    0
}

/// rustls: `fn MessageEncrypter::encrypt(&mut self, msg: OutboundPlainMessage, seq: u64) ->
/// Result<OutboundOpaqueMessage, Error>` of any cipher.
#[uprobe]
pub fn rustls_seal(ctx: ProbeContext) -> u32 {
    if let Some(arguments) = arguments(&ctx) {
        rustls::seals(&arguments);
    }
    0
}

/// Its return, of a cipher of TLS 1.3.
#[uretprobe]
pub fn rustls_sealed_13(ctx: RetProbeContext) -> u32 {
    if let Some((stack, watch)) = back(&ctx) {
        rustls::sealed(stack, Version::Tls13, watch);
    }
    0
}

/// Its return, of a cipher of TLS 1.2.
#[uretprobe]
pub fn rustls_sealed_12(ctx: RetProbeContext) -> u32 {
    if let Some((stack, watch)) = back(&ctx) {
        rustls::sealed(stack, Version::Tls12, watch);
    }
    0
}
