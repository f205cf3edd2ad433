//! Joins by socket pair: both ends of a connection are watched, and a request that begins at an
//! offset of the one is the request that begins at the same offset of the other. Exact, and
//! needs nothing in the request itself.

use super::assembly::NodeId;
use crate::protocol::exchange::Role;
use crate::record::{Direction, Endpoint, Opened};
use foldhash::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

/// What both ends know of a request. TCP: both addresses and the sequence number of its first
/// byte (random in 32 bits, so reused ports cannot deceive). UNIX: the client's socket and the
/// count of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairKey {
    client: Endpoint,
    server: Endpoint,
    offset: u32,
    /// Of what a TLS connection carries: how that connection's own numbers begin. Plain bytes are
    /// counted from 0, so another connection of the same ports could be taken for it.
    plain: Option<u32>,
    /// `offset` is the number of a stream.
    stream: bool,
}

impl Hash for PairKey {
    /// One number, as two keys are hashed for each request. Equal keys hash alike; those that
    /// differ in the rest alone are few.
    fn hash<H: Hasher>(&self, state: &mut H) {
        match (self.client, self.server) {
            (
                Endpoint::Inet(IpAddr::V4(client), from),
                Endpoint::Inet(IpAddr::V4(server), port),
            ) => {
                let client = u128::from(client.to_bits()) << 96 | u128::from(from) << 80;
                let server = u128::from(server.to_bits()) << 48 | u128::from(port) << 32;
                state.write_u128(client | server | u128::from(self.offset));
            }
            (client, server) => {
                client.hash(state);
                server.hash(state);
                state.write_u32(self.offset);
            }
        }
    }
}

impl PairKey {
    /// The key of the request that begins at `offset`, seen from this end in `role`.
    #[must_use]
    pub fn new(info: &Opened, role: Role, offset: u64) -> Option<Self> {
        let (client, server, way) = match role {
            Role::Client => (info.local, info.remote, Direction::Sent),
            Role::Server => (info.remote, info.local, Direction::Received),
        };
        // Whoever came later counts plain bytes differently.
        if info.plain.is_some() && !info.fresh {
            return None;
        }
        let plain = info.plain.map(|carrier| carrier.began[way.index()] as u32);
        Self::between(client, server, offset as u32, plain)
    }

    /// The key of the request of `stream`, where TLS carries it and one end came later. Numbers of
    /// streams mean the same to both ends. The connection is older than the probes of the process,
    /// so it is the only one between its ports.
    #[must_use]
    pub fn of_stream(info: &Opened, role: Role, stream: u32) -> Option<Self> {
        if info.plain.is_none() || info.fresh {
            return None;
        }
        let (client, server) = match role {
            Role::Client => (info.local, info.remote),
            Role::Server => (info.remote, info.local),
        };
        let key = Self::between(client, server, stream, None)?;
        Some(Self {
            stream: true,
            ..key
        })
    }

    fn between(
        client: Endpoint,
        server: Endpoint,
        offset: u32,
        plain: Option<u32>,
    ) -> Option<Self> {
        let server = match client {
            Endpoint::Unix(0) | Endpoint::Unseen => return None,
            // The accepted socket has no inode yet when the client speaks first.
            Endpoint::Unix(_) => Endpoint::Unix(0),
            Endpoint::Inet(..) => server,
        };
        Some(Self {
            client,
            server,
            offset,
            plain,
            stream: false,
        })
    }
}

/// Ends that wait for their other end.
#[derive(Default)]
pub struct Pairs(HashMap<PairKey, (Role, NodeId)>);

impl Pairs {
    /// Meets the other end of `key`, or waits for it.
    pub fn meet(&mut self, key: &PairKey, role: Role, node: NodeId) -> Option<NodeId> {
        match self.0.entry(*key) {
            Entry::Occupied(entry) if entry.get().0 != role => Some(entry.remove().1),
            Entry::Occupied(mut entry) => {
                entry.insert((role, node));
                None
            }
            Entry::Vacant(entry) => {
                entry.insert((role, node));
                None
            }
        }
    }

    /// `node` waits no longer.
    pub fn forget(&mut self, key: &PairKey, node: NodeId) {
        if let Entry::Occupied(entry) = self.0.entry(*key)
            && entry.get().1 == node
        {
            entry.remove();
        }
    }

    /// Number of ends that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// None waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
