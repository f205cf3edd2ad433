//! Records as the rest of the agent sees them.
//!
//! In: bytes of the ring buffer or of a record log. Out: [`Record`]. Not here: any state.

pub mod decode;
pub mod log;

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub type Nanos = u64;

/// A connection as the kernel side names it; never reused while the host is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

/// A thread and its process, in the root pid namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Task {
    /// Process.
    pub tgid: u32,
    /// Thread.
    pub tid: u32,
}

/// Which way bytes went, seen from the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Handed to the kernel.
    Sent,
    /// Handed to the process.
    Received,
}

impl Direction {
    /// The other way.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Sent => Self::Received,
            Self::Received => Self::Sent,
        }
    }

    /// 0 for sent, 1 for received.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Sent => 0,
            Self::Received => 1,
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Endpoint {
    /// TCP.
    Inet(IpAddr, u16),
    /// UNIX stream socket by its inode, 0 when unknown.
    Unix(u64),
    /// None was seen: a library was asked.
    Unseen,
}

impl Hash for Endpoint {
    /// One number an end, or two: the ends of connections are looked up several times a request,
    /// and field by field that took five numbers each.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Inet(IpAddr::V4(address), port) => {
                state.write_u64(u64::from(address.to_bits()) << 16 | u64::from(*port));
            }
            Self::Inet(IpAddr::V6(address), port) => {
                state.write_u128(address.to_bits());
                state.write_u16(*port);
            }
            Self::Unix(inode) => state.write_u64(*inode),
            Self::Unseen => state.write_u8(0),
        }
    }
}

/// One event of the kernel side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When the hook fired.
    pub at: Nanos,
    /// In whose context; zero for events without a task.
    pub task: Task,
    /// What happened.
    pub event: Event<'a>,
}

/// What happened. See `agent-common/src/record.rs` for each field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// First sight of a connection.
    Opened(Box<Opened>),
    /// Bytes went over a connection.
    Chunk(Chunk<'a>),
    /// Bytes went through a TLS library.
    Plain(Plain<'a>),
    /// By what the connection of a TLS session can be found.
    Secured(Secured),
    /// Which session the bytes of a key are of.
    Joined(Joined),
    /// A direction or all of a connection ended.
    Ended(Ended),
    /// A process or thread was made.
    Spawned(Task),
    /// A program started.
    Executed {
        /// Name of the main thread.
        comm: String,
        /// Head of the command line.
        command: Vec<String>,
        /// The kernel side began to watch the process at this moment.
        fresh: bool,
    },
    /// A runtime's task made another one.
    Linked {
        /// The new one.
        fiber: u64,
        /// Who made it.
        maker: u64,
    },
    /// A runtime's task that waited was given something to do.
    Handed {
        /// The one that waited.
        fiber: u64,
        /// Who woke it.
        by: u64,
    },
    /// A runtime's task has to do with a stream of a shared connection.
    Stream(Stream),
    /// A task begins to ask a database by a library.
    Called(Box<Called<'a>>),
    /// A database has answered, or the call has failed.
    Returned(Box<Returned>),
    /// A thread ended, and others of its process go on.
    Left,
    /// A runtime's thread allocates in this part of its heap from now on.
    Allocates {
        /// First place.
        from: u64,
        /// Behind the last.
        to: u64,
        /// As what.
        by: Allocator,
    },
    /// A runtime's own thread ended.
    Over {
        /// Which.
        fiber: u64,
    },
    /// A process ended.
    Exited,
}

/// As what a thread allocates in a part of its heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocator {
    /// A thread.
    Thread,
    /// One that has just moved bytes here, and is not the one that waits for them by epoll.
    Worker(ConnId),
    /// For the virtual thread that it carries, a task of its runtime.
    Carries(u64),
    /// The virtual thread that it carried waits from now on.
    Yielded,
}

/// First sight of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Which.
    pub conn: ConnId,
    /// When it was first seen.
    pub at: Nanos,
    /// Socket inode.
    pub inode: u64,
    /// This end.
    pub local: Endpoint,
    /// The other end.
    pub remote: Endpoint,
    /// A watched process called `connect`.
    pub client: bool,
    /// Nothing went over it before.
    pub fresh: bool,
    /// It is what a TLS connection carries.
    pub plain: Option<Carrier>,
    /// Network namespace inode.
    pub netns: u32,
    /// Offsets of the next bytes, by [`Direction::index`].
    pub offsets: [u64; 2],
    /// Bound path of a UNIX socket.
    pub path: Option<String>,
}

impl Opened {
    /// What stands for the connection of the call `call` of a library, which began at `at`.
    #[must_use]
    pub const fn unseen(call: ConnId, at: Nanos) -> Self {
        Self {
            conn: call,
            at,
            inode: 0,
            local: Endpoint::Unseen,
            remote: Endpoint::Unseen,
            client: true,
            fresh: true,
            plain: None,
            netns: 0,
            offsets: [0; 2],
            path: None,
        }
    }
}

/// The connection that carries another one's bytes, encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrier {
    /// Which.
    pub conn: ConnId,
    /// Offsets of its own first bytes, by [`Direction::index`].
    pub began: [u64; 2],
}

/// Bytes moved by one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Where.
    pub conn: ConnId,
    /// Which way.
    pub direction: Direction,
    /// Offset of the first byte.
    pub offset: u64,
    /// How far the other direction had come.
    pub opposite: u64,
    /// The runtime's task that made the call, 0 when none is known.
    pub fiber: u64,
    /// Bytes moved.
    pub len: u32,
    /// Offsets are TCP sequence numbers.
    pub sequenced: bool,
    /// The bytes never were in user memory or could not be read.
    pub unreadable: bool,
    /// The first of them.
    pub bytes: &'a [u8],
}

/// Bytes that a process gave to its TLS library, or got from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plain<'a> {
    /// The connection that carries the session, if the kernel side knows it.
    pub carrier: Option<ConnId>,
    /// The session was seen from its beginning.
    pub fresh: bool,
    /// It is one key of a session, which a [`Joined`] will tell.
    pub key: bool,
    /// The bytes; `conn` names the session, whose offsets begin with 0.
    pub chunk: Chunk<'a>,
}

/// What was moved under a key was moved over a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Which key.
    pub key: ConnId,
    /// Which session.
    pub session: ConnId,
    /// The connection that carries it.
    pub carrier: ConnId,
    /// Bytes that the session had moved before in that direction.
    pub offset: u64,
    /// And in the other one.
    pub opposite: u64,
    /// The session was seen from its beginning.
    pub fresh: bool,
}

/// By what the connection of a TLS session can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secured {
    /// Which session.
    pub session: ConnId,
    /// The random number of the ClientHello that crossed the connection.
    pub random: [u8; 32],
}

/// A task of a runtime and a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The connection, or what it carries under TLS.
    pub conn: ConnId,
    /// Number of the stream.
    pub number: u32,
    /// The task.
    pub fiber: u64,
    /// What they have to do with each other.
    pub way: Way,
}

/// A task begins to ask a database by a library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called<'a> {
    /// The call, numbered like connections.
    pub call: ConnId,
    /// On whose behalf, as of [`Chunk`].
    pub fiber: u64,
    /// The task that makes it.
    pub by: u64,
    /// How deep in the stack of the task.
    pub depth: u64,
    /// By which function.
    pub function: Function,
    /// Name of the driver's type, without a `*`.
    pub driver: Option<String>,
    /// The statement, as far as it was copied.
    pub statement: &'a [u8],
    /// It is longer.
    pub cut: bool,
}

/// A function of a library that asks a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// A statement whose rows are asked for.
    Query,
    /// A statement without rows.
    Exec,
    /// A statement that was prepared before.
    Prepared,
    /// A transaction begins.
    Begin,
    /// It ends with what it has done.
    Commit,
    /// What it has done is undone.
    Rollback,
}

/// A call of a database is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// As in [`Called`].
    pub by: u64,
    /// As in [`Called`], of this moment.
    pub depth: u64,
    /// It was told deeper in the stack than the call of this function began.
    pub within: Option<Function>,
    /// Name of the error's type; empty if it is not known.
    pub error: Option<String>,
}

/// What a task has to do with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It handles the stream from now on.
    Served,
    /// It asks for the stream.
    Asked,
    /// It writes one stream only, whose number is not known, for whoever made it.
    Writer,
    /// It is an event of a loop, and hears what came on the stream.
    Heard,
    /// It is an event of a loop, and answers the request.
    Answered,
    /// It holds what the stream is answered by. The connection is not known, but this task that reads it.
    Taken(u64),
}

/// End of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub conn: ConnId,
    /// Offsets behind the last bytes, by [`Direction::index`].
    pub offsets: [u64; 2],
    /// Bytes that have arrived and that the process may still read.
    pub unread: u32,
    /// Directions that ended, by [`Direction::index`].
    pub directions: [bool; 2],
}
