//! Uprobes in TLS libraries written in C: OpenSSL and its relatives, GnuTLS.
//!
//! Attached per file by `agent/src/probe/uprobes.rs`. Those that read arguments stand where the
//! return address is still on top of the stack, so that the return's probe knows the call by its
//! stack pointer. A file is shared with processes that are not watched: each filters.

use agent_common::loss::Loss;
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_attach_cookie;
use aya_ebpf::macros::{uprobe, uretprobe};
use aya_ebpf::programs::{ProbeContext, RetProbeContext};

use crate::emit::lost;
use crate::kernel::{read_user, setting};
use crate::maps::TlsCall;
use crate::probes::plain;
use crate::probes::tls::{self, NEITHER, RECEIVES, Random, SENDS};

/// Most bytes that one call moves: lengths of libraries are `int` or little more.
const MOST: u64 = i32::MAX as u64;

/// Remembers a call whose bytes are at the second argument. `count`: where it will say how many it
/// has moved, or 0.
#[inline(always)]
fn called(ctx: &ProbeContext, direction: u64, count: u64) {
    if tls::watched().is_none() {
        return;
    }
    // SAFETY: the context of a uprobe is the registers of the probed thread.
    let regs = unsafe { &*ctx.regs };
    tls::called(TlsCall {
        stack: regs.rsp,
        object: regs.rdi,
        buffer: regs.rsi,
        count,
        direction,
    });
}

/// OpenSSL: `int SSL_read(SSL *ssl, void *buf, int num)`, and whatever else answers how many bytes
/// it has read: `gnutls_record_recv(session, data, size)`.
#[uprobe]
pub fn tls_read(ctx: ProbeContext) -> u32 {
    called(&ctx, RECEIVES, 0);
    0
}

/// OpenSSL: `int SSL_write(SSL *ssl, const void *buf, int num)`; GnuTLS:
/// `gnutls_record_send(session, data, size)`.
#[uprobe]
pub fn tls_write(ctx: ProbeContext) -> u32 {
    called(&ctx, SENDS, 0);
    0
}

/// OpenSSL: `int SSL_read_ex(SSL *ssl, void *buf, size_t num, size_t *readbytes)`, and
/// `ssl_read_internal` of the same arguments, which all ways of reading share.
#[uprobe]
pub fn tls_read_counted(ctx: ProbeContext) -> u32 {
    // SAFETY: as above.
    let count = unsafe { (*ctx.regs).rcx };
    called(&ctx, RECEIVES, count);
    0
}

/// OpenSSL: `int SSL_write_ex(SSL *ssl, const void *buf, size_t num, size_t *written)`, and
/// `ssl_write_internal` of the same arguments.
#[uprobe]
pub fn tls_write_counted(ctx: ProbeContext) -> u32 {
    // SAFETY: as above.
    let count = unsafe { (*ctx.regs).rcx };
    called(&ctx, SENDS, count);
    0
}

/// OpenSSL 3.3 and later: `ssl_write_internal(SSL *s, const void *buf, size_t num, uint64_t flags,
/// size_t *written)`.
#[uprobe]
pub fn tls_write_flagged(ctx: ProbeContext) -> u32 {
    // SAFETY: as above.
    let count = unsafe { (*ctx.regs).r8 };
    called(&ctx, SENDS, count);
    0
}

/// OpenSSL: `ossl_ssize_t SSL_sendfile(SSL *s, int fd, off_t offset, size_t size, int flags)`:
/// bytes that never are in user memory.
#[uprobe]
pub fn tls_send_file(ctx: ProbeContext) -> u32 {
    if tls::watched().is_some() {
        // SAFETY: as above.
        let (rsp, rdi) = unsafe { ((*ctx.regs).rsp, (*ctx.regs).rdi) };
        tls::called(TlsCall {
            stack: rsp,
            object: rdi,
            buffer: 0,
            count: 0,
            direction: SENDS,
        });
    }
    0
}

/// `int SSL_do_handshake(SSL *ssl)`, `int gnutls_handshake(gnutls_session_t session)`: its system
/// calls tell the socket.
#[uprobe]
pub fn tls_handshake(ctx: ProbeContext) -> u32 {
    called(&ctx, NEITHER, 0);
    0
}

/// Return of any of these.
#[uretprobe]
pub fn tls_returned(ctx: RetProbeContext) -> u32 {
    returned(&ctx);
    0
}

#[inline(always)]
fn returned(ctx: &RetProbeContext) -> Option<()> {
    let watch = tls::watched()?;
    // SAFETY: as above. The return address is gone from the stack.
    let (rsp, rax) = unsafe { ((*ctx.regs).rsp, (*ctx.regs).rax) };
    let call = tls::returned(rsp.wrapping_sub(8))?;
    if call.direction == NEITHER {
        return None;
    }
    let moved = if call.count == 0 {
        // `int` or `ssize_t`: the sign of the lower half is that of the whole.
        let answer = rax as i32;
        if answer <= 0 { 0 } else { answer as u64 }
    } else if rax as i32 > 0 {
        read_user(call.count)?
    } else {
        0
    };
    if moved > MOST {
        lost(Loss::Fault);
        return None;
    }
    tls::moved(&call, moved as u32, watch, random(ctx));
    Some(())
}

/// What user space said of the file when it attached the probe.
#[inline(always)]
fn random(ctx: &RetProbeContext) -> Random {
    if setting!(cookies) == 0 {
        return Random::of(0);
    }
    // SAFETY: the context is that of the running program.
    Random::of(unsafe { bpf_get_attach_cookie(ctx.as_ptr()) })
}

/// Return of `SSL *SSL_new(SSL_CTX *ctx)`.
#[uretprobe]
pub fn tls_made(ctx: RetProbeContext) -> u32 {
    let object: u64 = ctx.ret();
    if object != 0 && tls::watched().is_some() {
        plain::begun(object);
    }
    0
}

/// `int SSL_clear(SSL *ssl)`: the object is used for another connection. Handshakes begin with it.
#[uprobe]
pub fn tls_cleared(ctx: ProbeContext) -> u32 {
    if tls::watched().is_some() {
        // SAFETY: as above.
        plain::begun(unsafe { (*ctx.regs).rdi });
    }
    0
}

/// `void gnutls_deinit(gnutls_session_t session)`. Not `SSL_free`, which may only drop one of
/// several references.
#[uprobe]
pub fn tls_freed(ctx: ProbeContext) -> u32 {
    if tls::watched().is_some() {
        // SAFETY: as above.
        plain::over(unsafe { (*ctx.regs).rdi });
    }
    0
}

/// `int gnutls_init(gnutls_session_t *session, unsigned int flags)`, which writes the object's
/// address when it returns.
#[uprobe]
pub fn tls_init(ctx: ProbeContext) -> u32 {
    called(&ctx, NEITHER, 0);
    0
}

/// Return of `gnutls_init`.
#[uretprobe]
pub fn tls_inited(ctx: RetProbeContext) -> u32 {
    inited(&ctx);
    0
}

#[inline(always)]
fn inited(ctx: &RetProbeContext) -> Option<()> {
    tls::watched()?;
    // SAFETY: as above.
    let (rsp, rax) = unsafe { ((*ctx.regs).rsp, (*ctx.regs).rax) };
    let call = tls::returned(rsp.wrapping_sub(8))?;
    let object: u64 = read_user(call.object)?;
    if rax as i32 == 0 && object != 0 {
        plain::begun(object);
    }
    Some(())
}
