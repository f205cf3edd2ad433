//! The queue before each exporter: bounded, patient, never in the caller's way.
//!
//! In: batches, from the pipeline's thread. Out: calls of one [`Exporter`] from one task. Not
//! here: transports. While a backend is away the queue fills, and then the newest spans are
//! dropped and counted: memory stays under [`Limits`] whatever the backend does.

mod backlog;
mod retry;
mod worker;

pub use retry::Backoff;

use crate::export::{Batch, Exporter};
use crate::stats::{Counter, EXPORT_DROPPED, EXPORT_OFFERED, EXPORT_SPANS, Stats};
use backlog::{Backlog, Push};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use worker::Worker;

/// Bounds of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most spans held, those under way included.
    pub spans: usize,
    /// Most memory held, bytes, estimated.
    pub bytes: usize,
    /// Spans that are worth an export at once.
    pub batch: usize,
    /// Longest time a span waits for others.
    pub interval: Duration,
    /// How long a failing export is tried again before it is given up.
    pub give_up: Duration,
    /// Pauses between tries.
    pub backoff: Backoff,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            spans: 16_384,
            bytes: 32 << 20,
            batch: 512,
            interval: Duration::from_secs(1),
            give_up: Duration::from_secs(60),
            backoff: Backoff::default(),
        }
    }
}

/// The pipeline's end of the queue.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    backlog: Backlog,
    counters: Counters,
}

#[derive(Debug)]
struct Counters {
    offered: Counter,
    delivered: Counter,
    queue_full: Counter,
    rejected: Counter,
    gave_up: Counter,
    /// The reader of standard output left.
    closed: Counter,
}

impl Queue {
    /// Starts the exporter's task on the current tokio runtime.
    #[must_use]
    pub fn start(exporter: Box<dyn Exporter>, limits: Limits, stats: &Stats) -> Self {
        let shared = Arc::new(Shared {
            backlog: Backlog::new(&limits),
            counters: Counters::new(stats, exporter.name()),
        });
        let worker = Worker::new(exporter, limits, Arc::clone(&shared));
        let task = tokio::spawn(worker.run());
        Self { shared, task }
    }

    /// Takes the batch if there is room; counts it as dropped if not. Never waits.
    pub fn offer(&self, batch: &Batch) {
        let spans = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        self.shared.counters.offered.add(spans);
        match self.shared.backlog.push(batch) {
            Push::Taken => {}
            Push::Full => self.shared.counters.queue_full.add(spans),
            Push::Closed => self.shared.counters.closed.add(spans),
        }
    }

    /// Delivers what is queued, until the deadline; what is then left is counted as given up.
    pub async fn stop(self, deadline: Duration) {
        let deadline = Instant::now() + deadline;
        self.shared.backlog.close(deadline);
        // The task ends by itself at the deadline; it cannot be lost but by a panic.
        if let Err(error) = self.task.await {
            tracing::error!("an exporter's task failed: {error}");
        }
    }
}

impl Counters {
    fn new(stats: &Stats, exporter: &str) -> Self {
        let dropped = |cause| stats.counter(&EXPORT_DROPPED, &[exporter, cause]);
        Self {
            offered: stats.counter(&EXPORT_OFFERED, &[exporter]),
            delivered: stats.counter(&EXPORT_SPANS, &[exporter]),
            queue_full: dropped("queue_full"),
            rejected: dropped("rejected"),
            gave_up: dropped("gave_up"),
            closed: dropped("closed"),
        }
    }
}

#[cfg(test)]
mod tests;
