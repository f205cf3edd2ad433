//! What waits: batches, counted in spans and bytes.

use super::Limits;
use crate::export::{Batch, Work};
use crate::protocol::exchange::Value;
use crate::span::Span;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;
use tokio::time::Instant;

/// A work takes up to this many times the batch size when more is waiting than one batch: a
/// distant backend is then asked less often.
const BURST: usize = 8;

#[derive(Debug)]
pub(super) struct Backlog {
    inner: Mutex<Inner>,
    /// The worker waits here.
    news: Notify,
    max_spans: usize,
    max_bytes: usize,
    batch: usize,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: VecDeque<Batch>,
    /// Spans in `waiting`.
    queued: usize,
    /// Spans and bytes in `waiting` and under way.
    spans: usize,
    bytes: usize,
    /// When the oldest of `waiting` came.
    since: Option<Instant>,
    closed: Option<Instant>,
    /// Nothing is taken any more.
    refuse: bool,
}

/// What became of an offered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Push {
    Taken,
    Full,
    Closed,
}

/// What the worker finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct State {
    pub(super) ready: bool,
    pub(super) since: Option<Instant>,
    pub(super) closed: Option<Instant>,
}

impl Backlog {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            inner: Mutex::default(),
            news: Notify::new(),
            max_spans: limits.spans,
            max_bytes: limits.bytes,
            batch: limits.batch.max(1),
        }
    }

    pub(super) fn push(&self, batch: &Batch) -> Push {
        if batch.is_empty() {
            return Push::Taken;
        }
        let bytes = weight(batch);
        let mut inner = self.lock();
        let spans = inner.spans.saturating_add(batch.len());
        let total = inner.bytes.saturating_add(bytes);
        if inner.refuse || inner.closed.is_some() {
            return Push::Closed;
        }
        if spans > self.max_spans || total > self.max_bytes {
            return Push::Full;
        }
        (inner.spans, inner.bytes) = (spans, total);
        inner.queued += batch.len();
        inner.waiting.push_back(Batch::clone(batch));
        let first = inner.since.is_none();
        inner.since.get_or_insert_with(Instant::now);
        let full = inner.queued >= self.batch;
        drop(inner);
        if first || full {
            self.news.notify_one();
        }
        Push::Taken
    }

    /// Up to one batch, or several when more is waiting. Traces are not cut.
    pub(super) fn take(&self) -> Work {
        let mut inner = self.lock();
        let most = self.batch.saturating_mul(BURST);
        let mut batches = Vec::new();
        let mut taken: usize = 0;
        while let Some(next) = inner.waiting.front() {
            if taken > 0 && taken.saturating_add(next.len()) > most {
                break;
            }
            taken = taken.saturating_add(next.len());
            batches.extend(inner.waiting.pop_front());
        }
        inner.queued = inner.queued.saturating_sub(taken);
        inner.since = (!inner.waiting.is_empty()).then(Instant::now);
        Work::new(batches)
    }

    /// Makes room again once `work` is over.
    pub(super) fn release(&self, work: &Work) {
        let spans: usize = work.batches.iter().map(|batch| batch.len()).sum();
        let bytes: usize = work.batches.iter().map(weight).sum();
        let mut inner = self.lock();
        inner.spans = inner.spans.saturating_sub(spans);
        inner.bytes = inner.bytes.saturating_sub(bytes);
    }

    pub(super) fn close(&self, deadline: Instant) {
        self.lock().closed = Some(deadline);
        self.news.notify_one();
    }

    /// Takes nothing any more: the exporter is done for.
    pub(super) fn refuse(&self) {
        self.lock().refuse = true;
    }

    pub(super) fn state(&self) -> State {
        let inner = self.lock();
        State {
            ready: inner.queued >= self.batch,
            since: inner.since,
            closed: inner.closed,
        }
    }

    pub(super) async fn news(&self) {
        self.news.notified().await;
    }

    /// When the queue closes; waits until it does.
    pub(super) async fn closing(&self) -> Instant {
        loop {
            if let Some(deadline) = self.lock().closed {
                return deadline;
            }
            self.news().await;
        }
    }

    // The counts are adjusted only after nothing can fail, so a poisoned lock is sound.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn weight(batch: &Batch) -> usize {
    batch.iter().map(size).fold(0, usize::saturating_add)
}

/// Estimate of the memory of a span, bytes: the structure and its texts.
fn size(span: &Span) -> usize {
    let attributes = span.attributes.iter().map(|attribute| {
        let heap = match &attribute.value {
            Value::Text(Cow::Owned(text)) => text.capacity(),
            Value::Text(Cow::Borrowed(_)) => 0,
            Value::List(list) => list.iter().map(|text| text.capacity() + 24).sum(),
            Value::Int(_) | Value::Bool(_) => 0,
        };
        heap.saturating_add(size_of_val(attribute))
    });
    attributes
        .fold(size_of::<Span>(), usize::saturating_add)
        .saturating_add(span.name.capacity())
        .saturating_add(span.state.as_ref().map_or(0, String::capacity))
}
