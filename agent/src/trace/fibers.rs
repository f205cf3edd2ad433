//! Which task of a runtime made which: goroutines, coroutines, greenlets.
//!
//! Identities are reused as soon as a task is gone; making it anew overwrites what was known. The
//! table is bounded by two generations: what was neither made nor asked for while a whole
//! generation came is forgotten.

use super::assembly::NodeId;
use crate::record::Nanos;
use crate::span::SpanId;
use foldhash::HashMap;

/// Tasks of one generation.
const GENERATION: usize = 32_768;
/// Most makers that are followed upwards.
const DEPTH: usize = 16;

/// How a task came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The task that made it.
    pub maker: u64,
    /// When.
    pub at: Nanos,
    /// The request that its maker was handling at that moment, if that was certain.
    pub request: Option<(NodeId, SpanId)>,
    /// It may as well work for another request that is open.
    pub unsure: bool,
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
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((tgid, fiber), made);
    }

    /// How `fiber` came to be, if that was seen.
    #[must_use]
    pub fn made_by(&self, tgid: u32, fiber: u64) -> Option<Made> {
        let key = (tgid, fiber);
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    /// Does `fiber` work for the request `id`, which ran from `start` to `end` and was read or
    /// answered by one of `by`? It is one of them, or one of them made it within that time, or
    /// made who made it.
    #[must_use]
    pub fn works_for(
        &self,
        tgid: u32,
        fiber: u64,
        id: SpanId,
        by: [u64; 2],
        (start, end): (Nanos, Nanos),
    ) -> bool {
        let mut fiber = fiber;
        for _ in 0..DEPTH {
            if fiber == 0 {
                return false;
            }
            if by.contains(&fiber) {
                return true;
            }
            let Some(made) = self.made_by(tgid, fiber) else {
                return false;
            };
            if made.unsure {
                return false;
            }
            if let Some((_, request)) = made.request {
                return request == id;
            }
            if made.at < start || made.at > end {
                return false;
            }
            fiber = made.maker;
        }
        false
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
            at,
            request: None,
            unsure: false,
        }
    }

    /// Task 10 made 11 at 5, which made 12 at 6. Does `fiber` work for a request of that time?
    fn check(fiber: u64, by: u64, time: (Nanos, Nanos), expected: bool) {
        let mut fibers = Fibers::default();
        fibers.insert(1, 11, made(10, 5));
        fibers.insert(1, 12, made(11, 6));
        let found = fibers.works_for(1, fiber, REQUEST, [by, 0], time);
        assert_eq!(found, expected, "{fiber} by {by} in {time:?}");
    }

    #[test]
    fn a_task_works_for_its_makers_request() {
        check(10, 10, (0, 9), true);
        check(11, 10, (0, 9), true);
        check(12, 10, (0, 9), true);
        check(12, 11, (6, 9), true);
        check(13, 10, (0, 9), false);
        check(0, 0, (0, 9), false);
    }

    #[test]
    fn a_task_made_for_an_earlier_request_does_not() {
        check(11, 10, (6, 9), false);
        check(12, 10, (6, 9), false);
        check(11, 10, (0, 4), false);
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
        assert!(!fibers.works_for(1, 11, REQUEST, [10, 0], (0, 9)));
        fibers.insert(1, 11, request(Some((NodeId(1), REQUEST))));
        assert!(fibers.works_for(1, 11, REQUEST, [99, 0], (7, 9)));
    }

    #[test]
    fn circles_end() {
        let mut fibers = Fibers::default();
        fibers.insert(1, 1, made(2, 5));
        fibers.insert(1, 2, made(1, 5));
        assert!(!fibers.works_for(1, 1, REQUEST, [3, 0], (0, 9)));
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
