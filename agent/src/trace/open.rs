//! The open server requests of one process, in the order in which they were read.
//!
//! Few are open at a time, and each is numbered behind those before: a list in that order, which is
//! kept while it is empty, costs a request neither memory nor a search.

/// Open requests by their numbers.
#[derive(Default)]
pub struct Open(Vec<Request>);

struct Request {
    number: u64,
    /// It was read in an event of a loop.
    in_event: bool,
}

impl Open {
    fn place(&self, number: u64) -> Result<usize, usize> {
        match self.0.last() {
            Some(last) if last.number >= number => {
                self.0.binary_search_by_key(&number, |open| open.number)
            }
            _ => Err(self.0.len()),
        }
    }

    /// The request `number` was read, whatever was known of it; `in_event` of a loop.
    pub fn insert(&mut self, number: u64, in_event: bool) {
        let request = Request { number, in_event };
        match self.place(number) {
            Ok(i) => self.0[i] = request,
            Err(i) => self.0.insert(i, request),
        }
    }

    /// The request `number` is open no longer.
    pub fn remove(&mut self, number: u64) {
        if let Ok(i) = self.place(number) {
            self.0.remove(i);
        }
    }

    /// Number of the oldest.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.0.first().map(|open| open.number)
    }

    /// Number of the newest.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.0.last().map(|open| open.number)
    }

    /// One was read in an event of a loop.
    #[must_use]
    pub fn has_events(&self) -> bool {
        self.0.iter().any(|open| open.in_event)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// There is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_and_the_newest_are_known_whatever_ends_first() {
        let mut open = Open::default();
        for (number, in_event) in [(3, false), (5, true), (4, false), (5, false)] {
            open.insert(number, in_event);
        }
        let ends = |open: &Open| (open.oldest(), open.newest(), open.len());
        assert_eq!(ends(&open), (Some(3), Some(5), 3));
        assert!(!open.has_events());
        open.insert(9, true);
        open.remove(3);
        open.remove(7);
        assert_eq!(ends(&open), (Some(4), Some(9), 3));
        assert!(open.has_events());
        [4, 5, 9].into_iter().for_each(|number| open.remove(number));
        assert_eq!(ends(&open), (None, None, 0));
        assert!(open.is_empty());
    }
}
