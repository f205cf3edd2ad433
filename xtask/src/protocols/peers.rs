//! The processes of a row: the service, whom it calls, and the client, which waits until it is told
//! to send.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::rows::Row;
use crate::process::{Group, free_port};
use crate::workspace;

/// A service that is not up by then will not be.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The requests of a run are sent by then.
const SEND_LIMIT: Duration = Duration::from_secs(120);

/// A running service, and whom it calls.
pub(super) struct Services {
    /// Ended with the rest.
    _group: Group,
    /// The service's process.
    pub(super) server: u32,
    /// The one it calls.
    pub(super) upstream: Option<u32>,
    /// Where the service is asked.
    url: String,
}

impl Services {
    /// Starts the service of a row.
    ///
    /// # Errors
    /// When it does not get ready.
    pub(super) fn start(row: &Row, dir: &Path, certificates: &Path) -> Result<Self> {
        let mut group = Group::new(dir)?;
        let mut start =
            |name: &str, folder: &str, variables: &BTreeMap<String, String>, upstream: &str| {
                let port = free_port()?;
                let mut command = Command::new(workspace::workloads().join(folder).join("run"));
                command
                    .env("PORT", port.to_string())
                    .env("CERTIFICATES", certificates)
                    .env("UPSTREAM", upstream)
                    .envs(variables);
                let pid = group.start(name, &mut command)?;
                group.wait_for(name, "listening on", START_LIMIT)?;
                anyhow::Ok((pid, port))
            };
        let peer = &row.peer;
        let mut behind = (None, String::new());
        if let Some(upstream) = &peer.upstream {
            let name = format!("{}-upstream", peer.name);
            let (pid, port) = start(&name, &upstream.folder, &upstream.variables, "")?;
            behind = (Some(pid), url(upstream.tls, port));
        }
        let (server, port) = start(&peer.name, &row.folder, &peer.variables, &behind.1)?;
        Ok(Self {
            _group: group,
            server,
            upstream: behind.0,
            url: url(peer.tls, port),
        })
    }
}

fn url(tls: bool, port: u16) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://127.0.0.1:{port}")
}

/// A client that is ready to send.
pub(super) struct Client {
    group: Group,
    name: String,
    go: PathBuf,
    /// Its process.
    pub(super) pid: u32,
}

impl Client {
    /// Starts the client of a row; it will send `count` requests, `concurrency` at once, with
    /// ids that begin with `mark`.
    ///
    /// # Errors
    /// When it does not get ready.
    pub(super) fn start(
        row: &Row,
        services: &Services,
        dir: &Path,
        certificates: &Path,
        (count, concurrency, mark): (usize, usize, &str),
    ) -> Result<Self> {
        let mut group = Group::new(dir)?;
        let name = format!("{}-client", row.peer.name);
        let go = dir.join(format!("{name}.go"));
        let _ = fs::remove_file(&go); // of an earlier run
        let client = &row.peer.client;
        let folder = workspace::workloads().join(&client.folder);
        let mut command = Command::new(folder.join("client"));
        command
            .arg(&services.url)
            .args([count.to_string(), concurrency.to_string(), mark.to_owned()])
            .env("CERTIFICATES", certificates)
            .env("CALLS", if row.calls() { "1" } else { "" })
            .env("GO", &go)
            .envs(&client.variables);
        let pid = group.start(&name, &mut command)?;
        group.wait_for(&name, "ready", START_LIMIT)?;
        Ok(Self {
            group,
            name,
            go,
            pid,
        })
    }

    /// Lets it send, and waits until it says that it has.
    ///
    /// # Errors
    /// When it fails.
    pub(super) fn send(&mut self) -> Result<()> {
        fs::write(&self.go, "").with_context(|| format!("cannot write {}", self.go.display()))?;
        self.group.wait_for(&self.name, "sent", SEND_LIMIT)
    }
}
