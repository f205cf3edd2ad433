//! Too many requests at once: which of them leave the assembly.
//!
//! In: an assembly at its limit. Out: batches of finished nodes, kept until they are asked for, or
//! one open node less. Not here: what leaves in its time.

use super::{Assembly, Batch, TreeId};
use crate::protocol::exchange::Role;

impl Assembly {
    /// Too many nodes: what is finished longest leaves before the rest of its trace. The oldest
    /// is dropped when nothing is finished.
    pub(super) fn evict(&mut self) {
        while let Some((_, node, id)) = self.held.pop_front() {
            let found = self.node(node).filter(|entry| entry.id == id);
            if let Some(tree) = found.map(|entry| entry.tree) {
                self.hurry(tree);
                return;
            }
        }
        self.drop_oldest();
    }

    /// All that is finished in `tree` leaves; what has no room to wait for that is dropped.
    fn hurry(&mut self, tree: TreeId) {
        let found = self.trees.find(tree);
        let expects = found.is_some_and(|tree| tree.lonely > 0 || tree.waiting > 0);
        let mut leaving = None;
        let mut take = |batch| leaving = Some(batch);
        self.thin(tree, |node| node.answer.is_some(), &mut take);
        let Some(mut batch) = leaving else { return };
        let nodes = batch.nodes.len();
        if self.early_nodes + nodes > self.limits.nodes {
            self.counts.evicted += nodes as u64;
            return;
        }
        batch.complete &= !expects;
        self.counts.hurried += nodes as u64;
        self.early_nodes += nodes;
        self.early.push(batch);
    }

    /// What left before its time goes on its way.
    pub(super) fn leave_early(&mut self, each: &mut dyn FnMut(Batch)) {
        self.early_nodes = 0;
        self.early.drain(..).for_each(each);
    }

    /// The oldest node, which is open, is dropped.
    fn drop_oldest(&mut self) {
        while let Some((node, id)) = self.order.pop_front() {
            let Some(entry) = self.node(node).filter(|entry| entry.id == id) else {
                continue;
            };
            let (tree, handler, role) = (entry.tree, entry.handler, entry.request.role);
            let key = (entry.info.conn, entry.request.number);
            let (start, number, tgid) = (entry.start(), entry.number, entry.tgid);
            self.open.remove(&key);
            if self.serving.get(&key.0) == Some(&node) {
                self.serving.remove(&key.0);
            }
            if role == Role::Server {
                self.handlers.finish(node, number, handler);
                self.confirm(node, None);
                self.give_up(tgid);
            }
            self.closed(tree, start);
            self.set_lonely(node, false);
            if self.node(node).is_some_and(|entry| entry.waiting) {
                self.waiting.forget(tgid, id);
                self.set_waiting(node, false);
            }
            if let Some(found) = self.trees.find_mut(tree) {
                found.nodes.retain(|other| *other != node);
                found.missing = true;
                if found.nodes.is_empty() {
                    self.trees.remove(tree);
                }
            }
            self.remove(node);
            self.counts.evicted += 1;
            return;
        }
    }
}
