//! The connections: order within and between their directions.

use super::{Moment, Piece};
use crate::record::{Chunk, ConnId, Direction, Ended, Nanos, Opened, Task};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Bounds of the table's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections.
    pub connections: usize,
    /// Most chunks of one connection that wait for the other direction.
    pub held: usize,
    /// Longest wait for the other direction, ns. A sender may be off its CPU between handing
    /// bytes to the network and reporting them.
    pub patience: Nanos,
    /// A connection without records for that long is forgotten, ns.
    pub idle: Nanos,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 65_536,
            held: 64,
            patience: 100_000_000,
            idle: 900_000_000_000,
        }
    }
}

/// What went wrong, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Chunks of connections that were never announced or are forgotten.
    pub unknown: u64,
    /// Bytes moved and not seen.
    pub gap_bytes: u64,
    /// Bytes that overlapped what was seen.
    pub torn: u64,
    /// Chunks that waited for the other direction in vain.
    pub impatient: u64,
    /// Connections forgotten because there were too many.
    pub evicted: u64,
}

/// A chunk that waits for the other direction.
struct Held {
    at: Nanos,
    task: Task,
    goroutine: u64,
    direction: Direction,
    offset: u64,
    opposite: u64,
    len: u32,
    bytes: Box<[u8]>,
}

/// Gets what happens on a connection, with the state that later stages keep of it.
pub type Each<'f, T> = dyn FnMut(&Arc<Opened>, &mut T, Piece<'_>) + 'f;

/// One connection and what later stages keep of it.
pub struct Connection<T> {
    /// As it was announced.
    pub info: Arc<Opened>,
    /// State of later stages.
    pub state: T,
    /// Offset of the next byte, by direction.
    next: [u64; 2],
    held: VecDeque<Held>,
    ended: [bool; 2],
    /// Last process that used it.
    tgid: u32,
    last: Nanos,
}

/// All connections.
pub struct Table<T> {
    limits: Limits,
    connections: HashMap<ConnId, Connection<T>>,
    /// Connections with chunks that wait.
    waiting: Vec<ConnId>,
    /// What went wrong.
    pub counts: Counts,
}

impl<T: Default> Table<T> {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            connections: HashMap::new(),
            waiting: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Number of connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// No connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// A connection was announced. The kernel side announces one again after it had to forget
    /// it: then what is known here stays.
    pub fn opened(&mut self, at: Nanos, task: Task, info: Opened, each: &mut Each<'_, T>) {
        if self.connections.len() >= self.limits.connections {
            self.evict(at, each);
        }
        self.connections
            .entry(info.conn)
            .or_insert_with(|| Connection {
                next: info.offsets,
                info: Arc::new(info),
                state: T::default(),
                held: VecDeque::new(),
                ended: [false; 2],
                tgid: task.tgid,
                last: at,
            });
    }

    /// Bytes were moved. `each` gets what is in order now.
    pub fn chunk(&mut self, at: Nanos, task: Task, chunk: &Chunk<'_>, each: &mut Each<'_, T>) {
        let Some(connection) = self.connections.get_mut(&chunk.conn) else {
            self.counts.unknown += 1;
            return;
        };
        connection.last = at;
        connection.tgid = task.tgid;
        let reached = connection.next[chunk.direction.opposite().index()];
        if chunk.opposite > reached || !connection.held.is_empty() {
            if connection.held.is_empty() {
                self.waiting.push(chunk.conn);
            }
            connection.held.push_back(Held {
                at,
                task,
                goroutine: chunk.goroutine,
                direction: chunk.direction,
                offset: chunk.offset,
                opposite: chunk.opposite,
                len: chunk.len,
                bytes: chunk.bytes.into(),
            });
            let force = connection.held.len() > self.limits.held;
            connection.release(force, &mut self.counts, each);
            return;
        }
        let moment = Moment {
            at,
            task,
            goroutine: chunk.goroutine,
            offset: chunk.offset,
        };
        connection.deliver(
            chunk.direction,
            moment,
            chunk.opposite,
            chunk.len,
            chunk.bytes,
            &mut self.counts,
            each,
        );
    }

    /// A direction or both ended.
    pub fn ended(&mut self, at: Nanos, task: Task, ended: &Ended, each: &mut Each<'_, T>) {
        let Some(connection) = self.connections.get_mut(&ended.conn) else {
            return;
        };
        // What waits cannot be completed by records that come later.
        connection.release(true, &mut self.counts, each);
        for direction in [Direction::Sent, Direction::Received] {
            let i = direction.index();
            if ended.directions[i] && !connection.ended[i] {
                connection.ended[i] = true;
                let moment = Moment {
                    at,
                    task,
                    goroutine: 0,
                    offset: connection.next[i],
                };
                each(
                    &connection.info,
                    &mut connection.state,
                    Piece::End { direction, moment },
                );
            }
        }
        if connection.ended == [true, true] {
            each(&connection.info, &mut connection.state, Piece::Gone);
            self.connections.remove(&ended.conn);
        }
    }

    /// A process ended: what it used alone has ended, too. TCP sockets tell so themselves.
    pub fn exited(&mut self, at: Nanos, tgid: u32, each: &mut Each<'_, T>) {
        let gone: Vec<ConnId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.tgid == tgid && connection.info.path_like())
            .map(|(id, _)| *id)
            .collect();
        for conn in gone {
            self.ended(at, Task { tgid, tid: tgid }, &both(conn), each);
        }
    }

    /// Time went on: what waited too long goes on without the other direction.
    pub fn tick(&mut self, now: Nanos, each: &mut Each<'_, T>) {
        let patience = self.limits.patience;
        let counts = &mut self.counts;
        let connections = &mut self.connections;
        self.waiting.retain(|conn| {
            let Some(connection) = connections.get_mut(conn) else {
                return false;
            };
            let late = connection
                .held
                .front()
                .is_some_and(|held| held.at + patience < now);
            if late {
                connection.release(true, counts, each);
            }
            !connection.held.is_empty()
        });
    }

    /// Forgets connections that were idle for long. Call it now and then.
    pub fn expire(&mut self, now: Nanos, each: &mut Each<'_, T>) {
        let old: Vec<ConnId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.last + self.limits.idle < now)
            .map(|(id, _)| *id)
            .collect();
        for conn in old {
            self.ended(now, Task::default(), &both(conn), each);
        }
    }

    /// Makes room: forgets the oldest sixteenth at once, so that a full table is not searched
    /// again for each new connection.
    fn evict(&mut self, at: Nanos, each: &mut Each<'_, T>) {
        let mut ages: Vec<(Nanos, ConnId)> = self
            .connections
            .iter()
            .map(|(id, connection)| (connection.last, *id))
            .collect();
        let count = (ages.len() / 16).max(1);
        let nth = count.min(ages.len().saturating_sub(1));
        ages.select_nth_unstable(nth);
        for (_, conn) in ages.into_iter().take(count) {
            self.counts.evicted += 1;
            self.ended(at, Task::default(), &both(conn), each);
        }
    }
}

/// The end of both directions.
fn both(conn: ConnId) -> Ended {
    Ended {
        conn,
        offsets: [0; 2],
        directions: [true; 2],
    }
}

impl<T> Connection<T> {
    /// Delivers held chunks whose other direction has come far enough; with `force` the first
    /// one goes in any case, the other direction having a gap.
    fn release(&mut self, mut force: bool, counts: &mut Counts, each: &mut Each<'_, T>) {
        loop {
            let ready = self
                .held
                .iter()
                .position(|held| held.opposite <= self.next[held.direction.opposite().index()]);
            let held = match (ready, force) {
                (Some(i), _) => self.held.remove(i),
                (None, true) => self.held.pop_front(),
                (None, false) => None,
            };
            let Some(held) = held else { break };
            let moment = Moment {
                at: held.at,
                task: held.task,
                goroutine: held.goroutine,
                offset: held.offset,
            };
            if ready.is_none() {
                force = false;
                counts.impatient += 1;
                let other = held.direction.opposite();
                let missing = held.opposite - self.next[other.index()];
                self.gap(other, missing, moment, counts, each);
            }
            self.deliver(
                held.direction,
                moment,
                held.opposite,
                held.len,
                &held.bytes,
                counts,
                each,
            );
        }
    }

    /// `missing` bytes in `direction` were never reported.
    fn gap(
        &mut self,
        direction: Direction,
        missing: u64,
        moment: Moment,
        counts: &mut Counts,
        each: &mut Each<'_, T>,
    ) {
        let next = &mut self.next[direction.index()];
        let moment = Moment {
            offset: *next,
            ..moment
        };
        *next += missing;
        counts.gap_bytes += missing;
        each(
            &self.info,
            &mut self.state,
            Piece::Gap {
                direction,
                missing,
                moment,
            },
        );
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the fields of one call, from two sources"
    )]
    fn deliver(
        &mut self,
        direction: Direction,
        moment: Moment,
        opposite: u64,
        len: u32,
        bytes: &[u8],
        counts: &mut Counts,
        each: &mut Each<'_, T>,
    ) {
        let i = direction.index();
        if moment.offset < self.next[i] {
            counts.torn += 1;
            self.next[i] = self.next[i].max(moment.offset + u64::from(len));
            each(
                &self.info,
                &mut self.state,
                Piece::Torn { direction, moment },
            );
            return;
        }
        if moment.offset > self.next[i] {
            self.gap(
                direction,
                moment.offset - self.next[i],
                moment,
                counts,
                each,
            );
        }
        if !bytes.is_empty() {
            self.next[i] += bytes.len() as u64;
            let piece = Piece::Bytes {
                direction,
                bytes,
                moment,
                opposite,
                call_start: true,
            };
            each(&self.info, &mut self.state, piece);
        }
        let rest = u64::from(len) - bytes.len() as u64;
        if rest > 0 {
            let moment = Moment {
                offset: self.next[i],
                ..moment
            };
            self.next[i] += rest;
            each(
                &self.info,
                &mut self.state,
                Piece::Gap {
                    direction,
                    missing: rest,
                    moment,
                },
            );
        }
    }
}

impl Opened {
    /// A UNIX socket: its end is not reported by the kernel side.
    fn path_like(&self) -> bool {
        matches!(self.local, crate::record::Endpoint::Unix(_))
    }
}
