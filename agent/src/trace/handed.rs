//! Which task gave which waiting one something to do.
//!
//! A connection of tokio's hyper client is a task of its own: a request reaches it by a channel on
//! which it waits, and who sends it wakes it. It waits there before it is lent to anybody, and it is
//! lent to one at a time, so the one wake-up since its last request came from the asker. Several
//! by different tasks, or none, tell nothing. None, if its task was running and took the request before the asker,
//! which was stopped there, got to waking it: then the next wake-up may still be that one. Once a task was given anything, who made it does not
//! matter any more.

use foldhash::HashMap;

/// Tasks of one generation; as with [`super::fibers`] there are two.
const GENERATION: usize = 32_768;

/// Tasks by process and identity, with the one that woke them: 0 when that is not certain.
#[derive(Default)]
pub struct Handed {
    young: HashMap<(u32, u64), Waking>,
    old: HashMap<(u32, u64), Waking>,
}

#[derive(Clone, Copy)]
enum Waking {
    By(u64),
    /// By different ones.
    Several,
    /// What it was given is done.
    Spent,
    /// It did something before it was known who gave it that.
    Early,
}

impl Handed {
    /// Task `by` of process `tgid` woke `fiber`.
    pub fn push(&mut self, tgid: u32, fiber: u64, by: u64) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        let key = (tgid, fiber);
        let known = self.young.get(&key).or_else(|| self.old.get(&key));
        let next = match known.copied() {
            Some(Waking::By(other)) if other != by => Waking::Several,
            Some(Waking::Several | Waking::Early) => Waking::Several,
            _ => Waking::By(by),
        };
        self.young.insert(key, next);
    }

    /// Who gave `fiber` what it does now: `None` when nobody ever did, 0 when it is not certain.
    pub fn take(&mut self, tgid: u32, fiber: u64) -> Option<u64> {
        let key = (tgid, fiber);
        let found = match self.young.get_mut(&key) {
            Some(found) => found,
            None => self.old.get_mut(&key)?,
        };
        match std::mem::replace(found, Waking::Spent) {
            Waking::By(by) => Some(by),
            Waking::Several => Some(0),
            Waking::Spent | Waking::Early => {
                *found = Waking::Early;
                Some(0)
            }
        }
    }

    /// Somebody gave `fiber` something to do, now or earlier.
    #[must_use]
    pub fn knows(&self, tgid: u32, fiber: u64) -> bool {
        let key = (tgid, fiber);
        self.young.contains_key(&key) || self.old.contains_key(&key)
    }

    /// A process ended.
    pub fn exited(&mut self, tgid: u32) {
        self.young.retain(|(process, _), _| *process != tgid);
        self.old.retain(|(process, _), _| *process != tgid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Task 7 was woken by `by`, and then writes two requests.
    fn check(by: &[u64], first: Option<u64>, second: Option<u64>) {
        let mut handed = Handed::default();
        by.iter().for_each(|by| handed.push(1, 7, *by));
        assert_eq!(handed.take(1, 7), first, "{by:?}");
        assert_eq!(handed.take(1, 7), second, "{by:?}, the second");
    }

    #[test]
    fn one_waker_asks_for_one_request() {
        check(&[], None, None);
        check(&[5], Some(5), Some(0));
        check(&[5, 5], Some(5), Some(0));
        check(&[5, 6], Some(0), Some(0));
        check(&[0], Some(0), Some(0));
    }

    /// The asker of the second request is told of after it, and that of the third one, too.
    #[test]
    fn a_late_waker_asks_for_nothing_else() {
        let mut handed = Handed::default();
        handed.push(1, 7, 5);
        assert_eq!(handed.take(1, 7), Some(5));
        assert_eq!(handed.take(1, 7), Some(0));
        handed.push(1, 7, 6);
        assert_eq!(handed.take(1, 7), Some(0));
        handed.push(1, 7, 8);
        assert_eq!(handed.take(1, 7), Some(8));
    }

    #[test]
    fn the_next_waker_counts_anew() {
        let mut handed = Handed::default();
        for by in [5, 6, 5] {
            handed.push(1, 7, by);
            assert_eq!(handed.take(1, 7), Some(by));
        }
        handed.exited(1);
        assert_eq!(handed.take(1, 7), None);
    }
}
