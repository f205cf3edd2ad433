//! Which connection a `struct sock` is: found or made, announced once.

use agent_common::conn::{
    Address, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX, RECEIVED, ROLE_CLIENT, ROLE_UNKNOWN, SENT,
    UNIX_PATH,
};
use agent_common::record::{OPENED, Opened};
use agent_common::watch::Policy;
use aya_ebpf::bindings::BPF_NOEXIST;
use rules::rules::{anchor, extend, without_fin};

use crate::emit::{emit, header};
use crate::kernel::{copy_kernel, fresh_id, number, offset, read};
use crate::maps::{
    CONNECTING, CONNECTIONS, Connection, FLAG_ANNOUNCED, FLAG_ASKED, FLAG_CLIENT, FLAG_TCP, OPENING,
};

/// `SOCK_STREAM` of `linux/net.h`.
const STREAM: u16 = 1;

/// What a socket is, read once a call.
pub struct Socket {
    /// `struct sock *`.
    pub sk: u64,
    pub family: u16,
    pub inode: u64,
}

impl Socket {
    /// Reads what `sk` is; `None` for what is not followed (datagrams, other families).
    #[inline(always)]
    pub fn of(sk: u64) -> Option<Self> {
        let family: u16 = read(sk, offset!(sock_family))?;
        if family != FAMILY_INET && family != FAMILY_INET6 && family != FAMILY_UNIX {
            return None;
        }
        if read::<u16>(sk, offset!(sock_type))? != STREAM {
            return None;
        }
        Some(Self {
            sk,
            family,
            inode: inode(sk)?,
        })
    }

    /// Sequence numbers exist: TCP, not a UNIX socket.
    #[inline(always)]
    pub fn is_tcp(&self) -> bool {
        self.family != FAMILY_UNIX
    }

    /// TCP: the sequence number behind the last byte in `direction`.
    #[inline(always)]
    fn sequence(&self, direction: u16) -> Option<u32> {
        if direction == SENT as u16 {
            read(self.sk, offset!(tcp_write_seq))
        } else {
            read(self.sk, offset!(tcp_copied_seq))
        }
    }

    /// Bytes that went in `direction` before the `len` last ones, if the kernel still knows.
    #[inline(always)]
    fn earlier(&self, direction: u16, len: u32) -> Option<u32> {
        let end = self.sequence(direction)?;
        let first = if direction == SENT as u16 {
            let acknowledged: u64 = read(self.sk, offset!(tcp_bytes_acked))?;
            read::<u32>(self.sk, offset!(tcp_snd_una))?.wrapping_sub(acknowledged as u32)
        } else {
            let arrived: u64 = read(self.sk, offset!(tcp_bytes_received))?;
            read::<u32>(self.sk, offset!(tcp_rcv_nxt))?.wrapping_sub(arrived as u32)
        };
        Some(end.wrapping_sub(first).wrapping_sub(len))
    }
}

/// Inode of the socket of `sk`, as in `/proc/PID/fd`; `None` when no file is behind it.
#[inline(always)]
pub fn inode(sk: u64) -> Option<u64> {
    let socket: u64 = read(sk, offset!(sock_socket))?;
    if socket == 0 {
        return None;
    }
    read(
        socket + u64::from(offset!(socket_alloc_inode)),
        offset!(inode_ino),
    )
}

/// The state of `socket`, made when it is new. `len` bytes have just gone in `direction`.
#[inline(always)]
pub fn find(socket: &Socket, direction: u16, len: u32) -> Option<*mut Connection> {
    if let Some(known) = CONNECTIONS.get_ptr_mut(socket.sk) {
        // SAFETY: a live map value; fields are plain integers.
        if unsafe { (*known).inode } == socket.inode {
            return Some(known);
        }
        // Another socket lives at this address now: the old one ended unseen.
        let _ = CONNECTIONS.remove(socket.sk);
    }
    make_connection(number(socket.sk), direction.into(), len.into());
    CONNECTIONS.get_ptr_mut(socket.sk)
}

/// Makes the state of the socket `sk`: a function of its own, as there are many ways through it, and
/// few come here.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn make_connection(sk: u64, direction: u64, len: u64) -> u32 {
    let made = Socket::of(sk).and_then(|socket| make(&socket, direction as u16, len as u32));
    made.map_or(0, |()| 1)
}

#[inline(always)]
fn make(socket: &Socket, direction: u16, len: u32) -> Option<()> {
    let mut next = [0u64; 2];
    let mut flags = 0;
    if socket.is_tcp() {
        flags = FLAG_TCP;
        next[0] = anchor(socket.sequence(SENT as u16)?);
        next[1] = anchor(socket.sequence(RECEIVED as u16)?);
        // The end of the stream counts as a byte but is none.
        if direction == RECEIVED as u16 && socket.earlier(RECEIVED as u16, len) == Some(1) {
            next[1] -= 1;
        }
        let moved = if direction == SENT as u16 { 0 } else { 1 };
        next[moved] -= u64::from(len);
    }
    let made = Connection {
        id: fresh_id(),
        inode: socket.inode,
        next,
        connector: 0,
        left: Policy::DEFAULT.turn,
        turn: direction,
        flags,
    };
    // Another CPU may have been faster: then its state holds.
    let _ = CONNECTIONS.insert(socket.sk, made, u64::from(BPF_NOEXIST));
    Some(())
}

/// Offset of the first of the `len` bytes that have just gone in `direction`; moves the counter.
#[inline(always)]
pub fn advance(socket: &Socket, connection: &mut Connection, direction: u16, len: u32) -> u64 {
    let side = if direction == SENT as u16 { 0 } else { 1 };
    let known = connection.next[side];
    let mut end = known + u64::from(len);
    if connection.flags & FLAG_TCP != 0 {
        if let Some(seq) = socket.sequence(direction) {
            end = extend(end, seq);
            if direction == RECEIVED as u16 {
                end = without_fin(known, end, len);
            }
        }
    }
    connection.next[side] = end;
    end - u64::from(len)
}

/// How far the direction opposite to `direction` has come.
#[inline(always)]
pub fn opposite(socket: &Socket, connection: &Connection, direction: u16) -> u64 {
    let (side, other) = if direction == SENT as u16 {
        (1, RECEIVED as u16)
    } else {
        (0, SENT as u16)
    };
    let known = connection.next[side];
    if connection.flags & FLAG_TCP == 0 {
        return known;
    }
    match socket.sequence(other) {
        Some(seq) if side == 1 => without_fin(known, extend(known, seq), 0),
        Some(seq) => {
            let end = extend(known, seq);
            // The end of the stream counts as a byte but is none.
            if end > known && is_shut(socket.sk, SEND_SHUTDOWN) {
                end - 1
            } else {
                end
            }
        }
        None => known,
    }
}

/// `RCV_SHUTDOWN` and `SEND_SHUTDOWN` of `net/sock.h`: the peer, or the process, has ended its direction;
/// `close` sets both before the state changes.
pub const RCV_SHUTDOWN: u8 = 1;
pub const SEND_SHUTDOWN: u8 = 2;

/// Has `sk` all of these bits?
#[inline(always)]
pub fn is_shut(sk: u64, bits: u8) -> bool {
    let shut: u8 = read(sk, offset!(sock_shutdown)).unwrap_or(0);
    shut & bits == bits
}

/// Sends the `Opened` record if it is not out yet; answers the task that opened the connection for
/// itself and uses it for the first time now, 0 otherwise.
#[inline(always)]
pub fn announce(socket: &Socket, connection: &Connection, direction: u16, len: u32) -> u64 {
    if connection.flags & FLAG_ANNOUNCED != 0 {
        return 0;
    }
    announce_connection(number(socket.sk), direction.into(), len.into())
}

/// The same: a function of its own, as there are many ways through it, and few come here.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn announce_connection(sk: u64, direction: u64, len: u64) -> u64 {
    let Some(socket) = Socket::of(sk) else {
        return 0;
    };
    let Some(found) = CONNECTIONS.get_ptr_mut(sk) else {
        return 0;
    };
    // SAFETY: a live map value; fields are plain integers.
    open(
        &socket,
        unsafe { &mut *found },
        direction as u16,
        len as u32,
    )
}

#[inline(always)]
fn open(socket: &Socket, connection: &mut Connection, direction: u16, len: u32) -> u64 {
    let Some(opened) = OPENING.get_ptr_mut(u32::from(direction)) else {
        return 0;
    };
    // SAFETY: this CPU's own slot for this direction; all fields are integers, for which zero is a
    // value, and padding is excluded by the type.
    let opened = unsafe {
        opened.write_bytes(0, 1);
        &mut *opened
    };
    opened.header = header(OPENED, size_of::<Opened>());
    opened.conn = connection.id;
    opened.inode = connection.inode;
    opened.sent = connection.next[0];
    opened.received = connection.next[1];
    opened.family = socket.family;
    opened.netns = network_namespace(socket.sk).unwrap_or(0);
    opened.role = ROLE_UNKNOWN;
    let mut connector = 0;
    // SAFETY: a map value read once.
    if let Some(task) = unsafe { CONNECTING.get(socket.sk) } {
        connector = *task;
        opened.role = ROLE_CLIENT;
        connection.flags |= FLAG_CLIENT;
        let _ = CONNECTING.remove(socket.sk);
    } else if direction == RECEIVED as u16 {
        connection.flags |= FLAG_ASKED;
    }
    if socket.is_tcp() {
        // One sequence number may stand for the SYN, one for the FIN.
        let sent = if direction == SENT as u16 { len } else { 0 };
        let received = if direction == SENT as u16 { 0 } else { len };
        let untouched = |earlier: Option<u32>| matches!(earlier, Some(0..=1));
        opened.fresh = u8::from(
            untouched(socket.earlier(SENT as u16, sent))
                && untouched(socket.earlier(RECEIVED as u16, received)),
        );
        internet(socket, &mut opened.local, &mut opened.remote);
    } else {
        unix(socket.sk, opened);
    }
    if emit(opened) {
        connection.flags |= FLAG_ANNOUNCED;
    }
    connector
}

/// Inode number of the network namespace of `sk`.
#[inline(always)]
fn network_namespace(sk: u64) -> Option<u32> {
    let net: u64 = read(sk, offset!(sock_net))?;
    read(net, offset!(net_inum))
}

/// Both addresses of a TCP socket.
#[inline(always)]
fn internet(socket: &Socket, local: &mut Address, remote: &mut Address) {
    let sk = socket.sk;
    local.port = read(sk, offset!(sock_local_port)).unwrap_or(0);
    remote.port = u16::from_be(read(sk, offset!(sock_port)).unwrap_or(0));
    if socket.family == FAMILY_INET6 {
        local.ip = read(sk, offset!(sock_v6_rcv_saddr)).unwrap_or([0; 16]);
        remote.ip = read(sk, offset!(sock_v6_daddr)).unwrap_or([0; 16]);
    } else {
        let mine: [u8; 4] = read(sk, offset!(sock_rcv_saddr)).unwrap_or([0; 4]);
        let theirs: [u8; 4] = read(sk, offset!(sock_daddr)).unwrap_or([0; 4]);
        let mut i = 0;
        while i < 4 {
            local.ip[i] = mine[i];
            remote.ip[i] = theirs[i];
            i += 1;
        }
    }
}

/// Peer and path of a UNIX socket.
#[inline(always)]
fn unix(sk: u64, opened: &mut Opened) {
    let peer: u64 = read(sk, offset!(unix_peer)).unwrap_or(0);
    opened.peer_inode = if peer == 0 {
        0
    } else {
        inode(peer).unwrap_or(0)
    };
    // The accepted end carries the listener's name, the connecting end rarely has one.
    if !path(sk, opened) && peer != 0 {
        path(peer, opened);
    }
}

/// Copies the bound path of `sk`, if it has one. Layout: `struct unix_address { refcnt, len,
/// name }` where `len` counts the two bytes of `sun_family`.
#[inline(always)]
fn path(sk: u64, opened: &mut Opened) -> bool {
    let address: u64 = read(sk, offset!(unix_addr)).unwrap_or(0);
    if address == 0 {
        return false;
    }
    let len: u32 = read(address, offset!(unix_address_len)).unwrap_or(0);
    if len <= 2 || len > 2 + UNIX_PATH as u32 {
        return false;
    }
    let from = address + u64::from(offset!(unix_address_name)) + 2;
    // `unix_address` is allocated to its length: a fixed copy could run past the end.
    let bytes = crate::kernel::opaque(u64::from(len - 2));
    if bytes > UNIX_PATH as u64 || !copy_kernel(opened.path.as_mut_ptr(), bytes, from) {
        return false;
    }
    opened.path_len = bytes as u32;
    true
}
