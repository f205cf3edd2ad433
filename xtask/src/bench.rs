//! `cargo xtask bench overhead`: what weft costs the services it watches and what it costs
//! itself, in CPU time per request. Rounds without and with the agent alternate in one run, so
//! that a noisy machine is equally noisy for both; the median of the rounds counts. Wall time is
//! never compared.

pub(crate) mod instructions;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{Group, free_port};
use crate::{build, certificates, setup, step, workloads, workspace};

/// A service under load.
struct Workload {
    /// What the row is called.
    name: &'static str,
    /// Folder of `tests/workloads`.
    folder: &'static str,
    variables: &'static [(&'static str, &'static str)],
    client: Client,
    path: &'static str,
    /// Open connections of the client.
    connections: u32,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    /// wrk, HTTP/1.1.
    Wrk,
    /// wrk over TLS.
    WrkTls,
    /// h2load, remote calls with an empty message; ten at once on each connection.
    Remote,
}

impl Workload {
    /// A service that needs nothing, asked by wrk.
    const fn plain(name: &'static str, connections: u32) -> Self {
        Self {
            name,
            folder: name,
            variables: &[],
            client: Client::Wrk,
            path: "/",
            connections,
        }
    }
}

const WORKLOADS: [Workload; 8] = [
    Workload::plain("nginx-static", 8),
    Workload::plain("go-http", 8),
    Workload::plain("express", 8),
    Workload::plain("flask-threads", 4),
    Workload {
        name: "nginx-tls",
        folder: "tls-nginx",
        variables: &[("LISTEN", "ssl")],
        client: Client::WrkTls,
        path: "/items/1",
        connections: 8,
    },
    Workload {
        name: "node-https",
        folder: "tls-node",
        variables: &[("MODE", "https")],
        client: Client::WrkTls,
        path: "/items/1",
        connections: 8,
    },
    Workload {
        name: "go-tls",
        folder: "tls-go",
        variables: &[("HTTP", "1")],
        client: Client::WrkTls,
        path: "/items/1",
        connections: 8,
    },
    Workload {
        name: "grpc-go",
        folder: "grpc-go",
        variables: &[],
        client: Client::Remote,
        path: "/shop.Shop/Get1",
        connections: 8,
    },
];

/// CPU time of user space is told in these ticks (`sysconf(_SC_CLK_TCK)`, 100 on every Linux).
const MICROSECONDS_PER_TICK: f64 = 10_000.0;

/// What one round measured.
#[derive(Clone, Copy, Default)]
struct Round {
    requests: f64,
    /// CPU of the service's processes, µs.
    service: f64,
    /// CPU of the whole system, µs.
    system: f64,
    /// CPU of the agent, µs.
    agent: f64,
}

/// A service's result.
struct Row {
    name: &'static str,
    without: Vec<Round>,
    with: Vec<Round>,
    memory: f64,
    summary: String,
}

/// Runs the benchmark: `rounds` pairs of `seconds` each for every service whose name contains
/// one of `only`.
///
/// # Errors
/// When something cannot be started.
pub(crate) fn overhead(rounds: usize, seconds: u32, only: &[String]) -> Result<()> {
    if !workspace::is_root() {
        bail!("weft watches the kernel, and for that it must be root\nhint: run this as root");
    }
    setup::try_all(&[
        setup::Part::Build,
        setup::Part::Bpf,
        setup::Part::Mounts,
        setup::Part::Services,
    ])?;
    let weft = build::release()?;
    let certificates = certificates::make()?;
    let mut rows = Vec::new();
    for workload in &WORKLOADS {
        if only.is_empty()
            || only
                .iter()
                .any(|name| workload.name.contains(name.as_str()))
        {
            rows.push(measure(workload, &weft, &certificates, rounds, seconds)?);
        }
    }
    print(&rows, rounds, seconds);
    Ok(())
}

fn measure(
    workload: &Workload,
    weft: &Path,
    certificates: &Path,
    rounds: usize,
    seconds: u32,
) -> Result<Row> {
    step::say(format!(
        "{}: {rounds} rounds of {seconds} s without and with weft",
        workload.name
    ));
    let dir = workspace::kept().join("bench");
    let port = free_port()?;
    let mut services = Group::new(&dir)?;
    workloads::ensure(workload.folder)?;
    let run = workspace::workloads().join(workload.folder).join("run");
    let mut command = Command::new(run);
    command
        .env("PORT", port.to_string())
        .env("CERTIFICATES", certificates)
        .envs(workload.variables.iter().copied());
    let pid = services.start(workload.name, &mut command)?;
    services.wait_for(workload.name, "listening on", Duration::from_secs(60))?;
    // Compilers of the runtime and caches first.
    load(workload, port, seconds)?;
    let mut row = Row {
        name: workload.name,
        without: Vec::new(),
        with: Vec::new(),
        memory: 0.0,
        summary: String::new(),
    };
    for _ in 0..rounds {
        row.without.push(round(workload, port, pid, None, seconds)?);
        let mut agents = Group::new(&dir)?;
        let command = &mut Command::new(weft);
        command
            .args(["run", "--output", "none", "--select"])
            .arg(format!("port={port}"));
        let agent = agents.start("weft", command)?;
        agents.wait_for("weft", "ready", Duration::from_secs(20))?;
        // It looks once at every process there is; that is not the service's doing.
        std::thread::sleep(Duration::from_millis(500));
        row.with
            .push(round(workload, port, pid, Some(agent), seconds)?);
        row.memory = row.memory.max(resident(agent)?);
        let errors = agents.errors("weft");
        drop(agents);
        let text = fs::read_to_string(errors).unwrap_or_default();
        row.summary = text.lines().last().unwrap_or_default().to_owned();
    }
    Ok(row)
}

fn round(
    workload: &Workload,
    port: u16,
    pid: u32,
    agent: Option<u32>,
    seconds: u32,
) -> Result<Round> {
    let agent_cpu = |pid: Option<u32>| pid.map_or(Ok(0.0), cpu_of);
    let before = (tree_cpu(pid)?, system_cpu()?, agent_cpu(agent)?);
    let requests = load(workload, port, seconds)?;
    let after = (tree_cpu(pid)?, system_cpu()?, agent_cpu(agent)?);
    Ok(Round {
        requests,
        service: after.0 - before.0,
        system: after.1 - before.1,
        agent: after.2 - before.2,
    })
}

/// Loads the service; answers how many requests were served.
fn load(workload: &Workload, port: u16, seconds: u32) -> Result<f64> {
    if workload.client == Client::Remote {
        return load_remote(workload, port, seconds);
    }
    let scheme = match workload.client {
        Client::WrkTls => "https",
        Client::Wrk | Client::Remote => "http",
    };
    let url = format!("{scheme}://127.0.0.1:{port}{}", workload.path);
    let output = Command::new("wrk")
        .args([
            "-t1",
            &format!("-c{}", workload.connections),
            &format!("-d{seconds}s"),
            &url,
        ])
        .output()
        .context("cannot start wrk")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.contains(" requests in "));
    let count = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    count.with_context(|| format!("wrk did not count its requests:\n{text}"))
}

/// The same by remote calls.
fn load_remote(workload: &Workload, port: u16, seconds: u32) -> Result<f64> {
    let message = workspace::kept().join("bench/message");
    // not compressed, no bytes
    fs::write(&message, [0; 5])?;
    let output = Command::new("h2load")
        .args(["-m10", &format!("-c{}", workload.connections)])
        .args([&format!("-D{seconds}"), "-d"])
        .arg(&message)
        .args(["-H", "content-type: application/grpc", "-H", "te: trailers"])
        .arg(format!("http://127.0.0.1:{port}{}", workload.path))
        .output()
        .context("cannot start h2load\nhint: apt-get install nghttp2-client")?;
    let text = String::from_utf8_lossy(&output.stdout);
    served(&text).with_context(|| format!("h2load did not count its requests:\n{text}"))
}

/// `requests: N total, ..., N succeeded, ...` of h2load.
fn served(text: &str) -> Option<f64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("requests: "))?;
    let mut parts = line
        .split(", ")
        .filter_map(|part| part.strip_suffix(" succeeded"));
    parts.next()?.parse().ok()
}

/// User and system time of one process, µs (`proc_pid_stat(5)`, fields 14 and 15).
fn cpu_of(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |i: usize| {
        fields
            .get(i)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    Ok((ticks(11) + ticks(12)) * MICROSECONDS_PER_TICK)
}

/// CPU of a process and its descendants.
fn tree_cpu(root: u32) -> Result<f64> {
    let mut parents: BTreeMap<u32, u32> = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit(')')
            .next()
            .and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            parents.insert(pid, parent);
        }
    }
    let below = |mut pid: u32| loop {
        if pid == root {
            return true;
        }
        match parents.get(&pid) {
            Some(parent) => pid = *parent,
            None => return false,
        }
    };
    parents
        .keys()
        .filter(|pid| below(**pid))
        .map(|pid| cpu_of(*pid))
        .sum()
}

/// CPU time of the whole system that was not idle, µs (`/proc/stat`, first line).
fn system_cpu() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|field| field.parse().ok())
        .collect();
    // user nice system - - irq softirq; what the hypervisor took is nobody's here
    let busy: f64 = [0, 1, 2, 5, 6].iter().filter_map(|i| ticks.get(*i)).sum();
    Ok(busy * MICROSECONDS_PER_TICK)
}

/// Resident memory, MiB.
fn resident(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: f64 = line
        .and_then(|line| line.split_whitespace().next()?.parse().ok())
        .context("no VmRSS in the agent's status")?;
    Ok(kilobytes / 1024.0)
}

fn median(rounds: &[Round], value: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds
        .iter()
        .map(|round| value(round) / round.requests)
        .collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(rows: &[Row], rounds: usize, seconds: u32) {
    println!();
    println!(
        "CPU µs per request, median of {rounds} rounds of {seconds} s each, without → with weft"
    );
    println!();
    println!(
        "| service | service's processes | added | whole system | weft itself | weft's memory MiB | requests/s |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        let service = (
            median(&row.without, |r| r.service),
            median(&row.with, |r| r.service),
        );
        let system = (
            median(&row.without, |r| r.system),
            median(&row.with, |r| r.system),
        );
        let agent = median(&row.with, |r| r.agent);
        let rate = |rounds: &[Round]| {
            let sum: f64 = rounds.iter().map(|round| round.requests).sum();
            sum / (rounds.len() as f64 * f64::from(seconds))
        };
        println!(
            "| {} | {:.1} → {:.1} | {:+.1} ({:+.1} %) | {:.1} → {:.1} | {agent:.1} | {:.0} | {:.0} → {:.0} |",
            row.name,
            service.0,
            service.1,
            service.1 - service.0,
            100.0 * (service.1 / service.0 - 1.0),
            system.0,
            system.1,
            row.memory,
            rate(&row.without),
            rate(&row.with),
        );
    }
    println!();
    for row in rows {
        println!("{}: {}", row.name, row.summary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_h2load_counts() {
        let text = "starting\nfinished in 3.00s, 5 req/s\nrequests: 19 total, 19 started, 17 done, 16 succeeded, 1 failed\n";
        assert_eq!(served(text), Some(16.0));
        assert_eq!(served("requests: none"), None);
    }
}
