//! The trees of the assembly, by number.
//!
//! A place is used again once its tree has left; the number of a tree never is, so that a queue
//! may still hold those of trees that are gone.

use super::assembly::Tree;

/// One tree among all that there ever were; earlier ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct TreeId {
    number: u64,
    place: u32,
}

/// All trees that have not left.
#[derive(Default)]
pub(super) struct Trees {
    places: Vec<Option<(TreeId, Tree)>>,
    free: Vec<u32>,
    /// Trees so far.
    planted: u64,
}

impl Trees {
    /// One tree more.
    pub(super) fn plant(&mut self, tree: Tree) -> TreeId {
        self.planted += 1;
        let place = self.free.pop().unwrap_or(self.places.len() as u32);
        let id = TreeId {
            number: self.planted,
            place,
        };
        match self.places.get_mut(place as usize) {
            Some(free) => *free = Some((id, tree)),
            None => self.places.push(Some((id, tree))),
        }
        id
    }

    /// A tree that has not left.
    #[must_use]
    pub(super) fn find(&self, id: TreeId) -> Option<&Tree> {
        match self.places.get(id.place as usize)? {
            Some((found, tree)) if *found == id => Some(tree),
            _ => None,
        }
    }

    /// A tree that has not left.
    pub(super) fn find_mut(&mut self, id: TreeId) -> Option<&mut Tree> {
        match self.places.get_mut(id.place as usize)? {
            Some((found, tree)) if *found == id => Some(tree),
            _ => None,
        }
    }

    /// A tree leaves.
    pub(super) fn remove(&mut self, id: TreeId) -> Option<Tree> {
        let place = self.places.get_mut(id.place as usize)?;
        let (_, tree) = place.take_if(|(found, _)| *found == id)?;
        self.free.push(id.place);
        Some(tree)
    }

    /// All of them, in no order.
    pub(super) fn ids(&self) -> impl Iterator<Item = TreeId> + '_ {
        self.places.iter().flatten().map(|(id, _)| *id)
    }

    /// Number of trees.
    #[must_use]
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_used_again_and_a_number_is_not() {
        let mut trees = Trees::default();
        let (first, second) = (trees.plant(Tree::default()), trees.plant(Tree::default()));
        assert!(trees.remove(first).is_some());
        assert!(trees.remove(first).is_none());
        let third = trees.plant(Tree::default());
        assert_eq!(third.place, first.place);
        assert!(trees.find(first).is_none() && trees.find_mut(first).is_none());
        assert!(trees.find(third).is_some());
        assert!(first < second && second < third);
        assert_eq!(trees.len(), 2);
        let mut ids: Vec<_> = trees.ids().collect();
        ids.sort_unstable();
        assert_eq!(ids, [second, third]);
    }
}
