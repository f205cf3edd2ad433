//! OTLP: spans to a backend, by the OpenTelemetry SDK's own exporters.
//!
//! In: works of the queue. Out: gRPC or HTTP requests; the agent's own metrics ([`metrics`]); the
//! JSON form for files ([`json`]). Not here: retries and memory bounds (`queue`). Each service
//! is a Resource, so it has an SDK exporter of its own; all share one connection ([`link`]).
//! This folder is the only place that knows the OpenTelemetry crates.

mod answer;
mod convert;
mod endpoint;
mod http;
pub mod json;
mod link;
pub mod metrics;
mod parts;
mod services;
mod tls;

use crate::config::{self, Invalid};
use crate::export::{Delivery, Exporter, Failure, Work};
use answer::Answer;
use link::Link;
use parts::Part;
use services::Services;
use std::time::Duration;
use tokio::task::JoinSet;

/// Requests under way at the same time: enough that a distant backend is no bottleneck with
/// many services.
const CONCURRENT: usize = 8;

/// Exporter of spans over OTLP.
pub struct Otlp {
    services: Services,
    /// Most spans in one request.
    batch: usize,
}

impl Otlp {
    /// Sets up the exporter without connecting: a backend may come later. Must be called on a
    /// tokio runtime. `None` when no endpoint is set or OTLP is switched off.
    pub fn open(config: &config::Config) -> Result<Option<Self>, Invalid> {
        let otlp = &config.export.otlp;
        let Some(endpoint) = endpoint::traces(otlp)? else {
            return Ok(None);
        };
        let link = Link::open(&endpoint, otlp)?;
        Ok(Some(Self {
            services: Services::new(link, config.limits.services),
            batch: config.export.queue.batch,
        }))
    }

    /// Where spans go, for the banner.
    #[must_use]
    pub fn target(&self) -> &str {
        self.services.link().target()
    }

    async fn deliver(&mut self, work: &mut Work) -> Result<(), Failure> {
        let batches = work.batches.clone();
        let parts = parts::split(&batches, self.batch);
        work.settled.resize(parts.len(), false);
        let open: Vec<usize> = (0..parts.len())
            .filter(|index| work.settled.get(*index) == Some(&false))
            .collect();
        let mut next = open.into_iter();
        let mut tasks = JoinSet::new();
        let mut verdict = Verdict::default();
        loop {
            while tasks.len() < CONCURRENT && verdict.retry.is_none() {
                let Some(index) = next.next() else { break };
                self.begin(&mut tasks, index, parts.get(index))?;
            }
            match tasks.join_next().await {
                None => return verdict.result(),
                Some(Ok((index, spans, answer))) => verdict.note(work, index, spans, answer),
                Some(Err(error)) => verdict.retry = Some(format!("the request failed: {error}")),
            }
        }
    }

    fn begin(
        &mut self,
        tasks: &mut JoinSet<(usize, u64, Answer)>,
        index: usize,
        part: Option<&Part<'_>>,
    ) -> Result<(), Failure> {
        let Some(part) = part else { return Ok(()) };
        let sender = self.services.sender(part.service)?;
        let spans = part.spans.iter().map(|span| convert::span(span)).collect();
        let count = part.spans.len() as u64;
        tasks.spawn(async move { (index, count, sender.send(spans).await) });
        Ok(())
    }
}

impl Exporter for Otlp {
    fn name(&self) -> &'static str {
        "otlp"
    }

    fn export<'a>(&'a mut self, work: &'a mut Work) -> Delivery<'a> {
        Box::pin(self.deliver(work))
    }
}

/// What became of all requests of one work.
#[derive(Default)]
struct Verdict {
    retry: Option<String>,
    refused: Option<String>,
}

impl Verdict {
    fn note(&mut self, work: &mut Work, index: usize, spans: u64, answer: Answer) {
        let rejected = match answer {
            Answer::Retry { why, pause } => {
                work.pause = work.pause.max(pause.map(|pause| pause.min(LONGEST_PAUSE)));
                self.retry = Some(why);
                return;
            }
            Answer::Taken { rejected } => rejected.min(spans),
            Answer::Refused(why) => {
                self.refused = Some(why);
                spans
            }
        };
        work.rejected += rejected;
        work.delivered += spans - rejected;
        if let Some(settled) = work.settled.get_mut(index) {
            *settled = true;
        }
    }

    fn result(self) -> Result<(), Failure> {
        match (self.retry, self.refused) {
            (Some(why), _) => Err(Failure::Retry(why)),
            (None, Some(why)) => Err(Failure::Final(why)),
            (None, None) => Ok(()),
        }
    }
}

/// However long a backend asks us to stay away, it is asked again after this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
