//! Names of connections: identity, direction, address.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `AF_UNIX` of `linux/socket.h`.
pub const FAMILY_UNIX: u16 = 1;
/// `AF_INET`.
pub const FAMILY_INET: u16 = 2;
/// `AF_INET6`.
pub const FAMILY_INET6: u16 = 10;

/// Longest UNIX socket path kept, in bytes (`sun_path` is 108).
pub const UNIX_PATH: usize = 108;

/// The bytes that a process handed to the kernel.
pub const SENT: u8 = 0;
/// The bytes that the kernel handed to a process.
pub const RECEIVED: u8 = 1;

/// Nothing is known of who opened the connection.
pub const ROLE_UNKNOWN: u8 = 0;
/// A watched process called `connect`.
pub const ROLE_CLIENT: u8 = 1;

/// One end of a connection. IPv4 lies in the first four bytes of `ip`, network order.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Address {
    /// Network order; zero for UNIX sockets.
    pub ip: [u8; 16],
    /// Host order; zero for UNIX sockets.
    pub port: u16,
    /// Always zero.
    pub reserved: [u8; 6],
}
