//! Requests that were answered, by the tasks that read or answered them: what such a task made
//! meanwhile works for the request, even when it calls others only afterwards.
//!
//! Bounded by two generations of tasks, and a few requests each.

use super::assembly::NodeId;
use super::fibers::{Incarnation, Lineage};
use crate::record::Nanos;
use crate::span::SpanId;
use foldhash::HashMap;
use std::collections::VecDeque;

/// Tasks of one generation: as many as a table of 8192 places takes before it grows.
const GENERATION: usize = 7168;
/// Requests of one task.
const REQUESTS: usize = 16;

/// A request and when it was open.
#[derive(Clone, Copy, Debug)]
struct Open {
    time: (Nanos, Nanos),
    request: (NodeId, SpanId),
}

type Tasks = HashMap<(u32, Incarnation), VecDeque<Open>>;

/// Answered requests.
#[derive(Default)]
pub struct Answered {
    young: Tasks,
    old: Tasks,
}

impl Answered {
    /// `request` was open from `time.0` to `time.1` in `task` of process `tgid`.
    pub fn insert(
        &mut self,
        tgid: u32,
        task: Incarnation,
        time: (Nanos, Nanos),
        request: (NodeId, SpanId),
    ) {
        let key = (tgid, task);
        if task.0 == 0 {
            return;
        }
        if self.young.len() >= GENERATION && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        let old = &mut self.old;
        let requests = self
            .young
            .entry(key)
            .or_insert_with(|| old.remove(&key).unwrap_or_default());
        if requests.len() >= REQUESTS {
            requests.pop_front();
        }
        requests.push_back(Open { time, request });
    }

    /// The request for which a task of this lineage works at `at`.
    #[must_use]
    pub fn find(&self, tgid: u32, lineage: &Lineage, at: Nanos) -> Option<(NodeId, SpanId)> {
        lineage.moments(at).find_map(|(task, at)| {
            let key = (tgid, task);
            let requests = self.young.get(&key).or_else(|| self.old.get(&key))?;
            let mut open = requests
                .iter()
                .filter(|open| (open.time.0..=open.time.1).contains(&at));
            match (open.next(), open.next()) {
                (Some(only), None) => Some(only.request),
                _ => None,
            }
        })
    }

    /// The one request that `task` ever answered, if it was made for it: while it was open, and
    /// not before its first byte was read.
    #[must_use]
    pub fn only(&self, tgid: u32, task: Incarnation) -> Option<(NodeId, SpanId)> {
        let key = (tgid, task);
        let requests = self.young.get(&key).or_else(|| self.old.get(&key))?;
        let mut requests = requests.iter();
        match (requests.next(), requests.next()) {
            (Some(only), None) if (only.time.0..=only.time.1).contains(&task.1) => {
                Some(only.request)
            }
            _ => None,
        }
    }

    /// A process ended.
    pub fn exited(&mut self, tgid: u32) {
        self.young.retain(|(process, _), _| *process != tgid);
        self.old.retain(|(process, _), _| *process != tgid);
    }
}

#[cfg(test)]
mod tests {
    use super::super::fibers::{Fibers, Made};
    use super::*;

    fn request(number: u8) -> (NodeId, SpanId) {
        (NodeId(number.into()), SpanId([number; 8]))
    }

    /// Task 10 answered request 1 from 2 to 5, request 2 from 6 to 9, and 3 from 8 to 9; task 11
    /// was made by 10 at `made`. For what does it work at 20?
    fn check(made: Nanos, expected: Option<u8>) {
        let mut answered = Answered::default();
        for (number, time) in [(1, (2, 5)), (2, (6, 9)), (3, (8, 9))] {
            answered.insert(1, (10, 0), time, request(number));
        }
        let mut fibers = Fibers::default();
        let birth = Made {
            maker: 10,
            maker_born: 0,
            at: made,
            request: None,
            born: made,
        };
        fibers.insert(1, 11, birth);
        let found = answered.find(1, &fibers.lineage(1, 11, 20), 20);
        assert_eq!(found, expected.map(request), "made at {made}");
        assert_eq!(answered.find(2, &fibers.lineage(1, 11, 20), 20), None);
        answered.exited(1);
        assert_eq!(answered.find(1, &fibers.lineage(1, 11, 20), 20), None);
    }

    #[test]
    fn a_task_works_for_what_its_maker_was_doing() {
        check(3, Some(1));
        check(7, Some(2));
        check(1, None);
        check(10, None);
    }

    #[test]
    fn of_two_at_once_it_is_neither() {
        check(8, None);
    }

    /// A task that was born at `born` answered each of these requests. For which does it go on to
    /// work?
    fn check_only(born: Nanos, times: &[(Nanos, Nanos)], expected: Option<u8>) {
        let mut answered = Answered::default();
        for (number, time) in (1..).zip(times) {
            answered.insert(1, (10, born), *time, request(number));
        }
        let found = answered.only(1, (10, born));
        assert_eq!(found, expected.map(request), "born at {born}, {times:?}");
        assert_eq!(answered.only(1, (10, born + 1)), None);
    }

    #[test]
    fn a_task_that_was_made_for_one_request_goes_on_with_it() {
        check_only(3, &[(2, 5)], Some(1));
        check_only(1, &[(2, 5)], None);
        check_only(6, &[(2, 5)], None);
        check_only(3, &[(2, 5), (6, 9)], None);
        check_only(3, &[], None);
    }

    #[test]
    fn another_incarnation_answered_something_else() {
        let mut answered = Answered::default();
        answered.insert(1, (10, 4), (2, 9), request(1));
        let fibers = Fibers::default();
        assert_eq!(answered.find(1, &fibers.lineage(1, 10, 5), 5), None);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut answered = Answered::default();
        for task in 1..10 * GENERATION as u64 {
            answered.insert(1, (task, 0), (0, 1), request(1));
        }
        for _ in 0..10 * REQUESTS {
            answered.insert(1, (7, 0), (0, 1), request(1));
        }
        assert!(answered.young.len() + answered.old.len() <= 2 * GENERATION);
        let longest = answered.young.values().map(VecDeque::len).max();
        assert!(longest.is_some_and(|len| len <= REQUESTS));
    }
}
