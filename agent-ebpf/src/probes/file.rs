//! From a file descriptor of the current task to its socket, for backends that see only calls.

use crate::kernel::{offset, read, task};

/// `S_IFMT` and `S_IFSOCK` of `linux/stat.h`.
const FILE_TYPE: u16 = 0o170_000;
const SOCKET: u16 = 0o140_000;

/// `struct sock *` behind descriptor `fd`: `task → files → fdt → fd[] → file → socket → sk`.
/// `None` when it is no socket. The table may change under us: each step is a checked read.
#[inline(always)]
pub fn socket_of(fd: u64) -> Option<u64> {
    let fd = fd as u32;
    let files: u64 = read(task(), offset!(task_files))?;
    let table: u64 = read(files, offset!(files_fdt))?;
    if fd >= read::<u32>(table, offset!(fdtable_max_fds))? {
        return None;
    }
    let array: u64 = read(table, offset!(fdtable_fd))?;
    let file: u64 = read(array + u64::from(fd) * 8, 0)?;
    let inode: u64 = read(file, offset!(file_inode))?;
    if read::<u16>(inode, offset!(inode_mode))? & FILE_TYPE != SOCKET {
        return None;
    }
    let socket: u64 = read(file, offset!(file_private_data))?;
    let sk: u64 = read(socket, offset!(socket_sk))?;
    if sk == 0 { None } else { Some(sk) }
}
