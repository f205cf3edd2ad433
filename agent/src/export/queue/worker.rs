//! The task behind a queue: forms works, tries them again, says once when a backend goes away.

use super::{Limits, Shared};
use crate::export::{Exporter, Failure, Work};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

pub(super) struct Worker {
    exporter: Box<dyn Exporter>,
    limits: Limits,
    shared: Arc<Shared>,
    health: Health,
}

/// What was last said about the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Away { since: Instant },
    Refusing,
}

/// How one work ended.
enum End {
    Over,
    GivenUp,
    Closed,
}

impl Worker {
    pub(super) fn new(exporter: Box<dyn Exporter>, limits: Limits, shared: Arc<Shared>) -> Self {
        Self {
            exporter,
            limits,
            shared,
            health: Health::Good,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let deadline = wait(&self.shared, self.limits.interval).await;
            let mut work = self.shared.backlog.take();
            if work.is_empty() {
                if let Some(deadline) = deadline {
                    // Nothing can be done about an exporter that does not flush in time.
                    let _ = timeout_at(deadline, self.exporter.flush()).await;
                    return;
                }
                continue;
            }
            let end = self.deliver(&mut work).await;
            self.count(&work, &end);
            self.shared.backlog.release(&work);
            if matches!(end, End::Closed) {
                self.shared.backlog.refuse();
            }
        }
    }

    /// Tries until it is delivered, refused, too late, or the end of all.
    async fn deliver(&mut self, work: &mut Work) -> End {
        let began = Instant::now();
        let mut failures: u32 = 0;
        loop {
            let shared = Arc::clone(&self.shared);
            let result = tokio::select! {
                biased;
                () = end(&shared) => return End::GivenUp,
                result = self.exporter.export(work) => result,
            };
            match result {
                Ok(()) => {
                    self.recovered();
                    return End::Over;
                }
                Err(Failure::Closed) => return End::Closed,
                Err(Failure::Final(why)) => {
                    self.refused(&why);
                    return End::Over;
                }
                Err(Failure::Retry(why)) => self.went_away(&why),
            }
            failures = failures.saturating_add(1);
            let asked = work.pause.take().unwrap_or_default();
            let pause = self.limits.backoff.pause(failures).max(asked);
            if began.elapsed().saturating_add(pause) > self.limits.give_up {
                return End::GivenUp;
            }
            tokio::select! {
                () = sleep(pause) => {}
                () = end(&shared) => return End::GivenUp,
            }
        }
    }

    fn count(&self, work: &Work, end: &End) {
        let counters = &self.shared.counters;
        counters.delivered.add(work.delivered);
        counters.rejected.add(work.rejected);
        match end {
            End::Over => counters.rejected.add(work.open()),
            End::GivenUp => counters.gave_up.add(work.open()),
            End::Closed => counters.closed.add(work.open()),
        }
    }

    fn went_away(&mut self, why: &str) {
        if matches!(self.health, Health::Away { .. }) {
            tracing::debug!(exporter = self.exporter.name(), "still away: {why}");
            return;
        }
        self.health = Health::Away {
            since: Instant::now(),
        };
        tracing::warn!(
            "{} export: {why}; trying again, up to {} spans are kept meanwhile",
            self.exporter.name(),
            self.limits.spans
        );
    }

    fn refused(&mut self, why: &str) {
        if self.health == Health::Refusing {
            tracing::debug!(exporter = self.exporter.name(), "still refused: {why}");
            return;
        }
        self.health = Health::Refusing;
        tracing::error!(
            "{} export: {why}; these spans are dropped, and as long as it lasts so are others",
            self.exporter.name()
        );
    }

    fn recovered(&mut self) {
        let name = self.exporter.name();
        match self.health {
            Health::Good => {}
            Health::Away { since } => {
                let seconds = since.elapsed().as_secs_f64();
                tracing::info!("{name} export: delivering again after {seconds:.1} s");
            }
            Health::Refusing => tracing::info!("{name} export: accepted again"),
        }
        self.health = Health::Good;
    }
}

/// Waits for a full batch, the end of the interval, or the end of all: then with the deadline.
async fn wait(shared: &Shared, interval: Duration) -> Option<Instant> {
    loop {
        let state = shared.backlog.state();
        if state.closed.is_some() || state.ready {
            return state.closed;
        }
        let Some(since) = state.since else {
            shared.backlog.news().await;
            continue;
        };
        if timeout_at(since + interval, shared.backlog.news())
            .await
            .is_err()
        {
            return None;
        }
    }
}

/// Waits for the deadline of a closed queue.
async fn end(shared: &Shared) {
    let deadline = shared.backlog.closing().await;
    tokio::time::sleep_until(deadline).await;
}
