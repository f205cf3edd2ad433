//! wrk: many requests over a few connections, from a process of its own.

use crate::host::program;
use crate::process::Child;

/// Connections that wrk keeps busy.
pub const CONNECTIONS: usize = 4;

/// A run of wrk, ended when dropped.
pub struct Wrk(Child);

impl Wrk {
    /// Starts it against `path` of a service, for so long as wrk writes it: `3s`.
    ///
    /// # Panics
    /// When there is no wrk: callers look before.
    #[must_use]
    pub fn start(port: u16, path: &str, duration: &str) -> Self {
        let url = format!("http://127.0.0.1:{port}{path}");
        let connections = CONNECTIONS.to_string();
        let args = [
            "-t1",
            "-c",
            &connections,
            "-d",
            duration,
            "--timeout",
            "30s",
            &url,
        ];
        Self(Child::start(
            &program("wrk").expect("the caller looked"),
            &args,
        ))
    }

    /// Waits until it ends; answers how many requests it says it sent:
    /// `  1234 requests in 3.00s, 1.00MB read`.
    ///
    /// # Panics
    /// When it fails, or one of its connections did.
    #[must_use]
    pub fn requests(mut self) -> usize {
        let line = self.0.line_with(" requests in ");
        assert_eq!(self.0.wait(), Some(0), "{}", self.0.errors());
        let behind = self.0.lines();
        let failed = behind.iter().find(|line| line.contains("Socket errors"));
        assert_eq!(failed, None);
        let first = line.split_whitespace().next();
        first.and_then(|n| n.parse().ok()).expect("a number")
    }
}
