//! `cargo xtask bench overhead`: what weft costs the services it watches and what it costs
//! itself, in CPU time per request. Rounds without the agent, with it, and with it but for the
//! probes in runtimes alternate in one run, so that a noisy machine is equally noisy for all; the
//! median of the rounds counts. Wall time is never compared.

mod guest;
mod hits;
pub(crate) mod instructions;
mod service;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Group, free_port};
use crate::{build, certificates, step, survey, workloads, workspace};
use service::{Client, Service};

/// What is not up by then will not be.
const START_LIMIT: Duration = Duration::from_secs(60);
/// From when the agent is ready to when it is at rest.
const FIRST_LOOK: Duration = Duration::from_millis(1500);
/// Seconds of load before the first round, at least.
const WARM_UP: u32 = 3;
/// The agent's name among the outputs.
const AGENT: &str = "weft";

/// CPU time of user space is told in these ticks (`sysconf(_SC_CLK_TCK)`, 100 on every Linux).
const MICROSECONDS_PER_TICK: f64 = 10_000.0;

/// How the agent takes part in a round.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Not.
    Without,
    /// But for the probes in runtimes.
    Off,
    /// With all of them, also those that are off by default.
    On,
}

const KINDS: [Kind; 3] = [Kind::Without, Kind::Off, Kind::On];

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
    /// Its memory before and after, MiB.
    idle: f64,
    loaded: f64,
}

/// A service's result.
struct Row {
    name: &'static str,
    rounds: Vec<(Kind, Round)>,
    /// How often probes in runtimes fire for a request.
    hits: f64,
    /// The agent's last lines.
    summaries: Vec<String>,
}

/// Runs the benchmark: `rounds` of each kind, of `seconds` each, for every service whose name
/// contains one of `only`. With `binary` that agent is measured.
///
/// # Errors
/// When something cannot be started.
pub(crate) fn overhead(
    rounds: usize,
    seconds: u32,
    only: &[String],
    binary: Option<&Path>,
) -> Result<()> {
    let weft = survey::agent(binary.map(Path::to_owned), build::release)?;
    let certificates = certificates::make()?;
    let mut rows = Vec::new();
    for service in service::chosen(only) {
        match workloads::ensure(service.folder) {
            Ok(()) => rows.push(measure(service, &weft, &certificates, rounds, seconds)?),
            Err(error) => step::warn(format!("{} is left out: {error:#}", service.name)),
        }
    }
    print(&rows, rounds, seconds);
    Ok(())
}

fn measure(
    service: &Service,
    weft: &Path,
    certificates: &Path,
    rounds: usize,
    seconds: u32,
) -> Result<Row> {
    step::say(format!(
        "{}: {rounds} rounds of {seconds} s of each kind",
        service.name
    ));
    let dir = workspace::kept().join("bench");
    let (port, upstream) = (free_port()?, free_port()?);
    let mut services = Group::new(&dir)?;
    let run = workspace::workloads().join(service::UPSTREAM).join("run");
    services.start(
        "upstream",
        Command::new(run).env("PORT", upstream.to_string()),
    )?;
    services.wait_for("upstream", "listening on", START_LIMIT)?;
    let pid = services.start(
        service.name,
        service
            .command(port, upstream)
            .env("CERTIFICATES", certificates),
    )?;
    services.wait_for(service.name, "listening on", START_LIMIT)?;
    // Compilers of the runtime and caches first.
    load(service, port, seconds.max(WARM_UP))?;
    let mut row = Row {
        name: service.name,
        rounds: Vec::new(),
        hits: hits(service, port, weft, seconds)?,
        summaries: Vec::new(),
    };
    for number in 0..rounds {
        for turn in 0..KINDS.len() {
            // each kind is first, second and last in turn
            let Some(kind) = KINDS.get((number + turn) % KINDS.len()).copied() else {
                continue;
            };
            let measured = round(
                service,
                port,
                pid,
                (kind, weft),
                seconds,
                &mut row.summaries,
            )?;
            row.rounds.push((kind, measured));
        }
    }
    Ok(row)
}

/// How often probes in runtimes fire for a request, in a round of its own: counting takes time.
fn hits(service: &Service, port: u16, weft: &Path, seconds: u32) -> Result<f64> {
    let mut agents = Group::new(&workspace::kept().join("bench"))?;
    let agent = start_agent(&mut agents, weft, port, "on")?;
    let counting = hits::Counting::start()?;
    let before = hits::of(agent)?;
    let requests = load(service, port, seconds)?;
    let after = hits::of(agent)?;
    drop(counting);
    Ok((after - before) / requests)
}

fn round(
    service: &Service,
    port: u16,
    pid: u32,
    (kind, weft): (Kind, &Path),
    seconds: u32,
    summaries: &mut Vec<String>,
) -> Result<Round> {
    let dir = workspace::kept().join("bench");
    let mut agents = Group::new(&dir)?;
    let agent = match kind {
        Kind::Without => None,
        Kind::Off => Some(start_agent(&mut agents, weft, port, "off")?),
        Kind::On => Some(start_agent(&mut agents, weft, port, "on")?),
    };
    let cpu = || -> Result<(f64, f64, f64)> {
        let agent = agent.map_or(Ok(0.0), cpu_of)?;
        Ok((tree_cpu(pid)?, system_cpu()?, agent))
    };
    let memory = || agent.map_or(Ok(0.0), resident);
    let idle = memory()?;
    let before = cpu()?;
    let requests = load(service, port, seconds)?;
    let after = cpu()?;
    let loaded = memory()?;
    if agent.is_some() {
        let errors = agents.errors(AGENT);
        drop(agents);
        let text = fs::read_to_string(errors).unwrap_or_default();
        summaries.push(text.lines().last().unwrap_or_default().to_owned());
    }
    Ok(Round {
        requests,
        service: after.0 - before.0,
        system: after.1 - before.1,
        agent: after.2 - before.2,
        idle,
        loaded,
    })
}

/// Starts the agent over who listens on `port`, with the probes in runtimes `on` or `off`.
fn start_agent(agents: &mut Group, weft: &Path, port: u16, tasks: &str) -> Result<u32> {
    let mut command = Command::new(weft);
    command
        .args(["run", "--output", "none", "--select"])
        .arg(format!("port={port}"))
        .envs(service::TASKS.map(|variable| (variable, tasks)));
    let agent = agents.start(AGENT, &mut command)?;
    agents.wait_for(AGENT, "ready", START_LIMIT)?;
    // It looks once at every process there is, and gives back the memory of its start a second
    // later; that is not the service's doing.
    std::thread::sleep(FIRST_LOOK);
    Ok(agent)
}

/// Loads the service; answers how many requests were served.
fn load(service: &Service, port: u16, seconds: u32) -> Result<f64> {
    if service.client == Client::Remote {
        return load_remote(service, port, seconds);
    }
    let scheme = match service.client {
        Client::WrkTls => "https",
        Client::Wrk | Client::Remote => "http",
    };
    let url = format!("{scheme}://127.0.0.1:{port}{}", service.path);
    let output = Command::new("wrk")
        .args([
            "-t1",
            &format!("-c{}", service.connections),
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
fn load_remote(service: &Service, port: u16, seconds: u32) -> Result<f64> {
    let message = workspace::kept().join("bench/message");
    // not compressed, no bytes
    fs::write(&message, [0; 5])?;
    let output = Command::new("h2load")
        .args(["-m10", &format!("-c{}", service.connections)])
        .args([&format!("-D{seconds}"), "-d"])
        .arg(&message)
        .args(["-H", "content-type: application/grpc", "-H", "te: trailers"])
        .arg(format!("http://127.0.0.1:{port}{}", service.path))
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

/// The median of all rounds of a kind.
fn median(row: &Row, kind: Kind, value: impl Fn(&Round) -> f64) -> f64 {
    let rounds = row.rounds.iter().filter(|(of, _)| *of == kind);
    let mut values: Vec<f64> = rounds.map(|(_, round)| value(round)).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn print(rows: &[Row], rounds: usize, seconds: u32) {
    println!();
    println!(
        "CPU µs per request, median of {rounds} rounds of {seconds} s of each kind: without weft, \
         with it but for the probes in runtimes, with them"
    );
    println!();
    println!(
        "| service | service's processes | added | of it, probes in runtimes | their hits | whole system | \
         weft itself | weft's memory MiB, idle → loaded | requests/s |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        let service = KINDS.map(|kind| median(row, kind, |r| r.service / r.requests));
        let system = KINDS.map(|kind| median(row, kind, |r| r.system / r.requests));
        let rate = KINDS.map(|kind| median(row, kind, |r| r.requests / f64::from(seconds)));
        let [without, off, on] = service;
        let percent = |part: f64| 100.0 * part / without;
        println!(
            "| {} | {without:.1} → {off:.1} → {on:.1} | {:+.1} ({:+.1} %) | {:+.1} ({:+.1} %) | \
             {:.1} | {:.1} → {:.1} → {:.1} | {:.1} | {:.0} → {:.0} | {:.0} → {:.0} → {:.0} |",
            row.name,
            on - without,
            percent(on - without),
            on - off,
            percent(on - off),
            row.hits,
            system[0],
            system[1],
            system[2],
            median(row, Kind::On, |r| r.agent / r.requests),
            median(row, Kind::On, |r| r.idle),
            median(row, Kind::On, |r| r.loaded),
            rate[0],
            rate[1],
            rate[2],
        );
    }
    println!();
    for row in rows {
        for summary in &row.summaries {
            println!("{}: {summary}", row.name);
        }
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
