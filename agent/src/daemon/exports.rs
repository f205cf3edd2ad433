//! The exporters: each with its queue, all on one small runtime.

use super::meters::Meters;
use crate::cli::Exit;
use crate::config::Config;
use crate::export::Exporters;
use crate::export::otlp::metrics::Metrics;
use crate::metadata::ResourceValue;
use crate::sampling::{Sampled, Verdict};
use crate::span::Span;
use crate::stats::Stats;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, EnterGuard, Runtime};

/// All exporters that the settings switch on, sampling before them, metrics beside them.
pub(super) struct Exports {
    runtime: Runtime,
    exporters: Exporters,
    metrics: Option<Metrics>,
    sampled: Sampled,
    meters: Meters,
    stop_timeout: Duration,
}

impl Exports {
    /// Opens the exporters; none connects before there is something to send. `resource` tells
    /// where the agent itself runs.
    ///
    /// # Errors
    /// When a setting cannot be.
    pub(super) fn open(
        config: &Config,
        resource: &[(String, ResourceValue)],
        stats: &Arc<Stats>,
    ) -> Result<Self, Exit> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("weft-export")
            .enable_all()
            .build()
            .map_err(|error| Exit::failed("starting the export thread", error.to_string(), ""))?;
        let entered = runtime.enter();
        let exporters = Exporters::start(config, stats)?;
        let metrics = Metrics::start(&config.export.otlp, resource, stats)?;
        drop(entered);
        Ok(Self {
            runtime,
            exporters,
            metrics,
            sampled: Sampled::new(&config.sampling, stats),
            meters: Meters::new(Arc::clone(stats)),
            stop_timeout: config.limits.stop_timeout.0,
        })
    }

    /// Where traces go, for the banner.
    pub(super) fn described(&self) -> String {
        self.exporters.described().join(" and ")
    }

    /// Counts a trace and offers it to every exporter, if sampling keeps it.
    pub(super) fn offer(&mut self, spans: Vec<Span>, carried: Option<bool>) {
        self.meters.trace(&spans);
        let Some(first) = spans.first() else { return };
        if self.sampled.verdict(first.trace, carried) == Verdict::Drop {
            return;
        }
        self.exporters.offer(spans);
    }

    /// Enters the runtime, to start tasks on it.
    pub(super) fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// The agent's own metrics.
    pub(super) fn meters(&mut self) -> &mut Meters {
        &mut self.meters
    }

    /// Delivers what is queued, until the deadline of the settings.
    pub(super) fn stop(self) {
        let deadline = self.stop_timeout;
        if let Some(metrics) = self.metrics {
            metrics.stop(deadline);
        }
        self.runtime.block_on(self.exporters.stop(deadline));
        self.runtime.shutdown_timeout(Duration::from_millis(200));
    }
}
