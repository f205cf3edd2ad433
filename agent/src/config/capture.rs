//! `[capture]`: what the kernel side may use.

use super::section::section;
use super::units::Size;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

section! {
    /// What the kernel side may use.
    pub struct Capture in "capture" {
        /// Buffer between kernel and agent: a power of two, at least 64KiB.
        pub ring_bytes: Size = Size(4 << 20);
        /// Most connections followed at once; beyond, the oldest are forgotten.
        pub connections: u32 = 16_384;
        /// BTF file of the running kernel, where it is not at /sys/kernel/btf/vmlinux.
        pub btf: Option<PathBuf> = None, like "\"/var/lib/weft/vmlinux.btf\"";
        /// How bytes are seen: "auto" tries in this order "sock_length", "sys_exit", "syscalls".
        pub socket_io: SocketIo = SocketIo::Auto;
        /// Plain bytes are seen in TLS libraries, before and after their cipher.
        pub tls: bool = true;
        /// Calls of libraries that ask databases are seen where they are made, whatever their drivers
        /// speak: database/sql of Go. Statements leave without the values in them.
        pub database_calls: bool = true;
    }
}

/// Candidates for the hook that sees bytes sent and received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SocketIo {
    /// The first that attaches.
    #[default]
    Auto,
    /// Typed tracepoints of the socket layer.
    SockLength,
    /// Typed tracepoint of all system calls.
    SysExit,
    /// Tracepoints of the system calls by name.
    Syscalls,
}
