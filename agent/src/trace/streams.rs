//! Which task handles, or asks for, which stream of a connection that many share.
//!
//! Readers and writers of such connections serve all streams, and who made them or woke them says
//! nothing. Probes of the runtime tell instead: this task handles that stream from now on; this one
//! asks for it; this one writes nothing but one stream, that of its maker. They tell it after a
//! request was read and before one is written, so what is asked for finds what was told; what was
//! read may wait for bytes before it, and then finds it, too.
//!
//! Where a loop serves all streams, an event of it hears of one stream after the other: of a request, or
//! of the answer to a call, for which those that were asked for are remembered.
//!
//! Where a probe does not know the connection, it tells which task reads it: then it is the one connection of
//! which that task has ever read requests.
//!
//! Numbers of streams are never used again on a connection, nor are those of connections. What was
//! told and not asked for is forgotten by generations.

use super::assembly::NodeId;
use crate::record::{ConnId, Nanos, Task};
use crate::span::SpanId;
use foldhash::HashMap;

/// What is remembered of one generation; there are two.
const GENERATION: usize = 32_768;

/// What a probe told of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its thread.
    pub task: Task,
    /// The task.
    pub fiber: u64,
    /// When.
    pub at: Nanos,
}

/// What it was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Of {
    /// It handles this stream.
    Served(ConnId, u32),
    /// It asks for this stream.
    Asked(ConnId, u32),
    /// It writes one stream only: a task of this process.
    Writer(u32, u64),
    /// It is an event that hears of this stream.
    Heard(ConnId, u32),
    /// It is an event that answers the request of this stream.
    Answered(ConnId, u32),
    /// It holds what this stream is answered by, of the connection that a task of this process reads.
    Taken(u32, u64, u32),
}

/// All that was told, and requests that wait to be told of.
#[derive(Default)]
pub struct Streams {
    young: HashMap<Of, Told>,
    old: HashMap<Of, Told>,
    /// Open server requests, whether told of or not: as many as nodes at most.
    open: HashMap<(ConnId, u32), (NodeId, SpanId)>,
    /// Calls that somebody was told to ask for, by their streams, also when they are over.
    calls: HashMap<(ConnId, u32), (NodeId, SpanId)>,
    old_calls: HashMap<(ConnId, u32), (NodeId, SpanId)>,
    /// The connection of which a task reads requests, by its process; `None` when it reads several.
    readers: HashMap<(u32, u64), Option<ConnId>>,
    old_readers: HashMap<(u32, u64), Option<ConnId>>,
}

impl Streams {
    /// A probe told.
    pub fn push(&mut self, of: Of, told: Told) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(of, told);
    }

    /// What was told, which is asked for once.
    pub fn take(&mut self, of: Of) -> Option<Told> {
        self.young.remove(&of).or_else(|| self.old.remove(&of))
    }

    /// A server's request is there.
    pub fn opened(&mut self, conn: ConnId, stream: u32, request: (NodeId, SpanId)) {
        self.open.insert((conn, stream), request);
    }

    /// The open server's request of a stream.
    #[must_use]
    pub fn find(&self, conn: ConnId, stream: u32) -> Option<(NodeId, SpanId)> {
        self.open.get(&(conn, stream)).copied()
    }

    /// It was answered, or is gone.
    pub fn closed(&mut self, conn: ConnId, stream: u32, id: SpanId) {
        if self.find(conn, stream).is_some_and(|(_, open)| open == id) {
            self.open.remove(&(conn, stream));
        }
    }

    /// The task `fiber` of process `tgid` read a request on `conn`. Its identity is never another's.
    pub fn read(&mut self, tgid: u32, fiber: u64, conn: ConnId) {
        let reader = (tgid, fiber);
        let known = self.known(reader);
        if known == Some(Some(conn)) {
            return;
        }
        if self.readers.len() >= GENERATION {
            self.old_readers = std::mem::take(&mut self.readers);
        }
        let only = known.is_none().then_some(conn);
        self.readers.insert(reader, only);
    }

    fn known(&self, reader: (u32, u64)) -> Option<Option<ConnId>> {
        let young = self.readers.get(&reader);
        young.or_else(|| self.old_readers.get(&reader)).copied()
    }

    /// The one connection of which the task `fiber` of process `tgid` has read requests.
    #[must_use]
    pub fn read_by(&self, tgid: u32, fiber: u64) -> Option<ConnId> {
        self.known((tgid, fiber)).flatten()
    }

    /// A call that was asked for is there.
    pub fn called(&mut self, conn: ConnId, stream: u32, call: (NodeId, SpanId)) {
        if self.calls.len() >= GENERATION {
            self.old_calls = std::mem::take(&mut self.calls);
        }
        self.calls.insert((conn, stream), call);
    }

    /// A process ended: what its tasks told is nobody's any more.
    pub fn exited(&mut self, tgid: u32) {
        self.young.retain(|_, told| told.task.tgid != tgid);
        self.old.retain(|_, told| told.task.tgid != tgid);
        self.readers.retain(|(process, _), _| *process != tgid);
        self.old_readers.retain(|(process, _), _| *process != tgid);
    }

    /// The call of a stream, which may have left.
    #[must_use]
    pub fn call(&self, conn: ConnId, stream: u32) -> Option<(NodeId, SpanId)> {
        let of = (conn, stream);
        self.calls
            .get(&of)
            .or_else(|| self.old_calls.get(&of))
            .copied()
    }

    /// Entries that are kept: what was told, open requests, calls, and readers.
    #[must_use]
    pub fn sizes(&self) -> [usize; 4] {
        [
            self.young.len() + self.old.len(),
            self.open.len(),
            self.calls.len() + self.old_calls.len(),
            self.readers.len() + self.old_readers.len(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fiber: u64) -> Told {
        Told {
            task: Task::default(),
            fiber,
            at: 1,
        }
    }

    #[test]
    fn what_was_told_is_found_once() {
        let mut streams = Streams::default();
        let of = Of::Asked(ConnId(1), 3);
        streams.push(of, told(7));
        for other in [Of::Served(ConnId(1), 3), Of::Asked(ConnId(1), 5)] {
            assert_eq!(streams.take(other), None, "{other:?}");
        }
        assert_eq!(streams.take(of), Some(told(7)));
        assert_eq!(streams.take(of), None);
    }

    #[test]
    fn what_nobody_asks_for_is_forgotten() {
        let mut streams = Streams::default();
        for fiber in 0..5 * GENERATION as u64 {
            streams.push(Of::Writer(1, fiber), told(fiber));
        }
        assert!(streams.sizes()[0] <= 2 * GENERATION);
    }

    #[test]
    fn what_a_process_told_ends_with_it() {
        let mut streams = Streams::default();
        streams.push(Of::Writer(1, 2), told(2));
        streams.exited(1);
        assert_eq!(streams.sizes(), [1, 0, 0, 0]);
        streams.exited(Task::default().tgid);
        assert_eq!(streams.sizes(), [0; 4]);
    }

    #[test]
    fn a_task_reads_one_connection_or_none_is_known() {
        let mut streams = Streams::default();
        streams.read(1, 7, ConnId(3));
        streams.read(1, 7, ConnId(3));
        assert_eq!(streams.read_by(1, 7), Some(ConnId(3)));
        for (tgid, fiber) in [(2, 7), (1, 8)] {
            assert_eq!(streams.read_by(tgid, fiber), None, "{tgid} {fiber}");
        }
        // Not even when it goes on with the first.
        for conn in [4, 3] {
            streams.read(1, 7, ConnId(conn));
            assert_eq!(streams.read_by(1, 7), None, "{conn}");
        }
        streams.exited(1);
        assert_eq!(streams.sizes(), [0; 4]);
        for fiber in 0..5 * GENERATION as u64 {
            streams.read(1, fiber, ConnId(fiber));
        }
        assert!(streams.sizes()[3] <= 2 * GENERATION);
    }

    #[test]
    fn a_request_is_closed_by_its_own_end() {
        let mut streams = Streams::default();
        let request = |id| (NodeId(1), SpanId([id; 8]));
        streams.opened(ConnId(1), 1, request(1));
        streams.closed(ConnId(1), 1, SpanId([2; 8]));
        assert_eq!(streams.find(ConnId(1), 1), Some(request(1)));
        streams.closed(ConnId(1), 1, SpanId([1; 8]));
        assert_eq!(streams.sizes(), [0; 4]);
    }

    #[test]
    fn calls_are_forgotten_by_generations() {
        let mut streams = Streams::default();
        let call = |number| (NodeId(number), SpanId([1; 8]));
        for number in 0..5 * GENERATION as u32 {
            streams.called(ConnId(1), number, call(number));
        }
        let last = 5 * GENERATION as u32 - 1;
        assert_eq!(streams.call(ConnId(1), last), Some(call(last)));
        assert_eq!(streams.call(ConnId(2), last), None);
        assert!(streams.sizes()[2] <= 2 * GENERATION);
    }
}
