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
}

/// One life of an identity: it is reused as soon as a task is gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Life(u64, Nanos);

/// A task and those above it at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage(Box<[(Life, Option<Made>)]>);

impl Lineage {
    /// Does the task work for the request `id`, which ran from `start` to `end` and was read or
    /// answered by one of `by`? It is one of them, or one of them made it within that time, or
    /// made who made it.
    #[must_use]
    pub fn works_for(&self, id: SpanId, by: [Life; 2], (start, end): (Nanos, Nanos)) -> bool {
        for (life, made) in &self.0 {
            if by.contains(life) {
                return true;
            }
            match made {
                None => return false,
                Some(Made {
                    request: Some((_, request)),
                    ..
                }) => return *request == id,
                Some(made) if made.at < start || made.at > end => return false,
                Some(_) => {}
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

    /// Which life of `fiber` this is: when it was made, 0 when that was not seen.
    #[must_use]
    pub fn life(&self, tgid: u32, fiber: u64) -> Life {
        let made = self.made_by(tgid, fiber);
        Life(fiber, made.map_or(0, |made| made.at))
    }

    /// Who made `fiber`, and who made those, as things are now: any of them may be gone, and its
    /// identity another's, when the question comes.
    #[must_use]
    pub fn lineage(&self, tgid: u32, fiber: u64) -> Lineage {
        let mut steps = Vec::new();
        let (mut next, mut before) = (fiber, Nanos::MAX);
        while next != 0 && steps.len() < DEPTH {
            let made = self.made_by(tgid, next);
            // It was made after what it is said to have made: somebody else by now.
            if made.is_some_and(|made| made.at > before) {
                break;
            }
            steps.push((self.life(tgid, next), made));
            next = 0;
            if let Some(made) = made.filter(|made| made.request.is_none()) {
                (next, before) = (made.maker, made.at);
            }
        }
        Lineage(steps.into())
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
        }
    }

    /// Task 10 made 11 at 5, which made 12 at 6. Does `fiber` work for a request of that time?
    fn check(fiber: u64, by: u64, time: (Nanos, Nanos), expected: bool) {
        let mut fibers = Fibers::default();
        fibers.insert(1, 11, made(10, 5));
        fibers.insert(1, 12, made(11, 6));
        let by = [fibers.life(1, by), Life::default()];
        let found = fibers.lineage(1, fiber).works_for(REQUEST, by, time);
        assert_eq!(found, expected, "{fiber} by {by:?} in {time:?}");
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
        let by = [Life(10, 0), Life(99, 0)];
        fibers.insert(1, 11, request(other));
        assert!(!fibers.lineage(1, 11).works_for(REQUEST, by, (0, 9)));
        fibers.insert(1, 11, request(Some((NodeId(1), REQUEST))));
        assert!(fibers.lineage(1, 11).works_for(REQUEST, by, (7, 9)));
    }

    #[test]
    fn circles_end() {
        let mut fibers = Fibers::default();
        fibers.insert(1, 1, made(2, 5));
        fibers.insert(1, 2, made(1, 5));
        let by = [Life(3, 0), Life::default()];
        assert!(!fibers.lineage(1, 1).works_for(REQUEST, by, (0, 9)));
    }

    /// A task makes another and is gone; its identity is that of a request's task when the other
    /// calls.
    #[test]
    fn a_maker_is_older_than_what_it_made() {
        let mut fibers = Fibers::default();
        fibers.insert(1, 11, made(10, 5));
        fibers.insert(1, 10, made(9, 6));
        let ten = [fibers.life(1, 10), Life::default()];
        assert!(!fibers.lineage(1, 11).works_for(REQUEST, ten, (0, 9)));
    }

    /// A task calls and is gone; its identity is given to one that the request's task makes.
    #[test]
    fn a_lineage_is_that_of_its_moment() {
        let mut fibers = Fibers::default();
        fibers.insert(1, 11, made(10, 5));
        let lineage = fibers.lineage(1, 11);
        fibers.insert(1, 11, made(20, 7));
        let twenty = [fibers.life(1, 20), Life::default()];
        assert!(!lineage.works_for(REQUEST, twenty, (0, 9)));
        // Nor is it the writer, who has the identity by then.
        let eleven = [fibers.life(1, 11), Life::default()];
        assert!(!lineage.works_for(REQUEST, eleven, (6, 9)));
        assert!(fibers.lineage(1, 11).works_for(REQUEST, eleven, (6, 9)));
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
