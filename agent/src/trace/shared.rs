//! Requests of shared connections whose tasks are told by probes, in runtimes that have such.
//!
//! In: what was told, requests. Out: handlers and askers. Without having been told nothing is
//! believed of such a request: not its reader, not its writer, and nobody who made those.

use super::{Assembly, NodeId};
use crate::record::{ConnId, Nanos, Task};
use crate::span::SpanId;
use crate::trace::events::Purpose;
use crate::trace::handlers::{Handler, Threading};
use crate::trace::parent::Refusal;
use crate::trace::streams::{Of, Told};

impl Assembly {
    /// A probe of a runtime told, at `at`, that task `fiber` has to do with a stream.
    pub fn told(&mut self, task: Task, fiber: u64, of: Of, at: Nanos) {
        let told = Told { task, fiber, at };
        let (conn, stream) = match of {
            Of::Served(conn, stream) => (conn, stream),
            Of::Heard(conn, stream) => {
                self.heard_of(conn, stream, told);
                return;
            }
            Of::Asked(..) | Of::Writer(..) | Of::Answered(..) => {
                self.streams.push(of, told);
                return;
            }
            Of::Taken(tgid, reader, stream) => {
                self.taken((tgid, reader), stream, told);
                return;
            }
        };
        // What its maker does is none of its business any more, nor is what it handled before: it
        // is as good as a new one, also while its stream is still to come.
        self.handlers.made(task.tgid, fiber, 0, at);
        match self.streams.find(conn, stream) {
            Some((node, _)) => self.handled(node, told),
            None => self.streams.push(of, told),
        }
    }

    /// A task was told to hold what a stream is answered by, of the connection that `reader` reads, and has not
    /// run yet.
    fn taken(&mut self, (tgid, reader): (u32, u64), stream: u32, told: Told) {
        self.handlers.made(tgid, told.fiber, 0, told.at);
        let conn = self.streams.read_by(tgid, reader);
        match conn.and_then(|conn| self.streams.find(conn, stream)) {
            Some(request) => self.held(request, told),
            None => self.streams.push(Of::Taken(tgid, reader, stream), told),
        }
    }

    /// The task that was told holds a reference to the stream of `request`: it handles it, or it works for who
    /// does, such as one that reads its body.
    fn held(&mut self, request: (NodeId, SpanId), told: Told) {
        let (node, tgid) = (request.0, told.task.tgid);
        match self.node(node).filter(|entry| entry.told) {
            Some(entry) => {
                let handler = entry.handler.fiber;
                let fibers = &mut self.handlers.fibers;
                fibers.works(tgid, told.fiber, handler, Some(request), told.at);
            }
            None => self.handled(node, told),
        }
    }

    /// The task that was told, maybe before it was known of what, to hold what the server's request `node` is
    /// answered by, on stream `stream` of `conn`.
    fn take_holder(&mut self, node: NodeId, conn: ConnId, stream: u32) -> Option<Told> {
        let entry = self.node(node)?;
        let (tgid, reader, start) = (entry.tgid, entry.handler, entry.start());
        if !reader.is_task() || reader.is_event() {
            return None;
        }
        self.streams.read(tgid, reader.fiber, conn);
        self.streams.read_by(tgid, reader.fiber)?;
        let of = Of::Taken(tgid, reader.fiber, stream);
        // Before this one came it was of another connection's.
        self.streams.take(of).filter(|told| told.at >= start)
    }

    /// An event was told to hear of a stream: of the request that is open there, or of the answer to the
    /// call.
    fn heard_of(&mut self, conn: ConnId, stream: u32, told: Told) {
        if let Some((node, _)) = self.streams.find(conn, stream) {
            self.hears(node, told);
            return;
        }
        match self.streams.call(conn, stream) {
            Some((node, id)) if self.node(node).is_some_and(|call| call.id == id) => {
                let Told { task, fiber, .. } = told;
                self.brought_answer(node, Handler { task, fiber });
            }
            Some(_) => {}
            // The request is still to come.
            None => self.streams.push(Of::Heard(conn, stream), told),
        }
    }

    /// The event that was told hears of the server's request `node`, or of more of it.
    fn hears(&mut self, node: NodeId, told: Told) {
        let Told { task, fiber, .. } = told;
        let handler = Handler { task, fiber };
        let Some(entry) = self.node_mut(node) else {
            return;
        };
        if entry.tgid != task.tgid || !handler.is_event() {
            return;
        }
        let (id, number) = (entry.id, entry.number);
        if entry.handler.fiber == 0 {
            entry.handler = handler;
            entry.handler_born = 0;
            self.handlers.begin_unhandled(number, handler);
        }
        self.handlers.brought(handler, Purpose::Request(node, id));
    }

    /// What was told of a stream of the connection of `node`, be it before it was known that a TLS session
    /// is upon it.
    fn take_told(&mut self, node: NodeId, stream: u32, of: fn(ConnId, u32) -> Of) -> Option<Told> {
        let info = &self.node(node)?.info;
        let (conn, under) = (info.conn, info.plain.map(|carrier| carrier.conn));
        self.streams
            .take(of(conn, stream))
            .or_else(|| self.streams.take(of(under?, stream)))
    }

    /// Who answered the server's request `node`, where `writer` wrote the answer.
    pub(super) fn answerer(&mut self, node: NodeId, writer: Option<Handler>) -> Option<Handler> {
        let entry = self.node(node)?;
        let Some(stream) = entry.request.stream.filter(|_| entry.told) else {
            return writer;
        };
        let Told { task, fiber, .. } = self.take_told(node, stream, Of::Answered)?;
        Some(Handler { task, fiber })
    }

    /// Is it for probes to tell whose the streams of a process are? Not known of a process that
    /// has not been identified yet, which is no reason to believe anybody.
    pub(super) const fn is_told(threading: Threading, fiber: u64) -> bool {
        match threading {
            Threading::Goroutines => true,
            Threading::Unknown => fiber != 0,
            Threading::Bound | Threading::OneByOne | Threading::Migrating => false,
        }
    }

    /// The server's request `node`, of stream `stream` on `conn`, begins.
    pub(super) fn begin_shared(&mut self, node: NodeId, conn: ConnId, stream: u32) {
        let Some(entry) = self.node_mut(node) else {
            return;
        };
        entry.told = true;
        entry.handler.fiber = 0;
        let (id, number, handler) = (entry.id, entry.number, entry.handler);
        self.handlers.begin_unhandled(number, handler);
        self.streams.opened(conn, stream, (node, id));
        if let Some(told) = self.streams.take(Of::Served(conn, stream)) {
            self.handled(node, told);
        }
        if let Some(told) = self.take_told(node, stream, Of::Heard) {
            self.hears(node, told);
        }
    }

    /// The server's request `node`, of stream `stream` on `conn`, begins in a process whose tasks or
    /// threads are believed, unless it is told otherwise.
    pub(super) fn begin_tellable(&mut self, node: NodeId, conn: ConnId, stream: u32) {
        let Some(entry) = self.node(node) else {
            return;
        };
        self.streams.opened(conn, stream, (node, entry.id));
        let told = self.streams.take(Of::Served(conn, stream));
        if let Some(told) = told.or_else(|| self.take_holder(node, conn, stream)) {
            self.handled(node, told);
        }
    }

    /// The server's request `node` is handled as was told.
    fn handled(&mut self, node: NodeId, told: Told) {
        let born = self.handlers.fibers.born(told.task.tgid, told.fiber);
        let Some(entry) = self.node(node) else {
            return;
        };
        if entry.tgid != told.task.tgid {
            return;
        }
        let (number, reader) = (entry.number, entry.handler);
        if !entry.told {
            // Who read it did so for others.
            self.handlers.finish(node, number, reader);
        }
        let Some(entry) = self.node_mut(node) else {
            return;
        };
        entry.told = true;
        entry.handler = Handler {
            task: told.task,
            fiber: told.fiber,
        };
        entry.handler_born = born;
        // What the task did before was for others.
        entry.read = entry.read.max(told.at);
        let (id, number, handler) = (entry.id, entry.number, entry.handler);
        self.handlers.handle(node, id, number, handler);
    }

    /// Who asks, and when, where `writer` wrote the client's request `node` at `at`.
    ///
    /// # Errors
    /// When it is for probes to tell and none did, or no probe can, and the writer handles no request.
    pub(super) fn writer(
        &mut self,
        node: NodeId,
        writer: Handler,
        at: Nanos,
        threading: Threading,
    ) -> Result<(Handler, Nanos), Refusal> {
        let entry = self
            .node(node)
            .map(|entry| (entry.info.conn, entry.id, entry.request.stream));
        let Some((conn, id, Some(stream))) = entry else {
            return Ok((writer, at));
        };
        if writer.is_virtual() {
            // Whoever empties the buffer writes for all.
            return Err(Refusal::Ambiguous);
        }
        if let Some(Told { task, fiber, at }) = self.take_told(node, stream, Of::Asked) {
            self.streams.called(conn, stream, (node, id));
            return Ok((Handler { task, fiber }, at));
        }
        if writer.is_event() {
            return Err(Refusal::Unrelated);
        }
        if !Self::is_told(threading, writer.fiber) {
            // In tokio a task of the connection writes for all, be it that somebody's request made it.
            let shared = threading == Threading::Migrating && writer.is_task();
            return match shared && !self.handlers.handles(writer) {
                true => Err(Refusal::Unrelated),
                false => Ok((writer, at)),
            };
        }
        let own = Of::Writer(writer.task.tgid, writer.fiber);
        match self.streams.take(own) {
            Some(_) => Ok((writer, at)),
            None => Err(Refusal::Unrelated),
        }
    }

    /// `node` is open no longer.
    pub(super) fn close_stream(&mut self, node: NodeId) {
        let Some(entry) = self.node(node) else { return };
        let (conn, id) = (entry.info.conn, entry.id);
        if let Some(stream) = entry.request.stream {
            self.streams.closed(conn, stream, id);
        }
    }
}
