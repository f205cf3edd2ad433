//! The agent's own metrics over OTLP.

use super::link::Link;
use super::{convert, endpoint};
use crate::config::{Invalid, Otlp};
use crate::metadata::ResourceValue;
use crate::stats::{self, Family, Stats};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use std::sync::Arc;
use std::time::Duration;

/// The task that sends [`Stats`] at an interval. Dropping it ends it.
pub struct Metrics(SdkMeterProvider);

impl Metrics {
    /// Starts sending if an endpoint is set and metrics are not switched off. `resource` says
    /// where the agent runs; its `service.name` is `weft`. Must be called on a tokio runtime.
    pub fn start(
        otlp: &Otlp,
        resource: &[(String, ResourceValue)],
        stats: &Arc<Stats>,
    ) -> Result<Option<Self>, Invalid> {
        let Some(endpoint) = endpoint::metrics(otlp)? else {
            return Ok(None);
        };
        let link = Link::open(&endpoint, otlp)?;
        let exporter = link.metric_exporter().map_err(|error| {
            let hint = "metrics can be switched off: export.otlp.metrics = false";
            Invalid::new(link.target(), error.to_string(), hint)
        })?;
        let reader = PeriodicReader::builder(exporter)
            .with_interval(otlp.metrics_interval.0)
            .build();
        let provider = SdkMeterProvider::builder()
            .with_reader(reader)
            .with_resource(convert::attributes(resource, "weft"))
            .build();
        let meter = provider.meter_with_scope(convert::scope());
        for family in stats::ALL {
            observe(&meter, family, stats);
        }
        observe_usage(&meter);
        Ok(Some(Self(provider)))
    }

    /// Sends the last counts, then ends. Blocks up to `deadline`.
    pub fn stop(self, deadline: Duration) {
        if let Err(error) = self.0.shutdown_with_timeout(deadline) {
            tracing::debug!("the last metrics were not delivered: {error}");
        }
    }
}

fn observe(meter: &Meter, family: &'static Family, stats: &Arc<Stats>) {
    let stats = Arc::clone(stats);
    meter
        .u64_observable_counter(family.name)
        .with_unit(family.unit)
        .with_description(family.description)
        .with_callback(move |observer| {
            for reading in stats.readings(family) {
                let pairs = family.labels.iter().zip(reading.labels);
                let labels: Vec<_> = pairs
                    .map(|(key, value)| KeyValue::new(*key, value))
                    .collect();
                observer.observe(reading.value, &labels);
            }
        })
        .build();
}

fn observe_usage(meter: &Meter) {
    meter
        .u64_observable_gauge("weft.memory")
        .with_unit("By")
        .with_description("Resident memory of the agent.")
        .with_callback(|observer| observer.observe(stats::usage().memory, &[]))
        .build();
    meter
        .f64_observable_counter("weft.cpu.time")
        .with_unit("s")
        .with_description("CPU time of the agent, user and kernel.")
        .with_callback(|observer| observer.observe(stats::usage().cpu.as_secs_f64(), &[]))
        .build();
}
