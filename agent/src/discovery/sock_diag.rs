//! Listening TCP sockets, asked of the kernel by netlink (sock_diag(7)).
//!
//! In: the network namespace of this process. Out: inodes and addresses. It takes a hundredth of
//! what `/proc/net/tcp` takes, for which the kernel goes through its table of all connections,
//! empty as it may be. Not here: other namespaces, and UNIX sockets.

use super::sockets::{Address, LISTENERS};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{netlink, recv, send, socket_with};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use zerocopy::byteorder::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `SOCK_DIAG_BY_FAMILY` of `linux/sock_diag.h`.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH` of `linux/netlink.h`: all there are.
const DUMP: u16 = 0x301;
/// `NLMSG_ERROR` and `NLMSG_DONE`.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// The bit of `TCP_LISTEN` among the states.
const LISTEN: u32 = 1 << 10;
/// The kernel answers in pieces of at most 32 KiB.
const ANSWER: usize = 64 * 1024;

/// `struct nlmsghdr`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Head {
    /// Of head and body.
    len: u32,
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
}

/// `struct inet_diag_sockid`.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Socket {
    port: U16,
    remote_port: U16,
    address: [u8; 16],
    remote_address: [u8; 16],
    interface: u32,
    cookie: [u32; 2],
}

/// `struct inet_diag_req_v2`.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct Request {
    head: Head,
    family: u8,
    protocol: u8,
    extensions: u8,
    padding: u8,
    states: u32,
    socket: Socket,
}

/// `struct inet_diag_msg`.
#[derive(FromBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Found {
    family: u8,
    state: u8,
    timer: u8,
    retransmits: u8,
    socket: Socket,
    expires: u32,
    received: u32,
    queued: u32,
    user: u32,
    inode: u32,
}

/// Listening sockets of the network namespace that this thread is in, with their inodes.
///
/// # Errors
/// When the kernel has no sock_diag(7), or refuses it.
pub fn listening() -> io::Result<Vec<(u64, Address)>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    let mut found = Vec::new();
    let mut answer = vec![0; ANSWER];
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        send(&socket, request(family).as_bytes(), SendFlags::empty())?;
        loop {
            let (_, len) = recv(&socket, answer.as_mut_slice(), RecvFlags::empty())?;
            if len == 0 || read(answer.get(..len).unwrap_or(&answer), &mut found)? {
                break;
            }
        }
    }
    Ok(found)
}

fn request(family: AddressFamily) -> Request {
    Request {
        head: Head {
            len: size_of::<Request>() as u32,
            kind: BY_FAMILY,
            flags: DUMP,
            sequence: 0,
            port: 0,
        },
        family: family.as_raw() as u8,
        protocol: TCP,
        extensions: 0,
        padding: 0,
        states: LISTEN,
        socket: Socket::default(),
    }
}

/// Reads one piece of an answer; true if it is the last one.
fn read(mut piece: &[u8], found: &mut Vec<(u64, Address)>) -> io::Result<bool> {
    while let Ok((head, body)) = Head::read_from_prefix(piece) {
        match head.kind {
            DONE => return Ok(true),
            ERROR => {
                let code = i32::read_from_prefix(body).map_or(0, |(code, _)| code);
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            BY_FAMILY if found.len() < LISTENERS => {
                found.extend(Found::read_from_prefix(body).ok().and_then(listener));
            }
            _ => {}
        }
        // The next one stands at a multiple of four bytes.
        let len = (head.len as usize).max(size_of::<Head>());
        piece = piece.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

fn listener((found, _): (Found, &[u8])) -> Option<(u64, Address)> {
    let Socket { address, port, .. } = found.socket;
    let [a, b, c, d, ..] = address;
    let ip = match AddressFamily::from_raw(found.family.into()) {
        AddressFamily::INET => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        AddressFamily::INET6 => IpAddr::V6(Ipv6Addr::from(address)).to_canonical(),
        _ => return None,
    };
    let address = Address::Tcp(SocketAddr::new(ip, port.get()));
    Some((found.inode.into(), address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn finds_sockets_that_listen() {
        for at in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
            let socket = match TcpListener::bind(at) {
                Err(error) if at.starts_with('[') => {
                    eprintln!("no IPv6 here: {error}");
                    continue;
                }
                socket => socket.unwrap(),
            };
            let address = Address::Tcp(socket.local_addr().unwrap());
            let found = listening().unwrap();
            let mut ours = found.iter().filter(|(_, found)| *found == address);
            let (inode, _) = ours.next().expect("it listens");
            assert!(*inode > 0, "{at}");
            assert!(ours.next().is_none(), "{at} is found once");
            drop(socket);
            let found = listening().unwrap();
            assert!(!found.iter().any(|(_, found)| *found == address), "{at}");
        }
    }

    #[test]
    fn answers_end_anywhere() {
        let mut whole = request(AddressFamily::INET).as_bytes().to_vec();
        let head = size_of::<Head>();
        whole[head + 4 + 1] = 80; // the port, behind family, state, timer and retransmits
        let mut told = vec![2, 10, 0, 0];
        told.extend(Socket::default().as_bytes());
        told.extend([0; 20]);
        let mut message = whole[..head].to_vec();
        message[0] = (head + told.len()) as u8;
        message.extend(&told);
        let mut done = message[..head].to_vec();
        (done[0], done[4]) = (16, 3);
        let both = [message.as_slice(), &done].concat();
        for len in 0..=both.len() {
            let mut found = Vec::new();
            let last = read(&both[..len], &mut found).unwrap();
            assert_eq!(last, len == both.len(), "{len}");
            assert_eq!(found.len(), usize::from(len >= message.len()), "{len}");
        }
        let mut refused = done.clone();
        (refused[0], refused[4]) = (20, 2);
        refused.extend((-2_i32).to_ne_bytes());
        let error = read(&refused, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        // A length of zero is not read for ever.
        assert!(!read(&[0; 64], &mut Vec::new()).unwrap());
    }
}
