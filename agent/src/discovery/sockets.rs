//! Listening sockets.
//!
//! In: netlink for the agent's own network namespace, `/proc/PID/net` of each other one,
//! `/proc/PID/fd`. Out: [`Listeners`]. Not here: connections; the kernel programs report those.
//!
//! A picture of one moment: sockets and processes come and go while it is taken.

use super::procs::{Proc, bracketed};
use super::sock_diag;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Most listening sockets that are kept.
pub(super) const LISTENERS: usize = 64 * 1024;
/// Most bytes of one table of `/proc/PID/net`.
const TABLE_BYTES: u64 = 64 * 1024 * 1024;
/// Lines of no interest after which a table of TCP is left: the kernel lists listening sockets
/// first, then each connection.
const IDLE_LINES: usize = 4096;
/// Most descriptors of one process, and of all, that are looked at.
const PROCESS_DESCRIPTORS: usize = 64 * 1024;
const DESCRIPTORS: usize = 1024 * 1024;
/// State `TCP_LISTEN` in the tables of TCP.
const LISTEN: &str = "0A";
/// Flag of a listening UNIX socket, `__SO_ACCEPTCON`.
const ACCEPTING: u32 = 0x0001_0000;

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// UNIX stream socket; an abstract name begins with `@`.
    Unix(String),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Inode of its network namespace.
    pub netns: u32,
    /// Its inode.
    pub inode: u64,
    /// Where it listens.
    pub address: Address,
    /// Processes that hold it, in order.
    pub tgids: Vec<u32>,
}

impl Listener {
    /// Its TCP port.
    fn port(&self) -> Option<u16> {
        match &self.address {
            Address::Tcp(address) => Some(address.port()),
            Address::Unix(_) => None,
        }
    }
}

/// A table of sockets.
struct Table {
    /// Below `/proc/PID`.
    path: &'static str,
    parse: fn(&str) -> Line,
    /// Lines of no interest after which it is left.
    patience: usize,
}

const TCP: Table = Table {
    path: "net/tcp",
    parse: parse_tcp,
    patience: IDLE_LINES,
};

const TCP6: Table = Table {
    path: "net/tcp6",
    ..TCP
};

/// UNIX sockets stand in no order.
const UNIX: Table = Table {
    path: "net/unix",
    parse: parse_unix,
    patience: usize::MAX,
};

/// All listening sockets of the host.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    all: Vec<Listener>,
    by_port: HashMap<(u32, u16), Vec<usize>>,
    by_process: HashMap<u32, Vec<usize>>,
}

impl Listeners {
    /// Reads the sockets that `pids` hold. Processes that end meanwhile are left out.
    #[must_use]
    pub fn read(proc: &Proc, pids: &[u32]) -> Self {
        let mut listeners = Self::of_tables(proc, pids, &[UNIX]);
        listeners.hold(proc, pids);
        listeners
    }

    /// The sockets on TCP ports that are `wanted`, in the network namespaces of `pids`. Nothing is
    /// known yet of who holds them, which takes far longer to find out ([`Self::hold`]).
    #[must_use]
    pub fn on_ports(proc: &Proc, pids: &[u32], wanted: impl Fn(u16) -> bool) -> Self {
        let mut listeners = Self::of_tables(proc, pids, &[]);
        listeners
            .all
            .retain(|listener| listener.port().is_some_and(&wanted));
        listeners
    }

    /// Finds out which of the sockets `pids` hold.
    pub fn hold(&mut self, proc: &Proc, pids: &[u32]) {
        self.add_holders(proc, pids);
        self.index();
    }

    /// Inodes of all of them, in order.
    #[must_use]
    pub fn inodes(&self) -> Vec<u64> {
        let inodes: BTreeSet<u64> = self.all.iter().map(|listener| listener.inode).collect();
        inodes.into_iter().collect()
    }

    /// The sockets of TCP, and those of `others`.
    fn of_tables(proc: &Proc, pids: &[u32], others: &[Table]) -> Self {
        let mut listeners = Self::default();
        let own = proc.own_net_namespace();
        let mut told = false;
        let mut seen = BTreeSet::new();
        for pid in pids {
            let Some(netns) = proc.net_namespace(*pid) else {
                continue;
            };
            if !seen.insert(netns) {
                continue;
            }
            let here = own == Some(netns);
            told = told || (here && listeners.ask(netns));
            let tcp: &[Table] = if here && told { &[] } else { &[TCP, TCP6] };
            let mut tables = tcp.iter().chain(others).peekable();
            if tables.peek().is_some() && !listeners.add_namespace(proc, *pid, netns, tables) {
                // It ended before its tables were read: another one of the namespace may not.
                seen.remove(&netns);
            }
        }
        listeners
    }

    /// Asks the kernel for the sockets of TCP in the agent's own network namespace; false where it
    /// does not tell.
    fn ask(&mut self, netns: u32) -> bool {
        match sock_diag::listening() {
            Ok(found) => {
                found.into_iter().for_each(|one| self.add(netns, one));
                true
            }
            Err(error) => {
                tracing::debug!(%error, "no sock_diag: sockets are read from /proc");
                false
            }
        }
    }

    /// Sockets that listen on `port` in a network namespace.
    pub fn on_port(&self, netns: u32, port: u16) -> impl Iterator<Item = &Listener> {
        self.at(self.by_port.get(&(netns, port)))
    }

    /// Sockets that a process holds.
    pub fn of_process(&self, tgid: u32) -> impl Iterator<Item = &Listener> {
        self.at(self.by_process.get(&tgid))
    }

    /// TCP ports that a process listens on, in order, each once.
    #[must_use]
    pub fn ports(&self, tgid: u32) -> Vec<u16> {
        let ports = self.of_process(tgid).filter_map(Listener::port);
        ports.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> &[Listener] {
        &self.all
    }

    fn at<'a>(&'a self, found: Option<&'a Vec<usize>>) -> impl Iterator<Item = &'a Listener> {
        found
            .into_iter()
            .flatten()
            .filter_map(|at| self.all.get(*at))
    }

    /// Whether any of the tables could be read.
    fn add_namespace<'a>(
        &mut self,
        proc: &Proc,
        pid: u32,
        netns: u32,
        tables: impl Iterator<Item = &'a Table>,
    ) -> bool {
        let mut read = false;
        for table in tables {
            let Ok(file) = File::open(proc.path(pid, table.path)) else {
                continue;
            };
            read = true;
            let lines = BufReader::new(file.take(TABLE_BYTES));
            for found in listening(lines, table.parse, table.patience) {
                self.add(netns, found);
            }
        }
        read
    }

    fn add(&mut self, netns: u32, (inode, address): (u64, Address)) {
        if self.all.len() < LISTENERS {
            self.all.push(Listener {
                netns,
                inode,
                address,
                tgids: Vec::new(),
            });
        }
    }

    fn add_holders(&mut self, proc: &Proc, pids: &[u32]) {
        let inodes: HashMap<u64, usize> = self
            .all
            .iter()
            .enumerate()
            .map(|(index, listener)| (listener.inode, index))
            .collect();
        if inodes.is_empty() {
            return;
        }
        let mut left = DESCRIPTORS;
        for pid in pids {
            let Ok(descriptors) = std::fs::read_dir(proc.path(*pid, "fd")) else {
                continue;
            };
            for entry in descriptors.flatten().take(PROCESS_DESCRIPTORS.min(left)) {
                left -= 1;
                let link = std::fs::read_link(entry.path()).ok();
                let inode = link
                    .as_deref()
                    .and_then(|link| link.to_str())
                    .filter(|link| link.starts_with("socket:"))
                    .and_then(bracketed);
                let held = inode.and_then(|inode| inodes.get(&inode));
                if let Some(listener) = held.and_then(|index| self.all.get_mut(*index))
                    && listener.tgids.last() != Some(pid)
                {
                    listener.tgids.push(*pid);
                }
            }
        }
    }

    fn index(&mut self) {
        for (index, listener) in self.all.iter().enumerate() {
            if let Address::Tcp(address) = &listener.address {
                let key = (listener.netns, address.port());
                self.by_port.entry(key).or_default().push(index);
            }
            for tgid in &listener.tgids {
                self.by_process.entry(*tgid).or_default().push(index);
            }
        }
    }
}

/// A listening socket of one line of a table: its inode and where it listens.
type Line = Option<(u64, Address)>;

fn listening(table: impl BufRead, parse: fn(&str) -> Line, patience: usize) -> Vec<(u64, Address)> {
    let mut found = Vec::new();
    let mut idle = 0;
    // Lines are split as bytes: a UNIX path need not be UTF-8.
    for line in table.split(b'\n').map_while(Result::ok) {
        match parse(&String::from_utf8_lossy(&line)) {
            Some(_) if found.len() >= LISTENERS => break,
            Some(listener) => {
                found.push(listener);
                idle = 0;
            }
            None => idle += 1,
        }
        if idle > patience {
            break;
        }
    }
    found
}

/// `sl local remote st tx:rx tr:when retrnsmt uid timeout inode ...`
fn parse_tcp(line: &str) -> Line {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let address = socket_address(fields.next()?)?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    Some((fields.nth(5)?.parse().ok()?, Address::Tcp(address)))
}

/// `Num: RefCount Protocol Flags Type St Inode Path`; the path may have blanks.
fn parse_unix(line: &str) -> Line {
    let mut fields = line.splitn(7, ' ');
    let flags = u32::from_str_radix(fields.nth(3)?, 16).ok()?;
    if flags & ACCEPTING == 0 {
        return None;
    }
    // The inode is padded with blanks on its left.
    let (inode, path) = fields.nth(2)?.trim_start().split_once(' ')?;
    Some((inode.parse().ok()?, Address::Unix(path.to_owned())))
}

/// `0100007F:1F90`: 32-bit words in the host's byte order, the port as a number.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at..at + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(index * 8)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::fixture::{Fixture, PID, Spec};

    const TCP_HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    #[test]
    fn lines_of_tcp() {
        for (line, expected) in [
            (
                "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0",
                "12345 127.0.0.1:8080",
            ),
            (
                "   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7 1",
                "7 [::]:80",
            ),
            (
                "   0: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0     0        0 7 1",
                "7 127.0.0.1:80",
            ),
            (
                "   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 12346 1",
                "",
            ),
            (TCP_HEAD.trim_end(), ""),
            ("   0: 0100007F:1F90 00000000:0000 0A", ""),
            ("   0: 0100007F 00000000:0000 0A 0 0 0 0 0 12345", ""),
            (
                "   0: 0100007F:1F900 00000000:0000 0A 0:0 0:0 0 0 0 12345",
                "",
            ),
            (
                "   0: é100007:1F90 00000000:0000 0A 0:0 0:0 0 0 0 12345",
                "",
            ),
            ("   0: 0100007F:1F90 00000000:0000 0A 0:0 0:0 0 0 0 -1", ""),
            ("", ""),
            ("\u{fffd}\0", ""),
        ] {
            check(parse_tcp(line), expected, line);
        }
    }

    #[test]
    fn lines_of_unix() {
        for (line, expected) in [
            (
                "0000000000000000: 00000002 00000000 00010000 0001 01 21655 /run/shop.sock",
                "21655 unix:/run/shop.sock",
            ),
            (
                "ffff8b: 00000002 00000000 00010000 0001 01   655 /run/my shop.sock",
                "655 unix:/run/my shop.sock",
            ),
            (
                "ffff8b: 00000002 00000000 00010000 0001 01 1 @/abstract",
                "1 unix:@/abstract",
            ),
            (
                "ffff8b: 00000003 00000000 00000000 0001 03 21656 /run/shop.sock",
                "",
            ),
            ("ffff8b: 00000002 00000000 00010000 0001 01 21655", ""),
            (
                "Num       RefCount Protocol Flags    Type St Inode Path",
                "",
            ),
            ("ffff8b: 2 0 00010000", ""),
            ("", ""),
        ] {
            check(parse_unix(line), expected, line);
        }
    }

    fn check(found: Line, expected: &str, line: &str) {
        let found = found.map(|(inode, address)| format!("{inode} {address}"));
        let found = found.unwrap_or_default();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn finds_holders_by_port_and_by_process() {
        let fixture = Fixture::of(Spec::default());
        fixture.add(101, Spec::default());
        fixture.add(102, Spec::default());
        for (pid, netns) in [(PID, 1), (101, 1), (102, 2)] {
            fixture.link(&format!("{pid}/ns/net"), &format!("net:[{netns}]"));
            fixture.link(&format!("{pid}/fd/3"), "socket:[12345]");
            fixture.link(&format!("{pid}/fd/4"), "/dev/null");
        }
        fixture.link("101/fd/5", "socket:[99]");
        let line = "   0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0  1000        0 12345 1\n";
        fixture.write("100/net/tcp", format!("{TCP_HEAD}{line}").as_bytes());
        let unix = b"Num\nffff: 2 0 00010000 0001 01 99 /run/\xff.sock\n\xff\xfe\n";
        fixture.write("100/net/unix", unix);
        let listeners = Listeners::read(&fixture.proc(), &[PID, 101, 102, 555]);
        assert_eq!(listeners.all().len(), 2);
        let on_port: Vec<_> = listeners.on_port(1, 8080).collect();
        assert_eq!(on_port.len(), 1);
        assert_eq!(on_port[0].tgids, [100, 101, 102]);
        assert_eq!(listeners.on_port(2, 8080).count(), 0, "another namespace");
        assert_eq!(listeners.ports(PID), [8080]);
        assert_eq!(listeners.of_process(101).count(), 2);
        assert!(listeners.ports(555).is_empty());

        let on = |port| Listeners::on_ports(&fixture.proc(), &[PID, 101, 102], move |p| p == port);
        assert!(on(80).inodes().is_empty());
        let mut wanted = on(8080);
        assert_eq!(wanted.inodes(), [12345]);
        wanted.hold(&fixture.proc(), &[101]);
        assert_eq!(wanted.ports(101), [8080]);
        assert!(wanted.ports(PID).is_empty(), "it was not asked for");
    }

    #[test]
    fn finds_a_real_socket() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let proc = Proc::at("/proc");
        let own = std::process::id();
        let listeners = Listeners::read(&proc, &[own]);
        assert!(listeners.ports(own).contains(&port));
        let netns = proc.net_namespace(own).unwrap();
        let found: Vec<_> = listeners.on_port(netns, port).collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].address, Address::Tcp(socket.local_addr().unwrap()));
    }

    #[test]
    fn does_not_read_on_through_all_connections() {
        let connection = "   1: 0100007F:1F90 0100007F:C350 01 0:0 00:0 0  1000        0 9 1\n";
        let late = "   0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0  1000        0 5 1\n";
        for (lines, expected) in [(IDLE_LINES - 1, 1), (IDLE_LINES + 1, 0)] {
            let table = connection.repeat(lines) + late;
            let found = listening(table.as_bytes(), parse_tcp, IDLE_LINES);
            assert_eq!(found.len(), expected, "after {lines} connections");
        }
    }
}
