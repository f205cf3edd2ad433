//! `[sampling]`: which traces are kept.

use super::section::section;
use serde::{Deserialize, Serialize};

section! {
    /// Which traces are kept. OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG set the same keys.
    pub struct Sampling in "sampling" {
        /// "always_on", "always_off", "traceidratio", or one of these after "parentbased_": then
        /// the decision that a request carried is respected.
        pub sampler: Kind = Kind::ParentbasedTraceidratio;
        /// Share of traces kept by a ratio sampler, 0 to 1.
        pub ratio: f64 = 1.0;
    }
}

/// The samplers, by the names of the OpenTelemetry specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Every trace.
    AlwaysOn,
    /// No trace.
    AlwaysOff,
    /// By the trace id.
    Traceidratio,
    /// As carried, else every trace.
    ParentbasedAlwaysOn,
    /// As carried, else no trace.
    ParentbasedAlwaysOff,
    /// As carried, else by the trace id.
    #[default]
    ParentbasedTraceidratio,
}
