//! Which task of a runtime made which: goroutines, coroutines, greenlets.
//!
//! Identities are reused as soon as a task is gone; making it anew overwrites what was known. So a
//! call that may wait takes its [`Lineage`] along: who made its task, and who made that one, each
//! by its identity and the time since which it means this task. The table is bounded by two
//! generations: what was neither made nor asked for while a whole generation came is forgotten.

use super::assembly::NodeId;
use crate::record::Nanos;
use crate::span::SpanId;
use agent_common::runtime::WHILE_OPEN;
use foldhash::HashMap;

/// Tasks of one generation: as many as a table of 32,768 places takes before it grows.
const GENERATION: usize = 28_672;
/// Most makers that are followed upwards.
const DEPTH: usize = 16;

/// How a task came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The task that made it.
    pub maker: u64,
    /// Since when that one had its identity.
    pub maker_born: Nanos,
    /// When, or when it began to work for `maker`.
    pub at: Nanos,
    /// The request that its maker was handling at that moment, if that was certain.
    pub request: Option<(NodeId, SpanId)>,
    /// Since when this identity means this task; 0 when it was there before.
    pub born: Nanos,
}

/// A task among those that once had its identity.
pub type Incarnation = (u64, Nanos);

/// A task, who made it, who made that one, and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage(Vec<(Incarnation, Option<Made>)>);

impl Lineage {
    /// The task itself.
    #[must_use]
    pub fn task(&self) -> Option<Incarnation> {
        self.0.first().map(|(task, _)| *task)
    }

    /// The task at `at`, its maker when it made it, and so on.
    pub fn moments(&self, at: Nanos) -> impl Iterator<Item = (Incarnation, Nanos)> + '_ {
        let made = self
            .0
            .iter()
            .map(|(_, made)| made.map_or(0, |made| made.at));
        let times = std::iter::once(at).chain(made);
        self.0.iter().map(|(task, _)| *task).zip(times)
    }

    /// Does the task work for the request `id`, which ran from `start` to `end` and was read or
    /// answered by one of `by`? It is one of them, or one of them made it within that time, or
    /// made who made it.
    #[must_use]
    pub fn works_for(
        &self,
        id: SpanId,
        by: [Incarnation; 2],
        (start, end): (Nanos, Nanos),
    ) -> bool {
        for (task, made) in &self.0 {
            if by.contains(task) {
                return true;
            }
            let Some(made) = made else {
                return false;
            };
            if let Some((_, request)) = made.request {
                return request == id;
            }
            if made.at < start || made.at > end {
                return false;
            }
        }
        false
    }
}

/// Tasks by process and identity.
#[derive(Default)]
pub struct Fibers {
    young: HashMap<(u32, u64), Made>,
    old: HashMap<(u32, u64), Made>,
}

impl Fibers {
    /// Task `fiber` of process `tgid` came to be.
    pub fn insert(&mut self, tgid: u32, fiber: u64, made: Made) {
        let fiber = fiber & !WHILE_OPEN;
        if self.young.len() >= GENERATION {
            // The memory of the one before is used again.
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        self.young.insert((tgid, fiber), made);
    }

    /// How `fiber` came to be, if that was seen.
    #[must_use]
    pub fn made_by(&self, tgid: u32, fiber: u64) -> Option<Made> {
        let key = (tgid, fiber & !WHILE_OPEN);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    /// Since when `fiber` means the task that it means now.
    #[must_use]
    pub fn born(&self, tgid: u32, fiber: u64) -> Nanos {
        self.made_by(tgid, fiber).map_or(0, |made| made.born)
    }

    /// `fiber` and who made it, as far as they are known and the same as at `at`.
    #[must_use]
    pub fn lineage(&self, tgid: u32, fiber: u64, at: Nanos) -> Lineage {
        let mut tasks = Vec::new();
        let mut task = (fiber, self.born(tgid, fiber));
        // It was made when its work was done already: another one had its identity before.
        if task.1 > at {
            return Lineage::default();
        }
        while task.0 != 0 && tasks.len() < DEPTH {
            let made = self.made_by(tgid, task.0);
            let made = made.filter(|made| made.born == task.1);
            tasks.push((task, made));
            let Some(made) = made else {
                break;
            };
            task = (made.maker, made.maker_born);
        }
        Lineage(tasks)
    }

    /// `fiber`, which is there already, works for `request` or for what `maker` does.
    pub fn works(
        &mut self,
        tgid: u32,
        fiber: u64,
        maker: u64,
        request: Option<(NodeId, SpanId)>,
        at: Nanos,
    ) {
        let born = self.born(tgid, fiber);
        let made = Made {
            maker,
            maker_born: self.born(tgid, maker),
            at,
            request,
            born,
        };
        self.insert(tgid, fiber, made);
    }

    /// A process ended.
    pub fn exited(&mut self, tgid: u32) {
        self.young.retain(|(process, _), _| *process != tgid);
        self.old.retain(|(process, _), _| *process != tgid);
    }

    /// Tasks that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// None is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: SpanId = SpanId([1; 8]);

    fn made(maker: u64, at: Nanos) -> Made {
        Made {
            maker,
            maker_born: 0,
            at,
            request: None,
            born: at,
        }
    }

    /// Task 11, made at 5, made another at 6.
    fn second() -> Made {
        Made {
            maker_born: 5,
            ..made(11, 6)
        }
    }

    /// Task 10 made 11 at 5, which made 12 at 6. Does `fiber` work at 7 for a request of that
    /// time?
    fn check(fiber: u64, by: Incarnation, time: (Nanos, Nanos), expected: bool) {
        let mut fibers = Fibers::default();
        fibers.insert(1, 11, made(10, 5));
        fibers.insert(1, 12, second());
        let found = fibers.lineage(1, fiber, 7);
        let found = found.works_for(REQUEST, [by, (0, 0)], time);
        assert_eq!(found, expected, "{fiber} by {by:?} in {time:?}");
    }

    #[test]
    fn a_task_works_for_its_makers_request() {
        check(10, (10, 0), (0, 9), true);
        check(11, (10, 0), (0, 9), true);
        check(12, (10, 0), (0, 9), true);
        check(12, (11, 5), (6, 9), true);
        check(13, (10, 0), (0, 9), false);
        check(0, (0, 0), (0, 9), false);
    }

    #[test]
    fn a_task_made_for_an_earlier_request_does_not() {
        check(11, (10, 0), (6, 9), false);
        check(12, (10, 0), (6, 9), false);
        check(11, (10, 0), (0, 4), false);
    }

    #[test]
    fn nor_does_one_whose_identity_came_to_another() {
        check(12, (11, 8), (0, 9), false);
        let mut fibers = Fibers::default();
        fibers.insert(1, 11, made(10, 5));
        let call = fibers.lineage(1, 11, 6);
        fibers.insert(1, 11, made(20, 7));
        let by = |fiber| [(fiber, fibers.born(1, fiber)), (0, 0)];
        assert!(call.works_for(REQUEST, by(10), (0, 9)));
        assert!(!call.works_for(REQUEST, by(11), (0, 9)));
        assert!(!call.works_for(REQUEST, by(20), (0, 9)));
        // The record of a call that came late.
        assert_eq!(fibers.lineage(1, 11, 6), Lineage::default());
    }

    #[test]
    fn a_maker_is_known_when_it_is_gone() {
        let mut fibers = Fibers::default();
        fibers.insert(1, 11, made(10, 5));
        fibers.insert(1, 12, second());
        fibers.insert(1, 11, made(20, 7));
        let lineage = fibers.lineage(1, 12, 9);
        let works = |by| lineage.works_for(REQUEST, [by, (0, 0)], (0, 9));
        assert!(works((11, 5)));
        assert!(!works((11, 7)) && !works((20, 0)));
    }

    #[test]
    fn what_the_maker_was_doing_decides() {
        let mut fibers = Fibers::default();
        let other = Some((NodeId(1), SpanId([2; 8])));
        let request = |request| Made {
            request,
            ..made(10, 5)
        };
        fibers.insert(1, 11, request(other));
        let of = |fibers: &Fibers| fibers.lineage(1, 11, 7);
        assert!(!of(&fibers).works_for(REQUEST, [(10, 0), (0, 0)], (0, 9)));
        fibers.insert(1, 11, request(Some((NodeId(1), REQUEST))));
        assert!(of(&fibers).works_for(REQUEST, [(99, 0), (0, 0)], (7, 9)));
    }

    #[test]
    fn work_that_is_taken_up_changes_nobodys_identity() {
        let mut fibers = Fibers::default();
        fibers.insert(1, 11, made(10, 5));
        fibers.works(1, 11, 20, None, 8);
        assert_eq!(fibers.born(1, 11), 5);
        let lineage = fibers.lineage(1, 11, 9);
        assert!(lineage.works_for(REQUEST, [(11, 5), (0, 0)], (0, 9)));
        assert!(lineage.works_for(REQUEST, [(20, 0), (0, 0)], (0, 9)));
    }

    #[test]
    fn circles_end() {
        let mut fibers = Fibers::default();
        fibers.insert(1, 1, made(2, 5));
        fibers.insert(1, 2, made(1, 5));
        let lineage = fibers.lineage(1, 1, 7);
        assert!(!lineage.works_for(REQUEST, [(3, 0), (0, 0)], (0, 9)));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut fibers = Fibers::default();
        for fiber in 0..10 * GENERATION as u64 {
            fibers.insert(1, fiber, made(0, 0));
        }
        assert!(fibers.len() <= 2 * GENERATION);
        fibers.exited(1);
        assert!(fibers.is_empty());
    }
}
