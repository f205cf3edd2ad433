//! Every map: key, value, writer, reader, bound, and what happens when it is full.

use agent_common::loss::Loss;
use agent_common::record::{CHUNK_BYTES, Chunk};
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
    // SAFETY: all fields are integers, for which zero is a value.
    offsets: unsafe { core::mem::zeroed() },
};

/// Records to user space. Writer: every probe. Size: set by user space. Full: the record is
/// dropped and counted as [`Loss::RingFull`].
#[map]
pub static RECORDS: RingBuf = RingBuf::with_byte_size(8 << 20, 0);

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

/// Thread, and address of bytes that a task wrote to a uvloop stream → that task. Writer:
/// runtime probes; taken out by the call that sends them. Full: the oldest is forgotten, and
/// nothing is known of who sent it.
#[map]
pub static WRITTEN: LruHashMap<InProcess, u64> = LruHashMap::with_max_entries(16384, 0);

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

/// `struct sock *` → its state. Writer: socket I/O and lifecycle probes. Full: the least
/// recently used one is forgotten and announced again when it is used again.
#[map]
pub static CONNECTIONS: LruHashMap<u64, Connection> = LruHashMap::with_max_entries(16384, 0);

/// `struct sock *` of a `connect` under way in a watched process → the runtime's task that
/// called it, 0 where that says nothing of who will use it. Writer: lifecycle probe. Full: the
/// oldest is forgotten, the connection's role stays unknown.
#[map]
pub static CONNECTING: LruHashMap<u64, u64> = LruHashMap::with_max_entries(4096, 0);

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

/// A system call between its entry and its exit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Call {
    pub nr: u64,
    pub args: [u64; 6],
    /// Register r14: `g` in Go.
    pub r14: u64,
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
