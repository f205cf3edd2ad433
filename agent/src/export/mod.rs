//! Exporters: finished traces out.
//!
//! In: batches of finished spans. Out: OTLP, the terminal, files. Not here: choosing what to
//! keep (`sampling`). Each exporter has a bounded queue and a task of its own: a slow or dead
//! one never holds up capture, and what it drops is counted.

mod exporters;
pub mod file;
pub mod otlp;
pub mod queue;
pub mod terminal;

pub use exporters::Exporters;

use crate::span::Span;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Spans that left the pipeline together: a complete trace, where there is one.
pub type Batch = Arc<[Span]>;

/// What an exporter promises to do.
pub type Delivery<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// Where spans go.
pub trait Exporter: Send {
    /// Name in messages and metrics.
    fn name(&self) -> &'static str;

    /// Delivers what is open in `work` and notes in it what became of it. Called by [`queue`]
    /// only, one work at a time; after [`Failure::Retry`] it is called with the same work again.
    /// The future may be dropped at any await.
    fn export<'a>(&'a mut self, work: &'a mut Work) -> Delivery<'a>;

    /// Delivers what is held back, before the end.
    fn flush<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async {})
    }
}

/// Batches on their way out, and how far they came: a retry must not deliver anything twice.
#[derive(Debug, Default)]
pub struct Work {
    /// What is to be delivered.
    pub batches: Vec<Batch>,
    /// Spans delivered so far.
    pub delivered: u64,
    /// Spans that the other side refused for good.
    pub rejected: u64,
    /// Parts that are delivered or refused. What a part is, is the exporter's own matter.
    pub settled: Vec<bool>,
    /// Shortest pause before the next try that the other side asked for.
    pub pause: Option<Duration>,
}

impl Work {
    /// Work that nobody has begun.
    #[must_use]
    pub fn new(batches: Vec<Batch>) -> Self {
        Self {
            batches,
            ..Self::default()
        }
    }

    /// All its spans.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.batches.iter().flat_map(|batch| batch.iter())
    }

    /// Number of its spans.
    #[must_use]
    pub fn len(&self) -> u64 {
        let length = |batch: &Batch| u64::try_from(batch.len()).unwrap_or(u64::MAX);
        self.batches.iter().map(length).fold(0, u64::saturating_add)
    }

    /// There is nothing to deliver.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Spans of which nothing is known yet.
    #[must_use]
    pub fn open(&self) -> u64 {
        let done = self.delivered.saturating_add(self.rejected);
        self.len().saturating_sub(done)
    }
}

/// Why a work was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Worth another try.
    #[error("{0}")]
    Retry(String),
    /// Not worth another try: what is open is dropped and counted.
    #[error("{0}")]
    Final(String),
    /// The exporter is done for: it is not called again, and says nothing (a closed terminal).
    #[error("closed")]
    Closed,
}
