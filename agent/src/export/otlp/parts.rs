//! Cuts a work into requests: one service each, and not too large for the backend.

use crate::export::Batch;
use crate::metadata::Service;
use crate::span::Span;
use std::sync::Arc;

/// The spans of one request.
pub(super) struct Part<'a> {
    pub(super) service: &'a Arc<Service>,
    pub(super) spans: Vec<&'a Span>,
}

/// The same batches always give the same parts: a retry finds those that are settled by number.
pub(super) fn split(batches: &[Batch], most: usize) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for span in batches.iter().flat_map(|batch| batch.iter()) {
        let room = |part: &&mut Part<'_>| {
            same(part.service, &span.service) && part.spans.len() < most.max(1)
        };
        // From behind: neighbours mostly belong together.
        match parts.iter_mut().rev().find(room) {
            Some(part) => part.spans.push(span),
            None => parts.push(Part {
                service: &span.service,
                spans: vec![span],
            }),
        }
    }
    parts
}

/// By identity where that is enough, for it is far cheaper.
pub(super) fn same(left: &Arc<Service>, right: &Arc<Service>) -> bool {
    Arc::ptr_eq(left, right) || (left.tgid == right.tgid && left == right)
}
