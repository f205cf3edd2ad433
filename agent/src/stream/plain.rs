//! What TLS connections carry: sessions of TLS libraries, each bound to the connection under it.
//!
//! In: plain bytes by session, ClientHellos by connection. Out: plain bytes as connections of their
//! own in the table, with the ends of the one that carries them. A session is bound once, by what
//! the kernel side saw of its library's system calls, or by the random number of the ClientHello
//! that crossed the connection in the same process: 28 bytes at least that no other one has; or, of
//! old ones, by the lengths of their records (`lengths`). What
//! comes before that waits, bounded; what is never bound is given up and counted. Not here: what
//! TLS records say (`protocol`).

use super::lengths::Lengths;
use super::table::{Each, Table};
use crate::record::{
    Carrier, Chunk, ConnId, Direction, Ended, Joined, Nanos, Opened, Plain, Secured, Task,
};
use agent_common::record::FIBER_ANSWER;
use foldhash::{HashMap, HashSet};
use std::collections::VecDeque;

/// Most sessions, and most connections with a ClientHello, that are remembered.
const SESSIONS: usize = 65_536;
/// Most chunks of a session that wait for its connection; most bytes of all sessions' chunks.
const HELD: usize = 64;
const HELD_BYTES: usize = 8 * 1024 * 1024;
/// How long they wait, and how long a connection's end waits for plain bytes that another CPU has
/// still to report, ns.
const PATIENCE: Nanos = 1_000_000_000;
const LINGER: Nanos = 100_000_000;
/// How long a session without any bytes is remembered that is not bound, ns.
const IDLE: Nanos = 900_000_000_000;

/// What went wrong, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sessions that were bound to their connections.
    pub bound: u64,
    /// Chunks whose session was not bound in time.
    pub unbound: u64,
}

/// A ClientHello that crossed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Which connection.
    pub conn: ConnId,
    /// The process sent it.
    pub client: bool,
    /// Who moved its first byte.
    pub task: Task,
    /// The runtime's task that did.
    pub fiber: u64,
    /// Its number.
    pub random: [u8; 32],
}

/// A random number of a ClientHello, in a process.
type Random = (u32, [u8; 32]);

#[derive(Default)]
struct Session {
    state: State,
    /// When it was first heard of.
    since: Nanos,
    /// Its ClientHello, once the kernel side has told.
    random: Option<Random>,
    fresh: bool,
}

enum State {
    /// Chunks that wait, with their times and threads.
    Waiting(VecDeque<(Nanos, Task, Held)>),
    /// On this connection, with what was heard of it before any answer.
    Bound(ConnId),
    /// Given up, or its connection is gone.
    Over,
}

impl Default for State {
    fn default() -> Self {
        Self::Waiting(VecDeque::new())
    }
}

/// A chunk with bytes of its own.
struct Held {
    chunk: Chunk<'static>,
    bytes: Box<[u8]>,
}

/// A connection on which a ClientHello was seen.
struct Secure {
    /// The process sent it.
    client: bool,
    /// The task that sent it: whoever connected.
    connector: u64,
    /// The last task that received bytes before the session had any answer.
    received: u64,
}

/// All sessions.
#[derive(Default)]
pub struct Layers {
    sessions: HashMap<ConnId, Session>,
    connections: HashMap<ConnId, Secure>,
    /// By which connection each ClientHello was sent or received: a process that asks itself has
    /// both ends.
    randoms: HashMap<Random, [Option<ConnId>; 2]>,
    /// Sessions by the connections that carry them.
    carried: HashMap<ConnId, ConnId>,
    /// Connections whose session was found by its ClientHello: nobody else's.
    proven: HashSet<ConnId>,
    /// Sessions of which only the lengths of their records can tell.
    lengths: Lengths,
    /// Sessions that wait.
    waiting: Vec<ConnId>,
    held_bytes: usize,
    /// Ends of connections that are to be told.
    ending: VecDeque<(Nanos, Task, Ended)>,
    /// What went wrong.
    pub counts: Counts,
}

/// A session was bound: the bytes of this connection need not be copied any more.
pub type Covered = Option<ConnId>;

impl Layers {
    /// No session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sessions and connections that are remembered, and bytes that wait.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, usize); 3] {
        [
            ("sessions", self.sessions.len()),
            ("client_hellos", self.connections.len()),
            ("plain_held_bytes", self.held_bytes),
        ]
    }

    /// What stands for connection `conn` in the table: the session that it carries, or itself.
    #[must_use]
    pub fn uppermost(&self, conn: ConnId) -> ConnId {
        self.carried.get(&conn).copied().unwrap_or(conn)
    }

    /// Bytes of a connection itself, not of a session.
    pub fn carried(&mut self, task: Task, chunk: &Chunk<'_>) {
        match chunk.direction {
            Direction::Received => {
                self.lengths.read(task, chunk.conn, chunk.len);
                if let Some(known) = self.connections.get_mut(&chunk.conn) {
                    known.received = chunk.fiber;
                }
            }
            Direction::Sent => {
                let free = free(&self.carried, &self.connections);
                self.lengths.sent(task, chunk.conn, chunk.len, free);
            }
        }
    }

    /// A ClientHello crossed a connection: the first of each is remembered. Plain bytes come a
    /// round trip later at least, so a session is bound by what it moves, not here.
    pub fn greeted(&mut self, hello: &Hello) {
        let full = self.connections.len() >= SESSIONS;
        if full || self.connections.contains_key(&hello.conn) {
            return;
        }
        let direction = match hello.client {
            true => Direction::Sent,
            false => Direction::Received,
        };
        let random = (hello.task.tgid, hello.random);
        let ends = self.randoms.entry(random).or_default();
        ends[direction.index()] = Some(hello.conn);
        let secure = Secure {
            client: hello.client,
            connector: if hello.client { hello.fiber } else { 0 },
            received: 0,
        };
        self.connections.insert(hello.conn, secure);
    }

    /// By what the connection of a session is found.
    pub fn secured<T: Default>(
        &mut self,
        at: Nanos,
        task: Task,
        secured: &Secured,
        table: &mut Table<T>,
        each: &mut Each<'_, T>,
    ) -> Covered {
        let session = self.session(secured.session, at)?;
        session.random = Some((task.tgid, secured.random));
        // Its bytes tell whether it was seen from its beginning.
        let State::Waiting(waiting) = &session.state else {
            return None;
        };
        let first = waiting.front()?.2.chunk.clone();
        self.bind(secured.session, None, &first, table, each)
    }

    /// Plain bytes were moved.
    pub fn plain<T: Default>(
        &mut self,
        at: Nanos,
        task: Task,
        plain: &Plain<'_>,
        table: &mut Table<T>,
        each: &mut Each<'_, T>,
    ) -> Covered {
        let id = plain.chunk.conn;
        let session = self.session(id, at)?;
        session.fresh = plain.fresh;
        if !matches!(session.state, State::Waiting(_)) {
            self.deliver(at, task, &plain.chunk, table, each);
            return None;
        }
        if plain.key {
            self.hold(at, task, &plain.chunk);
            return None;
        }
        if !plain.fresh && plain.carrier.is_none() {
            self.lengths.seek(id);
        }
        let carrier = plain.carrier.or_else(|| self.by_length(task, &plain.chunk));
        let covered = self.bind(id, carrier, &plain.chunk, table, each);
        if covered.is_some() {
            self.deliver(at, task, &plain.chunk, table, each);
        } else {
            self.hold(at, task, &plain.chunk);
        }
        covered
    }

    /// The bytes of a key are a session's, on a connection that is known: what waits follows, as bytes
    /// of that. A later key's go on where an earlier one's ended.
    pub fn joined<T: Default>(
        &mut self,
        joined: &Joined,
        table: &mut Table<T>,
        each: &mut Each<'_, T>,
    ) -> Covered {
        let State::Waiting(waiting) = self.sessions.remove(&joined.key)?.state else {
            return None;
        };
        let mut covered = None;
        for (at, task, held) in waiting {
            self.held_bytes -= held.bytes.len();
            let plain = Plain {
                carrier: Some(joined.carrier),
                fresh: joined.fresh,
                key: false,
                chunk: Chunk {
                    conn: joined.session,
                    offset: joined.offset.saturating_add(held.chunk.offset),
                    opposite: joined.opposite,
                    bytes: &held.bytes,
                    ..held.chunk
                },
            };
            covered = covered.or(self.plain(at, task, &plain, table, each));
        }
        covered
    }

    /// The connection that the lengths of the session's records prove.
    fn by_length(&mut self, task: Task, chunk: &Chunk<'_>) -> Option<ConnId> {
        let free = free(&self.carried, &self.connections);
        match chunk.direction {
            Direction::Sent => self.lengths.taken(task, chunk.conn, chunk.len),
            Direction::Received => self.lengths.given(task, chunk.conn, chunk.len, &free),
        }
        self.lengths.proven(chunk.conn, free)
    }

    /// What is known of session `id`; `None` when there are too many.
    fn session(&mut self, id: ConnId, at: Nanos) -> Option<&mut Session> {
        if self.sessions.len() >= SESSIONS && !self.sessions.contains_key(&id) {
            self.counts.unbound += 1;
            return None;
        }
        Some(self.sessions.entry(id).or_insert_with(|| Session {
            since: at,
            ..Session::default()
        }))
    }

    /// Binds session `id` to `carrier`, or to the connection of its ClientHello, if that is
    /// followed; then what waited follows, and `next`.
    fn bind<T: Default>(
        &mut self,
        id: ConnId,
        carrier: Option<ConnId>,
        next: &Chunk<'_>,
        table: &mut Table<T>,
        each: &mut Each<'_, T>,
    ) -> Covered {
        let session = self.sessions.get_mut(&id)?;
        let State::Waiting(waiting) = &mut session.state else {
            return None;
        };
        // What was seen of its system calls may have been a callback's.
        let ends = session.random.and_then(|random| self.randoms.get(&random));
        let of_random = match ends.copied().unwrap_or_default() {
            ends if carrier.is_some() && ends.contains(&carrier) => carrier,
            // Which end of a connection within the process it is, nothing tells.
            [Some(_), Some(_)] => return None,
            [one, other] => one.or(other),
        };
        let carrier = of_random.or(carrier)?;
        let under = table.info(carrier)?;
        let taken = of_random.is_none() && self.proven.contains(&carrier);
        if taken || self.carried.len() >= SESSIONS {
            return None;
        }
        if of_random.is_some() {
            self.proven.insert(carrier);
        }
        let waited = std::mem::take(waiting);
        // What was given up before is no gap.
        let first = waited.front().map_or(next, |(.., held)| &held.chunk);
        let mut offsets = [0; 2];
        if !session.fresh {
            offsets[first.direction.index()] = first.offset;
            offsets[first.direction.opposite().index()] = first.opposite;
        }
        let info = Opened {
            conn: id,
            fresh: under.fresh && session.fresh,
            plain: Some(Carrier {
                conn: carrier,
                began: under.offsets,
            }),
            offsets,
            client: under.client,
            ..Opened::clone(under)
        };
        session.state = State::Bound(carrier);
        self.lengths.forget(id);
        self.counts.bound += 1;
        // Another session of that connection cannot go on.
        if let Some(before) = self.carried.insert(carrier, id) {
            self.end_now(before, info.at, table, each);
        }
        let task = waited.front().map(|(_, task, _)| *task);
        table.opened(info.at, task.unwrap_or_default(), info, each);
        for (at, task, held) in waited {
            self.held_bytes -= held.bytes.len();
            let chunk = Chunk {
                bytes: &held.bytes,
                ..held.chunk
            };
            self.deliver(at, task, &chunk, table, each);
        }
        Some(carrier)
    }

    /// Hands plain bytes of a bound session on.
    fn deliver<T: Default>(
        &mut self,
        at: Nanos,
        task: Task,
        chunk: &Chunk<'_>,
        table: &mut Table<T>,
        each: &mut Each<'_, T>,
    ) {
        let Some(Session {
            state: State::Bound(carrier),
            ..
        }) = self.sessions.get(&chunk.conn)
        else {
            self.counts.unbound += 1;
            return;
        };
        let secure = self.connections.get(carrier);
        let fiber = secure.map_or(chunk.fiber, |secure| secure.speaker(chunk));
        table.chunk(
            at,
            task,
            &Chunk {
                fiber,
                ..chunk.clone()
            },
            each,
        );
    }

    /// Lets a chunk wait for its session's connection.
    fn hold(&mut self, at: Nanos, task: Task, chunk: &Chunk<'_>) {
        let Some(session) = self.sessions.get_mut(&chunk.conn) else {
            return;
        };
        let State::Waiting(waiting) = &mut session.state else {
            return;
        };
        let much = self.held_bytes + chunk.bytes.len() > HELD_BYTES;
        if much || waiting.len() >= HELD {
            self.counts.unbound += 1;
            return;
        }
        if waiting.is_empty() {
            session.since = at;
            self.waiting.push(chunk.conn);
        }
        self.held_bytes += chunk.bytes.len();
        let held = Held {
            bytes: chunk.bytes.into(),
            chunk: Chunk {
                bytes: &[],
                ..*chunk
            },
        };
        waiting.push_back((at, task, held));
    }

    /// A connection, or a direction of it, has ended: so does what it carries, in a moment.
    pub fn ended(&mut self, at: Nanos, task: Task, ended: &Ended) {
        if let Some(session) = self.carried.get(&ended.conn) {
            let ended = Ended {
                conn: *session,
                // All that is known to have been moved was moved.
                offsets: [0; 2],
                unread: 0,
                directions: ended.directions,
            };
            self.ending.push_back((at, task, ended));
        }
    }

    /// Time went on.
    pub fn tick<T: Default>(&mut self, now: Nanos, table: &mut Table<T>, each: &mut Each<'_, T>) {
        while let Some((at, task, ended)) = self.ending.front().copied() {
            if at.saturating_add(LINGER) > now {
                break;
            }
            self.ending.pop_front();
            table.ended(at, task, &ended, each);
            if ended.directions == [true, true] {
                self.forget(ended.conn);
            }
        }
        for id in std::mem::take(&mut self.waiting) {
            let Some(session) = self.sessions.get(&id) else {
                continue;
            };
            if !matches!(session.state, State::Waiting(_)) {
                continue;
            }
            if session.since.saturating_add(PATIENCE) > now {
                self.waiting.push(id);
            } else {
                self.give_up(id);
            }
        }
    }

    /// Looks for sessions that nothing is to be expected of. Call it now and then.
    pub fn expire<T: Default>(&mut self, now: Nanos, table: &Table<T>) {
        self.connections
            .retain(|conn, _| table.info(*conn).is_some());
        self.proven.retain(|conn| table.info(*conn).is_some());
        let connections = &self.connections;
        self.randoms.retain(|_, ends| {
            ends.iter()
                .flatten()
                .any(|conn| connections.contains_key(conn))
        });
        self.carried
            .retain(|_, session| table.info(*session).is_some());
        self.sessions.retain(|id, session| match session.state {
            State::Waiting(_) => session.since.saturating_add(IDLE) > now,
            State::Bound(_) => table.info(*id).is_some(),
            State::Over => false,
        });
        let sessions = &self.sessions;
        self.lengths.retain(|id| sessions.contains_key(&id));
    }

    /// What waits for the connection of session `id` is given up.
    fn give_up(&mut self, id: ConnId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        // The lengths of later records may still tell of an old one.
        let after = if session.fresh {
            State::Over
        } else {
            State::default()
        };
        if let State::Waiting(waiting) = std::mem::replace(&mut session.state, after) {
            self.counts.unbound += waiting.len() as u64;
            let bytes: usize = waiting.iter().map(|(.., held)| held.bytes.len()).sum();
            self.held_bytes -= bytes;
        }
    }

    fn end_now<T: Default>(
        &mut self,
        session: ConnId,
        at: Nanos,
        table: &mut Table<T>,
        each: &mut Each<'_, T>,
    ) {
        let ended = Ended {
            conn: session,
            offsets: [0; 2],
            unread: 0,
            directions: [true; 2],
        };
        table.ended(at, Task::default(), &ended, each);
        self.forget(session);
    }

    fn forget(&mut self, id: ConnId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if let State::Bound(carrier) = std::mem::replace(&mut session.state, State::Over)
            && self.carried.get(&carrier) == Some(&id)
        {
            self.carried.remove(&carrier);
        }
    }
}

impl Secure {
    /// The task that speaks in `chunk`. An event loop goes on with what made the connection when
    /// the handshake is done, in the event that brought the end of it: nobody has been answered
    /// there yet, so it is whoever connected that speaks.
    fn speaker(&self, chunk: &Chunk<'_>) -> u64 {
        let first = self.client && chunk.opposite == 0 && chunk.direction == Direction::Sent;
        let of_handshake = chunk.fiber & FIBER_ANSWER != 0 && chunk.fiber == self.received;
        if first && of_handshake && self.connector != 0 {
            self.connector
        } else {
            chunk.fiber
        }
    }
}

/// Connections of which it is not known what they carry, nor how to find out.
fn free(
    carried: &HashMap<ConnId, ConnId>,
    connections: &HashMap<ConnId, Secure>,
) -> impl Fn(ConnId) -> bool {
    |conn| !carried.contains_key(&conn) && !connections.contains_key(&conn)
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
