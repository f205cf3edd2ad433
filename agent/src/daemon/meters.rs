//! From the counts of the stages to the agent's own metrics.

use super::capture::Capture;
use crate::pipeline::refusals;
use crate::span::Span;
use crate::stats::{
    CAPTURE_LOST, Counter, JOIN_REFUSED, PROTOCOL_DROPPED, SPANS, SPANS_HURRIED, Stats, TRACES,
};
use agent_common::loss::Loss;
use foldhash::{HashMap, HashMapExt};
use std::sync::Arc;

/// Most services whose counter is kept at hand.
const SERVICES: usize = 1024;

/// The metrics, with those at hand that every trace moves.
pub(super) struct Meters {
    stats: Arc<Stats>,
    traces: Counter,
    services: HashMap<String, Counter>,
}

impl Meters {
    /// Counts into `stats`.
    pub(super) fn new(stats: Arc<Stats>) -> Self {
        let traces = stats.counter(&TRACES, &[]);
        Self {
            stats,
            traces,
            services: HashMap::new(),
        }
    }

    /// One trace has left the pipeline.
    pub(super) fn trace(&mut self, spans: &[Span]) {
        self.traces.add(1);
        for span in spans {
            if let Some(counter) = self.services.get(&span.service.name) {
                counter.add(1);
                continue;
            }
            let counter = self.stats.counter(&SPANS, &[&span.service.name]);
            counter.add(1);
            if self.services.len() < SERVICES {
                self.services.insert(span.service.name.clone(), counter);
            }
        }
    }

    /// Takes over what the kernel side and the pipeline counted.
    pub(super) fn capture(&mut self, capture: &Capture) {
        let lost = |cause: &str, total: u64| {
            if total > 0 {
                self.stats.counter(&CAPTURE_LOST, &[cause]).raise_to(total);
            }
        };
        for (loss, total) in Loss::ALL.into_iter().zip(capture.losses()) {
            // Cut and bufferless calls are the design: their bytes are counted, not missed.
            if !matches!(loss, Loss::Cut | Loss::NoBuffer) {
                lost(loss.name(), total);
            }
        }
        let counts = capture.counts();
        lost("sync", counts.lost_sync);
        lost("gap_timeout", counts.table.impatient);
        lost("torn", counts.table.torn);
        lost("unknown_connection", counts.table.unknown);
        lost("connection_limit", counts.table.evicted);
        lost("span_limit", counts.assembly.evicted);
        lost("undecodable", capture.undecodable());
        lost("program_missed", capture.missed());
        lost("unidentified_process", capture.unasked());
        lost("mapping", capture.unheard());
        if counts.assembly.hurried > 0 {
            let hurried = self.stats.counter(&SPANS_HURRIED, &[]);
            hurried.raise_to(counts.assembly.hurried);
        }
        lost("tls_unbound", counts.plain.unbound);
        lost("tls_connection_limit", counts.secured.unfollowed);
        for (cause, total) in counts.dropped {
            let (protocol, cause) = match cause.strip_prefix("tls_") {
                Some(cause) => ("tls", cause),
                None => ("http", cause),
            };
            self.stats
                .counter(&PROTOCOL_DROPPED, &[protocol, cause])
                .raise_to(total);
        }
        for (cause, total) in refusals(&capture.counts()) {
            if total > 0 {
                self.stats.counter(&JOIN_REFUSED, &[cause]).raise_to(total);
            }
        }
    }
}
