//! Requests of shared connections whose tasks are told by probes, in runtimes that have such.
//!
//! In: what was told, requests. Out: handlers and askers. Without having been told nothing is
//! believed of such a request: not its reader, not its writer, and nobody who made those.

use super::{Assembly, NodeId};
use crate::record::{ConnId, Nanos, Task};
use crate::trace::handlers::{Handler, Threading};
use crate::trace::parent::Refusal;
use crate::trace::streams::{Of, Told};

impl Assembly {
    /// A probe of a runtime told, at `at`, that task `fiber` has to do with a stream.
    pub fn told(&mut self, task: Task, fiber: u64, of: Of, at: Nanos) {
        let told = Told { task, fiber, at };
        let Of::Served(conn, stream) = of else {
            self.streams.push(of, told);
            return;
        };
        // What its maker does is none of its business any more, nor is what it handled before: it
        // is as good as a new one, also while its stream is still to come.
        self.handlers.made(task.tgid, fiber, 0, at);
        match self.streams.find(conn, stream) {
            Some((node, _)) => self.handled(node, told),
            None => self.streams.push(of, told),
        }
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
        self.handlers.begin_unhandled(node, number, handler);
        self.streams.opened(conn, stream, (node, id));
        if let Some(told) = self.streams.take(Of::Served(conn, stream)) {
            self.handled(node, told);
        }
    }

    /// The server's request `node`, of stream `stream` on `conn`, begins in a process whose tasks or
    /// threads are believed, unless it is told otherwise.
    pub(super) fn begin_tellable(&mut self, node: NodeId, conn: ConnId, stream: u32) {
        let Some(entry) = self.node(node) else {
            return;
        };
        self.streams.opened(conn, stream, (node, entry.id));
        if let Some(told) = self.streams.take(Of::Served(conn, stream)) {
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
    /// When it is for probes to tell and none did.
    pub(super) fn writer(
        &mut self,
        node: NodeId,
        writer: Handler,
        at: Nanos,
        threading: Threading,
    ) -> Result<(Handler, Nanos), Refusal> {
        let entry = self
            .node(node)
            .map(|entry| (entry.info.conn, entry.request.stream));
        let Some((conn, Some(stream))) = entry else {
            return Ok((writer, at));
        };
        if writer.is_virtual() {
            // Whoever empties the buffer writes for all.
            return Err(Refusal::Ambiguous);
        }
        if !Self::is_told(threading, writer.fiber) {
            return Ok((writer, at));
        }
        if let Some(Told { task, fiber, at }) = self.streams.take(Of::Asked(conn, stream)) {
            return Ok((Handler { task, fiber }, at));
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
