//! `[trace]`: how long a trace may take to come together.

use super::section::section;
use super::units::Period;
use std::time::Duration;

section! {
    /// How long a trace may take to come together.
    pub struct Trace in "trace" {
        /// Milliseconds that a finished trace waits for late spans before it is exported.
        pub settle_ms: u64 = 200;
        /// Most spans of unfinished traces held; beyond, the oldest trace is exported as it is.
        pub max_open_spans: usize = 65_536;
        /// Longest time that a finished span waits for the rest of its trace; a trace that takes
        /// longer is exported in parts.
        pub max_trace_age: Period = Period(Duration::from_secs(2));
        /// A TLS connection whose plaintext cannot be seen becomes one span from its handshake to
        /// its end. `false`: it is invisible.
        pub tls_connections: bool = true;
    }
}
