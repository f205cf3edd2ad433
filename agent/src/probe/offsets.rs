//! Which members of kernel structs the programs read, by their names in BTF.

use super::btf::Btf;
use agent_common::settings::{ABSENT, Offsets};

/// Fills [`Offsets`] from BTF; answers the names of those that are missing, too.
#[must_use]
pub fn resolve(btf: &Btf<'_>) -> (Offsets, Vec<String>) {
    let mut missing = Vec::new();
    let mut find = |name: &str, path: &str| {
        btf.offset(name, path).unwrap_or_else(|| {
            missing.push(format!("{name}.{path}"));
            ABSENT
        })
    };
    let offsets = Offsets {
        sock_family: find("sock_common", "skc_family"),
        sock_shutdown: find("sock", "sk_shutdown"),
        sock_port: find("sock_common", "skc_dport"),
        sock_local_port: find("sock_common", "skc_num"),
        sock_daddr: find("sock_common", "skc_daddr"),
        sock_rcv_saddr: find("sock_common", "skc_rcv_saddr"),
        sock_v6_daddr: find("sock_common", "skc_v6_daddr"),
        sock_v6_rcv_saddr: find("sock_common", "skc_v6_rcv_saddr"),
        sock_net: find("sock_common", "skc_net.net"),
        net_inum: find("net", "ns.inum"),
        sock_type: find("sock", "sk_type"),
        sock_socket: find("sock", "sk_socket"),
        socket_alloc_inode: find("socket_alloc", "vfs_inode"),
        inode_ino: find("inode", "i_ino"),
        inode_mode: find("inode", "i_mode"),
        tcp_write_seq: find("tcp_sock", "write_seq"),
        tcp_copied_seq: find("tcp_sock", "copied_seq"),
        tcp_rcv_nxt: find("tcp_sock", "rcv_nxt"),
        tcp_bytes_received: find("tcp_sock", "bytes_received"),
        tcp_snd_una: find("tcp_sock", "snd_una"),
        tcp_bytes_acked: find("tcp_sock", "bytes_acked"),
        unix_peer: find("unix_sock", "peer"),
        unix_addr: find("unix_sock", "addr"),
        unix_address_len: find("unix_address", "len"),
        unix_address_name: find("unix_address", "name"),
        task_files: find("task_struct", "files"),
        task_tgid: find("task_struct", "tgid"),
        task_pid: find("task_struct", "pid"),
        task_comm: find("task_struct", "comm"),
        task_mm: find("task_struct", "mm"),
        task_fsbase: find("task_struct", "thread.fsbase"),
        task_signal: find("task_struct", "signal"),
        signal_live: find("signal_struct", "live"),
        mm_arg_start: find("mm_struct", "arg_start"),
        mm_arg_end: find("mm_struct", "arg_end"),
        files_fdt: find("files_struct", "fdt"),
        fdtable_fd: find("fdtable", "fd"),
        fdtable_max_fds: find("fdtable", "max_fds"),
        file_inode: find("file", "f_inode"),
        file_private_data: find("file", "private_data"),
        socket_sk: find("socket", "sk"),
        socket_file: find("socket", "file"),
        file_ep: find("file", "f_ep"),
        // Until 5.10.
        file_ep_links: find("file", "f_ep_links"),
        epitem_link: find("epitem", "fllink"),
        epitem_data: find("epitem", "event.data"),
        epitem_ep: find("epitem", "ep"),
        eventpoll_waiters: find("eventpoll", "wq.head"),
        waiter_task: find("wait_queue_entry", "private"),
        waiter_link: find("wait_queue_entry", "entry"),
    };
    (offsets, missing)
}
