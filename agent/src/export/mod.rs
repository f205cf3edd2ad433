//! Exporters: finished traces out.
//!
//! In: batches of finished spans. Out: OTLP, the terminal, files. Not here: choosing what to
//! keep (`sampling`). Each exporter has a bounded queue and a task of its own: a slow or dead
//! one never holds up capture, and what it drops is counted.

pub mod file;
pub mod otlp;
pub mod queue;
pub mod terminal;

use crate::span::Span;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// Spans that left the pipeline together.
pub type Batch = Arc<[Span]>;

/// Where spans go.
pub trait Exporter: Send {
    /// Name in messages and metrics.
    fn name(&self) -> &'static str;

    /// Delivers one batch. Called by [`queue`] only, one batch at a time.
    fn export<'a>(
        &'a mut self,
        batch: &'a [Span],
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

    /// Delivers what is held back, before the end.
    fn flush<'a>(&'a mut self) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async {})
    }
}

/// Why a batch was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Worth another try.
    #[error("{0}")]
    Retry(String),
    /// Not worth another try: the batch is dropped and counted.
    #[error("{0}")]
    Final(String),
}
