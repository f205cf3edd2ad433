//! Joins by who does the work: which server request a thread or a runtime's task is handling.
//!
//! A thread or task that has read exactly one request and not answered it yet is handling it, and
//! what it asks of others belongs to it. One that was ever seen with several open requests runs
//! an event loop: then its work could belong to any of them, and it is believed only while its
//! whole process has a single request open. Runtimes that move tasks between threads are not
//! believed by their threads at all.

use super::assembly::NodeId;
use super::events::{Events, Purpose};
use super::fibers::{Fibers, Made};
use super::handed::Handed;
use super::objects::{Maker, Objects};
use super::open::Open;
use super::parent::Refusal;
use super::waiting::Thread;
use crate::record::{Nanos, Task};
use crate::span::{Evidence, SpanId};
use agent_common::record::{FIBER_EVENT, FIBER_OBJECT, FIBER_THREAD, FIBER_VIRTUAL};
use agent_common::runtime::SOCKET;
use foldhash::{HashMap, HashSet};
use smallvec::{SmallVec, smallvec};
use std::collections::hash_map::Entry;

/// Most units that are remembered as event loops while they handle nothing: the end of a thread
/// is not reported, only that of its process.
const IDLE_LOOPS: usize = 16_384;

/// What the thread of a call says about its request, where the runtime's task is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    /// A request stays on the thread that read it, or on its event loop.
    Bound,
    /// So it does, and the thread works for it until it reads the next, answered or not.
    OneByOne,
    /// Tasks move between threads unseen.
    Migrating,
    /// Likewise; and probes tell which of them each stream of a shared connection is of.
    Goroutines,
    /// What runs in the process is not known yet.
    Unknown,
}

/// Who moved bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handler {
    /// Thread.
    pub task: Task,
    /// The runtime's task on that thread, 0 when none is known.
    pub fiber: u64,
}

/// A thread or a runtime's task, whichever is known more closely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Unit {
    Thread(Task),
    Fiber(u32, u64),
}

impl Unit {
    /// A thread of the kernel or of the runtime.
    const fn is_thread(self) -> bool {
        match self {
            Self::Thread(_) => true,
            Self::Fiber(_, fiber) => fiber & (SOCKET | FIBER_THREAD) == FIBER_THREAD,
        }
    }
}

impl Handler {
    const fn unit(self) -> Unit {
        if self.fiber == 0 {
            Unit::Thread(self.task)
        } else {
            Unit::Fiber(self.task.tgid, self.fiber)
        }
    }

    /// A task of its runtime, not a thread of the kernel or of the runtime: it works for one
    /// request.
    #[must_use]
    pub const fn is_task(self) -> bool {
        self.fiber != 0 && self.fiber & (SOCKET | FIBER_THREAD) != FIBER_THREAD
    }

    /// It is an object by its place in the heap, and the thread that uses it.
    #[must_use]
    pub const fn is_object(self) -> bool {
        self.fiber & (SOCKET | FIBER_OBJECT) == FIBER_OBJECT
    }

    /// It is a thread that others carry by turns.
    #[must_use]
    pub const fn is_virtual(self) -> bool {
        self.fiber & (SOCKET | FIBER_VIRTUAL) == FIBER_VIRTUAL
    }

    /// What it is called among the tasks and threads of its process.
    #[must_use]
    pub const fn name(self) -> u64 {
        match self.fiber {
            0 => fiber_of_thread(self.task.tid),
            fiber => fiber,
        }
    }

    /// It is an event of a loop, whose identity is never used again.
    #[must_use]
    pub const fn is_event(self) -> bool {
        self.fiber & FIBER_EVENT != 0
    }
}

/// What a thread is called among the runtime's tasks of its process: no task has such a number,
/// which is neither an address of the process nor a count.
const fn fiber_of_thread(tid: u32) -> u64 {
    FIBER_THREAD | tid as u64
}

/// What a unit is doing.
#[derive(Default)]
struct Work {
    /// One, for most.
    open: SmallVec<[(NodeId, SpanId); 1]>,
    event_loop: bool,
}

/// What is known of the request that a call belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Current {
    /// Its process handles no request.
    None,
    /// This one; its node may be another's by now.
    Handling(NodeId, SpanId, Evidence),
    /// The answer may tell: whoever writes it was handling the request.
    Later,
    /// This one or another: [`super::supposed`].
    Perhaps(NodeId, SpanId),
}

/// Who is handling what.
#[derive(Default)]
pub struct Handlers {
    units: HashMap<Unit, Work>,
    /// Which task made which.
    pub fibers: Fibers,
    /// Which task gave which waiting one something to do.
    pub handed: Handed,
    /// Which thread made objects where.
    pub objects: Objects,
    /// What events of event loops are for.
    events: Events,
    /// Open server requests by process.
    processes: HashMap<u32, Open>,
    /// The last request of each thread that handles one after the other, to the end.
    last: HashMap<Task, (NodeId, SpanId)>,
    /// Open server requests of which it is not certain that they are still handled.
    doubted: HashSet<NodeId>,
    /// Open server requests that last as long as their connections.
    lasting: HashSet<NodeId>,
}

impl Handlers {
    /// `node`, the `number`th server request of all, was read by `handler`.
    pub fn begin(&mut self, node: NodeId, id: SpanId, number: u64, handler: Handler) {
        self.open(number, handler);
        if handler.is_event() {
            self.brought(handler, Purpose::Request(node, id));
            return;
        }
        let unit = handler.unit();
        if self.units.len() >= 2 * IDLE_LOOPS && !self.units.contains_key(&unit) {
            self.forget_idle();
        }
        let work = self.units.entry(unit).or_default();
        work.open.push((node, id));
        work.event_loop |= work.open.len() > 1;
    }

    /// `node` was read by one that serves several connections' streams: `reader` names its thread
    /// only, and who handles it is told later, or never.
    pub fn begin_unhandled(&mut self, number: u64, reader: Handler) {
        self.open(number, reader);
    }

    fn open(&mut self, number: u64, reader: Handler) {
        let tgid = reader.task.tgid;
        if self.processes.len() >= IDLE_LOOPS && !self.processes.contains_key(&tgid) {
            self.processes.retain(|_, open| !open.is_empty());
        }
        let open = self.processes.entry(tgid).or_default();
        open.insert(number, reader.is_event());
    }

    /// From now on `handler` handles `node`, and nothing else: so it was told.
    pub fn handle(&mut self, node: NodeId, id: SpanId, number: u64, handler: Handler) {
        self.open(number, handler);
        let unit = handler.unit();
        if self.units.len() >= 2 * IDLE_LOOPS && !self.units.contains_key(&unit) {
            self.forget_idle();
        }
        let work = Work {
            open: smallvec![(node, id)],
            event_loop: false,
        };
        self.units.insert(unit, work);
    }

    /// What the event `handler` has brought, if that was seen.
    #[must_use]
    pub fn purpose(&self, handler: Handler) -> Option<Purpose> {
        self.events.find(handler.task.tgid, handler.fiber)
    }

    /// The event `handler` has brought something.
    pub fn brought(&mut self, handler: Handler, purpose: Purpose) {
        let tgid = handler.task.tgid;
        self.events.insert(tgid, handler.fiber, purpose);
    }

    /// `handler` moved bytes that cannot be told yet, because a record before them is late or
    /// lost: the answer to what it was handling, or its next request. What it asks of others from
    /// now on may belong to either.
    pub fn doubt(&mut self, handler: Handler) {
        let threads = self.units.get(&Unit::Thread(handler.task));
        let fibers = self.units.get(&handler.unit());
        for work in [threads, fibers].into_iter().flatten() {
            self.doubted.extend(work.open.iter().map(|(node, _)| node));
        }
    }

    /// The thread that read the request `node` works for nobody else until it reads the next.
    pub fn works_one_by_one(&mut self, thread: Task, request: (NodeId, SpanId)) {
        if self.last.len() >= IDLE_LOOPS && !self.last.contains_key(&thread) {
            self.last.clear();
        }
        self.last.insert(thread, request);
    }

    /// The answered request that the caller works for, if its thread handles one after the other.
    #[must_use]
    pub fn last_of(&self, caller: Handler) -> Option<(NodeId, SpanId)> {
        match caller.fiber {
            0 => self.last.get(&caller.task).copied(),
            _ => None,
        }
    }

    /// `task` has taken a connection of somebody else: what it does from now on may be for a request
    /// that comes by it.
    pub fn turned(&mut self, task: Task) {
        self.last.remove(&task);
    }

    /// `node` is open, but its client has its answer.
    pub fn doubt_node(&mut self, node: NodeId) {
        self.doubted.insert(node);
    }

    /// `node` is open for as long as its connection, and threads do other work meanwhile: timers,
    /// messages of other connections. From now on only the runtime's own task says who works for
    /// it.
    pub fn last(&mut self, node: NodeId) {
        self.lasting.insert(node);
    }

    /// `node` was answered.
    pub fn finish(&mut self, node: NodeId, number: u64, handler: Handler) {
        // Empty most of the time, and then not searched.
        if !self.doubted.is_empty() {
            self.doubted.remove(&node);
        }
        if !self.lasting.is_empty() {
            self.lasting.remove(&node);
        }
        let unit = handler.unit();
        if let Entry::Occupied(mut entry) = self.units.entry(unit) {
            let work = entry.get_mut();
            work.open.retain(|(open, _)| *open != node);
            if work.open.is_empty() && !work.event_loop {
                entry.remove();
            }
        }
        if let Some(open) = self.processes.get_mut(&handler.task.tgid) {
            open.remove(number);
        }
    }

    /// A process ended.
    pub fn exited(&mut self, tgid: u32) {
        let (doubted, lasting) = (&mut self.doubted, &mut self.lasting);
        self.units.retain(|unit, work| {
            let (Unit::Thread(Task { tgid: process, .. }) | Unit::Fiber(process, _)) = unit;
            if *process != tgid {
                return true;
            }
            work.open.iter().for_each(|(node, _)| {
                doubted.remove(node);
                lasting.remove(node);
            });
            false
        });
        self.last.retain(|thread, _| thread.tgid != tgid);
        self.fibers.exited(tgid);
        self.handed.exited(tgid);
        self.objects.exited(tgid);
        self.events.exited(tgid);
        self.processes.remove(&tgid);
    }

    /// Task `maker` of process `tgid` made `fiber` at `at`: it works on what its maker does.
    pub fn made(&mut self, tgid: u32, fiber: u64, maker: u64, at: Nanos) {
        // Whoever had this identity before is gone, with what it has not answered as far as seen.
        self.units.remove(&Unit::Fiber(tgid, fiber));
        let made = Made {
            maker,
            maker_born: self.fibers.born(tgid, maker),
            at,
            request: self.request_of(Unit::Fiber(tgid, maker), tgid, maker),
            born: at,
        };
        self.fibers.insert(tgid, fiber, made);
    }

    /// Thread `maker` made the thread `child` at `at`. Threads of a pool, too, are often made by
    /// the first who has work for them: so what a thread was made for counts only when it ends
    /// before that request does.
    pub fn thread_made(&mut self, maker: Task, child: Task, at: Nanos) {
        let fiber = fiber_of_thread(maker.tid);
        let made = Made {
            maker: 0,
            maker_born: 0,
            at,
            born: at,
            request: self.request_of(Unit::Thread(maker), maker.tgid, fiber),
        };
        let child_fiber = fiber_of_thread(child.tid);
        self.fibers.insert(child.tgid, child_fiber, made);
    }

    /// The request that the thread was made for, if that was certain.
    fn thread_made_for(&self, thread: Handler) -> Option<SpanId> {
        let made = self.fibers.made_by(thread.task.tgid, thread.name())?;
        made.request.map(|(_, id)| id)
    }

    /// What tells whose request a call of `caller` is, if it is a thread and something may.
    #[must_use]
    pub fn thread_of(&self, caller: Handler) -> Option<Thread> {
        if caller.is_task() || caller.is_virtual() {
            return None;
        }
        Some(Thread {
            fiber: caller.name(),
            made_for: self.thread_made_for(caller)?,
            ended: false,
        })
    }

    /// The one request that `thread` has read, and not answered, if that is certain.
    #[must_use]
    pub fn read_by(&self, thread: Task) -> Option<(NodeId, SpanId)> {
        let work = self.units.get(&Unit::Thread(thread))?;
        match work.open.as_slice() {
            [only] if !work.event_loop && !self.doubted.contains(&only.0) => Some(*only),
            _ => None,
        }
    }

    /// The place of the object that stands for what `caller` does.
    ///
    /// # Errors
    /// Who calls, if that is no object, or its thread handles a request itself.
    pub fn object_of(&self, caller: Handler) -> Result<u64, Handler> {
        if !caller.is_object() {
            return Err(caller);
        }
        let thread = Handler { fiber: 0, ..caller };
        match self.only(thread) {
            Ok(None) => Ok(caller.fiber & !FIBER_OBJECT),
            _ => Err(thread),
        }
    }

    /// The one request that the task `fiber` handles, or that it was made for, if that is certain.
    #[must_use]
    pub fn works_on(&self, tgid: u32, fiber: u64) -> Option<(NodeId, SpanId)> {
        self.request_of(Unit::Fiber(tgid, fiber), tgid, fiber)
    }

    /// The virtual thread or object `fiber`, which calls at `at`, lies at `place`: who made it is known
    /// by that, if that was a virtual thread. Its number, or its place, was never another's.
    pub fn lies(&mut self, tgid: u32, fiber: u64, place: u64, at: Nanos) {
        if self.fibers.made_by(tgid, fiber).is_some() {
            return;
        }
        let (maker, at, request) = match self.objects.maker(tgid, place) {
            Some(Maker::Of(request)) => (0, at, Some(request)),
            Some(Maker::Perhaps(maker, since)) => (maker, since, None),
            None => return,
        };
        let made = Made {
            maker,
            maker_born: 0,
            at,
            request,
            born: 0,
        };
        self.fibers.insert(tgid, fiber, made);
    }

    /// The one request that `unit` handles, or that it was made for, if that is certain.
    fn request_of(&self, unit: Unit, tgid: u32, fiber: u64) -> Option<(NodeId, SpanId)> {
        let Some(work) = self.units.get(&unit) else {
            return self.fibers.made_by(tgid, fiber)?.request;
        };
        match work.open.as_slice() {
            [(node, _)] if work.event_loop || self.doubted.contains(node) => None,
            [(node, _)] if self.is_vague(unit, *node) => None,
            [only] => Some(*only),
            _ => None,
        }
    }

    /// `handler` received bytes of the request `node`, or of an answer that was asked for on its
    /// behalf: what it does next is for that request. Tasks that handle requests of their own say
    /// so themselves.
    pub fn serve(&mut self, handler: Handler, request: (NodeId, SpanId), at: Nanos) {
        if handler.is_task() && !self.units.contains_key(&handler.unit()) {
            let tgid = handler.task.tgid;
            self.fibers.works(tgid, handler.fiber, 0, Some(request), at);
        }
    }

    /// `handler` received bytes that task `asker` asked for at `at`: it works for it, unless it
    /// handles requests of its own.
    pub fn assist(&mut self, handler: Handler, asker: u64, at: Nanos) {
        if handler.is_task() && !self.units.contains_key(&handler.unit()) {
            let tgid = handler.task.tgid;
            self.fibers.works(tgid, handler.fiber, asker, None, at);
        }
    }

    /// The task for which `writer` writes a request: itself if it handles one or was never given
    /// anything, else the one task that gave it something to do since its last request.
    ///
    /// # Errors
    /// When it was none, or several.
    pub fn asker(&mut self, writer: Handler) -> Result<Handler, Refusal> {
        if writer.fiber == 0 || self.handles(writer) {
            return Ok(writer);
        }
        match self.handed.take(writer.task.tgid, writer.fiber) {
            None => Ok(writer),
            Some(0) => Err(Refusal::Unrelated),
            Some(fiber) => Ok(Handler { fiber, ..writer }),
        }
    }

    /// Too many units: those that handle nothing are seen anew when they come back.
    fn forget_idle(&mut self) {
        let busy = self.units.values().filter(|work| !work.open.is_empty());
        if self.units.len() - busy.count() >= IDLE_LOOPS {
            self.units.retain(|_, work| !work.open.is_empty());
        }
    }

    /// Units and processes that are kept.
    #[must_use]
    pub fn sizes(&self) -> [usize; 2] {
        [self.units.len(), self.processes.len()]
    }

    /// Nothing is kept.
    #[cfg(test)]
    pub fn is_clear(&self) -> bool {
        self.sizes() == [0; 2] && self.doubted.is_empty() && self.lasting.is_empty()
    }

    /// Number of the oldest open server request of a process.
    #[must_use]
    pub fn oldest(&self, tgid: u32) -> Option<u64> {
        self.processes.get(&tgid)?.oldest()
    }

    /// Number of its newest, 0 when it has none, and how many are open.
    #[must_use]
    pub fn newest(&self, tgid: u32) -> (u64, usize) {
        let open = self.processes.get(&tgid);
        let newest = open.and_then(Open::newest);
        (newest.unwrap_or(0), open.map_or(0, Open::len))
    }

    /// `handler` has read a request, or several, that it has not answered.
    #[must_use]
    pub fn handles(&self, handler: Handler) -> bool {
        let work = self.units.get(&handler.unit());
        work.is_some_and(|work| !work.open.is_empty())
    }

    /// `handler` serves several requests at once: what it writes says nothing.
    #[must_use]
    pub fn is_loop(&self, handler: Handler) -> bool {
        if handler.is_event() {
            let purpose = self.events.find(handler.task.tgid, handler.fiber);
            return !matches!(purpose, Some(Purpose::Request(..)));
        }
        let work = self.units.get(&handler.unit());
        work.is_some_and(|work| work.event_loop)
    }

    /// The server request that the caller in `handler` is working for.
    ///
    /// # Errors
    /// When it may be one, but which is not certain.
    pub fn current(&self, handler: Handler, threading: Threading) -> Result<Current, Refusal> {
        if handler.is_event() {
            return self.of_event(handler);
        }
        let found = if !self.serves(handler.task.tgid) {
            self.inherited(handler).unwrap_or(Current::None)
        } else if handler.is_task() {
            self.of_fiber(handler)?
        } else {
            self.of_thread(handler, threading)?
        };
        match found {
            Current::Handling(node, ..) if self.doubted.contains(&node) => Err(Refusal::Ambiguous),
            found => Ok(found),
        }
    }

    fn of_thread(&self, handler: Handler, threading: Threading) -> Result<Current, Refusal> {
        match threading {
            Threading::Migrating | Threading::Goroutines => Err(Refusal::Migrating),
            Threading::Unknown => Err(Refusal::UnknownRuntime),
            Threading::Bound | Threading::OneByOne => match self.only(handler)? {
                Some((node, id)) => Ok(Current::Handling(node, id, Evidence::Thread)),
                None if !handler.is_virtual() && self.thread_made_for(handler).is_some() => {
                    Ok(Current::Later)
                }
                // Requests are known by their events, and this is none of them.
                None if self.has_events(handler.task.tgid) => Err(Refusal::Unrelated),
                // It was most likely made for one of them.
                None if handler.is_virtual() => self.made_for_one(handler),
                None => Ok(Current::None),
            },
        }
    }

    /// The request that the virtual thread `handler` was made for.
    fn made_for_one(&self, handler: Handler) -> Result<Current, Refusal> {
        if self
            .fibers
            .made_by(handler.task.tgid, handler.fiber)
            .is_none()
        {
            return Err(Refusal::Unrelated);
        }
        // By whom is known; that one may still have to prove that it was there.
        Ok(self.inherited(handler).unwrap_or(Current::Later))
    }

    fn has_events(&self, tgid: u32) -> bool {
        let open = self.processes.get(&tgid);
        open.is_some_and(Open::has_events)
    }

    /// A request is open in this process.
    fn serves(&self, tgid: u32) -> bool {
        let open = self.processes.get(&tgid);
        open.is_some_and(|open| !open.is_empty())
    }

    fn of_event(&self, handler: Handler) -> Result<Current, Refusal> {
        match self.purpose(handler) {
            Some(Purpose::Request(node, id)) => Ok(Current::Handling(node, id, Evidence::Task)),
            // Somebody else may have waited in a queue, be it what another request left to be done
            // behind its answer.
            Some(Purpose::Answer(node, id)) => Ok(Current::Perhaps(node, id)),
            Some(Purpose::Call(..) | Purpose::Several) => Err(Refusal::Ambiguous),
            None if self.serves(handler.task.tgid) => Ok(Current::Later),
            None => Ok(Current::None),
        }
    }

    fn of_fiber(&self, handler: Handler) -> Result<Current, Refusal> {
        match self.only(handler)? {
            Some((node, id)) => Ok(Current::Handling(node, id, Evidence::Task)),
            None => Ok(self.inherited(handler).unwrap_or(Current::Later)),
        }
    }

    /// The one request that `handler` has read.
    fn only(&self, handler: Handler) -> Result<Option<(NodeId, SpanId)>, Refusal> {
        let Some(work) = self.units.get(&handler.unit()) else {
            return Ok(None);
        };
        let alone = self.processes.get(&handler.task.tgid).map(Open::len) == Some(1);
        match work.open.as_slice() {
            [] => Ok(None),
            [(node, _)] if self.is_vague(handler.unit(), *node) => Err(Refusal::Ambiguous),
            [only] if !work.event_loop || alone => Ok(Some(*only)),
            _ => Err(Refusal::Ambiguous),
        }
    }

    /// A thread, or a task that serves several, does not say what it does for a request that lasts.
    fn is_vague(&self, unit: Unit, node: NodeId) -> bool {
        let shared = self.units.get(&unit).is_some_and(|work| work.event_loop);
        self.lasting.contains(&node) && (shared || unit.is_thread())
    }

    /// The request that the maker of this task was handling when it made it.
    fn inherited(&self, handler: Handler) -> Option<Current> {
        if !handler.is_task() && !handler.is_virtual() {
            return None;
        }
        let made = self.fibers.made_by(handler.task.tgid, handler.fiber)?;
        made.request
            .map(|(node, id)| Current::Handling(node, id, Evidence::Task))
    }
}

#[cfg(test)]
#[path = "handlers_tests.rs"]
mod tests;
