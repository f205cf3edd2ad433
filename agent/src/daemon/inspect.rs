//! What `check`, `targets` and `explain` answer: facts about this host and its processes.

use super::discover::{Discovery, Found};
use super::plan;
use crate::cli::{Check, Exit, Fact, Hook, State, Target};
use crate::config::{Config, Switch};
use crate::discovery::mapping::mappings;
use crate::discovery::procs::Proc;
use crate::discovery::sockets::Listeners;
use crate::metadata::container::Container;
use crate::probe::attach;
use crate::probe::mappings::Mappings;
use crate::probe::object::{self, Error, Loaded};
use crate::probe::runtime::{Extent, Plan, Planner, Probed, Refusal, probed};
use crate::probe::tls::{Finder, Library};
use crate::probe::uprobes::Reach;
use std::fs;

/// Loads and attaches everything, looks, and lets go of it again.
pub(super) fn check(config: &Config) -> Check {
    let mut facts = host_facts();
    match object::load(&plan::probes(config, false)) {
        Ok(mut loaded) => {
            facts.extend(libraries(&mut loaded));
            let mut hooks: Vec<Hook> = loaded.reports.iter().flat_map(hooks).collect();
            hooks.push(mappings_told(config.capture.tls));
            let missing = loaded.missing();
            let hopeless = missing
                .first()
                .map(|report| format!("no hook shows {}", report.subject.purpose));
            Check {
                facts,
                hooks,
                hopeless,
            }
        }
        Err(error) => Check {
            facts,
            hooks: Vec::new(),
            hopeless: Some(one_line(&error)),
        },
    }
}

/// TLS libraries that are where libraries are, and whether they can be probed.
fn libraries(loaded: &mut Loaded) -> Vec<Fact> {
    let found = Finder::default().standard(&Proc::at("/proc"));
    let fact = |library: Library| {
        let state = match &library.part {
            Ok(part) if loaded.probe_parts(0, std::slice::from_ref(part)) == Reach::Whole => {
                "probed".to_owned()
            }
            Ok(_) => "refused: the kernel takes no uprobes there".to_owned(),
            Err(why) => why.clone(),
        };
        Fact {
            name: "tls".to_owned(),
            value: format!("{} in {}: {state}", library.name, library.path),
        }
    };
    found.into_iter().map(fact).collect()
}

fn one_line(error: &Error) -> String {
    error.to_string().replace("\nhint: ", "; ")
}

fn hooks(report: &attach::Report) -> Vec<Hook> {
    report
        .candidates
        .iter()
        .map(|(candidate, state)| Hook {
            subject: report.subject.name.to_owned(),
            name: candidate.name.to_owned(),
            state: match state {
                attach::State::Active => State::Active,
                attach::State::Off(why) => State::Off(why.clone()),
                attach::State::Refused(why) => State::Refused(why.clone()),
            },
            remedy: match state {
                attach::State::Refused(why) => Some(remedy(why, candidate.since)),
                _ => None,
            },
        })
        .collect()
}

/// Whether the kernel tells which libraries are loaded into running processes.
fn mappings_told(tls: bool) -> Hook {
    let (state, remedy) = match Mappings::open() {
        _ if !tls => (State::Off("capture.tls is off".to_owned()), None),
        Ok(_) => (State::Active, None),
        Err(error) => {
            let why = format!("{error}: TLS libraries are looked for every 10 s instead");
            (State::Refused(why), Some(events_remedy()))
        }
    };
    Hook {
        subject: "libraries".to_owned(),
        name: "perf_mmap".to_owned(),
        state,
        remedy,
    }
}

/// What would make the kernel tell of all processes.
fn events_remedy() -> String {
    const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";
    let paranoid = fs::read_to_string(PARANOID).ok();
    match paranoid.and_then(|text| text.trim().parse::<i32>().ok()) {
        // The kernels of some distributions know more than the two of others.
        Some(above @ 3..) => format!(
            "sysctl kernel.perf_event_paranoid=2, as this kernel asks for CAP_SYS_ADMIN at {above}"
        ),
        _ => "root or CAP_PERFMON, where nothing else forbids perf_event_open(2)".to_owned(),
    }
}

/// What would make a hook work that was refused because of `why`, and that kernels have since `since`.
fn remedy(why: &str, since: &str) -> String {
    let why = why.to_ascii_lowercase();
    if why.contains("permission") || why.contains("not permitted") {
        "run as root, or with CAP_BPF and CAP_PERFMON".to_owned()
    } else if why.contains("tracefs") || why.contains("/sys/kernel") {
        "mount -t tracefs tracefs /sys/kernel/tracing".to_owned()
    } else if why.contains("bpf_probe_read") {
        // The verifier knows no such helper then (`LOCKDOWN_BPF_READ_KERNEL`).
        "no lockdown, or lockdown=integrity: at confidentiality BPF may not read the kernel's memory"
            .to_owned()
    } else {
        format!("a kernel from {since} on; the next candidate does without")
    }
}

fn host_facts() -> Vec<Fact> {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
    let fact = |name: &str, value: String| Fact {
        name: name.to_owned(),
        value,
    };
    let mut facts = Vec::new();
    if let Ok(release) = read("/proc/sys/kernel/osrelease") {
        facts.push(fact(
            "kernel",
            format!("{release} {}", std::env::consts::ARCH),
        ));
    }
    let btf = match fs::metadata("/sys/kernel/btf/vmlinux") {
        Ok(_) => "yes, /sys/kernel/btf/vmlinux".to_owned(),
        Err(error) => format!("no ({error})"),
    };
    facts.push(fact("btf", btf));
    let lockdown = read("/sys/kernel/security/lockdown")
        .unwrap_or_else(|_| "unknown (securityfs is not mounted)".to_owned());
    facts.push(fact("lockdown", lockdown));
    if let Ok(status) = read("/proc/self/status") {
        let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        facts.push(fact("privileges", privileges(bits.unwrap_or(0))));
    }
    facts
}

/// The capabilities that matter, by their bits in `linux/capability.h`.
fn privileges(effective: u64) -> String {
    const WANTED: [(u32, &str, &str); 4] = [
        (39, "CAP_BPF", "loading programs"),
        (38, "CAP_PERFMON", "attaching them"),
        (19, "CAP_SYS_PTRACE", "reading other users' /proc entries"),
        (
            2,
            "CAP_DAC_READ_SEARCH",
            "reading manifests of other users' services",
        ),
    ];
    // CAP_SYS_ADMIN stands for the first two.
    let admin = effective >> 21 & 1 == 1;
    let missing: Vec<String> = WANTED
        .iter()
        .filter(|(bit, ..)| effective >> bit & 1 == 0 && !(admin && *bit >= 38))
        .map(|(_, name, purpose)| format!("{name} ({purpose})"))
        .collect();
    if missing.is_empty() {
        "all".to_owned()
    } else {
        format!("missing {}", missing.join(", "))
    }
}

/// All processes, with what becomes of them.
pub(super) fn targets(config: &Config) -> Result<Vec<Target>, Exit> {
    let discovery = Discovery::new(plan::rules(config)?, plan::switches(&config.tasks));
    let pids = discovery.scan();
    let listeners = Listeners::read(&discovery.proc, &pids);
    Ok(pids
        .into_iter()
        .filter_map(|pid| discovery.find(pid, &listeners.ports(pid)))
        .map(|found| Target {
            pid: found.tgid,
            service: found.service.name.clone(),
            runtime: found.service.runtime,
            selected: found.decision.watch,
            reason: found.decision.reason,
        })
        .collect())
}

/// Everything known of one process.
pub(super) fn explain(config: &Config, pid: u32) -> Result<Vec<Fact>, Exit> {
    let discovery = Discovery::new(plan::rules(config)?, plan::switches(&config.tasks));
    let process = discovery.proc.read(pid).map_err(|error| {
        Exit::failed(
            format!("process {pid}"),
            error.to_string(),
            "`weft targets` lists what is there",
        )
    })?;
    let listeners = Listeners::read(&discovery.proc, &[pid]);
    let ports = listeners.ports(pid);
    let name = discovery.identifier.name(&process);
    let Some(Found {
        service, decision, ..
    }) = discovery.find(pid, &ports)
    else {
        return Err(Exit::failed(
            format!("process {pid}"),
            "it has just ended",
            "",
        ));
    };
    let mut facts = Vec::new();
    let mut tell = |name: &str, value: String| {
        if !value.is_empty() {
            facts.push(Fact {
                name: name.to_owned(),
                value,
            });
        }
    };
    tell(
        "service",
        format!("{} (from {})", service.name, name.origin),
    );
    tell(
        "program",
        process
            .exe
            .as_ref()
            .map(|exe| exe.display().to_string())
            .unwrap_or_default(),
    );
    if process.exe_deleted {
        tell(
            "",
            "its file was removed or replaced since it started".to_owned(),
        );
    }
    tell("runtime", format!("{:?}", service.runtime));
    let container = Container::of(&discovery.proc, &process);
    tell("container", container.id.unwrap_or_default());
    let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
    tell("listens on", ports.join(", "));
    tell(
        "watched",
        format!(
            "{}: {}",
            if decision.watch { "yes" } else { "no" },
            decision.reason
        ),
    );
    for note in decision.notes {
        tell("note", note);
    }
    let maps = mappings(&discovery.proc, pid);
    for library in Finder::default().of_process(&discovery.proc, pid, &maps) {
        let state = match &library.part {
            Ok(_) if !config.capture.tls => "not probed: capture.tls is off".to_owned(),
            Ok(_) => "probed while weft runs".to_owned(),
            Err(why) => why.clone(),
        };
        tell(
            "tls",
            format!("{} in {}: {state}", library.name, library.path),
        );
    }
    let mut planner = Planner::new(discovery.switches.clone());
    let tasks = planner.plan(&discovery.proc, &process, &maps, service.runtime);
    if let Some(probed) = probed(service.runtime, process.program()) {
        tell("tasks", switched(config, probed));
    }
    if tasks.as_ref().is_ok_and(Plan::has_database_calls) {
        let state = match config.capture.database_calls {
            true => "probed while weft runs",
            false => "not probed: capture.database_calls is off",
        };
        tell("databases", format!("calls of database/sql: {state}"));
    }
    for gap in gaps(&service).into_iter().chain(task_gaps(tasks)) {
        tell("limit", gap);
    }
    Ok(facts)
}

/// Whether tasks of its runtime are told apart, why, and at what cost.
fn switched(config: &Config, probed: Probed) -> String {
    let extent = plan::switches(&config.tasks).extent(probed);
    let why = match plan::setting(&config.tasks, probed) {
        Switch::Auto if extent == Extent::All => format!("{} is auto", probed.key()),
        Switch::Auto if extent == Extent::Calls => format!(
            "{} is auto, and what every request would pay for is more than {} %; \"on\" turns it on",
            probed.key(),
            Probed::AFFORDABLE
        ),
        Switch::Auto => format!(
            "{} is auto, and that is more than {} %; \"on\" turns them on",
            probed.key(),
            Probed::AFFORDABLE
        ),
        Switch::On | Switch::Off => format!("{} says so", probed.key()),
    };
    let state = match extent {
        Extent::All => "",
        Extent::Calls => "for calls of a request's own task ",
        Extent::Nothing => "not ",
    };
    format!("{state}told apart: {}: {why}", probed.price())
}

/// What of its runtime's tasks cannot be told.
fn task_gaps(tasks: Result<Plan, Refusal>) -> Vec<String> {
    match tasks {
        Ok(plan) => plan.lacks,
        Err(Refusal::None) => Vec::new(),
        Err(Refusal::Off(probed)) => vec![format!(
            "its tasks are not told apart: {} is off",
            probed.key()
        )],
        Err(Refusal::Early) => vec!["its tasks are not told apart: it has only started".to_owned()],
        Err(Refusal::Unknown(why)) => vec![format!("its tasks are not told apart: {why}")],
    }
}

/// What weft cannot do for this process yet, so that missing data is no riddle.
fn gaps(service: &crate::metadata::Service) -> Vec<String> {
    use crate::metadata::Runtime;
    let mut gaps = vec![
        "HTTP/1, HTTP/2, gRPC, WebSocket and FastCGI are understood, in the clear and in TLS libraries \
         that are probed; other protocols are left alone"
            .to_owned(),
    ];
    match service.runtime {
        Runtime::Go => gaps.push(
            "calls made by goroutines behind a channel have no parent, unless the request's \
             context comes with them; nor have calls over HTTP/2 by other libraries than net/http, \
             golang.org/x/net/http2 and google.golang.org/grpc; of calls of databases only those by \
             database/sql are seen"
                .to_owned(),
        ),
        Runtime::Rust => gaps.push(
            "tokio's tasks are told apart where the program has its symbols; calls of blocking \
             clients, of clients that share a connection of HTTP/2, of actix-web's handlers over \
             HTTP/2, and of other async runtimes, have no parent"
                .to_owned(),
        ),
        Runtime::Java => gaps.push(
            "requests that stay on their thread are followed, and tasks that they submit to an \
             executor: calls of fork-join pools, virtual threads, futures and asynchronous clients \
             have no parent"
                .to_owned(),
        ),
        Runtime::Ruby => gaps.push(
            "calls of threads that a request starts have a parent if they end before it".to_owned(),
        ),
        Runtime::Node => gaps.push(
            "one event loop serves all requests: with several open at once, a call has no parent \
             that is made in the callback of an answer or of the thread pool (one behind an await \
             has), or that waited for a free connection outside of http.Agent"
                .to_owned(),
        ),
        _ => {}
    }
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(why: &str, expected: &str) {
        let remedy = remedy(why, "5.5");
        assert!(remedy.contains(expected), "{why}: {remedy}");
    }

    #[test]
    fn what_is_refused_has_a_remedy() {
        check("sys_exit: Operation not permitted (os error 1)", "CAP_BPF");
        check(
            "no such file: /sys/kernel/tracing/events",
            "mount -t tracefs",
        );
        // 6.1, booted with lockdown=confidentiality.
        check(
            "sys_exit: refused at load: Invalid argument (os error 22) (unknown func bpf_probe_read#4 | \
             verification time 8732 usec)",
            "lockdown=integrity",
        );
        check("unknown BTF type `btf_trace_sock_recv_length`", "5.5");
    }
}
