//! All exporters that the settings name, each behind its queue.

use super::file::JsonFile;
use super::otlp::Otlp;
use super::queue::{Limits, Queue};
use super::terminal::Terminal;
use super::{Batch, Exporter};
use crate::config::{Config, Invalid, Switch};
use crate::span::Span;
use crate::stats::Stats;
use std::io::IsTerminal;
use std::time::Duration;

/// The running exporters.
pub struct Exporters {
    queues: Vec<Queue>,
    described: Vec<String>,
}

impl Exporters {
    /// Starts what the settings name. Must be called on a tokio runtime.
    pub fn start(config: &Config, stats: &Stats) -> Result<Self, Invalid> {
        let mut chosen: Vec<(Box<dyn Exporter>, String)> = Vec::new();
        if let Some(otlp) = Otlp::open(config)? {
            let description = format!("OTLP to {}", otlp.target());
            chosen.push((Box::new(otlp), description));
        }
        let file = &config.export.file;
        let mut stdout_taken = false;
        if let Some(path) = file
            .path
            .as_ref()
            .filter(|path| !path.as_os_str().is_empty())
        {
            stdout_taken = path.as_os_str() == "-";
            let description = format!("OTLP JSON to {}", path.display());
            let exporter = JsonFile::open(path, file.max_bytes.0)?;
            chosen.push((Box::new(exporter), description));
        }
        let auto = !stdout_taken && (chosen.is_empty() || std::io::stdout().is_terminal());
        let terminal = match config.export.terminal.enabled {
            Switch::On => true,
            Switch::Off => false,
            Switch::Auto => auto,
        };
        if terminal {
            let exporter = Terminal::stdout(config.export.terminal.color);
            chosen.push((Box::new(exporter), "traces to standard output".to_owned()));
        }
        Ok(Self::of(chosen, limits(config), stats))
    }

    fn of(chosen: Vec<(Box<dyn Exporter>, String)>, limits: Limits, stats: &Stats) -> Self {
        let (queues, described) = chosen
            .into_iter()
            .map(|(exporter, description)| {
                let mut limits = limits;
                if exporter.name() == "terminal" {
                    // People wait for it, and it costs nothing to write at once.
                    limits.interval = TERMINAL_INTERVAL;
                }
                (Queue::start(exporter, limits, stats), description)
            })
            .unzip();
        Self { queues, described }
    }

    /// Where spans go, one phrase each, for the banner.
    #[must_use]
    pub fn described(&self) -> &[String] {
        &self.described
    }

    /// Hands a trace's spans to every exporter. Never waits: what an exporter has no room for is
    /// dropped and counted.
    pub fn offer(&self, spans: Vec<Span>) {
        if self.queues.is_empty() {
            return;
        }
        let batch: Batch = spans.into();
        for queue in &self.queues {
            queue.offer(&batch);
        }
    }

    /// Delivers what is queued, all exporters at the same time, until the deadline.
    pub async fn stop(self, deadline: Duration) {
        let mut ends = tokio::task::JoinSet::new();
        for queue in self.queues {
            ends.spawn(queue.stop(deadline));
        }
        while ends.join_next().await.is_some() {}
    }
}

const TERMINAL_INTERVAL: Duration = Duration::from_millis(20);

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

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(text: &str, expected: &[&str]) {
        let config: Config = toml::from_str(text).unwrap();
        let exporters = Exporters::start(&config, &Stats::default()).unwrap();
        let described = exporters.described().join("; ");
        exporters.stop(Duration::from_secs(1)).await;
        assert_eq!(described, expected.join("; "), "{text}");
    }

    #[tokio::test]
    async fn settings_choose_exporters() {
        const OTLP: &str = "[export.otlp]\nendpoint = \"http://localhost:4317\"\n";
        const OFF: &str = "[export.terminal]\nenabled = \"off\"\n";
        const ON: &str = "[export.terminal]\nenabled = \"on\"\n";
        let (otlp, terminal) = ("OTLP to http://localhost:4317", "traces to standard output");
        check("", &[terminal]).await;
        check(OFF, &[]).await;
        check(&format!("{OTLP}{OFF}"), &[otlp]).await;
        check(&format!("{OTLP}{ON}"), &[otlp, terminal]).await;
        check("[export.file]\npath = \"-\"\n", &["OTLP JSON to -"]).await;
        check(&format!("[export.file]\npath = \"\"\n{ON}"), &[terminal]).await;
    }
}
