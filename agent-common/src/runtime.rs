//! How the kernel side names the task of a language runtime that makes a call: values of the map
//! `RUNTIMES` (key: tgid, writer: user space, inherited by forked children, dropped by exec).
//!
//! A runtime that runs many tasks on one thread keeps a pointer to the current one in a register,
//! in thread-local storage or in a global. Each kind below says which, and where its fields are;
//! the offsets come from the binary itself (`agent/src/probe/runtime`).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Most numbers that a kind needs.
pub const FIELDS: usize = 20;

/// Bit of an identity that holds only while the request it was made for is open: an address that
/// may be somebody else's afterwards without that being seen. Where it is certain that it is not,
/// the same task goes without it.
pub const WHILE_OPEN: u64 = 1 << 63;

/// Bit of what stands for a socket where no task is known: who uses it asks for nobody.
pub const SOCKET: u64 = 1 << 62;

/// Offset that stands for "this build has no such field".
pub const NOWHERE: u64 = u64::MAX;

/// Go: the current `g` is in register r14 (ABIInternal, Go 1.17 and later on x86-64).
pub const GO: u32 = 1;
/// CPython: the thread state is found through thread-local storage.
pub const PYTHON: u32 = 2;
/// Node.js: the event loop serves one event after the other, each a task of its own; probes tell
/// which of them a promise's reaction continues.
pub const NODE: u32 = 3;
/// A number in thread-local storage names the current task, such as tokio's.
pub const THREAD_LOCAL: u32 = 4;

/// nginx: what it told epoll about a socket leads to the client's connection.
pub const NGINX: u32 = 5;

/// JVM: threads, but those that take work of others while they wait for their own.
pub const JAVA: u32 = 6;

/// CRuby: thread-local storage names the execution context, which names its thread.
pub const RUBY: u32 = 7;

/// How to name the current task of a process. What `at` holds depends on `kind`: the modules
/// below name its indices.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Runtime {
    /// One of the kinds above.
    pub kind: u32,
    /// Always zero.
    pub reserved: u32,
    /// Addresses and offsets.
    pub at: [u64; FIELDS],
}

/// Indices of [`Runtime::at`] for [`GO`]. Offsets in Go's own structs.
pub mod go {
    /// `runtime.g.goid`.
    pub const GOID: usize = 0;
    /// `runtime.g.parentGoid` (Go 1.21 and later).
    pub const PARENT: usize = 1;
    /// `net/http.Request.ctx`, an interface: its data pointer follows its type; or `NOWHERE` where it is not
    /// told which contexts are of requests.
    pub const REQUEST_CTX: usize = 2;
    /// Addresses of the types `*net.TCPConn`, `*net.UnixConn` and `*crypto/tls.Conn`.
    pub const TCP: usize = 3;
    /// See [`TCP`].
    pub const UNIX: usize = 4;
    /// See [`TCP`].
    pub const TLS: usize = 5;
    /// `crypto/tls.Conn.input`, a `bytes.Reader`.
    pub const TLS_INPUT: usize = 6;
    /// Word of `struct pt_regs` that holds the `*tls.Conn` where that is read.
    pub const TLS_REGISTER: usize = 7;
    /// Address of the type `*transport.http2Server` of `google.golang.org/grpc/internal`.
    pub const GRPC_SERVER: usize = 8;
    /// `transport.http2Server.conn`.
    pub const GRPC_SERVER_CONN: usize = 9;
    /// `transport.Stream.id`, where a `ServerStream` begins with its `Stream`; or [`BEHIND`] and that,
    /// where it begins with a pointer to it.
    pub const GRPC_STREAM: usize = 10;
    /// `transport.http2Client.conn`.
    pub const GRPC_CLIENT_CONN: usize = 11;
    /// Word of `struct pt_regs` that holds the `*http2Client` where a stream is numbered; or
    /// [`ON_STACK`] and its distance from the stack pointer.
    pub const GRPC_CLIENT_REGISTER: usize = 12;
    /// `transport.http2Client.activeStreams`.
    pub const GRPC_CLIENT_STREAMS: usize = 13;
    /// Address that the names of types are told as distances from.
    pub const TYPES: usize = 14;
    /// `database/sql.DB.connector`, an interface.
    pub const SQL_CONNECTOR: usize = 15;
    /// `database/sql.Stmt.query`.
    pub const SQL_QUERY: usize = 16;
    /// `runtime.g.m`, where [`PARENT`] is not known.
    pub const M: usize = 17;
    /// `runtime.m.curg`, likewise.
    pub const CURRENT: usize = 18;
    /// Added to the offset of what is found behind a pointer.
    pub const BEHIND: u64 = 1 << 32;
    /// Added to what is a distance from the stack pointer.
    pub const ON_STACK: u64 = 1 << 32;
}

/// Indices of [`Runtime::at`] for [`PYTHON`].
pub mod python {
    /// Address of the `Py_tss_t` under which each thread keeps its state (`autoTSSkey` of
    /// `_PyRuntime`).
    pub const KEY: usize = 0;
    /// `PyThreadState.context`.
    pub const CONTEXT: usize = 1;
    /// `PyThreadState.datastack_chunk` (CPython 3.11 and later).
    pub const STACK: usize = 2;
    /// `PyContext.ctx_entered`.
    pub const ENTERED: usize = 3;
    /// `PyThreadState.thread_id`.
    pub const THREAD: usize = 4;
    /// Address of the number of greenlet's module of thread-local storage, where it is loaded.
    pub const GREENLET_MODULE: usize = 5;
    /// Offset of greenlet's own state in that storage.
    pub const GREENLET_STATE: usize = 6;
    /// Zero where uvloop is loaded: a loop's thread sends for its tasks.
    pub const UVLOOP: usize = 7;
}

/// Indices of [`Runtime::at`] for [`THREAD_LOCAL`].
pub mod thread_local {
    /// Where the number stands, counted from the thread pointer (mostly negative).
    pub const WORD: usize = 0;
    /// The number is a pointer, and the task stands at this offset behind it; or `NOWHERE`.
    pub const INNER: usize = 1;
    /// tokio: address of the function that its tasks' wakers wake by; or `NOWHERE`.
    pub const WAKE: usize = 2;
    /// 1 where the task that connects is the first to use the connection.
    pub const CONNECTS: usize = 3;
    /// HAProxy: `stream.scf`, the end of a stream that its client is at; `NOWHERE` elsewhere.
    pub const FRONT: usize = 4;
    /// `stconn.app`, the stream again.
    pub const APP: usize = 5;
    /// `stconn.sedesc`, which leads to the stream of HTTP/2.
    pub const ENDPOINT: usize = 6;
    /// `connection.handle.fd`.
    pub const FD: usize = 7;
    /// h2: where in a `store::Ptr` the address of a connection's store of streams is; `NOWHERE` where it
    /// is not told who handles a stream.
    pub const STORE: usize = 8;
    /// `Ptr.key`, two numbers of 32 bits.
    pub const KEY: usize = 9;
    /// Bits of that below `Key.stream_id`.
    pub const STREAM: usize = 10;
}

/// Indices of [`Runtime::at`] for [`RUBY`].
pub mod ruby {
    /// Address of the number of its module of thread-local storage; `NOWHERE` in a program that
    /// holds the runtime itself.
    pub const MODULE: usize = 0;
    /// Offset of `ruby_current_ec` in that storage, or from the thread pointer.
    pub const CONTEXT: usize = 1;
    /// `rb_execution_context_t.thread_ptr`.
    pub const THREAD: usize = 2;
    /// `rb_thread_t.ec`.
    pub const OF_THREAD: usize = 3;
    /// `rb_thread_t.interrupt_lock`.
    pub const LOCK: usize = 4;
}

/// Indices of [`Runtime::at`] for [`JAVA`]. All are `NOWHERE` where only names of threads tell; from
/// [`java::START`] to [`java::TEXT`] where tasks of executors are not told apart; [`java::CARRIED`]
/// where there are no virtual threads.
/// Offsets in structs of HotSpot, by their names there.
pub mod java {
    /// Address of the number of libjvm's module of thread-local storage.
    pub const MODULE: usize = 0;
    /// Offset of `Thread::_thr_current` in that storage.
    pub const CURRENT: usize = 1;
    /// `JavaThread::_threadObj`, a pointer to a pointer to the thread's object.
    pub const OBJECT: usize = 2;
    /// `_top` of `Thread::_tlab`, from the thread.
    pub const TOP: usize = 3;
    /// `_end` of it.
    pub const END: usize = 4;
    /// Address of the `CollectedHeap`.
    pub const HEAP: usize = 5;
    /// `CollectedHeap::_total_collections`.
    pub const COLLECTIONS: usize = 6;
    /// `CollectedHeap::_is_gc_active`.
    pub const COLLECTING: usize = 7;
    /// First address of the heap.
    pub const START: usize = 8;
    /// Bytes of the heap.
    pub const LEN: usize = 9;
    /// Where compressed references count from.
    pub const BASE: usize = 10;
    /// Bits that they are shifted by.
    pub const SHIFT: usize = 11;
    /// Where compressed classes count from.
    pub const CLASS_BASE: usize = 12;
    /// Bits that they are shifted by.
    pub const CLASS_SHIFT: usize = 13;
    /// `Klass::_name`.
    pub const NAME: usize = 14;
    /// `Symbol::_body`; `_length` stands two bytes before.
    pub const TEXT: usize = 15;
    /// `JavaThread::_vthread` (JDK 21 and later), a pointer to a pointer to the object of the
    /// virtual thread that it carries, or to its own.
    pub const CARRIED: usize = 16;
    /// `java.lang.Thread.tid`.
    pub const THREAD_ID: usize = 17;
    /// `java.lang.VirtualThread.cont`; or `NOWHERE` where who made one is not told.
    pub const CONTINUATION: usize = 18;
    /// `jdk.internal.vm.Continuation.target`.
    pub const TARGET: usize = 19;
}

/// Indices of [`Runtime::at`] for [`NGINX`]. Offsets in its own structs.
pub mod nginx {
    /// `ngx_connection_t.data`.
    pub const DATA: usize = 0;
    /// `ngx_connection_t.fd`.
    pub const FD: usize = 1;
    /// `connection` in `ngx_http_request_t` and `ngx_stream_session_t`, behind `signature`.
    pub const CLIENT: usize = 2;
    /// `ngx_http_request_t.stream`, where the build speaks HTTP/2; or `NOWHERE`.
    pub const STREAM: usize = 3;
}

/// Indices of [`Runtime::at`] for [`NODE`]. Offsets from tagged pointers of V8 are as its own code
/// has them, the tag of 1 subtracted.
pub mod node {
    /// `undefined`, from V8's root register (r13).
    pub const UNDEFINED: usize = 0;
    /// `JSFunction::context`.
    pub const FUNCTION_CONTEXT: usize = 1;
    /// `Map::native_context` of a context's map.
    pub const MAP_CONTEXT: usize = 2;
    /// The embedder's data of a native context.
    pub const EMBEDDER: usize = 3;
    /// `node::Environment *` in the embedder's data.
    pub const ENVIRONMENT: usize = 4;
    /// In `node::Environment`: `double *` to the ids of `AsyncHooks`.
    pub const ASYNC_IDS: usize = 5;
    /// `MemoryChunk::flags`, from the beginning of the page.
    pub const PAGE_FLAGS: usize = 6;
    /// `node::Environment`, from the `uv_timer_t` of its timers.
    pub const TIMER: usize = 7;
    /// `node::Environment`, from the `uv_check_t` of its immediates.
    pub const IMMEDIATE: usize = 8;
    /// From [`ASYNC_IDS`]: `double *` to the ids of the scopes around the current one, two each.
    pub const SCOPES: usize = 9;
    /// From [`ASYNC_IDS`]: `uint32_t *` to counters of `AsyncHooks`.
    pub const COUNTERS: usize = 10;
    /// Among those counters: how many scopes there are.
    pub const DEPTH: usize = 11;
    /// In `node::http2::Http2Session`: the `StreamResource *` that it reads from; or `NOWHERE`: then
    /// nothing is known of streams of HTTP/2.
    pub const SESSION: usize = 12;
    /// In the table of virtual functions of a `StreamResource`: `GetFD`.
    pub const DESCRIPTOR: usize = 13;
    /// Address of that function of a socket ...
    pub const SOCKET: usize = 14;
    /// ... and of what TLS puts upon one.
    pub const TLS: usize = 15;
    /// In a socket's `StreamResource`: `uv_stream_t *`.
    pub const HANDLE: usize = 16;
    /// In that of TLS: the one below it.
    pub const BELOW: usize = 17;
    /// In `uv_stream_t`: its descriptor.
    pub const FD: usize = 18;
}
