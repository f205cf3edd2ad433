//! Values fixed when the programs are loaded; read-only globals, so the verifier prunes what
//! they switch off.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Offset that stands for "this kernel has no such field".
pub const ABSENT: u32 = u32::MAX;

/// Global `SETTINGS`, written by `agent/src/probe/object.rs`.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct Settings {
    /// Process id of the agent: never watched.
    pub own_tgid: u32,
    /// 1: programs started from now on are watched unless their process is ignored.
    pub watch_new: u32,
    /// Bytes in the ring buffer at which user space is woken at once.
    pub wake_at: u32,
    /// 1: probes are told a number of their own when they are attached (Linux 5.15).
    pub cookies: u32,
    /// Offsets of kernel struct fields, from the running kernel's BTF.
    pub offsets: Offsets,
}

/// Byte offsets of the fields that the programs read; [`ABSENT`] where there is none.
///
/// Named `struct_field`; the dotted BTF paths stand in `agent/src/probe/offsets.rs`.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[allow(missing_docs, reason = "each name is the kernel's own")]
pub struct Offsets {
    pub sock_family: u32,
    pub sock_shutdown: u32,
    pub sock_port: u32,
    pub sock_local_port: u32,
    pub sock_daddr: u32,
    pub sock_rcv_saddr: u32,
    pub sock_v6_daddr: u32,
    pub sock_v6_rcv_saddr: u32,
    pub sock_net: u32,
    pub net_inum: u32,
    pub sock_type: u32,
    pub sock_socket: u32,
    pub socket_alloc_inode: u32,
    pub inode_ino: u32,
    pub inode_mode: u32,
    pub tcp_write_seq: u32,
    pub tcp_copied_seq: u32,
    pub tcp_rcv_nxt: u32,
    pub tcp_bytes_received: u32,
    pub tcp_snd_una: u32,
    pub tcp_bytes_acked: u32,
    pub unix_peer: u32,
    pub unix_addr: u32,
    pub unix_address_len: u32,
    pub unix_address_name: u32,
    pub task_files: u32,
    pub task_tgid: u32,
    pub task_pid: u32,
    pub task_comm: u32,
    pub task_mm: u32,
    pub task_fsbase: u32,
    pub task_signal: u32,
    pub signal_live: u32,
    pub mm_arg_start: u32,
    pub mm_arg_end: u32,
    pub files_fdt: u32,
    pub fdtable_fd: u32,
    pub fdtable_max_fds: u32,
    pub file_inode: u32,
    pub file_private_data: u32,
    pub socket_sk: u32,
    pub socket_file: u32,
    pub file_ep: u32,
    pub file_ep_links: u32,
    pub epitem_link: u32,
    pub epitem_data: u32,
    pub epitem_ep: u32,
    pub eventpoll_waiters: u32,
    pub waiter_task: u32,
    pub waiter_link: u32,
}
