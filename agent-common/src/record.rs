//! Records: what the kernel programs write to the ring buffer.
//!
//! Every record begins with a [`Header`]. Times are `CLOCK_MONOTONIC` nanoseconds, process and
//! thread ids are those of the root pid namespace. Writer: `agent-ebpf/src/emit.rs`; reader:
//! `agent/src/record/decode.rs`.

use crate::conn::{Address, UNIX_PATH};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Number of this layout, written at the head of saved record logs.
pub const LAYOUT: u32 = 1;

/// A connection was used by a watched process for the first time.
pub const OPENED: u32 = 1;
/// Bytes were sent or received.
pub const CHUNK: u32 = 2;
/// One direction of a connection, or all of it, ended.
pub const ENDED: u32 = 3;
/// A watched process or one of its threads made a process or thread.
pub const SPAWNED: u32 = 4;
/// A process replaced its program.
pub const EXECUTED: u32 = 5;
/// The last thread of a watched process ended.
pub const EXITED: u32 = 6;
/// A runtime's task made another one.
pub const LINKED: u32 = 7;
/// A runtime's task gave a waiting one something to do.
pub const HANDED: u32 = 12;

/// A thread of a watched process ended, and others of it go on.
pub const LEFT: u32 = 13;

/// Bytes that a process gave to its TLS library, or got from it, in one call.
pub const PLAIN: u32 = 14;
/// By what the connection of a TLS session can be found.
pub const SECURED: u32 = 15;
// 16 stands in older record logs, for libraries that were loaded: not to be given anew.
/// Bytes that were reported of one key of a TLS connection are of a session.
pub const JOINED: u32 = 18;
/// Which of a runtime's tasks has to do with a stream of a connection that many share.
pub const STREAM: u32 = 17;
/// A runtime's own thread, a task with [`FIBER_THREAD`], ended.
pub const OVER: u32 = 20;

/// A thread of a runtime with a heap that it does not share allocates in a part of it.
pub const ALLOCATES: u32 = 21;

/// A library was told to ask a database.
pub const CALLED: u32 = 22;
/// What a library was told is done, or has failed.
pub const RETURNED: u32 = 23;

/// Most bytes of a statement that [`Called`] carries.
pub const STATEMENT_BYTES: usize = 1024;
/// Bytes of a type's name that are told.
pub const TYPE_BYTES: usize = 64;

/// Most bytes that one chunk carries.
pub const CHUNK_BYTES: usize = 8192;
/// Most bytes of the command line that [`Executed`] carries.
pub const COMMAND_BYTES: usize = 256;

/// The local end sends no more.
pub const END_SENT: u32 = 1;
/// The remote end sends no more, and the process has read to the end.
pub const END_RECEIVED: u32 = 2;
/// The connection is gone in both directions.
pub const END_BOTH: u32 = 3;

/// The bytes of this chunk were not in user memory (sendfile, splice, io_uring).
pub const CHUNK_NO_BUFFER: u16 = 1;
/// The bytes could not be read from user memory.
pub const CHUNK_FAULT: u16 = 2;
/// The offset is a TCP sequence number: the peer counts alike.
pub const CHUNK_SEQUENCED: u16 = 4;
/// `fiber` names the runtime's task that made the call.
pub const CHUNK_FIBER: u16 = 8;
/// [`Plain`]: the session was seen from its beginning, so both ends count its bytes alike.
pub const PLAIN_FRESH: u16 = 16;
/// [`Plain`]: the session is one key of one direction, whose connection is not known: [`Joined`] will
/// tell which session's bytes they are.
pub const PLAIN_KEY: u16 = 32;
/// Bytes of the random number in a ClientHello.
pub const RANDOM_BYTES: usize = 32;
/// Bit of a task's identity: it is what an event loop does from the moment at which it received
/// the first chunk that carries it. Such an identity is never used again.
pub const FIBER_EVENT: u64 = 1 << 61;
/// With [`FIBER_EVENT`]: what it received was on a connection that its process opened. Not told of an event
/// that hears of one stream among what was received.
pub const FIBER_ANSWER: u64 = 1 << 60;
/// Bit of a task's identity: it is a thread of its runtime. One that was made for a request may
/// become one of a pool, so what it was made for counts only if it ends before the answer.
pub const FIBER_THREAD: u64 = 1 << 59;
/// Bit of a task's identity: it is an object of the heap, by its place as in [`Allocates`].
pub const FIBER_OBJECT: u64 = 1 << 58;

/// With [`FIBER_THREAD`]: it is a thread that others carry by turns, by its number, which is never used
/// again.
pub const FIBER_VIRTUAL: u64 = 1 << 57;

/// Bit of [`Allocates::flags`]: the thread is not the one that waits for `conn` by epoll.
pub const ALLOCATES_WORKER: u32 = 1;
/// Bit of [`Allocates::flags`]: `conn` is the virtual thread that the thread carries, as in
/// [`Chunk::fiber`].
pub const ALLOCATES_VIRTUAL: u32 = 2;
/// Bit of [`Allocates::flags`]: the virtual thread that it carried waits from now on.
pub const ALLOCATES_YIELDED: u32 = 4;

/// [`Called::function`]: a statement whose rows are asked for.
pub const CALLED_QUERY: u16 = 1;
/// A statement without rows.
pub const CALLED_EXEC: u16 = 2;
/// A statement that was prepared before.
pub const CALLED_PREPARED: u16 = 3;
/// A transaction begins.
pub const CALLED_BEGIN: u16 = 4;
/// It ends with what it has done.
pub const CALLED_COMMIT: u16 = 5;
/// It ends, and what it has done is undone.
pub const CALLED_ROLLBACK: u16 = 6;

/// Bit of [`Returned::flags`]: it failed.
pub const RETURNED_FAILED: u16 = 1;
/// Bit of [`Returned::flags`]: told by what the function calls as it succeeds, deeper in its stack than its
/// beginning; without it, told at the very depth of [`Called`].
pub const RETURNED_WITHIN: u16 = 2;

/// Head of every record.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Header {
    /// When the hook fired, ns of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// Process, 0 where no task is behind the event.
    pub tgid: u32,
    /// Thread, 0 where no task is behind the event.
    pub tid: u32,
    /// One of the constants above.
    pub kind: u32,
    /// Bytes of the whole record, this head included.
    pub size: u32,
}

/// First sight of a connection; always before its first [`Chunk`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Opened {
    /// Kind [`OPENED`].
    pub header: Header,
    /// Made by the kernel side at first sight, never reused while the host is up.
    pub conn: u64,
    /// Inode of the socket, as in `/proc/PID/fd` (`socket:[N]`).
    pub inode: u64,
    /// UNIX sockets: inode of the peer, 0 when it is gone or unknown.
    pub peer_inode: u64,
    /// Offset of the next byte sent. TCP: the low 32 bits are the sequence number.
    pub sent: u64,
    /// Offset of the next byte received, likewise.
    pub received: u64,
    /// This end.
    pub local: Address,
    /// The other end.
    pub remote: Address,
    /// `AF_*`.
    pub family: u16,
    /// `ROLE_*`.
    pub role: u8,
    /// 1 when nothing went over the connection before: it starts at a message boundary.
    pub fresh: u8,
    /// Inode number of the network namespace, as in `/proc/PID/ns/net`.
    pub netns: u32,
    /// UNIX sockets: the bound path, this end's or the peer's. Starts with NUL when abstract.
    pub path: [u8; UNIX_PATH],
    /// Bytes of `path` in use.
    pub path_len: u32,
}

/// Bytes sent or received by one call; `captured` bytes follow this head.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Chunk {
    /// Kind [`CHUNK`].
    pub header: Header,
    /// As in [`Opened`].
    pub conn: u64,
    /// Offset of the first byte in its direction.
    pub offset: u64,
    /// How far the opposite direction had come when the hook fired: orders the directions.
    pub opposite: u64,
    /// With [`CHUNK_FIBER`]: the runtime's own task (goroutine, coroutine, greenlet) on whose
    /// behalf the call was made, by an identity that is unique in its process while it lives.
    pub fiber: u64,
    /// Bytes that the call moved.
    pub len: u32,
    /// Bytes of them that follow, from the first on.
    pub captured: u32,
    /// `SENT` or `RECEIVED`.
    pub direction: u16,
    /// `CHUNK_*` bits.
    pub flags: u16,
    /// System call number, for diagnosis; all ones when none was under way.
    pub syscall: u32,
}

/// Bytes of one call of a TLS library, as they are before or after the cipher; `captured` of them
/// follow this head.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Plain {
    /// Kind [`PLAIN`].
    pub header: Header,
    /// The TLS connection: made by the kernel side, never reused while the host is up, and none of
    /// the numbers that [`Opened::conn`] has.
    pub session: u64,
    /// The connection that carries it, as in [`Opened`]; 0 while that is not known.
    pub conn: u64,
    /// Plain bytes that went in this direction before.
    pub offset: u64,
    /// Plain bytes that had gone in the opposite direction.
    pub opposite: u64,
    /// As in [`Chunk`].
    pub fiber: u64,
    /// Bytes that the call moved.
    pub len: u32,
    /// Bytes of them that follow, from the first on.
    pub captured: u32,
    /// `SENT` or `RECEIVED`.
    pub direction: u16,
    /// [`CHUNK_NO_BUFFER`], [`CHUNK_FAULT`], [`CHUNK_FIBER`], [`PLAIN_FRESH`], [`PLAIN_KEY`].
    pub flags: u16,
    /// Always zero.
    pub reserved: u32,
}

/// Before the first [`Plain`] of a session: its ClientHello has crossed its connection in the
/// clear, with this random number in it. That holds against [`Plain::conn`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Secured {
    /// Kind [`SECURED`].
    pub header: Header,
    /// As in [`Plain`].
    pub session: u64,
    /// As in [`Plain`].
    pub conn: u64,
    /// As the library keeps it.
    pub client_random: [u8; RANDOM_BYTES],
}

/// What was reported of `key` with [`PLAIN_KEY`] was moved over `session`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Joined {
    /// Kind [`JOINED`].
    pub header: Header,
    /// As [`Plain::session`] of those bytes.
    pub key: u64,
    /// As [`Plain::session`] of later ones.
    pub session: u64,
    /// The connection that carries it, as in [`Opened`].
    pub conn: u64,
    /// Plain bytes of the session that went in their direction before them.
    pub offset: u64,
    /// Plain bytes that had gone in the opposite direction.
    pub opposite: u64,
    /// [`PLAIN_FRESH`], or none.
    pub flags: u32,
    /// Always zero.
    pub reserved: u32,
}

/// End of a connection or of one direction.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Ended {
    /// Kind [`ENDED`].
    pub header: Header,
    /// As in [`Opened`].
    pub conn: u64,
    /// Offset behind the last byte sent.
    pub sent: u64,
    /// Offset behind the last byte received.
    pub received: u64,
    /// `END_*`.
    pub which: u32,
    /// Bytes that have arrived and that the process may still read.
    pub unread: u32,
}

/// A new process (`child_tgid != header.tgid`) or thread.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Spawned {
    /// Kind [`SPAWNED`]; the maker.
    pub header: Header,
    /// Process of the new task.
    pub child_tgid: u32,
    /// Thread id of the new task.
    pub child_tid: u32,
}

/// A program started in a process.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Executed {
    /// Kind [`EXECUTED`].
    pub header: Header,
    /// Name of the main thread, NUL padded.
    pub comm: [u8; 16],
    /// Head of the command line, arguments separated by NUL: outlives a short process.
    pub command: [u8; COMMAND_BYTES],
    /// Bytes of `command` in use.
    pub command_len: u32,
    /// 1 when the kernel side started watching the process at this moment.
    pub fresh: u32,
}

/// A process ended, or only a thread of it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Exited {
    /// Kind [`EXITED`] or [`LEFT`].
    pub header: Header,
}

/// [`LINKED`]: within a runtime, `maker` made the task `fiber`; what a reused identity meant before
/// is over. [`HANDED`]: `fiber` waited for a message, and `maker` sent it one. [`OVER`]: `fiber` is
/// over, `maker` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Linked {
    /// Kind [`LINKED`], [`HANDED`] or [`OVER`]; the thread that did it.
    pub header: Header,
    /// The new task, or the one that waited, as in [`Chunk::fiber`].
    pub fiber: u64,
    /// The task that made it, or woke it.
    pub maker: u64,
}

/// The task handles this stream from now on.
pub const STREAM_SERVED: u32 = 1;
/// The task asks for this stream.
pub const STREAM_ASKED: u32 = 2;
/// The task writes one stream only, that of whoever made the task; which one is not known yet.
pub const STREAM_WRITER: u32 = 3;
/// The task, an event of a loop, hears what came on this stream: of a request, or of an answer.
pub const STREAM_HEARD: u32 = 4;
/// The task, an event of a loop, answers the request of this stream; who writes that does so for all.
pub const STREAM_ANSWERED: u32 = 5;
/// The task holds what the stream is answered by; [`Stream::conn`] is the task that reads its connection, which
/// made it.
pub const STREAM_TAKEN: u32 = 6;

/// A task of a runtime and a stream.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Stream {
    /// Kind [`STREAM`].
    pub header: Header,
    /// The connection as in [`Chunk::conn`], or the TLS session that it carries; or what the role says.
    pub conn: u64,
    /// The task, as in [`Chunk::fiber`].
    pub fiber: u64,
    /// Number of the stream.
    pub stream: u32,
    /// `STREAM_*`.
    pub role: u32,
}

/// What the thread of the header allocates from now on lies here, until it reports again.
///
/// Places are `count << 32 | compressed address`, with the count of collections of garbage, as
/// afterwards every address may be another's.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Allocates {
    /// Kind [`ALLOCATES`].
    pub header: Header,
    /// First place.
    pub from: u64,
    /// Behind the last.
    pub to: u64,
    /// Where it has just moved bytes of a request or answer, as in [`Opened`]; 0 when it did not. Or
    /// what the flags say.
    pub conn: u64,
    /// `ALLOCATES_*` bits.
    pub flags: u32,
    /// Always zero.
    pub reserved: u32,
}

/// A task begins a call of a library that asks a database; `captured` bytes of the statement follow.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Called {
    /// Kind [`CALLED`].
    pub header: Header,
    /// The call: none of the numbers that [`Opened::conn`] and [`Plain::session`] have.
    pub call: u64,
    /// On whose behalf, as in [`Chunk::fiber`].
    pub fiber: u64,
    /// The task that makes it, never another's while its process lives.
    pub task: u64,
    /// How deep in the stack of the task, whatever becomes of that: calls within calls are deeper.
    pub depth: u64,
    /// Bytes of the statement; 0 where the function says it all.
    pub len: u32,
    /// Bytes of it that follow.
    pub captured: u32,
    /// `CALLED_*`.
    pub function: u16,
    /// [`CHUNK_FAULT`], or none.
    pub flags: u16,
    /// Always zero.
    pub reserved: u32,
    /// Name of the driver's type, as the runtime has it (`abi.Name` of Go: flags, length, text); zeros
    /// where it cannot be read.
    pub driver: [u8; TYPE_BYTES],
}

/// A call of a library that asks a database is over.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Returned {
    /// Kind [`RETURNED`].
    pub header: Header,
    /// As in [`Called`].
    pub task: u64,
    /// As in [`Called`], at this moment.
    pub depth: u64,
    /// With [`RETURNED_WITHIN`]: as in [`Called`]; else 0.
    pub function: u16,
    /// `RETURNED_*` bits.
    pub flags: u16,
    /// Always zero.
    pub reserved: u32,
    /// With [`RETURNED_FAILED`]: name of the error's type, as [`Called::driver`].
    pub error: [u8; TYPE_BYTES],
}

const _: () = {
    assert!(size_of::<Header>() == 24);
    assert!(size_of::<Called>() == 24 + 48 + TYPE_BYTES);
    assert!(size_of::<Returned>() == 24 + 24 + TYPE_BYTES);
    assert!(size_of::<Stream>() == 24 + 24);
    assert!(size_of::<Allocates>() == 24 + 32);
    assert!(size_of::<Opened>() == 24 + 40 + 48 + 8 + UNIX_PATH + 4);
    assert!(size_of::<Chunk>() == 24 + 48);
    assert!(size_of::<Plain>() == 24 + 56);
    assert!(size_of::<Secured>() == 24 + 16 + RANDOM_BYTES);
    assert!(size_of::<Joined>() == 24 + 48);
    assert!(size_of::<Ended>() == 24 + 32);
    assert!(size_of::<Spawned>() == 32);
    assert!(size_of::<Executed>() == 24 + 16 + COMMAND_BYTES + 8);
};
