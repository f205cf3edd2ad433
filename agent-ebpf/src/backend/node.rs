//! Uprobes in Node.js: where its event loop, V8's promises and V8's collector tell whose code runs.
//!
//! Attached per process by `agent/src/probe/uprobes.rs`, at instructions at which the arguments
//! are still in their registers.

use agent_common::runtime::node::{IMMEDIATE, TIMER};
use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;

use crate::kernel::read_user;
use crate::probes::node::{self, Call};
use crate::probes::node_streams;

/// V8: `PerformPromiseThen(promise, onFulfilled, onRejected, resultPromise)`, a builtin with its
/// arguments in rax, rbx, rcx and rdx: all that awaits, and what the compiler made of `then`.
#[uprobe]
pub fn node_then(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: the context of a uprobe is the registers of the probed thread.
        let regs = unsafe { &*ctx.regs };
        let call = Call {
            root: regs.r13,
            context: regs.rsi,
            handler: regs.rbx,
            result: regs.rdx,
        };
        node::attached(runtime, &call);
    }
    0
}

/// V8: `PromisePrototypeThen`, a builtin with its arguments on the stack behind the address of
/// return and the receiver: `onFulfilled`, `onRejected`. `then` as the interpreter calls it.
#[uprobe]
pub fn node_prototype_then(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: as above.
        let regs = unsafe { &*ctx.regs };
        if let Some(handlers) = read_user::<[u64; 2]>(regs.rsp + 16) {
            node::attached_by_then(runtime, regs.r13, regs.rsi, handlers);
        }
    }
    0
}

/// V8: `PromiseFulfillReactionJob(value, handler, promiseOrCapability)` and its sibling for
/// rejections, builtins with their arguments in rax, rbx and rcx.
#[uprobe]
pub fn node_reaction(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: as above.
        let regs = unsafe { &*ctx.regs };
        let call = Call {
            root: regs.r13,
            context: regs.rsi,
            handler: regs.rbx,
            result: regs.rcx,
        };
        node::reacts(runtime, &call);
    }
    0
}

/// V8: `PromiseResolveThenableJob`, a builtin.
#[uprobe]
pub fn node_thenable(_: ProbeContext) -> u32 {
    if node::runtime().is_some() {
        node::resolves();
    }
    0
}

/// V8: the end of `MicrotaskQueue::RunMicrotasks`, where it calls `OnCompleted`.
#[uprobe]
pub fn node_drained(_: ProbeContext) -> u32 {
    if node::runtime().is_some() {
        node::drained();
    }
    0
}

/// Node.js: `void Environment::RunTimers(uv_timer_t *handle)`, `handle` in rdi, which lies within
/// the environment.
#[uprobe]
pub fn node_timers(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: as above.
        let handle = unsafe { (*ctx.regs).rdi };
        node::callbacks(runtime, handle.wrapping_add(runtime.at[TIMER]));
    }
    0
}

/// Node.js: `void Environment::CheckImmediate(uv_check_t *handle)`, likewise.
#[uprobe]
pub fn node_immediates(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: as above.
        let handle = unsafe { (*ctx.regs).rdi };
        node::callbacks(runtime, handle.wrapping_add(runtime.at[IMMEDIATE]));
    }
    0
}

/// Node.js: `void AfterGetAddrInfo(uv_getaddrinfo_t *req, int status, struct addrinfo *res)`: a
/// name is resolved.
#[uprobe]
pub fn node_resolved(_: ProbeContext) -> u32 {
    if node::runtime().is_some() {
        node::makers();
    }
    0
}

/// Node.js: `void MessagePortData::AddToIncomingQueue(std::shared_ptr<Message> message)`, a pointer
/// to `message` in rsi, its first word a pointer, too.
#[uprobe]
pub fn node_posted(ctx: ProbeContext) -> u32 {
    if node::runtime().is_some() {
        // SAFETY: as above.
        if let Some(message) = read_user::<u64>(unsafe { (*ctx.regs).rsi }) {
            node::posted(message);
        }
    }
    0
}

/// Node.js: `MaybeLocal<Value> Message::Deserialize(Environment *env, Local<Context> context,
/// Local<Value> *ports)`, `this` in rdi, `env` in rsi: before a message is given to its listeners.
#[uprobe]
pub fn node_took(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: as above.
        let (rdi, rsi) = unsafe { ((*ctx.regs).rdi, (*ctx.regs).rsi) };
        node::took(runtime, rdi, rsi);
    }
    0
}

/// Node.js: `void AsyncWrap::AsyncReset(const FunctionCallbackInfo<Value> &args)`: `http.Agent` gives
/// a connection to a request.
#[uprobe]
pub fn node_assigned(_: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        node::assigned(runtime);
    }
    0
}

/// Node.js: `void HandleWrap::OnClose(uv_handle_t *handle)`: a connection is closed.
#[uprobe]
pub fn node_closed(_: ProbeContext) -> u32 {
    if node::runtime().is_some() {
        node::closed();
    }
    0
}

/// Node.js: `void TCPWrap::New(const FunctionCallbackInfo<Value> &args)` and its sibling for pipes: a
/// connection is made, and not used yet.
#[uprobe]
pub fn node_made(_: ProbeContext) -> u32 {
    if node::runtime().is_some() {
        node::made();
    }
    0
}

/// libuv and Node.js: entry of the callbacks of everything but received bytes.
#[uprobe]
pub fn node_entered(_: ProbeContext) -> u32 {
    if node::runtime().is_some() {
        node::entered();
    }
    0
}

/// V8: `void Heap::GarbageCollectionEpilogueInSafepoint(GarbageCollector collector)`. Objects have
/// moved, and the places they left are still as they left them: what is unmapped goes here, later.
#[uprobe]
pub fn node_collected(_: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        node::collected(runtime);
    }
    0
}

/// Node.js: the call of `Http2Stream::Http2Stream(Http2Session *session, Local<Object> obj, int32_t id,
/// nghttp2_headers_category category, int options)` within `Http2Session::SubmitRequest`, `session` in
/// rsi, `id` in ecx: a client asks for a stream, of which nothing is written yet.
#[uprobe]
pub fn node_h2_asked(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: as above.
        let (rsi, rcx) = unsafe { ((*ctx.regs).rsi, (*ctx.regs).rcx) };
        node_streams::asked(runtime, rsi, rcx as u32);
    }
    0
}

/// Node.js: the call of `nghttp2_submit_response(nghttp2_session *session, int32_t stream_id, ...)` within
/// `Http2Stream::SubmitResponse`, the stream's number in esi; its `Http2Session *`, by which `session` was
/// read, is still in rax.
#[uprobe]
pub fn node_h2_answered(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: as above.
        let (rax, rsi) = unsafe { ((*ctx.regs).rax, (*ctx.regs).rsi) };
        node_streams::answered(runtime, rax, rsi as u32);
    }
    0
}

/// Node.js: `int Http2Session::OnFrameReceive(nghttp2_session *handle, const nghttp2_frame *frame, void
/// *session)`.
#[uprobe]
pub fn node_h2_frame(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: as above.
        let (rsi, rdx) = unsafe { ((*ctx.regs).rsi, (*ctx.regs).rdx) };
        node_streams::frame(runtime, rdx, rsi);
    }
    0
}

/// Node.js: `int Http2Session::OnDataChunkReceived(nghttp2_session *handle, uint8_t flags, int32_t id,
/// const uint8_t *data, size_t len, void *session)`.
#[uprobe]
pub fn node_h2_data(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: as above.
        let (rdx, r9) = unsafe { ((*ctx.regs).rdx, (*ctx.regs).r9) };
        node_streams::heard(runtime, r9, rdx as u32, false);
    }
    0
}

/// Node.js: `int Http2Session::OnStreamClose(nghttp2_session *handle, int32_t id, uint32_t code, void
/// *session)`.
#[uprobe]
pub fn node_h2_over(ctx: ProbeContext) -> u32 {
    if node::runtime().is_some() {
        // SAFETY: as above.
        let (rsi, rcx) = unsafe { ((*ctx.regs).rsi, (*ctx.regs).rcx) };
        node_streams::over(rcx, rsi as u32);
    }
    0
}

/// Node.js: `int Http2Session::OnInvalidFrame(nghttp2_session *handle, const nghttp2_frame *frame, int
/// error, void *session)`.
#[uprobe]
pub fn node_h2_invalid(ctx: ProbeContext) -> u32 {
    if let Some(runtime) = node::runtime() {
        // SAFETY: as above.
        let session = unsafe { (*ctx.regs).rcx };
        node_streams::heard(runtime, session, 0, false);
    }
    0
}

/// Node.js: the calls of `void Http2Session::SendPendingData()` within `OnDataChunkReceived`.
#[uprobe]
pub fn node_h2_sends(_: ProbeContext) -> u32 {
    if node::runtime().is_some() {
        node_streams::sends();
    }
    0
}

/// Node.js: the first jump behind the call of `nghttp2_session_mem_recv` within `void
/// Http2Session::ConsumeHTTP2Data()`: all callbacks have been made.
#[uprobe]
pub fn node_h2_told(_: ProbeContext) -> u32 {
    if node::runtime().is_some() {
        node_streams::told();
    }
    0
}
