//! `[tasks]`: in which runtimes it is told whose work a call is.

use super::export::Switch;
use super::section::section;

section! {
    /// In which runtimes tasks (goroutines, coroutines, requests of a proxy) are told apart, by
    /// probes and by reading their memory, so that a call finds the request it was made for. A
    /// runtime that is off is watched like any other; its calls find their requests by threads, or
    /// not at all. Each is "on", "off", or "auto": on, but for
    /// probes that take more than 3 % of the CPU of a small service, as measured (docs/bench), and
    /// that it can do without: in Go those that every request passes, so that only calls of the
    /// request's own goroutine are followed. `weft explain` tells what it means for a process.
    pub struct Tasks in "tasks" {
        /// Goroutines.
        pub go: Switch = Switch::Auto;
        /// asyncio, greenlets and work given to threads, in CPython.
        pub python: Switch = Switch::Auto;
        /// Callbacks and promises in Node.
        pub node: Switch = Switch::Auto;
        /// Tasks of tokio, in Rust.
        pub rust: Switch = Switch::Auto;
        /// Requests of nginx.
        pub nginx: Switch = Switch::Auto;
        /// Streams of HAProxy.
        pub haproxy: Switch = Switch::Auto;
    }
}
