//! The exporters: each with its queue, all on one small runtime.

use super::meters::Meters;
use crate::cli::Exit;
use crate::config::{Config, Switch};
use crate::export::file::JsonFile;
use crate::export::otlp::Otlp;
use crate::export::otlp::metrics::Metrics;
use crate::export::queue::{Limits, Queue};
use crate::export::terminal::Terminal;
use crate::export::{Batch, Exporter};
use crate::metadata::ResourceValue;
use crate::sampling::{Sampled, Verdict, carried};
use crate::span::Span;
use crate::stats::Stats;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, EnterGuard, Runtime};

/// All exporters that the settings switch on.
pub struct Exports {
    runtime: Runtime,
    queues: Vec<Queue>,
    metrics: Option<Metrics>,
    sampled: Sampled,
    meters: Meters,
    stop_timeout: Duration,
    /// Where OTLP goes, for the banner.
    pub target: Option<String>,
    /// Exporters that are on.
    pub names: Vec<&'static str>,
}

impl Exports {
    /// Opens the exporters; none connects before there is something to send. `resource` tells
    /// where the agent itself runs.
    ///
    /// # Errors
    /// When a setting cannot be.
    pub fn open(
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
        let mut exporters: Vec<Box<dyn Exporter>> = Vec::new();
        let mut target = None;
        if let Some(otlp) = Otlp::open(config)? {
            target = Some(otlp.target().to_owned());
            exporters.push(Box::new(otlp));
        }
        let file = &config.export.file;
        if let Some(path) = file.path.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            exporters.push(Box::new(JsonFile::open(path, file.max_bytes.0)?));
        }
        if terminal(config.export.terminal.enabled, exporters.is_empty()) {
            exporters.push(Box::new(Terminal::stdout(config.export.terminal.color)));
        }
        let names = exporters.iter().map(|exporter| exporter.name()).collect();
        let limits = limits(config);
        let queues =
            exporters.into_iter().map(|exporter| queue(exporter, limits, stats)).collect();
        let metrics = match (&target, config.export.otlp.metrics) {
            (Some(_), true) => Metrics::start(&config.export.otlp, resource, stats)?,
            _ => None,
        };
        drop(entered);
        Ok(Self {
            runtime,
            queues,
            metrics,
            sampled: Sampled::new(&config.sampling, stats),
            meters: Meters::new(Arc::clone(stats)),
            stop_timeout: config.limits.stop_timeout.0,
            target,
            names,
        })
    }

    /// Counts a trace and offers it to every exporter, if sampling keeps it.
    pub fn offer(&mut self, spans: Vec<Span>) {
        self.meters.trace(&spans);
        let Some(first) = spans.first() else { return };
        if self.sampled.verdict(first.trace, carried(&spans)) == Verdict::Drop {
            return;
        }
        let batch: Batch = spans.into();
        for queue in &self.queues {
            queue.offer(&batch);
        }
    }

    /// Enters the runtime, to start tasks on it.
    pub fn enter(&self) -> EnterGuard<'_> {
        self.runtime.enter()
    }

    /// The agent's own metrics.
    pub fn meters(&mut self) -> &mut Meters {
        &mut self.meters
    }

    /// Delivers what is queued, until the deadline of the settings.
    pub fn stop(self) {
        let deadline = self.stop_timeout;
        if let Some(metrics) = self.metrics {
            metrics.stop(deadline);
        }
        self.runtime.block_on(async {
            for queue in self.queues {
                queue.stop(deadline).await;
            }
        });
        self.runtime.shutdown_timeout(Duration::from_millis(200));
    }
}

/// Traces are short and wanted at once where people look: no waiting for a fuller batch.
fn queue(exporter: Box<dyn Exporter>, limits: Limits, stats: &Stats) -> Queue {
    let interval = match exporter.name() {
        "otlp" => limits.interval,
        _ => limits.interval.min(Duration::from_millis(100)),
    };
    Queue::start(exporter, Limits { interval, ..limits }, stats)
}

fn terminal(switch: Switch, alone: bool) -> bool {
    match switch {
        Switch::On => true,
        Switch::Off => false,
        Switch::Auto => alone || std::io::stdout().is_terminal(),
    }
}

fn limits(config: &Config) -> Limits {
    let queue = &config.export.queue;
    Limits {
        spans: queue.spans,
        bytes: usize::try_from(queue.bytes.0).unwrap_or(usize::MAX),
        batch: queue.batch,
        interval: queue.interval.0,
        give_up: queue.retry.0,
        ..Limits::default()
    }
}
