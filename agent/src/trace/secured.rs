//! Connections of which only ciphertext is seen: one span each, so that they are not invisible.
//!
//! In: handshakes, how far the bytes came, ends of connections, and that plaintext was understood
//! after all. Out: finished connections ([`Left`]), the server's end behind its client's. Nothing
//! here takes part in the search for the parents of others: an open connection is no request, and
//! no trace waits for it. Its own parent is the request that its client was handling when it said
//! hello, known in that moment or never; both ends meet by the place of the hello in the stream.
//!
//! A connection leaves once it is over, and a while after it was, as plaintext may still be
//! reported; one that stays open leaves once it is old, with what is known then.

use super::id::Ids;
use super::pairs::PairKey;
use crate::protocol::exchange::{Answer, Attribute, Carried, Moment, Request, Role};
use crate::protocol::tls::{Handshake, Stage};
use crate::record::{ConnId, Direction, Endpoint, Nanos, Opened};
use crate::semconv;
use crate::span::{Evidence, SpanId, TraceId};
use foldhash::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How long after its end a connection waits for its plaintext and its other end, ns.
const SETTLE: Nanos = 1_000_000_000;
/// A connection that is still open at this age leaves with what is known, ns.
const OLD: Nanos = 60_000_000_000;
/// How long a connection waits for its parent's trace beyond its own end, ns.
const PATIENCE: Nanos = 10_000_000_000;
/// Most connections that are followed; later ones have no span.
const CONNECTIONS: usize = 16_384;
/// Clients' ends that left, of one generation, for their servers' ends.
const GENERATION: usize = 4096;

/// Where a span belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its trace.
    pub trace: TraceId,
    /// The sampled flag that came with the trace.
    pub sampled: Option<bool>,
    /// `tracestate` as carried.
    pub state: Option<String>,
}

/// A connection that leaves.
#[derive(Debug)]
pub struct Left {
    /// Its span.
    pub span: SpanId,
    /// Its parent and how it is known.
    pub parent: Option<(SpanId, Evidence)>,
    /// The connection.
    pub info: Arc<Opened>,
    /// Process.
    pub tgid: u32,
    /// What its handshake told.
    pub handshake: Box<Handshake>,
    /// Bytes that were moved, by [`Direction::index`].
    pub moved: [u64; 2],
    /// When it ended, or was last used.
    pub end: Nanos,
    /// It is still open.
    pub open: bool,
}

/// A connection that is followed.
struct Entry {
    span: SpanId,
    parent: Option<(SpanId, Evidence)>,
    /// Known from the beginning for one without a parent.
    place: Option<Place>,
    info: Arc<Opened>,
    tgid: u32,
    handshake: Box<Handshake>,
    /// Offsets behind the last bytes.
    reached: [u64; 2],
    last: Nanos,
    over: bool,
    pair: Option<PairKey>,
    /// When it is looked at next.
    due: Nanos,
}

/// What happened, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections whose plaintext was understood.
    pub understood: u64,
    /// Connections that were not followed because there were too many.
    pub unfollowed: u64,
    /// Parents given up because their traces did not leave in time.
    pub late: u64,
}

/// All such connections.
#[derive(Default)]
pub struct Secured {
    entries: HashMap<ConnId, Entry>,
    /// In the order in which they are looked at.
    due: BTreeSet<(Nanos, ConnId)>,
    /// Connections that wait for the trace of a request, by its span.
    children: HashMap<SpanId, Vec<ConnId>>,
    /// Clients' ends that are followed.
    clients: HashMap<PairKey, ConnId>,
    /// Servers' ends that are followed.
    servers: HashMap<PairKey, ConnId>,
    /// Clients' ends that left.
    young: HashMap<PairKey, (SpanId, Place)>,
    old: HashMap<PairKey, (SpanId, Place)>,
    /// What happened.
    pub counts: Counts,
}

impl Secured {
    /// Connections that are followed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// None is followed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// More is known of a handshake on `info`, by the process `tgid`; `parent` is the request that
    /// it is handling.
    pub fn handshake(
        &mut self,
        info: &Arc<Opened>,
        tgid: u32,
        handshake: Box<Handshake>,
        ids: &mut Ids,
        parent: Option<(SpanId, Evidence)>,
    ) {
        let conn = info.conn;
        if let Some(entry) = self.entries.get_mut(&conn) {
            entry.handshake = handshake;
            return;
        }
        // What follows the client's hello says nothing of a connection that is not followed.
        if handshake.stage != Stage::Offered {
            return;
        }
        if self.entries.len() >= CONNECTIONS {
            self.counts.unfollowed += 1;
            return;
        }
        let (role, start) = (handshake.role, handshake.start);
        let pair = PairKey::new(info, role, start.offset);
        let parent = parent.filter(|_| role == Role::Client);
        let place = (role == Role::Client && parent.is_none()).then(|| root(ids));
        if let Some(pair) = pair {
            self.ends(role).insert(pair, conn);
        }
        if let Some((span, _)) = parent {
            self.children.entry(span).or_default().push(conn);
        }
        let due = start.at.saturating_add(OLD);
        self.due.insert((due, conn));
        self.entries.insert(
            conn,
            Entry {
                span: ids.span(),
                parent,
                place,
                info: Arc::clone(info),
                tgid,
                handshake,
                reached: info.offsets,
                last: start.at,
                over: false,
                pair,
                due,
            },
        );
    }

    /// The bytes of `conn` have come as far as `offset`.
    pub fn moved(&mut self, conn: ConnId, direction: Direction, offset: u64, at: Nanos) {
        if let Some(entry) = self.entries.get_mut(&conn) {
            let reached = &mut entry.reached[direction.index()];
            *reached = offset.max(*reached);
            entry.last = at.max(entry.last);
        }
    }

    /// `conn` is over.
    pub fn ended(&mut self, conn: ConnId, at: Nanos) {
        let Some(entry) = self.entries.get_mut(&conn) else {
            return;
        };
        entry.over = true;
        entry.last = at.max(entry.last);
        self.look(conn, at.saturating_add(SETTLE));
    }

    /// A request was understood in the plaintext of `conn`: it has spans of its own.
    pub fn understood(&mut self, conn: ConnId) {
        if self.take(conn).is_some() {
            self.counts.understood += 1;
        }
    }

    /// The request `span` leaves the agent: connections that it opened belong to its trace.
    pub fn placed(&mut self, span: SpanId, place: &Place) {
        for conn in self.children.remove(&span).unwrap_or_default() {
            if let Some(entry) = self.entries.get_mut(&conn) {
                entry.place = Some(place.clone());
            }
        }
    }

    /// Connections that leave at `now`, those of one trace together.
    pub fn due(&mut self, now: Nanos, ids: &mut Ids, each: &mut dyn FnMut(Place, Vec<Left>)) {
        while let Some((due, conn)) = self.due.first().copied() {
            if due > now {
                break;
            }
            self.leave(conn, now, false, ids, each);
        }
    }

    /// Everything leaves: the agent stops.
    pub fn flush(&mut self, ids: &mut Ids, each: &mut dyn FnMut(Place, Vec<Left>)) {
        // Clients first: their servers' ends go with them.
        for role in [Role::Client, Role::Server] {
            for (_, conn) in self.due.clone() {
                let is = |entry: &Entry| entry.handshake.role == role;
                if self.entries.get(&conn).is_some_and(is) {
                    self.leave(conn, Nanos::MAX, true, ids, each);
                }
            }
        }
    }

    /// `conn` leaves, or is looked at again when what it waits for may be there.
    fn leave(
        &mut self,
        conn: ConnId,
        now: Nanos,
        stop: bool,
        ids: &mut Ids,
        each: &mut dyn FnMut(Place, Vec<Left>),
    ) {
        let Some(entry) = self.entries.get(&conn) else {
            return;
        };
        let patient = !stop && now < entry.last.saturating_add(SETTLE + PATIENCE) && entry.over;
        let (parent, place) = match entry.handshake.role {
            Role::Client => (entry.parent, entry.place.clone()),
            Role::Server => match self.client_of(entry) {
                Client::Left(span, place) => (Some((span, Evidence::SocketPair)), Some(place)),
                Client::Follows if patient => (None, None),
                Client::Follows | Client::Unknown => (None, Some(root(ids))),
            },
        };
        if place.is_none() && patient {
            self.look(conn, now.saturating_add(SETTLE));
            return;
        }
        self.counts.late += u64::from(place.is_none());
        let parent = parent.filter(|_| place.is_some());
        let place = place.unwrap_or_else(|| root(ids));
        let Some(mut entry) = self.take(conn) else {
            return;
        };
        entry.parent = parent;
        let mut leaving = Vec::new();
        if let Some(pair) = entry.pair.filter(|_| entry.handshake.role == Role::Client) {
            let span = entry.span;
            let server = self.servers.get(&pair).copied();
            let over = server.filter(|conn| {
                let server = self.entries.get(conn);
                server.is_some_and(|server| server.over || stop)
            });
            match over.and_then(|conn| self.take(conn)) {
                Some(mut server) => {
                    server.parent = Some((span, Evidence::SocketPair));
                    leaving.push(server.left());
                }
                None => self.remember(pair, span, place.clone()),
            }
        }
        leaving.insert(0, entry.left());
        each(place, leaving);
    }

    /// The client's end of a server's connection.
    fn client_of(&self, entry: &Entry) -> Client {
        let Some(pair) = &entry.pair else {
            return Client::Unknown;
        };
        if self.clients.contains_key(pair) {
            return Client::Follows;
        }
        match self.young.get(pair).or_else(|| self.old.get(pair)) {
            Some((span, place)) => Client::Left(*span, place.clone()),
            None => Client::Unknown,
        }
    }

    fn remember(&mut self, pair: PairKey, span: SpanId, place: Place) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(pair, (span, place));
    }

    /// `conn` is looked at when it is `due`.
    fn look(&mut self, conn: ConnId, due: Nanos) {
        if let Some(entry) = self.entries.get_mut(&conn) {
            self.due.remove(&(entry.due, conn));
            entry.due = due;
            self.due.insert((due, conn));
        }
    }

    fn ends(&mut self, role: Role) -> &mut HashMap<PairKey, ConnId> {
        match role {
            Role::Client => &mut self.clients,
            Role::Server => &mut self.servers,
        }
    }

    /// Follows `conn` no longer; nothing refers to it afterwards.
    fn take(&mut self, conn: ConnId) -> Option<Entry> {
        let entry = self.entries.remove(&conn)?;
        self.due.remove(&(entry.due, conn));
        if let Some(pair) = &entry.pair {
            let ends = self.ends(entry.handshake.role);
            // A reused port with the same number in the stream is another's by now.
            if ends.get(pair) == Some(&conn) {
                ends.remove(pair);
            }
        }
        if let Some((span, _)) = &entry.parent
            && let Some(children) = self.children.get_mut(span)
        {
            children.retain(|child| *child != conn);
            if children.is_empty() {
                self.children.remove(span);
            }
        }
        Some(entry)
    }
}

impl Left {
    /// The connection in the words of an exchange.
    #[must_use]
    pub fn exchange(&self) -> (Request, Answer) {
        let mut operation = self.handshake.operation();
        for (key, moved) in [
            (semconv::WEFT_CONNECTION_SENT, self.moved[0]),
            (semconv::WEFT_CONNECTION_RECEIVED, self.moved[1]),
        ] {
            let moved = i64::try_from(moved).unwrap_or(i64::MAX);
            operation.attributes.push(Attribute::new(key, moved));
        }
        let server = match self.handshake.role {
            Role::Client => &self.info.remote,
            Role::Server => &self.info.local,
        };
        if let (Endpoint::Inet(_, port), Some(_)) = (server, &self.handshake.client.server_name) {
            let port = Attribute::new(semconv::SERVER_PORT, i64::from(*port));
            operation.attributes.push(port);
        }
        if self.open {
            let open = Attribute::new(semconv::WEFT_CONNECTION_OPEN, true);
            operation.attributes.push(open);
        }
        let start = self.handshake.start;
        let request = Request {
            number: 0,
            role: self.handshake.role,
            stream: None,
            start,
            operation,
            carried: Carried::default(),
        };
        let answer = Answer {
            number: 0,
            first: None,
            end: Moment {
                at: self.end,
                ..start
            },
            outcome: self.handshake.outcome(),
            attributes: Vec::new(),
            cut: false,
        };
        (request, answer)
    }
}

/// What is known of the client's end.
enum Client {
    /// It left with this span.
    Left(SpanId, Place),
    /// It is still followed.
    Follows,
    /// It is not watched, or has spans of its plaintext.
    Unknown,
}

impl Entry {
    fn left(self) -> Left {
        let moved = |i: usize| self.reached[i].saturating_sub(self.info.offsets[i]);
        Left {
            span: self.span,
            parent: self.parent,
            tgid: self.tgid,
            moved: [moved(0), moved(1)],
            end: self.last,
            open: !self.over,
            info: self.info,
            handshake: self.handshake,
        }
    }
}

/// A trace of its own.
fn root(ids: &mut Ids) -> Place {
    Place {
        trace: ids.trace(),
        sampled: None,
        state: None,
    }
}

#[cfg(test)]
#[path = "secured_tests.rs"]
mod tests;
