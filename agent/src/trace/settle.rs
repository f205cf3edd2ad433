//! Whose work is it: calls and requests find their parents.
//!
//! In: what tasks and threads of the runtimes do, and requests that were seen. Out: parents with
//! their evidence, or refusals. Not here: the trees themselves.

use super::{Assembly, Node, NodeId, Tree, TreeId};
use crate::protocol::exchange::{Moment, Role};
use crate::record::{Allocator, ConnId, Nanos, Task};
use crate::span::{Evidence, SpanId};
use crate::trace::departed::Gone;
use crate::trace::events::Purpose;
use crate::trace::handlers::{Current, Handler, Threading};
use crate::trace::parent::{self, Parent, Refusal};
use crate::trace::waiting;
use agent_common::record::FIBER_OBJECT;
use agent_common::runtime::WHILE_OPEN;

impl Assembly {
    /// Task `maker` of a runtime made the task `fiber`; or `maker` is the place where that lies, which
    /// tells the same.
    pub fn made(&mut self, tgid: u32, fiber: u64, maker: u64, at: Nanos) {
        let lies = Handler {
            fiber: maker,
            ..Handler::default()
        };
        if lies.is_object() {
            self.handlers.lies(tgid, fiber, maker & !FIBER_OBJECT, at);
        } else {
            self.handlers.made(tgid, fiber, maker, at);
        }
    }

    /// Thread `maker` made the thread `child`.
    pub fn thread_made(&mut self, maker: Task, child: Task, at: Nanos) {
        self.handlers.thread_made(maker, child, at);
    }

    /// A thread ended.
    pub fn thread_ended(&mut self, thread: Handler) {
        self.waiting.thread_ended(thread.task.tgid, thread.name());
        if thread.fiber == 0 {
            self.handlers.objects.thread_ended(thread.task);
        }
    }

    /// A thread allocates in this part of its heap from `at` on.
    pub fn allocates(&mut self, thread: Task, part: (u64, u64), by: Allocator, at: Nanos) {
        match by {
            Allocator::Carries(fiber) => {
                let request = self.handlers.works_on(thread.tgid, fiber);
                let objects = &mut self.handlers.objects;
                objects.carries(thread, part, (fiber, at), request);
            }
            Allocator::Yielded => self.handlers.objects.yielded(thread, part),
            Allocator::Thread | Allocator::Worker(_) => {
                let request = self.handlers.read_by(thread);
                let on = request.and_then(|(node, _)| Some(self.node(node)?.info.conn));
                let worker = on.is_some_and(|on| by == Allocator::Worker(on));
                self.handlers.objects.insert(thread, part, worker, request);
            }
        }
    }

    /// Task `by` gave the task `fiber`, which waited for it, something to do.
    pub fn handed(&mut self, tgid: u32, fiber: u64, by: u64) {
        self.handlers.handed.push(tgid, fiber, by);
    }

    /// `handler` received bytes on `conn`: what it does next is for the request that is open
    /// there, or for the one on whose behalf the answer was asked for.
    pub fn heard(&mut self, conn: ConnId, handler: Handler, at: Nanos) {
        let Some(entry) = self.serving.get(&conn).and_then(|node| self.node(*node)) else {
            return;
        };
        let asker = entry.request.start.fiber;
        if asker == handler.fiber {
            return;
        }
        match (entry.request.role, entry.above) {
            (Role::Server, _) => {
                let request = self.serving.get(&conn).map(|node| (*node, entry.id));
                match request {
                    Some((node, id)) if handler.is_event() => {
                        self.handlers.brought(handler, Purpose::Request(node, id));
                    }
                    Some(request) => self.handlers.serve(handler, request, at),
                    None => {}
                }
            }
            // An event is told when it has brought the whole answer.
            (Role::Client, _) if handler.is_event() => {}
            (Role::Client, Some(request)) => self.handlers.serve(handler, request, at),
            (Role::Client, None) => self.handlers.assist(handler, asker, entry.start()),
        }
    }

    /// The server's request `node` was answered by `writer` at `end`: the calls that were made
    /// for it are known now.
    pub(super) fn claim(&mut self, node: NodeId, writer: Option<Handler>, end: Nanos) {
        let Some(entry) = self.node(node) else { return };
        let (id, start, tgid) = (entry.id, entry.start(), entry.tgid);
        // A task's identity may have been another's until the request was there.
        let read = entry.read;
        // Who writes to a shared connection writes for all.
        let writer = writer.filter(|_| !entry.told);
        let fibers = &self.handlers.fibers;
        let sure =
            |handler: Handler, born| match handler.is_task() && !self.handlers.is_loop(handler) {
                true => (handler.fiber, born),
                false => (0, 0),
            };
        // An event writes answers to whichever requests.
        let answered = |writer: Handler| match writer.is_event() {
            true => (0, 0),
            false => sure(writer, fibers.born(tgid, writer.fiber)),
        };
        // It was there to the end if it wrote that; whom it made meanwhile was not made by another.
        let last = entry.answer.as_ref().map(|answer| answer.end.fiber);
        let reader = match entry.handler.is_virtual() && !self.handlers.is_loop(entry.handler) {
            true if last == Some(entry.handler.fiber) => (entry.handler.fiber, entry.handler_born),
            _ => sure(entry.handler, entry.handler_born),
        };
        let by = [reader, writer.map_or((0, 0), answered)];
        if start >= self.lossy_until {
            let known = by[1].0 != 0;
            let calls = self.waiting.claim(tgid, |call| {
                if !(read..=end).contains(&call.at) {
                    return false;
                }
                let claimed = match call.thread {
                    Some(thread) => thread.ended && thread.made_for == id,
                    None => call.by.works_for(id, by, (start, end)),
                };
                call.passed += usize::from(known && !claimed);
                claimed
            });
            for call in calls {
                self.settle_waiting(&call, Some(node));
            }
            for task in by {
                self.answered.insert(tgid, task, (start, end), (node, id));
            }
        }
        self.give_up(tgid);
    }

    /// Calls that no open request can claim any more are of one that was answered before, or have
    /// no parent.
    pub(super) fn give_up(&mut self, tgid: u32) {
        let oldest = self.handlers.oldest(tgid).unwrap_or(u64::MAX);
        for call in self.waiting.claim(tgid, |call| call.newest < oldest) {
            match self.outlived(tgid, &call) {
                Some(request) if self.settle_waiting(&call, None) => {
                    self.follow(call.node, request, Evidence::Task);
                }
                _ => {
                    self.refuse(Refusal::Unrelated);
                    self.settle_waiting(&call, None);
                }
            }
        }
    }

    /// The request that the task of `call` was made for and has answered: it goes on to work for
    /// it, unless it has gone on to another. That it has not is certain once other tasks have
    /// answered every request that was open when it called.
    fn outlived(&self, tgid: u32, call: &waiting::Call) -> Option<(NodeId, SpanId)> {
        if call.thread.is_some() || call.passed < call.open {
            return None;
        }
        self.answered.only(tgid, call.by.task()?)
    }

    /// A call waits no longer; false when it is gone.
    fn settle_waiting(&mut self, call: &waiting::Call, request: Option<NodeId>) -> bool {
        let evidence = match call.thread {
            Some(_) => Evidence::Thread,
            None => Evidence::Task,
        };
        if self.node(call.node).is_none_or(|entry| entry.id != call.id) {
            return false;
        }
        self.set_waiting(call.node, false);
        if let Some(request) = request {
            self.adopt(call.node, Some(Parent::Local(request, evidence)));
        }
        true
    }

    /// The parent of `node` may still be told, or no longer.
    pub(super) fn set_waiting(&mut self, node: NodeId, waiting: bool) {
        let tree = self.mark(
            node,
            waiting,
            |entry| &mut entry.waiting,
            |tree| &mut tree.waiting,
        );
        if let Some(tree) = tree.filter(|_| !waiting) {
            self.schedule(tree);
        }
    }

    /// The other end of `node` may still be reported, or no longer.
    pub(super) fn set_lonely(&mut self, node: NodeId, lonely: bool) {
        self.mark(
            node,
            lonely,
            |entry| &mut entry.lonely,
            |tree| &mut tree.lonely,
        );
    }

    /// Sets a flag of `node`, which its tree counts; answers the tree if that is a change.
    fn mark(
        &mut self,
        node: NodeId,
        value: bool,
        flag: fn(&mut Node) -> &mut bool,
        count: fn(&mut Tree) -> &mut usize,
    ) -> Option<TreeId> {
        let entry = self.node_mut(node)?;
        if std::mem::replace(flag(entry), value) == value {
            return None;
        }
        let id = entry.tree;
        let count = count(self.trees.find_mut(id)?);
        if value {
            *count += 1;
        } else {
            *count -= 1;
        }
        Some(id)
    }

    /// Chooses the parent of a client's request.
    pub(super) fn settle_client(&mut self, node: NodeId, threading: Threading) {
        let Some(entry) = self.node(node) else { return };
        let writer = Handler {
            task: entry.request.start.task,
            fiber: entry.request.start.fiber,
        };
        let asked = entry.request.start.at;
        let header = entry.context.clone();
        let writer = match self.handlers.object_of(writer) {
            Ok(object) => {
                self.settle_object(node, writer, object, asked);
                return;
            }
            Err(writer) => writer,
        };
        let (writer, asked) = match self.writer(node, writer, asked, threading) {
            Ok(told) => told,
            Err(refusal) => {
                self.refuse(refusal);
                self.adopt(node, parent::of_client(header.as_ref(), None, None));
                return;
            }
        };
        let asker = self.handlers.asker(writer);
        let current = asker.and_then(|asker| self.current(asker, threading, asked));
        let handler = asker.unwrap_or(writer);
        let handling = match current {
            Ok(Current::Handling(found, _, evidence)) => Some((found, evidence)),
            Ok(Current::Later | Current::None)
                if header.is_none() && (handler.is_task() || handler.is_virtual()) =>
            {
                let tgid = handler.task.tgid;
                let lineage = self.handlers.fibers.lineage(tgid, handler.fiber, asked);
                match self.answered.find(tgid, &lineage, asked) {
                    Some(request) => self.follow(node, request, Evidence::Task),
                    None => self.wait(node, handler, asked),
                }
                return;
            }
            Ok(Current::Later) if header.is_none() => {
                self.wait(node, handler, asked);
                return;
            }
            Ok(Current::Perhaps(_, request)) if header.is_none() => {
                self.suppose(node, request);
                return;
            }
            Ok(Current::None) if header.is_none() && asked >= self.lossy_until => {
                if let Some(request) = self.handlers.last_of(handler) {
                    self.follow(node, request, Evidence::Thread);
                }
                return;
            }
            Ok(_) => None,
            Err(Refusal::Late) if header.is_none() && handler.fiber & WHILE_OPEN == 0 => {
                match self.handlers.current(handler, threading) {
                    Ok(Current::Handling(found, id, evidence)) => {
                        self.follow(node, (found, id), evidence);
                    }
                    _ => self.refuse(Refusal::Late),
                }
                return;
            }
            Err(refusal) => {
                self.refuse(refusal);
                None
            }
        };
        let handled = handling.and_then(|(found, _)| self.node(found)?.context.clone());
        self.adopt(
            node,
            parent::of_client(header.as_ref(), handling, handled.as_ref()),
        );
    }

    /// The server request that `handler` is handling at `at`, if that is certain in this moment:
    /// for what is no request itself. What is given to a task is not asked for, as that would
    /// spend it.
    #[must_use]
    pub fn handling(
        &self,
        handler: Handler,
        threading: Threading,
        at: Nanos,
    ) -> Option<(SpanId, Evidence)> {
        let Handler { task, fiber } = handler;
        if fiber != 0 && self.handlers.handed.knows(task.tgid, fiber) {
            return None;
        }
        match self.current(handler, threading, at) {
            Ok(Current::Handling(_, id, evidence)) => Some((id, evidence)),
            _ => None,
        }
    }

    /// The call `node` is made by a task that is an object: it is for what its maker was handling.
    fn settle_object(&mut self, node: NodeId, caller: Handler, object: u64, asked: Nanos) {
        let Some(entry) = self.node(node) else { return };
        if let Some(header) = entry.context.clone() {
            self.adopt(node, parent::of_client(Some(&header), None, None));
            return;
        }
        if entry.start() < self.lossy_until {
            self.refuse(Refusal::Lossy);
            return;
        }
        let tgid = caller.task.tgid;
        if let Some(request) = self.handlers.objects.made_for(tgid, object) {
            self.follow(node, request, Evidence::Task);
            return;
        }
        self.handlers.lies(tgid, caller.fiber, object, asked);
        let Some(made) = self.handlers.fibers.made_by(tgid, caller.fiber) else {
            self.refuse(Refusal::Unrelated);
            return;
        };
        let lineage = self.handlers.fibers.lineage(tgid, caller.fiber, asked);
        let answered = || self.answered.find(tgid, &lineage, asked);
        match made.request.or_else(answered) {
            Some(request) => self.follow(node, request, Evidence::Task),
            None => self.wait(node, caller, asked),
        }
    }

    /// The task of the call `node` has outlived its request, which may have left.
    fn follow(&mut self, node: NodeId, (found, id): (NodeId, SpanId), evidence: Evidence) {
        let parent = if self.node(found).is_some_and(|above| above.id == id) {
            Some(Parent::Local(found, evidence))
        } else {
            let gone = self.departed.find(id).cloned();
            gone.map(|gone| Parent::Departed(gone, evidence))
        };
        match parent {
            Some(parent) => {
                self.adopt(node, Some(parent));
            }
            None => self.refuse(Refusal::Late),
        }
    }

    /// The request that `handler` was working for at `asked`.
    fn current(
        &self,
        handler: Handler,
        threading: Threading,
        asked: Nanos,
    ) -> Result<Current, Refusal> {
        let current = self.handlers.current(handler, threading)?;
        let (Current::Handling(found, id, _) | Current::Perhaps(found, id)) = current else {
            return Ok(current);
        };
        // The record of the call came late: its task's identity is another's by now.
        if self.handlers.fibers.born(handler.task.tgid, handler.fiber) > asked {
            return Err(Refusal::Ambiguous);
        }
        if asked < self.lossy_until {
            return Err(Refusal::Lossy);
        }
        // A task may outlive the request that it was made for, whose node is another's by now.
        let above = self.node(found).filter(|above| above.id == id);
        if matches!(current, Current::Perhaps(..))
            && above.is_none_or(|above| above.answer.is_some())
        {
            return Err(Refusal::Ambiguous);
        }
        let above = above.ok_or(Refusal::Late)?;
        if handler.fiber & WHILE_OPEN != 0 && above.answer.is_some() {
            return Err(Refusal::Late);
        }
        // What the table held back may come when the thread has gone on to another request.
        let early = above.told && above.read > asked;
        if above.start() > asked || early {
            return Err(Refusal::Ambiguous);
        }
        Ok(current)
    }

    /// The answer to the call `node` was read at these moments.
    pub(super) fn brought(&mut self, node: NodeId, moments: [Moment; 2]) {
        for Moment { task, fiber, .. } in moments {
            self.brought_answer(node, Handler { task, fiber });
        }
    }

    /// The event `reader` has brought the answer to the call `node`, or a part of it.
    pub(super) fn brought_answer(&mut self, node: NodeId, reader: Handler) {
        let Some(entry) = self.node(node) else { return };
        let purpose = match (entry.above, entry.supposed) {
            (Some((request, id)), _) => Purpose::Answer(request, id),
            (None, Some(_)) => Purpose::Call(node, entry.id),
            (None, None) => return,
        };
        if reader.is_event() {
            self.handlers.brought(reader, purpose);
        }
    }

    /// The call `node` may be for `request`, whose answer may tell.
    fn suppose(&mut self, node: NodeId, request: SpanId) {
        let Some(entry) = self.node_mut(node) else {
            return;
        };
        let id = entry.id;
        entry.supposed = Some(request);
        if self.supposed.insert(request, (node, id)) {
            self.set_waiting(node, true);
        } else {
            self.refuse(Refusal::Ambiguous);
        }
    }

    /// The server's request `node` was answered by `writer`: what may have been for it was, or was
    /// not.
    pub(super) fn confirm(&mut self, node: NodeId, writer: Option<Handler>) {
        let Some(request) = self.node(node).map(|entry| entry.id) else {
            return;
        };
        let event = writer.filter(|writer| writer.is_event());
        let brought = event.and_then(|event| self.handlers.purpose(event));
        let mut told = false;
        for (call, id) in self.supposed.take(request) {
            let Some(entry) = self.node_mut(call).filter(|entry| entry.id == id) else {
                continue;
            };
            entry.supposed = None;
            self.set_waiting(call, false);
            if brought == Some(Purpose::Call(call, id)) {
                told = true;
                self.adopt(call, Some(Parent::Local(node, Evidence::Task)));
            } else {
                self.refuse(Refusal::Ambiguous);
            }
        }
        if let (Some(event), Some(Purpose::Call(..)), false) = (event, brought, told) {
            self.handlers.brought(event, Purpose::Several);
        }
    }

    /// The answer to a request that is open now may tell whose call `node` is.
    fn wait(&mut self, node: NodeId, handler: Handler, at: Nanos) {
        let tgid = handler.task.tgid;
        let (newest, open) = self.handlers.newest(tgid);
        let Some(entry) = self.node(node) else { return };
        let call = waiting::Call {
            node,
            id: entry.id,
            by: self.handlers.fibers.lineage(tgid, handler.fiber, at),
            at,
            newest,
            open,
            passed: 0,
            thread: self.handlers.thread_of(handler),
        };
        if open > 0 {
            self.waiting.push(tgid, call);
            self.set_waiting(node, true);
        } else if let Some(request) = self.outlived(tgid, &call) {
            self.follow(node, request, Evidence::Task);
        }
    }

    /// Chooses the parent of a server's request.
    pub(super) fn settle_server(&mut self, node: NodeId, client: Option<NodeId>) {
        let header = self.node(node).and_then(|entry| entry.context.clone());
        if !self.adopt(node, parent::of_server(header.as_ref(), client)) {
            // The other end is of another trace than the request says.
            self.adopt(node, parent::of_server(header.as_ref(), None));
        }
    }

    /// Gives `node` its parent and joins their trees; false when they are of different traces.
    fn adopt(&mut self, node: NodeId, parent: Option<Parent>) -> bool {
        let mut above_node = None;
        let link = match parent {
            None => return true,
            Some(Parent::Remote(context)) => (context.span, Evidence::Header, true),
            Some(Parent::Departed(gone, evidence)) => {
                let Some(span) = self.rejoin(node, gone) else {
                    self.refuse(Refusal::Late);
                    return false;
                };
                (span, evidence, false)
            }
            Some(Parent::Local(above, evidence)) => {
                let Some(found) = self.node(above) else {
                    return true;
                };
                let id = found.id;
                above_node = Some((above, id));
                if !self.join(above, node) {
                    self.refuse(Refusal::Late);
                    return false;
                }
                (id, evidence, false)
            }
        };
        self.counts.joined[match link.1 {
            Evidence::Header => 0,
            Evidence::SocketPair => 1,
            Evidence::Task => 2,
            Evidence::Thread => 3,
        }] += 1;
        if let Some(entry) = self.node_mut(node) {
            entry.parent = Some(link);
            entry.above = above_node;
        }
        true
    }

    /// Puts the tree of `node` into the trace of a request that has left; answers its span.
    fn rejoin(&mut self, node: NodeId, gone: Gone) -> Option<SpanId> {
        let id = self.node(node)?.tree;
        let tree = self.trees.find_mut(id)?;
        if tree.trace.is_some_and(|trace| trace != gone.trace) {
            return None;
        }
        tree.trace = Some(gone.trace);
        tree.sampled = tree.sampled.or(gone.sampled);
        tree.state = tree.state.take().or(gone.state);
        Some(gone.span)
    }
}
