//! Joins by thread and by goroutine: which server request is being handled by whom.
//!
//! A thread that has read exactly one request and not answered it yet is handling it, and what
//! it asks of others belongs to it. A thread that was ever seen with several open requests runs
//! an event loop: then its work could belong to any of them, and it is believed only while its
//! whole process has a single request open. Runtimes that move tasks between threads are not
//! believed at all.

use super::assembly::NodeId;
use super::parent::Refusal;
use crate::record::Task;
use foldhash::{HashMap, HashSet};

/// Most threads that are remembered as event loops while they handle nothing: the end of a thread
/// is not reported, only that of its process.
const IDLE_LOOPS: usize = 16_384;

/// How a process maps requests to threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threading {
    /// A request stays on the thread that read it, or on its event loop.
    Bound,
    /// Tasks move between threads, but a goroutine is known by its `g`.
    Goroutines,
    /// Tasks move between threads unseen.
    Migrating,
    /// What runs in the process is not known yet.
    Unknown,
}

#[derive(Default)]
struct Thread {
    open: Vec<NodeId>,
    event_loop: bool,
}

/// Who is handling what.
#[derive(Default)]
pub struct Threads {
    threads: HashMap<Task, Thread>,
    goroutines: HashMap<(u32, u64), Vec<NodeId>>,
    /// Open server requests by process.
    processes: HashMap<u32, usize>,
    /// Open server requests of which it is not certain that they are still handled.
    doubted: HashSet<NodeId>,
}

/// Where a server request is being handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// Thread that read it.
    pub task: Task,
    /// Goroutine that read it, if it is Go.
    pub goroutine: u64,
}

impl Threads {
    /// `node` is a server request that `handler` has read.
    pub fn begin(&mut self, node: NodeId, handler: Handler) {
        if self.threads.len() >= 2 * IDLE_LOOPS && !self.threads.contains_key(&handler.task) {
            self.forget_idle();
        }
        let thread = self.threads.entry(handler.task).or_default();
        thread.open.push(node);
        thread.event_loop |= thread.open.len() > 1;
        self.goroutines
            .entry((handler.task.tgid, handler.goroutine))
            .or_default()
            .push(node);
        *self.processes.entry(handler.task.tgid).or_default() += 1;
    }

    /// `handler` moved bytes that cannot be told yet, because a record before them is late or
    /// lost: the answer to what it was handling, or its next request. What it asks of others from
    /// now on may belong to either.
    pub fn doubt(&mut self, handler: Handler) {
        let key = (handler.task.tgid, handler.goroutine);
        let on_thread = self
            .threads
            .get(&handler.task)
            .map(|thread| thread.open.as_slice());
        let on_goroutine = self.goroutines.get(&key).map(Vec::as_slice);
        for nodes in [on_thread, on_goroutine].into_iter().flatten() {
            self.doubted.extend(nodes);
        }
    }

    /// `node` is open, but its client has its answer.
    pub fn doubt_node(&mut self, node: NodeId) {
        self.doubted.insert(node);
    }

    /// `node` was answered.
    pub fn finish(&mut self, node: NodeId, handler: Handler) {
        self.doubted.remove(&node);
        if let Some(thread) = self.threads.get_mut(&handler.task) {
            thread.open.retain(|open| *open != node);
            if thread.open.is_empty() && !thread.event_loop {
                self.threads.remove(&handler.task);
            }
        }
        let key = (handler.task.tgid, handler.goroutine);
        if let Some(open) = self.goroutines.get_mut(&key) {
            open.retain(|other| *other != node);
            if open.is_empty() {
                self.goroutines.remove(&key);
            }
        }
        if let Some(count) = self.processes.get_mut(&handler.task.tgid) {
            *count -= 1;
            if *count == 0 {
                self.processes.remove(&handler.task.tgid);
            }
        }
    }

    /// A process ended.
    pub fn exited(&mut self, tgid: u32) {
        for (task, thread) in &self.threads {
            if task.tgid == tgid {
                thread.open.iter().for_each(|node| {
                    self.doubted.remove(node);
                });
            }
        }
        self.threads.retain(|task, _| task.tgid != tgid);
        self.goroutines.retain(|(process, _), _| *process != tgid);
        self.processes.remove(&tgid);
    }

    /// Too many threads: those that handle nothing are seen anew when they come back.
    fn forget_idle(&mut self) {
        let busy = self
            .threads
            .values()
            .filter(|thread| !thread.open.is_empty())
            .count();
        if self.threads.len() - busy >= IDLE_LOOPS {
            self.threads.retain(|_, thread| !thread.open.is_empty());
        }
    }

    /// Threads, goroutines and processes that are kept.
    #[must_use]
    pub fn sizes(&self) -> [usize; 3] {
        [
            self.threads.len(),
            self.goroutines.len(),
            self.processes.len(),
        ]
    }

    /// Nothing is kept.
    #[cfg(test)]
    pub fn is_clear(&self) -> bool {
        self.sizes() == [0; 3] && self.doubted.is_empty()
    }

    /// The server request that the caller in `handler` is working for; `None` when it works for
    /// none.
    ///
    /// # Errors
    /// When it may be one, but which is not certain.
    pub fn current(
        &self,
        handler: Handler,
        threading: Threading,
    ) -> Result<Option<NodeId>, Refusal> {
        match self.believed(handler, threading)? {
            Some(node) if self.doubted.contains(&node) => Err(Refusal::Ambiguous),
            found => Ok(found),
        }
    }

    fn believed(&self, handler: Handler, threading: Threading) -> Result<Option<NodeId>, Refusal> {
        let in_process = self.processes.get(&handler.task.tgid).copied().unwrap_or(0);
        if in_process == 0 {
            return Ok(None);
        }
        match threading {
            Threading::Goroutines => {
                match self
                    .goroutines
                    .get(&(handler.task.tgid, handler.goroutine))
                    .map(Vec::as_slice)
                {
                    Some([only]) => Ok(Some(*only)),
                    _ => Err(Refusal::Goroutine),
                }
            }
            Threading::Migrating => Err(Refusal::Migrating),
            Threading::Unknown => Err(Refusal::UnknownRuntime),
            Threading::Bound => match self.threads.get(&handler.task) {
                None => Ok(None),
                Some(thread) => match thread.open.as_slice() {
                    [] => Ok(None),
                    [only] if !thread.event_loop || in_process == 1 => Ok(Some(*only)),
                    _ => Err(Refusal::Ambiguous),
                },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handler(tid: u32) -> Handler {
        Handler {
            task: Task { tgid: 1, tid },
            goroutine: 100 + u64::from(tid),
        }
    }

    #[test]
    fn a_thread_handles_what_it_read() {
        let mut threads = Threads::default();
        threads.begin(NodeId(1), handler(1));
        threads.begin(NodeId(2), handler(2));
        let current = |threads: &Threads, tid| threads.current(handler(tid), Threading::Bound);
        assert_eq!(current(&threads, 1), Ok(Some(NodeId(1))));
        assert_eq!(current(&threads, 2), Ok(Some(NodeId(2))));
        assert_eq!(current(&threads, 3), Ok(None));
        threads.finish(NodeId(1), handler(1));
        assert_eq!(current(&threads, 1), Ok(None));
    }

    #[test]
    fn an_event_loop_is_believed_only_with_one_request() {
        let mut threads = Threads::default();
        threads.begin(NodeId(1), handler(1));
        threads.begin(NodeId(2), handler(1));
        let current = |threads: &Threads| threads.current(handler(1), Threading::Bound);
        assert_eq!(current(&threads), Err(Refusal::Ambiguous));
        threads.finish(NodeId(1), handler(1));
        assert_eq!(current(&threads), Ok(Some(NodeId(2))));
        threads.begin(NodeId(3), handler(2));
        assert_eq!(current(&threads), Err(Refusal::Ambiguous));
    }

    #[test]
    fn goroutines_are_told_apart_on_one_thread() {
        let mut threads = Threads::default();
        let on = |goroutine| Handler {
            task: Task { tgid: 1, tid: 1 },
            goroutine,
        };
        threads.begin(NodeId(1), on(10));
        threads.begin(NodeId(2), on(20));
        assert_eq!(
            threads.current(on(20), Threading::Goroutines),
            Ok(Some(NodeId(2)))
        );
        assert_eq!(
            threads.current(on(30), Threading::Goroutines),
            Err(Refusal::Goroutine)
        );
        assert_eq!(
            threads.current(on(10), Threading::Migrating),
            Err(Refusal::Migrating)
        );
    }

    #[test]
    fn what_is_doubted_is_nobodys_parent() {
        let mut threads = Threads::default();
        threads.begin(NodeId(1), handler(1));
        threads.begin(NodeId(2), handler(2));
        threads.doubt(handler(1));
        let current = |threads: &Threads, tid| threads.current(handler(tid), Threading::Bound);
        assert_eq!(current(&threads, 1), Err(Refusal::Ambiguous));
        assert_eq!(current(&threads, 2), Ok(Some(NodeId(2))));
        threads.finish(NodeId(1), handler(1));
        threads.begin(NodeId(1), handler(1));
        assert_eq!(current(&threads, 1), Ok(Some(NodeId(1))));
    }

    #[test]
    fn idle_event_loops_are_bounded() {
        let mut threads = Threads::default();
        for tid in 0..100_000 {
            threads.begin(NodeId(1), handler(tid));
            threads.begin(NodeId(2), handler(tid));
            threads.finish(NodeId(1), handler(tid));
            threads.finish(NodeId(2), handler(tid));
        }
        assert!(
            threads.threads.len() <= 2 * IDLE_LOOPS,
            "{}",
            threads.threads.len()
        );
    }

    #[test]
    fn nothing_stays_behind() {
        let mut threads = Threads::default();
        threads.begin(NodeId(1), handler(1));
        threads.finish(NodeId(1), handler(1));
        threads.begin(NodeId(2), handler(2));
        threads.exited(1);
        assert!(threads.threads.is_empty() && threads.goroutines.is_empty());
        assert!(threads.processes.is_empty() && threads.doubted.is_empty());
    }
}
