//! Who made an object of a heap in which each thread allocates in a part of its own.
//!
//! In: reports that a thread allocates in a part from now on, and what it was handling then. Out:
//! for the place of an object, the request that it was made for. A thread reports whenever it has
//! read or written bytes of a request, and whenever it goes to another part: so between two of its
//! reports it handles nothing else. A report replaces what was known of the places behind its first
//! one: collections of garbage hand them out anew, but then they are counted differently.
//!
//! A thread that carries virtual ones reports whenever one of those has moved bytes, and whenever one
//! begins to wait. From its report until the next a virtual thread may have ended, and another may
//! have begun unseen, and have made objects there. Not if the next report is its own; nor if it is
//! there later on: then it has not ended, so that the next that happened was that it waited.
//!
//! Bounded by two generations; an object whose report came before both has no maker.

use super::assembly::NodeId;
use crate::record::{Nanos, Task};
use crate::span::SpanId;
use foldhash::HashSet;
use std::collections::BTreeMap;

/// Reports of one generation.
const GENERATION: usize = 16_384;
/// Most threads of which it is known that others wait for what they read.
const WORKERS: usize = 16_384;

/// A part of a heap that is one thread's.
#[derive(Clone, Copy, Debug)]
struct Part {
    thread: Task,
    to: u64,
    request: Option<(NodeId, SpanId)>,
    /// The virtual thread that reported, and when.
    carried: Option<(u64, Nanos)>,
}

/// Who made an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Who worked for this request.
    Of((NodeId, SpanId)),
    /// This virtual thread, which handles a request since then, if it is still there now.
    Perhaps(u64, Nanos),
}

/// Parts by process and first place.
type Parts = BTreeMap<(u32, u64), Part>;

/// What was reported of heaps.
#[derive(Default)]
pub struct Objects {
    young: Parts,
    old: Parts,
    workers: HashSet<Task>,
    /// Processes that report when virtual threads begin to wait: seen, since it takes a probe.
    yielding: HashSet<u32>,
}

impl Objects {
    /// Who allocates in `part` from now on is `thread`, for `request`. One that is no `worker` may
    /// be a loop, which does what others wait for meanwhile.
    pub fn insert(
        &mut self,
        thread: Task,
        (from, to): (u64, u64),
        worker: bool,
        request: Option<(NodeId, SpanId)>,
    ) {
        if worker {
            if self.workers.len() >= WORKERS && !self.workers.contains(&thread) {
                self.workers.clear();
            }
            self.workers.insert(thread);
        }
        let part = Part {
            thread,
            to,
            request,
            carried: None,
        };
        self.push(from, part);
    }

    /// `thread` allocates in `part` from `carried.1` on, for the virtual thread `carried.0`, which works
    /// for `request`.
    pub fn carries(
        &mut self,
        thread: Task,
        (from, to): (u64, u64),
        carried: (u64, Nanos),
        request: Option<(NodeId, SpanId)>,
    ) {
        let known = self.yielding.contains(&thread.tgid);
        let part = Part {
            thread,
            to,
            request: request.filter(|_| known),
            carried: Some(carried),
        };
        self.push(from, part);
    }

    /// What `thread` carried waits from now on.
    pub fn yielded(&mut self, thread: Task, part: (u64, u64)) {
        if self.yielding.len() >= WORKERS {
            self.yielding.clear();
        }
        self.yielding.insert(thread.tgid);
        self.insert(thread, part, false, None);
    }

    fn push(&mut self, from: u64, part: Part) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert((part.thread.tgid, from), part);
    }

    /// The last report of a part before `place`.
    fn part_of(&self, tgid: u32, place: u64) -> Option<(u64, Part)> {
        let before = |parts: &Parts| {
            let found = parts.range((tgid, 0)..=(tgid, place)).next_back();
            found.map(|((_, from), part)| (*from, *part))
        };
        // Of equal ones the later: the younger.
        let found = [before(&self.old), before(&self.young)];
        let found = found.into_iter().flatten().max_by_key(|(from, _)| *from);
        found.filter(|(_, part)| place < part.to)
    }

    /// The first report of the buffer of `part`, which begins at `from`, that came behind.
    fn part_behind(&self, tgid: u32, from: u64, part: &Part) -> Option<Part> {
        let after = |parts: &Parts| {
            let found = parts.range((tgid, from + 1)..(tgid, part.to)).next();
            found.map(|((_, from), part)| (*from, *part))
        };
        // As above.
        let found = [after(&self.young), after(&self.old)];
        let found = found.into_iter().flatten().min_by_key(|(from, _)| *from);
        found.map(|(_, part)| part)
    }

    /// Who made the object at `place` of process `tgid`, if that was a virtual thread.
    #[must_use]
    pub fn maker(&self, tgid: u32, place: u64) -> Option<Maker> {
        let (from, part) = self.part_of(tgid, place)?;
        let (request, (fiber, since)) = (part.request?, part.carried?);
        match self.part_behind(tgid, from, &part).map(|next| next.carried) {
            Some(Some((next, _))) if next == fiber => Some(Maker::Of(request)),
            // It ended somewhere in between.
            Some(Some(_)) => None,
            Some(None) | None => Some(Maker::Perhaps(fiber, since)),
        }
    }

    /// The request for which the object at `place` of process `tgid` was made, if that is known.
    #[must_use]
    pub fn made_for(&self, tgid: u32, place: u64) -> Option<(NodeId, SpanId)> {
        let (_, part) = self.part_of(tgid, place)?;
        // It may have been told since then: a thread does not become a loop, or cease to be one.
        let known = part.carried.is_none() && self.workers.contains(&part.thread);
        part.request.filter(|_| known)
    }

    /// A thread ended: its number may be another's.
    pub fn thread_ended(&mut self, thread: Task) {
        self.workers.remove(&thread);
    }

    /// A process ended.
    pub fn exited(&mut self, tgid: u32) {
        self.young.retain(|(process, _), _| *process != tgid);
        self.old.retain(|(process, _), _| *process != tgid);
        self.workers.retain(|thread| thread.tgid != tgid);
        self.yielding.remove(&tgid);
    }

    /// Records were lost: what was not reported may have changed everything.
    pub fn lost(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use agent_common::record::FIBER_VIRTUAL;

    const THREAD: Task = Task { tgid: 1, tid: 7 };
    const OTHER: Task = Task { tgid: 1, tid: 8 };

    fn request(number: u8) -> Option<(NodeId, SpanId)> {
        Some((NodeId(number.into()), SpanId([number; 8])))
    }

    /// What was made where, after these reports.
    fn check(objects: &Objects, made: &[(u64, Option<u8>)]) {
        for (place, expected) in made {
            let expected = expected.and_then(request);
            assert_eq!(objects.made_for(1, *place), expected, "{place}");
            assert_eq!(objects.made_for(2, *place), None, "{place}");
        }
    }

    #[test]
    fn an_object_is_of_the_last_report_before_it() {
        let mut objects = Objects::default();
        objects.insert(THREAD, (10, 20), true, request(1));
        objects.insert(OTHER, (20, 30), true, request(2));
        objects.insert(THREAD, (14, 20), true, None);
        objects.insert(THREAD, (16, 20), false, request(3));
        let made = [
            (9, None),
            (10, Some(1)),
            (13, Some(1)),
            (14, None),
            (16, Some(3)),
            (19, Some(3)),
            (20, Some(2)),
            (30, None),
        ];
        check(&objects, &made);
        objects.exited(1);
        check(&objects, &[(10, None), (20, None)]);
    }

    #[test]
    fn a_virtual_thread_that_is_there_afterwards_made_what_lies_between() {
        let mut objects = Objects::default();
        let fiber = |number, at| (FIBER_VIRTUAL | number, at);
        objects.carries(THREAD, (10, 90), fiber(1, 1), request(1));
        assert_eq!(objects.maker(1, 10), None, "nobody was seen to yield");
        objects.yielded(THREAD, (20, 90));
        objects.carries(THREAD, (30, 90), fiber(2, 3), request(2));
        objects.carries(THREAD, (40, 90), fiber(2, 4), request(2));
        objects.carries(THREAD, (50, 90), fiber(3, 5), request(3));
        objects.yielded(THREAD, (60, 90));
        objects.carries(THREAD, (70, 90), fiber(4, 7), None);
        objects.carries(OTHER, (90, 95), fiber(5, 8), request(5));
        let certain = |number| request(number).map(Maker::Of);
        let perhaps = |number, at| Some(Maker::Perhaps(FIBER_VIRTUAL | number, at));
        for (place, expected) in [
            (10, None),
            (20, None),
            (30, certain(2)),
            (39, certain(2)),
            // The second has ended, the third has begun.
            (40, None),
            (50, perhaps(3, 5)),
            (60, None),
            (70, None),
            (90, perhaps(5, 8)),
            (95, None),
        ] {
            assert_eq!(objects.maker(1, place), expected, "{place}");
            assert_eq!(objects.made_for(1, place), None, "{place}");
            assert_eq!(objects.maker(2, place), None, "{place}");
        }
        objects.lost();
        assert_eq!(objects.maker(1, 30), None);
    }

    /// Nothing was made between them.
    #[test]
    fn the_later_of_two_reports_counts() {
        let mut objects = Objects::default();
        objects.insert(THREAD, (10, 20), true, request(1));
        objects.insert(THREAD, (10, 20), true, request(2));
        check(&objects, &[(10, Some(2))]);
        objects.old = std::mem::take(&mut objects.young);
        objects.insert(THREAD, (10, 20), true, None);
        check(&objects, &[(10, None), (11, None)]);
    }

    #[test]
    fn a_thread_that_may_be_a_loop_is_not_believed() {
        let mut objects = Objects::default();
        objects.insert(THREAD, (10, 20), false, request(1));
        check(&objects, &[(10, None)]);
        objects.insert(THREAD, (12, 20), true, request(2));
        objects.insert(THREAD, (14, 20), false, request(3));
        check(&objects, &[(10, Some(1)), (12, Some(2)), (14, Some(3))]);
        objects.thread_ended(THREAD);
        objects.insert(THREAD, (16, 20), false, request(4));
        check(&objects, &[(10, None), (16, None)]);
    }

    #[test]
    fn after_a_loss_nothing_is_known() {
        let mut objects = Objects::default();
        objects.insert(THREAD, (10, 20), true, request(1));
        objects.lost();
        check(&objects, &[(10, None)]);
    }

    #[test]
    fn the_tables_are_bounded() {
        let mut objects = Objects::default();
        for number in 0..4 * GENERATION as u64 {
            let thread = Task {
                tgid: 1,
                tid: number as u32,
            };
            objects.insert(thread, (number, number + 1), true, None);
        }
        assert!(objects.young.len() + objects.old.len() <= 2 * GENERATION);
        assert!(objects.workers.len() <= WORKERS);
    }
}
