//! What user space tells the kernel side about processes and connections.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of the map `WATCHED` (key: tgid): capture what this process sends and receives.
pub const WATCH: u32 = 1;
/// Never watch this process; its children are watched only when they start another program.
pub const IGNORE: u32 = 2;
/// The map `RUNTIMES` tells how the tasks of this process are named.
pub const FIBERS: u32 = 4;
/// A TLS library was called in this process: system calls may be nested in such a call. Set by the
/// kernel side.
pub const TLS: u32 = 8;
/// rustls was called in this process: what its threads receive and send is compared with records of
/// TLS. Set by the kernel side.
pub const RUSTLS: u32 = 16;

/// How much to copy of one connection. Map `POLICY`, key: connection or
/// TLS session, writer: user space.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Policy {
    /// Bytes copied of each run of calls in one direction, then only `peek` a call.
    pub turn: u32,
    /// Bytes copied of each later call of a run: enough to see that a message begins.
    pub peek: u32,
}

impl Policy {
    /// Before the protocol is known, and for protocols that need every head.
    pub const DEFAULT: Self = Self {
        turn: 16 * 1024,
        peek: 64,
    };
    /// Lengths only.
    pub const COUNT: Self = Self { turn: 0, peek: 0 };
}
