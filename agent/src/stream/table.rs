//! The connections: order within and between their directions.

use super::{Moment, Piece};
use crate::record::{Chunk, ConnId, Direction, Ended, Nanos, Opened, Task};
use foldhash::{HashMap, HashMapExt};
use std::collections::VecDeque;
use std::sync::Arc;

/// Bounds of the table's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most connections.
    pub connections: usize,
    /// Most chunks of one connection that wait for the other direction.
    pub held: usize,
    /// Most bytes of chunks that wait, over all connections.
    pub held_bytes: usize,
    /// Longest wait for the other direction, ns. A sender may be off its CPU between handing
    /// bytes to the network and reporting them, for long on a busy host, and with all of a virtual one's
    /// processor.
    pub patience: Nanos,
    /// The same after records were lost, as what is waited for may be among them; and on a connection
    /// on which it was waited in vain before: another process, not watched, may hold it, too.
    pub haste: Nanos,
    /// A connection without records for that long is forgotten, ns.
    pub idle: Nanos,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 65_536,
            held: 1024,
            held_bytes: 16 * 1024 * 1024,
            patience: 3_000_000_000,
            haste: 100_000_000,
            idle: 900_000_000_000,
        }
    }
}

/// For how long records may be missing after some were lost, ns.
pub const LOSSY: Nanos = 5_000_000_000;

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
    fiber: u64,
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
    /// Bytes of them.
    held_bytes: usize,
    /// It stands in [`Table::waiting`].
    waiting: bool,
    /// It was waited for the other direction in vain.
    vain: bool,
    ended: [bool; 2],
    /// An end that was reported, and what stands before it is still to come.
    ending: Option<(Nanos, Task, Ended)>,
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
    /// Bytes of chunks that wait.
    held_bytes: usize,
    /// When records were lost last.
    lost: Option<Nanos>,
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
            held_bytes: 0,
            lost: None,
            counts: Counts::default(),
        }
    }

    /// Records were lost, as was noticed at `at`.
    pub fn lost(&mut self, at: Nanos) {
        self.lost = Some(at);
    }

    /// How long is waited for the other direction now.
    fn patience(&self, now: Nanos) -> Nanos {
        match self.lost {
            Some(at) if at.saturating_add(LOSSY) > now => self.limits.haste,
            _ => self.limits.patience,
        }
    }

    /// A connection as it was announced, if it is followed.
    #[must_use]
    pub fn info(&self, conn: ConnId) -> Option<&Arc<Opened>> {
        self.connections
            .get(&conn)
            .map(|connection| &connection.info)
    }

    /// What later stages keep of a connection.
    pub fn state_mut(&mut self, conn: ConnId) -> Option<&mut T> {
        let connection = self.connections.get_mut(&conn);
        connection.map(|connection| &mut connection.state)
    }

    /// Number of connections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Bytes of chunks that wait for the other direction.
    #[must_use]
    pub const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// No connection.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// A connection was announced. The kernel side announces one again after it had to forget
    /// it: then what is known here stays.
    pub fn opened(&mut self, at: Nanos, task: Task, info: Opened, each: &mut Each<'_, T>) {
        let full = self.connections.len() >= self.limits.connections;
        if full && !self.connections.contains_key(&info.conn) {
            self.evict(at, each);
        }
        self.connections
            .entry(info.conn)
            .or_insert_with(|| Connection {
                next: info.offsets,
                info: Arc::new(info),
                state: T::default(),
                held: VecDeque::new(),
                held_bytes: 0,
                waiting: false,
                vain: false,
                ended: [false; 2],
                ending: None,
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
            if !connection.waiting {
                connection.waiting = true;
                self.waiting.push(chunk.conn);
            }
            self.held_bytes -= connection.held_bytes;
            connection.hold(at, task, chunk);
            let much = self.held_bytes + connection.held_bytes > self.limits.held_bytes;
            if much {
                connection.release_all(&mut self.counts, each);
            } else {
                let force = connection.held.len() > self.limits.held;
                connection.release(force, &mut self.counts, each);
            }
            self.held_bytes += connection.held_bytes;
            if !connection.held.is_empty() {
                let moment = moment_of(at, task, chunk);
                each(
                    &connection.info,
                    &mut connection.state,
                    Piece::Waiting { moment },
                );
            }
            self.end_if_complete(chunk.conn, each);
            return;
        }
        connection.deliver(
            chunk.direction,
            moment_of(at, task, chunk),
            chunk.opposite,
            chunk.len,
            chunk.bytes,
            &mut self.counts,
            each,
        );
        if connection.ending.is_some() {
            self.end_if_complete(chunk.conn, each);
        }
    }

    /// A direction or both ended. The other side may close while a call is still under way on
    /// another CPU, whose record then follows this one: it is waited for.
    pub fn ended(&mut self, at: Nanos, task: Task, ended: &Ended, each: &mut Each<'_, T>) {
        let Some(connection) = self.connections.get_mut(&ended.conn) else {
            return;
        };
        connection.ending = Some((at, task, *ended));
        if connection.lacks(ended) {
            if !connection.waiting {
                connection.waiting = true;
                self.waiting.push(ended.conn);
            }
            return;
        }
        self.end(ended.conn, each);
    }

    /// A connection that waited for its last bytes has them now.
    fn end_if_complete(&mut self, conn: ConnId, each: &mut Each<'_, T>) {
        let connection = self.connections.get(&conn);
        let ending = connection.and_then(|connection| Some((connection, connection.ending?)));
        if ending.is_some_and(|(connection, (_, _, ended))| !connection.lacks(&ended)) {
            self.end(conn, each);
        }
    }

    fn end(&mut self, conn: ConnId, each: &mut Each<'_, T>) {
        let Some(connection) = self.connections.get_mut(&conn) else {
            return;
        };
        let Some((at, task, ended)) = connection.ending.take() else {
            return;
        };
        // What waits cannot be completed by records that come later.
        self.held_bytes -= connection.held_bytes;
        connection.release_all(&mut self.counts, each);
        for direction in [Direction::Sent, Direction::Received] {
            let i = direction.index();
            if ended.directions[i] && !connection.ended[i] {
                connection.ended[i] = true;
                let task_moment = Moment {
                    at,
                    task,
                    ..Moment::default()
                };
                // Its last bytes were moved and never reported.
                let unseen = ended.offsets[i].saturating_sub(connection.next[i]);
                if unseen > 0 {
                    connection.gap(direction, unseen, task_moment, &mut self.counts, each);
                }
                let moment = Moment {
                    offset: connection.next[i],
                    ..task_moment
                };
                each(
                    &connection.info,
                    &mut connection.state,
                    Piece::End { direction, moment },
                );
            }
        }
        if connection.ended == [true, true] {
            // Also what came behind the end of its own direction is over now.
            self.forget(at, ended.conn, each);
        }
    }

    /// A process ended: what it used alone has ended, too. TCP sockets tell so themselves.
    pub fn exited(&mut self, at: Nanos, tgid: u32, each: &mut Each<'_, T>) {
        let mut gone: Vec<ConnId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.tgid == tgid && connection.info.path_like())
            .map(|(id, _)| *id)
            .collect();
        // The same order in every replay.
        gone.sort_unstable();
        for conn in gone {
            self.ended(at, Task { tgid, tid: tgid }, &both(conn), each);
        }
    }

    /// The connections that a process used last.
    pub fn used_by(&self, tgid: u32) -> impl Iterator<Item = &Arc<Opened>> {
        self.connections
            .values()
            .filter(move |connection| connection.tgid == tgid)
            .map(|connection| &connection.info)
    }

    /// Time went on: what waited too long goes on without the other direction.
    pub fn tick(&mut self, now: Nanos, each: &mut Each<'_, T>) {
        let patience = self.patience(now);
        let haste = self.limits.haste;
        let counts = &mut self.counts;
        let connections = &mut self.connections;
        let held_bytes = &mut self.held_bytes;
        let mut over = Vec::new();
        self.waiting.retain(|conn| {
            let Some(connection) = connections.get_mut(conn) else {
                return false;
            };
            *held_bytes -= connection.held_bytes;
            let patience = if connection.vain { haste } else { patience };
            while connection
                .held
                .front()
                .is_some_and(|held| held.at.saturating_add(patience) < now)
            {
                connection.vain = true;
                connection.release(true, counts, each);
            }
            *held_bytes += connection.held_bytes;
            if let Some((at, ..)) = connection.ending
                && at.saturating_add(patience) < now
            {
                over.push(*conn);
                connection.waiting = false;
                return false;
            }
            connection.waiting = !connection.held.is_empty() || connection.ending.is_some();
            connection.waiting
        });
        for conn in over {
            self.end(conn, each);
        }
    }

    /// Forgets connections that were idle for long. Call it now and then.
    pub fn expire(&mut self, now: Nanos, each: &mut Each<'_, T>) {
        let mut old: Vec<ConnId> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.last.saturating_add(self.limits.idle) < now)
            .map(|(id, _)| *id)
            .collect();
        old.sort_unstable();
        for conn in old {
            self.forget(now, conn, each);
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
        if count < ages.len() {
            ages.select_nth_unstable(count);
            ages.truncate(count);
        }
        ages.sort_unstable();
        for (_, conn) in ages {
            self.counts.evicted += 1;
            self.forget(at, conn, each);
        }
    }

    /// Forgets a connection; what is still open on it is given up.
    fn forget(&mut self, at: Nanos, conn: ConnId, each: &mut Each<'_, T>) {
        let Some(mut connection) = self.connections.remove(&conn) else {
            return;
        };
        self.held_bytes -= connection.held_bytes;
        connection.release_all(&mut self.counts, each);
        let moment = Moment {
            at,
            ..Moment::default()
        };
        each(
            &connection.info,
            &mut connection.state,
            Piece::Forgotten { moment },
        );
    }
}

fn moment_of(at: Nanos, task: Task, chunk: &Chunk<'_>) -> Moment {
    Moment {
        at,
        task,
        fiber: chunk.fiber,
        offset: chunk.offset,
    }
}

/// The end of both directions.
fn both(conn: ConnId) -> Ended {
    Ended {
        conn,
        offsets: [0; 2],
        unread: 0,
        directions: [true; 2],
    }
}

impl<T> Connection<T> {
    /// Lets a chunk wait.
    fn hold(&mut self, at: Nanos, task: Task, chunk: &Chunk<'_>) {
        self.held_bytes += chunk.bytes.len();
        self.held.push_back(Held {
            at,
            task,
            fiber: chunk.fiber,
            direction: chunk.direction,
            offset: chunk.offset,
            opposite: chunk.opposite,
            len: chunk.len,
            bytes: chunk.bytes.into(),
        });
    }

    /// Bytes before this end were not reported yet, or may still be read.
    fn lacks(&self, ended: &Ended) -> bool {
        let [sent, received] = ended.offsets;
        let ends = [sent, received.saturating_add(ended.unread.into())];
        let unseen = |i: usize| ended.directions[i] && ends[i] > self.next[i];
        unseen(0) || unseen(1)
    }

    /// Delivers all that waits, with gaps where the other direction never came.
    fn release_all(&mut self, counts: &mut Counts, each: &mut Each<'_, T>) {
        while !self.held.is_empty() {
            self.release(true, counts, each);
        }
    }

    /// Delivers held chunks whose other direction has come far enough; with `force` the first
    /// one goes in any case, the other direction having a gap.
    fn release(&mut self, mut force: bool, counts: &mut Counts, each: &mut Each<'_, T>) {
        loop {
            let next = self.next;
            let come = |held: &Held| held.opposite <= next[held.direction.opposite().index()];
            let ready = self.held.iter().position(come).or_else(|| self.knot());
            let held = match (ready, force) {
                (Some(i), _) => self.held.remove(i),
                (None, true) => self.held.pop_front(),
                (None, false) => None,
            };
            let Some(held) = held else { break };
            self.held_bytes -= held.bytes.len();
            let moment = Moment {
                at: held.at,
                task: held.task,
                fiber: held.fiber,
                offset: held.offset,
            };
            if ready.is_none() {
                force = false;
                counts.impatient += 1;
                let other = held.direction.opposite();
                let missing = held.opposite.saturating_sub(self.next[other.index()]);
                self.gap(other, missing, moment, counts, each);
            }
            let reached = self.next[held.direction.opposite().index()];
            self.deliver(
                held.direction,
                moment,
                held.opposite.min(reached),
                held.len,
                &held.bytes,
                counts,
                each,
            );
        }
    }

    /// Which of the held chunks goes first where they wait for each other: two threads moved bytes at
    /// once, one each way, and each told that the other's had gone. Which went first is not known then.
    /// What asks goes before what answers: an answer may have come before its request was reported, but
    /// no request behind its answer.
    fn knot(&self) -> Option<usize> {
        if self.held.len() < 2 {
            return None;
        }
        // Where the held ones lead to, by direction.
        let mut known = self.next;
        for held in &self.held {
            let end = &mut known[held.direction.index()];
            if held.offset <= *end {
                *end = (*end).max(held.offset + u64::from(held.len));
            }
        }
        let asks = match self.info.client {
            true => Direction::Sent,
            false => Direction::Received,
        };
        let first = self.held.iter().position(|held| held.direction == asks)?;
        let held = &self.held[first];
        let whole = held.offset == self.next[asks.index()];
        let tied = held.opposite <= known[asks.opposite().index()];
        (whole && tied).then_some(first)
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
        counts.gap_bytes = counts.gap_bytes.saturating_add(missing);
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

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
