//! `[limits]`: bounds that belong to no single stage.

use super::section::section;
use super::units::Period;
use std::time::Duration;

section! {
    /// Bounds that belong to no single stage.
    pub struct Limits in "limits" {
        /// Most services told apart by an exporter at once; beyond, the one unused for longest is
        /// set up anew when it comes back.
        pub services: usize = 256;
        /// Longest time that the end of the agent waits for exporters.
        pub stop_timeout: Period = Period(Duration::from_secs(5));
    }
}
