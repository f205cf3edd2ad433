//! `cargo xtask demo`: two services that nobody instrumented, a real OTLP backend, and weft with
//! no configuration but the endpoint. Sends three requests, shows the traces, and proves that the
//! backend received what weft saw. Everything started here is ended here, except with `--keep`.

mod backend;
mod request;
mod spans;
mod verdict;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::Group;
use crate::{build, setup, step, workspace};
use spans::Seen;
use verdict::Verdict;

/// The services' ports, as their authors chose them.
const FRONTEND_PORT: u16 = 3000;
const DATA_PORT: u16 = 3001;
/// The ports of OTLP, taken when they are free.
const OTLP_PORTS: (u16, u16) = (4317, 4318);
/// A service that is not up by then will not be.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long spans may take from the request to the backend (batches leave every few seconds).
const ARRIVAL_LIMIT: Duration = Duration::from_secs(20);
/// Who is asked for, and the answer to expect.
const REQUESTS: [(&str, u16); 3] = [("alice", 200), ("bob", 200), ("charlie_error", 500)];

/// Runs the demonstration.
///
/// # Errors
/// When something cannot be started or the proof fails.
pub(crate) fn run(keep: bool, port_offset: u16, binary: Option<PathBuf>) -> Result<()> {
    let start = Instant::now();
    let ports = Ports::choose(port_offset)?;
    if !workspace::is_root() {
        bail!(
            "weft watches the kernel, and for that it must be root\nhint: sudo -E env \"PATH=$PATH\" cargo xtask demo"
        );
    }
    use setup::Part;
    if setup::try_all(&[Part::Build, Part::Bpf, Part::Mounts, Part::Demo])? > 0 {
        step::warn("going on: the demo may not need what is missing");
    }
    let weft = binary.map_or_else(build::release, Ok)?;
    let dir = workspace::kept().join("demo");
    let mut group = Group::new(&dir)?;
    start_services(&mut group, &ports)?;
    let spans_file = dir.join("spans.jsonl");
    start_weft(&mut group, &weft, &ports, &spans_file)?;

    step::say("send requests");
    let mut verdicts = Vec::new();
    for (name, expected) in REQUESTS {
        let path = format!("/process/{name}");
        let status = request::get(ports.frontend, &path)?;
        step::note(format!(
            "GET http://127.0.0.1:{}{path} -> {status}",
            ports.frontend
        ));
        verdicts.push(Verdict::new(path, expected, status));
    }
    wait_for_arrival(&mut verdicts, &spans_file, &group.output("backend"))?;

    step::say("what weft printed");
    print!(
        "{}",
        fs::read_to_string(group.output("weft")).unwrap_or_default()
    );
    step::say("what the backend received, compared with what weft saw");
    verdict::print(&verdicts);
    finish(group, keep, &verdicts, &ports, start.elapsed())
}

/// Where everything listens.
#[derive(Debug)]
struct Ports {
    frontend: u16,
    data: u16,
    grpc: u16,
    http: u16,
}

impl Ports {
    fn choose(offset: u16) -> Result<Self> {
        let frontend = wanted(FRONTEND_PORT, offset)?;
        let data = wanted(DATA_PORT, offset)?;
        Ok(Self {
            frontend,
            data,
            grpc: free(OTLP_PORTS.0)?,
            http: free(OTLP_PORTS.1)?,
        })
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

fn wanted(port: u16, offset: u16) -> Result<u16> {
    let port = port.checked_add(offset).filter(|port| is_free(*port));
    let Some(port) = port else {
        bail!(
            "a port of the demo's services is in use: {FRONTEND_PORT} or {DATA_PORT} (+{offset})\n\
             hint: cargo xtask demo --port-offset 10000"
        );
    };
    Ok(port)
}

/// The usual port, or any other when that is taken.
fn free(usual: u16) -> Result<u16> {
    if is_free(usual) {
        return Ok(usual);
    }
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn start_services(group: &mut Group, ports: &Ports) -> Result<()> {
    step::say("start the services and the backend");
    let installed = workspace::workloads();
    let maze = installed.join("maze");
    let mut backend = Command::new(installed.join("backend/run"));
    backend
        .env("OTLP_GRPC_PORT", ports.grpc.to_string())
        .env("OTLP_HTTP_PORT", ports.http.to_string());
    group.start("backend", &mut backend)?;
    let mut data = Command::new(maze.join("data-processor/run"));
    group.start("data-processor", data.env("PORT", ports.data.to_string()))?;
    let mut frontend = Command::new(maze.join("frontend-api/run"));
    frontend
        .env("PORT", ports.frontend.to_string())
        .env("UPSTREAM", format!("http://127.0.0.1:{}", ports.data));
    group.start("frontend-api", &mut frontend)?;
    for name in ["backend", "data-processor", "frontend-api"] {
        group.wait_for(name, "listening on", START_LIMIT)?;
    }
    for (name, pid, _) in group.members() {
        step::note(format!("{name}: process {pid}"));
    }
    Ok(())
}

/// The only setting is the endpoint; the file is how we compare with the backend.
fn start_weft(group: &mut Group, weft: &Path, ports: &Ports, spans_file: &Path) -> Result<()> {
    let _ = fs::remove_file(spans_file); // from an earlier run
    let endpoint = format!("http://127.0.0.1:{}", ports.grpc);
    let file = format!("file:{}", spans_file.display());
    step::say(format!("weft run --endpoint {endpoint}"));
    let mut command = Command::new(weft);
    command.args([
        "run",
        "--endpoint",
        &endpoint,
        "--output",
        "terminal",
        "--output",
        &file,
    ]);
    group.start("weft", &mut command)?;
    group.wait_for("weft", "ready", START_LIMIT)
}

/// Waits until every request has its whole trace, here and in the backend, or the time is over.
fn wait_for_arrival(verdicts: &mut [Verdict], spans_file: &Path, backend: &Path) -> Result<()> {
    step::say("wait for the spans to arrive");
    let start = Instant::now();
    loop {
        let seen: Vec<Seen> =
            spans::from_lines(&fs::read_to_string(spans_file).unwrap_or_default());
        let received = backend::parse(&String::from_utf8_lossy(
            &fs::read(backend).unwrap_or_default(),
        ));
        for verdict in verdicts.iter_mut() {
            verdict.judge(&seen, &received);
        }
        if verdicts.iter().all(Verdict::holds) || start.elapsed() > ARRIVAL_LIMIT {
            step::note(format!(
                "{} spans seen, {} received",
                seen.len(),
                received.len()
            ));
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn finish(
    group: Group,
    keep: bool,
    verdicts: &[Verdict],
    ports: &Ports,
    took: Duration,
) -> Result<()> {
    let failed = verdicts.iter().filter(|verdict| !verdict.holds()).count();
    let outputs = workspace::kept().join("demo");
    if failed > 0 {
        step::print_tail(&group.errors("weft"));
        bail!(
            "{failed} of {} requests lack their proof\nhint: what each process printed is in {}",
            verdicts.len(),
            outputs.display()
        );
    }
    step::say(format!(
        "proven in {:.0} s: no line of the services was changed",
        took.as_secs_f64()
    ));
    if keep {
        let pids: Vec<String> = group.members().map(|(_, pid, _)| pid.to_string()).collect();
        step::note(format!(
            "all is left running; try `curl http://127.0.0.1:{}/process/you`",
            ports.frontend
        ));
        step::note(format!(
            "traces appear in {}",
            group.output("weft").display()
        ));
        step::note(format!("stop it with `kill {}`", pids.join(" ")));
        group.keep();
    }
    step::note("now watch your own: sudo target/release/weft");
    step::note("see what this host allows: sudo target/release/weft check");
    Ok(())
}
