//! Every map: key, value, writer, reader, bound, and what happens when it is full.

use agent_common::loss::Loss;
use agent_common::record::{CHUNK_BYTES, Chunk, Opened};
use agent_common::runtime::Runtime;
use agent_common::settings::Settings;
use agent_common::watch::Policy;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, LruHashMap, PerCpuArray, RingBuf};

/// Written by user space before the programs are loaded, frozen afterwards.
#[unsafe(no_mangle)]
pub static SETTINGS: Settings = Settings {
    own_tgid: 0,
    watch_new: 0,
    wake_at: 0,
    cookies: 0,
    // SAFETY: all fields are integers, for which zero is a value.
    offsets: unsafe { core::mem::zeroed() },
};

/// Records to user space. Writer: every probe. Size: set by user space. Full: the record is
/// dropped and counted as [`Loss::RingFull`].
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

/// When this CPU woke the reader of [`RECORDS`] last, ns.
#[map]
pub static WOKEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Process (tgid) → `watch::*` bits. Writers: user space, fork and exec probes. Full: the
/// process is not watched, counted as [`Loss::WatchFull`].
#[map]
pub static WATCHED: HashMap<u32, u32> = HashMap::with_max_entries(16384, 0);

/// `BPF_F_NO_PREALLOC` of `linux/bpf.h`: memory for what is there, not for what could be.
const NO_PREALLOC: u32 = 1;

/// Process (tgid) → how its tasks are named. Writers: user space, fork and exit probes. Full:
/// the process's threads stand for its tasks.
#[map]
pub static RUNTIMES: HashMap<u32, Runtime> = HashMap::with_max_entries(16384, NO_PREALLOC);

/// A task of a runtime, or a pointer that tasks hand to each other.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct InProcess {
    pub tgid: u64,
    pub value: u64,
}

/// Object that a task handed on (Go: `*http.Request`) → that task. Writer: runtime probes. Full:
/// the oldest is forgotten, and what the receiver does with it stands for itself.
#[map]
pub static HANDED: LruHashMap<InProcess, u64> = LruHashMap::with_max_entries(16384, 0);

/// Task → the task on whose behalf it works at present. Writer: runtime probes. Full: likewise.
#[map]
pub static ADOPTED: LruHashMap<InProcess, u64> = LruHashMap::with_max_entries(16384, 0);

/// A stream of HTTP/2 that a proxy serves.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Served {
    /// Id of its connection.
    pub conn: u64,
    /// Its number.
    pub stream: u64,
}

/// Task of a proxy → the stream that it was told to serve. Writer: socket I/O. Full: the least
/// recently used one is forgotten and told anew, as another task of that address.
#[map]
pub static SERVED: LruHashMap<InProcess, Served> = LruHashMap::with_max_entries(16384, 0);

/// A stream of HTTP/2 that a server by the crate h2 takes up.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Taken {
    /// Where its connection keeps all streams.
    pub store: u64,
    /// What references to it hold: its place there, and its number.
    pub key: u64,
    /// Its number.
    pub number: u64,
}

/// Task of tokio's that reads a connection → the stream that it took last. Writer: runtime probes. Full: the
/// least recently used one is forgotten, and nobody is told to handle that stream.
#[map]
pub static TAKEN: LruHashMap<InProcess, Taken> = LruHashMap::with_max_entries(4096, 0);

/// Where in tasks of a type of tokio's their id is, and the key of their stream.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Holding {
    pub id: u64,
    pub key: u64,
}

/// Table of functions of such a type → that. Writer: runtime probes. Full: the least recently used one is
/// forgotten, and looked for anew.
#[map]
pub static HOLDING: LruHashMap<InProcess, Holding> = LruHashMap::with_max_entries(1024, 0);

/// Words of a task that are looked through.
pub const TASK_WORDS: usize = 514;

/// The beginning of what a task will do, and what is looked for in it.
#[repr(C)]
pub struct TaskWords {
    pub words: [u64; TASK_WORDS],
    /// How many of them are this task's.
    pub count: u64,
    pub taken: Taken,
}

/// Where tasks are looked through: too big for the stack of a program.
#[map]
pub static TASK: PerCpuArray<TaskWords> = PerCpuArray::with_max_entries(1, 0);

/// Thread, and address of bytes that a task wrote to a uvloop stream → that task. Writer:
/// runtime probes; taken out by the call that sends them. Full: the oldest is forgotten, and
/// nothing is known of who sent it.
#[map]
pub static WRITTEN: LruHashMap<InProcess, u64> = LruHashMap::with_max_entries(16384, 0);

/// Changes of context that are remembered of one event; a power of two.
pub const NODE_CHANGES: usize = 32;

/// Whose the ids of resources are that were made after one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Ids {
    pub after: u64,
    pub fiber: u64,
}

/// Where an entry of [`NODE_IDS`] is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slot {
    pub tid: u32,
    pub number: u32,
}

/// Entries of one thread, a power of two: the last ones are kept.
pub const NODE_LOG: u64 = 4096;

/// Changes of context of an event loop, over all events. Writers: as of [`NODE_THREADS`]. Full:
/// the oldest are forgotten, timers made then have no task.
#[map]
pub static NODE_IDS: LruHashMap<Slot, Ids> = LruHashMap::with_max_entries(32768, 0);

/// What a thread with an event loop of Node.js is doing.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NodeThread {
    /// The task of the event that the loop serves; 0 when it is none of ours.
    pub event: u64,
    /// A resource in whose scope a request was taken from the queue of `http.Agent` in this
    /// event; 0 when there is none.
    pub scope: u64,
    /// The task that made that request.
    pub queued: u64,
    /// The newest id before: if a connection was made for the request, that of the tick which
    /// connects it.
    pub tick: u64,
    /// The task whose code runs now.
    pub current: u64,
    /// The newest id of an asynchronous resource when the event began.
    pub since: u64,
    /// Where the ids of this thread's resources are; 0 until a promise has told.
    pub ids: u64,
    /// Where the pointer to them is.
    pub hooks: u64,
    /// Id of the connection of which the loop reads bytes in this event; 0 in all others.
    pub reading: u64,
    /// With `reading`: the event of these bytes.
    pub read: u64,
    /// The `Http2Session *` that is given what was read, now or before; 0 when none is.
    pub session: u64,
    /// With `session`: id of its connection.
    pub carrier: u64,
    /// With `session`: the stream that JavaScript was told of last, 0 when of none, ...
    pub stream: u64,
    /// ... and the event of that.
    pub heard: u64,
    /// With `session`: 1 when callbacks of many are due afterwards.
    pub resume: u64,
    /// Between two collections of garbage; never the same again.
    pub epoch: u64,
    /// Changes of context since the event began.
    pub changed: u32,
    /// 1 while microtasks run.
    pub microtasks: u32,
    /// 1 in an event of callbacks each of which is of whoever made its resource.
    pub makers: u32,
    /// 1 while a handle is told that it is closed.
    pub closing: u32,
    /// Entries of this thread that [`NODE_IDS`] has had.
    pub logged: u64,
    /// The last of them.
    pub last: Ids,
    /// The newest id at each change ...
    pub counters: [u64; NODE_CHANGES],
    /// ... and whose the ids made after it are.
    pub fibers: [u64; NODE_CHANGES],
}

/// Thread → its event loop. Writers: socket I/O, runtime probes, exit probe. Full: the oldest is
/// forgotten: what it does until its next event has no task.
#[map]
pub static NODE_THREADS: LruHashMap<u32, NodeThread> = LruHashMap::with_max_entries(4096, 0);

/// A thread of which nothing is known: too big for the stack of a program.
#[map]
pub static NODE_FRESH: PerCpuArray<NodeThread> = PerCpuArray::with_max_entries(1, 0);

/// Who waits for a promise.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Reaction {
    /// The task; 0 when several share the key.
    pub fiber: u64,
    /// As in [`NodeThread`].
    pub epoch: u64,
    /// Thread of the event loop.
    pub tid: u32,
    /// Reactions under this key.
    pub count: u32,
}

/// Object of V8 by which a reaction is known (`probes/node.rs`) → who waits. Writer: runtime
/// probes. Full: the oldest is forgotten, that reaction has no task.
#[map]
pub static NODE_REACTIONS: LruHashMap<InProcess, Reaction> = LruHashMap::with_max_entries(32768, 0);

/// `struct eventpoll *` → the last thread that was seen to wait there. Writer: socket I/O in a JVM.
/// Full: the oldest is forgotten, who reads its sockets may be the one that waits for them.
#[map]
pub static POLLERS: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1024, 0);

/// Words of a thread's stack that are looked through for the task that it runs.
pub const JAVA_WORDS: usize = 384;
/// Words of them that may be references; a power of two.
pub const JAVA_FOUND: usize = 32;

/// Words of 32 bits of an object that are looked at.
pub const JAVA_HEAD: usize = 12;

/// A part of a thread's stack, and what in it may be references.
#[repr(C)]
pub struct JavaStack {
    pub words: [u64; JAVA_WORDS],
    pub found: [u64; JAVA_FOUND],
    /// Where the next one goes, and the address of the task. Here, and not in registers, since the verifier
    /// follows each value that a register may have through all that comes behind.
    pub count: u64,
    pub task: u64,
    /// Mark, class and first fields of one of them.
    pub head: [u32; JAVA_HEAD],
    /// Name of its class.
    pub name: [u64; 4],
}

/// Where stacks are looked through: too big for that of a program.
#[map]
pub static JAVA_STACK: PerCpuArray<JavaStack> = PerCpuArray::with_max_entries(1, 0);

/// State of a connection in the kernel.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Connection {
    /// As in the records.
    pub id: u64,
    /// Inode of the socket: tells a reused `struct sock` from the one that was here before.
    pub inode: u64,
    /// Offsets of the next bytes: sent, received.
    pub next: [u64; 2],
    /// The task that connected it for itself, where that is known; or 0.
    pub connector: u64,
    /// Bytes still to copy in this turn.
    pub left: u32,
    /// Direction of the turn.
    pub turn: u16,
    /// `FLAG_*`.
    pub flags: u16,
}

/// The `Opened` record is out.
pub const FLAG_ANNOUNCED: u16 = 1;
/// Offsets are TCP sequence numbers.
pub const FLAG_TCP: u16 = 2;
/// The end of the received stream was reported.
pub const FLAG_READ_TO_END: u16 = 4;
/// The process connected it.
pub const FLAG_CLIENT: u16 = 8;

/// The process was not seen to connect it, and received before it sent.
pub const FLAG_ASKED: u16 = 16;

/// `struct sock *` → its state. Writer: socket I/O and lifecycle probes. Full: the least
/// recently used one is forgotten and announced again when it is used again.
#[map]
pub static CONNECTIONS: LruHashMap<u64, Connection> = LruHashMap::with_max_entries(16384, 0);

/// `struct sock *` of a `connect` under way in a watched process → the runtime's task that
/// called it, 0 where none is known or that says nothing of who will use it. Writer: lifecycle
/// probe. Full: the oldest is forgotten, the connection's role stays unknown.
#[map]
pub static CONNECTING: LruHashMap<u64, u64> = LruHashMap::with_max_entries(4096, 0);

/// A TLS connection of a process: what its library calls an object, and what is known of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Session {
    /// As in the records.
    pub id: u64,
    /// Id of the connection that carries it, 0 while that is not known. Set once.
    pub conn: u64,
    /// `struct sock *` of that connection, for looking it up again.
    pub sk: u64,
    /// Plain bytes so far: sent, received.
    pub next: [u64; 2],
    /// Bytes still to copy in this turn.
    pub left: u32,
    /// Descriptor of the socket, as the library used it.
    pub fd: u32,
    /// Direction of the turn.
    pub turn: u16,
    /// `SESSION_*`.
    pub flags: u16,
    /// Always zero.
    pub reserved: u32,
}

/// Its beginning was seen.
pub const SESSION_FRESH: u16 = 1;
/// By what its connection can be found is out.
pub const SESSION_TOLD: u16 = 2;
/// It is one key of one direction, whose connection is not known.
pub const SESSION_KEY: u16 = 4;

/// Object of a TLS library → its session. Writer: TLS probes. Full: the least recently used one
/// is forgotten, and is another one, of unknown beginning, when it is used again.
#[map]
pub static SESSIONS: LruHashMap<InProcess, Session> = LruHashMap::with_max_entries(16384, 0);

/// A call of a TLS library that is under way.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsCall {
    /// Stack pointer at its beginning: tells it from others of its thread.
    pub stack: u64,
    /// The session's object.
    pub object: u64,
    /// Where the bytes are, or are to be put; 0 when they never are in user memory.
    pub buffer: u64,
    /// Where the library writes how many it has moved; 0 when it answers that.
    pub count: u64,
    /// `SENT` or `RECEIVED`, or neither for calls that move no plain bytes.
    pub direction: u64,
}

/// Calls within calls that are told apart: a callback of one session may use another one.
pub const TLS_DEPTH: usize = 4;

/// The calls of TLS libraries that a thread is in, the innermost last.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsThread {
    pub depth: u64,
    pub calls: [TlsCall; TLS_DEPTH],
}

/// Thread → its calls of TLS libraries. Writer: TLS probes. Full: the oldest is forgotten, and
/// what its call moves is not seen.
#[map]
pub static TLS_THREADS: LruHashMap<u64, TlsThread> = LruHashMap::with_max_entries(4096, 0);

/// What rustls seals or opens the records of one direction of a connection with, until the next one.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct TlsKey {
    /// Id of the connection, 0 while that is not known.
    pub conn: u64,
    /// `struct sock *` of that connection.
    pub sk: u64,
    /// Number of its next record.
    pub next: u64,
    /// Descriptor of the socket.
    pub fd: u32,
    /// [`SESSION_FRESH`]: its first record was seen.
    pub flags: u32,
}

/// Object of rustls → its key. Writer: TLS probes. Full: the least recently used one is forgotten,
/// and its connection is found anew.
#[map]
pub static TLS_KEYS: LruHashMap<InProcess, TlsKey> = LruHashMap::with_max_entries(16384, 0);

/// The beginning of a record, in words: its head, and 19 bytes that no two records share.
pub const RECORD_WORDS: usize = 3;
/// Records of one reading that are remembered: the last messages of a handshake come with the first
/// request.
pub const RECORDS_READ: usize = 4;

/// What a thread of a process with rustls has received last, and what it does in rustls.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RustlsThread {
    /// Connection, socket and descriptor that it received on; 0 when nothing is known.
    pub conn: u64,
    /// See `conn`.
    pub sk: u64,
    /// See `conn`.
    pub fd: u64,
    /// Where it was put; 0 when there is nothing to be found.
    pub at: u64,
    /// Behind the last byte of it.
    pub end: u64,
    /// What stood at `at`.
    pub first: [u64; RECORD_WORDS],
    /// Beginnings of records in it.
    pub heads: [[u64; RECORD_WORDS]; RECORDS_READ],
    /// Stack pointer at the beginning of the call that it is in; 0 when it is in none.
    pub stack: u64,
    /// Where that call writes what it answers.
    pub out: u64,
    /// The key's object.
    pub object: u64,
    /// Number of the record.
    pub seq: u64,
    /// Its content type; 0 where only the plain bytes tell.
    pub kind: u64,
    /// Sealed: address of the record's bytes. To be sealed: of the plain ones, or 0 for a list.
    pub buffer: u64,
    /// How many.
    pub len: u64,
    /// Address of a list of pieces, and how many there are.
    pub pieces: u64,
    /// See `pieces`.
    pub count: u64,
    /// First byte of the pieces that is meant.
    pub start: u64,
    /// 1 when the record was received on `conn`.
    pub proven: u64,
    /// Object of a key whose connection is not known, of which a record was made that is still to
    /// be sent; or 0.
    pub made: u64,
    /// Its first sealed bytes.
    pub sealed: [u64; 2],
}

/// Thread → that. Writers: TLS probes, socket I/O. Full: the least recently used one is forgotten:
/// records that it has received cannot be told from another connection's.
#[map]
pub static RUSTLS_THREADS: LruHashMap<u64, RustlsThread> = LruHashMap::with_max_entries(4096, 0);

/// A thread of which nothing is known: too big for the stack of a program.
#[map]
pub static RUSTLS_FRESH: PerCpuArray<RustlsThread> = PerCpuArray::with_max_entries(1, 0);

/// Connection id → how much to copy. Writer: user space. Absent or forgotten: the default.
#[map]
pub static POLICY: LruHashMap<u64, Policy> = LruHashMap::with_max_entries(16384, 0);

/// Losses by cause, summed over the CPUs by user space.
#[map]
pub static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(Loss::ALL.len() as u32, 0);

/// A chunk under construction: head, bytes, and room for one more buffer so that the verifier
/// can bound the sum. One per direction: the two programs may interrupt each other.
#[repr(C)]
pub struct Scratch {
    pub head: Chunk,
    pub bytes: [u8; 2 * CHUNK_BYTES],
}

/// Where chunks are put together, by direction.
#[map]
pub static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(2, 0);

/// Where the record of a new connection is put together, by direction as [`SCRATCH`]: it would
/// leave the rest no room on the stack.
#[map]
pub static OPENING: PerCpuArray<Opened> = PerCpuArray::with_max_entries(2, 0);

/// A system call between its entry and its exit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Call {
    pub nr: u64,
    /// The first ones: none that moves bytes has what is looked at behind them.
    pub args: [u64; 4],
    /// Register r14: `g` in Go.
    pub r14: u64,
}

/// The call that this CPU looks at, for the backends that see system calls.
#[map]
pub static CALL: PerCpuArray<Call> = PerCpuArray::with_max_entries(1, 0);

/// Bytes that the current thread moves: what the functions of a program share that the verifier goes
/// through one by one. They take numbers alone.
#[repr(C)]
pub struct Moving {
    /// By which call.
    pub call: Call,
    /// `struct sock *`, here a number.
    pub sk: u64,
    /// Its connection.
    pub conn: u64,
    /// Who connected it, if these are its first bytes, and that is known; or 0.
    pub connector: u64,
    /// How many.
    pub len: u32,
    /// `FLAG_*` of the connection.
    pub flags: u16,
}

/// Those of this CPU, by direction as [`SCRATCH`].
#[map]
pub static MOVING: PerCpuArray<Moving> = PerCpuArray::with_max_entries(2, 0);

impl Moving {
    /// Those that go in `direction`.
    #[inline(always)]
    pub fn of(direction: u64) -> Option<&'static mut Self> {
        let found = MOVING.get_ptr_mut(direction as u32)?;
        // SAFETY: this CPU's own slot for this direction, written before any function reads it.
        Some(unsafe { &mut *found })
    }
}

/// Thread → its call, for the backend that sees entry and exit apart. Full: the call is lost,
/// counted as [`Loss::Pending`].
#[map]
pub static PENDING: HashMap<u64, Call> = HashMap::with_max_entries(16384, 0);

/// How far a thread is in a `sendmmsg` or `recvmmsg`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Batch {
    pub vector: u64,
    pub index: u32,
    pub last: u32,
}

/// Thread → its batch call. Full: the oldest is forgotten and its next message taken as a first.
#[map]
pub static BATCHES: LruHashMap<u64, Batch> = LruHashMap::with_max_entries(1024, 0);
