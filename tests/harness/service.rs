//! The test services of `tests/workloads`, installed by `cargo xtask setup`.

use crate::host::{program, workloads};
use crate::process::Child;
use std::net::TcpListener;
use std::process::Command;

/// A running service; ended when dropped.
pub struct Service {
    /// Its process.
    pub child: Child,
    /// Where it listens.
    pub port: u16,
}

impl Service {
    /// Starts the service in folder `name` on a free port; `None` when it or its runtime is not
    /// installed.
    #[must_use]
    pub fn start(name: &str, upstream: Option<u16>) -> Option<Self> {
        Self::start_at(name, free_port(), upstream)
    }

    /// Starts it on a given port.
    #[must_use]
    pub fn start_at(name: &str, port: u16, upstream: Option<u16>) -> Option<Self> {
        let mut command = command(name, port, upstream)?;
        let mut child = Child::spawn(&mut command);
        child.line_with("listening on");
        Some(Self { child, port })
    }

    /// Starts it on a given port with variables of its own.
    #[must_use]
    pub fn start_as(name: &str, port: u16, variables: &[(&str, &str)]) -> Option<Self> {
        let mut command = command(name, port, None)?;
        command.envs(variables.iter().copied());
        let mut child = Child::spawn(&mut command);
        child.line_with("listening on");
        Some(Self { child, port })
    }

    /// Ends it in order and waits.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(mut self) {
        self.child.signal("TERM");
        self.child.wait();
    }
}

/// The command that starts a service; `None` when it or its runtime is not installed.
#[must_use]
pub fn command(name: &str, port: u16, upstream: Option<u16>) -> Option<Command> {
    let run = workloads().join(name).join("run");
    let runtime = match name {
        "maze/frontend-api" | "node-http" | "express" => "node",
        "java-http" => "java",
        "nginx-static" | "nginx-proxy" => "nginx",
        "go-http" => "sh",
        _ => "python3",
    };
    program(runtime)?;
    if !run.is_file() {
        return None;
    }
    let mut command = Command::new(run);
    command.env("PORT", port.to_string());
    command.env_remove("UPSTREAM");
    if let Some(upstream) = upstream {
        command.env("UPSTREAM", format!("http://127.0.0.1:{upstream}"));
    }
    Some(command)
}

/// A port that nobody listens on at present.
///
/// # Panics
/// When the host has none left.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound socket").port()
}
