//! Calls of libraries that ask databases: their beginnings meet their ends.
//!
//! In: records of both. Out: requests and answers. A task makes one call at a time, and calls within calls
//! are deeper in its stack; so an end at the depth of a beginning is its end, and what is open at that depth or
//! deeper when another call begins there has ended unseen (a panic, a record that was lost).

use super::{driver, function, operation};
use crate::protocol::exchange::{Answer, Carried, Moment, Outcome, Request, Role};
use crate::record::{Called, ConnId, Function, Nanos, Returned, Task};
use foldhash::HashMap;

/// Most tasks with open calls; calls of others are not followed.
const TASKS: usize = 16_384;
/// Most calls within each other.
const DEPTH: usize = 8;
/// Type of an error whose name is not known.
const OTHER: &str = "_OTHER";

/// A call that is open.
#[derive(Clone, Copy, Debug)]
struct Open {
    call: ConnId,
    depth: u64,
    function: Function,
    fiber: u64,
    cut: bool,
}

/// What happened, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that were not followed because too many were open.
    pub unfollowed: u64,
    /// Calls whose end was not seen.
    pub unended: u64,
}

impl Counts {
    /// Those that happened, by their causes.
    pub fn causes(self) -> impl Iterator<Item = (&'static str, u64)> {
        let all = [
            ("call_unfollowed", self.unfollowed),
            ("call_unended", self.unended),
        ];
        all.into_iter().filter(|(_, count)| *count > 0)
    }
}

/// All open calls, by process and task.
#[derive(Default)]
pub struct Calls {
    open: HashMap<(u32, u64), Vec<Open>>,
    /// What happened.
    pub counts: Counts,
}

/// An answer, and the call that it is to.
pub type Answered = (ConnId, Box<Answer>);

impl Calls {
    /// Tasks with open calls.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// No call is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// A call begins; answers its request, unless it is not followed, and what is over by that.
    pub fn called(
        &mut self,
        at: Nanos,
        task: Task,
        called: &Called<'_>,
    ) -> (Option<Box<Request>>, Vec<Answered>) {
        let key = (task.tgid, called.by);
        let known = self.open.contains_key(&key);
        let mut over = Vec::new();
        if known {
            over = self.deeper(key, called.depth.saturating_sub(1), (at, task));
        }
        let room = self.open.len() < TASKS || known;
        let calls = self.open.entry(key).or_default();
        if !room || calls.len() >= DEPTH {
            if calls.is_empty() {
                self.open.remove(&key);
            }
            self.counts.unfollowed += 1;
            return (None, over);
        }
        calls.push(Open {
            call: called.call,
            depth: called.depth,
            function: called.function,
            fiber: called.fiber,
            cut: called.cut,
        });
        (Some(Box::new(request(at, task, called))), over)
    }

    /// A call is over: its answer, and those to calls that have ended unseen.
    pub fn returned(&mut self, at: Nanos, task: Task, returned: &Returned) -> Vec<Answered> {
        let key = (task.tgid, returned.by);
        let mut over = self.deeper(key, returned.depth, (at, task));
        let Some(calls) = self.open.get_mut(&key) else {
            return over;
        };
        let ends = |open: &Open| match returned.within {
            Some(function) => open.depth < returned.depth && open.function == function,
            None => open.depth == returned.depth,
        };
        if let Some(open) = calls.pop_if(|open| ends(open)) {
            let outcome = match &returned.error {
                None => Outcome::Ok,
                Some(name) if name.is_empty() => failed(OTHER),
                Some(name) => failed(name),
            };
            over.push((open.call, answer(at, task, &open, outcome)));
        }
        if calls.is_empty() {
            self.open.remove(&key);
        }
        over
    }

    /// Records were lost, the end of any call among them.
    pub fn lost(&mut self, at: Nanos) -> Vec<Answered> {
        self.give_up(at, |_| true)
    }

    /// A process ended.
    pub fn exited(&mut self, at: Nanos, tgid: u32) -> Vec<Answered> {
        self.give_up(at, |process| process == tgid)
    }

    fn give_up(&mut self, at: Nanos, of: impl Fn(u32) -> bool) -> Vec<Answered> {
        let mut over = Vec::new();
        for ((tgid, _), calls) in self.open.extract_if(|(tgid, _), _| of(*tgid)) {
            let task = Task { tgid, tid: 0 };
            let calls = calls.iter();
            over.extend(calls.map(|open| (open.call, answer(at, task, open, Outcome::Unknown))));
        }
        self.counts.unended += over.len() as u64;
        over
    }

    /// Calls of the task that began deeper than `depth` are over.
    fn deeper(&mut self, key: (u32, u64), depth: u64, (at, task): (Nanos, Task)) -> Vec<Answered> {
        let Some(calls) = self.open.get_mut(&key) else {
            return Vec::new();
        };
        let over: Vec<Answered> = calls
            .extract_if(.., |open| open.depth > depth)
            .map(|open| (open.call, answer(at, task, &open, Outcome::Unknown)))
            .collect();
        self.counts.unended += over.len() as u64;
        over
    }
}

fn request(at: Nanos, task: Task, called: &Called<'_>) -> Request {
    let system = driver::of_go(called.driver.as_deref().unwrap_or_default());
    let operation = match called.function {
        Function::Query | Function::Exec | Function::Prepared => {
            operation(called.statement, called.cut, system)
        }
        Function::Begin => function("BEGIN", system),
        Function::Commit => function("COMMIT", system),
        Function::Rollback => function("ROLLBACK", system),
    };
    Request {
        number: 0,
        role: Role::Client,
        stream: None,
        start: moment(at, task, called.fiber),
        operation,
        carried: Carried::default(),
    }
}

fn answer(at: Nanos, task: Task, open: &Open, outcome: Outcome) -> Box<Answer> {
    let end = moment(at, task, open.fiber);
    Box::new(Answer {
        number: 0,
        first: Some(end),
        end,
        outcome,
        attributes: Vec::new(),
        cut: open.cut,
    })
}

fn failed(kind: &str) -> Outcome {
    Outcome::ClientError {
        kind: kind.to_owned(),
    }
}

const fn moment(at: Nanos, task: Task, fiber: u64) -> Moment {
    Moment {
        at,
        task,
        fiber,
        offset: 0,
    }
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
