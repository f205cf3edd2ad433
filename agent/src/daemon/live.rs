//! `run`, `record` and `replay` from start to stop.

use super::capture::{Capture, Error, RecordLog};
use super::exports::Exports;
use super::{plan, replay as replaying};
use crate::cli::{Exit, RecordJob, ReplayJob, RunJob};
use crate::config::Tasks;
use crate::discovery::procs::Proc;
use crate::host::{return_memory_soon, use_small_pages, with_any_pages};
use crate::metadata::ResourceValue;
use crate::metadata::host::Host;
use crate::metadata::service::Identifier;
use crate::pipeline::Output;
use crate::probe::object;
use crate::probe::runtime::Probed;
use crate::record::log::Writer;
use crate::semconv;
use crate::stats::{Stats, summary, usage};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// Counts go to the metrics at this interval.
const METERS: Duration = Duration::from_secs(1);
/// The agent is ready after this, even if `/proc` is slow: on a busy host it takes a while until all
/// large programs were looked into.
const SCAN: Duration = Duration::from_secs(20);
/// After a traced command has ended, its last records are waited for this long.
const AFTERGLOW: Duration = Duration::from_millis(300);

/// Traces until a signal, the end of the command, or the end of the time.
pub(super) fn run(job: RunJob, log: Option<RecordLog>) -> Result<(), Exit> {
    use_small_pages();
    return_memory_soon();
    let stats = Arc::new(Stats::default());
    let host = Host::of(&Proc::at("/proc"));
    let mut exports = Exports::open(&job.config, &own_resource(&host), &stats)?;
    let mut command = with_any_pages(|| start_command(&job.command))?;
    let only = command.as_ref().map(|command| vec![command.id()]);
    let mut capture = match Capture::start(plan::capture(&job.config, only, log)?) {
        Ok(capture) => capture,
        Err(error) => {
            // It never ran: it waits for a signal that will not come.
            if let Some(command) = &mut command {
                command.abandon();
            }
            return Err(refused(error));
        }
    };
    let stop = stop_flag(&exports)?;
    until_identified(&mut capture, &mut exports, &stop)?;
    announce(&capture, &exports);
    announce_costs(&job.config.tasks);
    if let Some(command) = &mut command {
        command.release()?;
    }
    let ended = until_stopped(
        &mut capture,
        &mut exports,
        &stop,
        job.period,
        command.as_mut(),
    )?;
    exports.meters().capture(&capture);
    let mut failure = None;
    if let Err(error) = capture.stop(&mut |output| {
        if let Output::Trace { spans, carried, .. } = output {
            exports.offer(spans, carried);
        }
    }) {
        failure = Some(broken(&error));
    }
    drop(capture);
    exports.stop();
    eprintln!("weft: {}", summary(&stats, usage()));
    match (failure, ended) {
        (Some(failure), _) => Err(failure),
        (None, Some(status)) if !status.success() => Err(Exit::failed(
            job.command.join(" "),
            match (status.code(), status.signal()) {
                (Some(code), _) => format!("it ended with exit code {code}"),
                (None, Some(number)) => format!("signal {number} ended it"),
                (None, None) => "it ended badly".to_owned(),
            },
            "",
        )),
        _ => Ok(()),
    }
}

/// Writes what enters the pipeline into a file; traces are shown as they are.
pub(super) fn record(job: RecordJob) -> Result<(), Exit> {
    let file = File::create(&job.file)
        .and_then(|file| Writer::new(BufWriter::with_capacity(256 * 1024, file)))
        .map_err(|error| {
            Exit::failed(
                format!("writing {}", job.file.display()),
                error.to_string(),
                "its folder must exist and be writable",
            )
        })?;
    run(
        RunJob {
            config: job.config,
            command: job.command,
            period: job.period,
        },
        Some(file),
    )
}

/// Runs the pipeline over a file.
pub(super) fn replay(job: &ReplayJob) -> Result<(), Exit> {
    let stats = Arc::new(Stats::default());
    let proc = Proc::at("/proc");
    let host = Host::of(&proc);
    let mut exports = Exports::open(&job.config, &own_resource(&host), &stats)?;
    let unreadable = |error: String, hint: &str| {
        Exit::failed(format!("reading {}", job.file.display()), error, hint)
    };
    let file = File::open(&job.file)
        .map_err(|error| unreadable(error.to_string(), "`weft record FILE` makes one"))?;
    let identifier = Identifier::new(proc, host);
    let result = replaying::replay(
        BufReader::new(file),
        plan::pipeline(&job.config),
        Box::new(move |tgid, comm, command| identifier.from_command(tgid, comm, command)),
        &mut |output| {
            if let Output::Trace { spans, carried, .. } = output {
                exports.offer(spans, carried);
            }
        },
    );
    exports.stop();
    let (counts, senseless) = result.map_err(|error| unreadable(error.to_string(), ""))?;
    eprintln!(
        "weft: replayed {} records from {}, {senseless} made no sense",
        counts.records,
        job.file.display()
    );
    Ok(())
}

/// Who is there already is found out before the agent says that it is ready: as long as the
/// runtime of a process is unknown, its calls get no parent. Capture goes on meanwhile.
fn until_identified(
    capture: &mut Capture,
    exports: &mut Exports,
    stop: &AtomicBool,
) -> Result<(), Exit> {
    let start = Instant::now();
    while !capture.identified() && !stop.load(Ordering::Relaxed) && start.elapsed() < SCAN {
        capture
            .turn(&mut |output| {
                if let Output::Trace { spans, carried, .. } = output {
                    exports.offer(spans, carried);
                }
            })
            .map_err(|error| broken(&error))?;
    }
    Ok(())
}

/// The loop of the capture thread, which is this one.
fn until_stopped(
    capture: &mut Capture,
    exports: &mut Exports,
    stop: &AtomicBool,
    period: Option<Duration>,
    mut command: Option<&mut Traced>,
) -> Result<Option<ExitStatus>, Exit> {
    let start = Instant::now();
    let mut next_meters = start;
    let mut ended: Option<(Instant, ExitStatus)> = None;
    loop {
        capture
            .turn(&mut |output| {
                if let Output::Trace { spans, carried, .. } = output {
                    exports.offer(spans, carried);
                }
            })
            .map_err(|error| broken(&error))?;
        let now = Instant::now();
        if now >= next_meters {
            next_meters = now + METERS;
            exports.meters().capture(capture);
        }
        if let (None, Some(command)) = (ended, command.as_deref_mut())
            && let Some(status) = command.ended()
        {
            ended = Some((now, status));
        }
        match ended {
            Some((at, status)) if now > at + AFTERGLOW => return Ok(Some(status)),
            _ => {}
        }
        if stop.load(Ordering::Relaxed) || period.is_some_and(|period| now > start + period) {
            return Ok(ended.map(|(_, status)| status));
        }
    }
}

/// A command that is started stopped, so that it runs only once it is watched.
struct Traced {
    child: Child,
    program: String,
}

/// Starts the command behind a shell that stops itself before it becomes the command.
fn start_command(words: &[String]) -> Result<Option<Traced>, Exit> {
    let Some(program) = words.first() else {
        return Ok(None);
    };
    let child = Command::new("/bin/sh")
        .args(["-c", "kill -STOP $$ && exec \"$@\"", "weft"])
        .args(words)
        .spawn()
        .map_err(|error| Exit::failed(format!("starting {program}"), error.to_string(), ""))?;
    let traced = Traced {
        child,
        program: program.clone(),
    };
    traced.wait_until_stopped()?;
    Ok(Some(traced))
}

impl Traced {
    fn id(&self) -> u32 {
        self.child.id()
    }

    /// A signal that came before the stop would leave it stopped for ever.
    fn wait_until_stopped(&self) -> Result<(), Exit> {
        let stat = format!("/proc/{}/stat", self.id());
        for _ in 0..500 {
            let line = std::fs::read_to_string(&stat).unwrap_or_default();
            if line
                .rsplit(')')
                .next()
                .is_some_and(|rest| rest.starts_with(" T"))
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Err(Exit::failed(
            format!("starting {}", self.program),
            "its shell did not stop",
            "",
        ))
    }

    /// Lets it run.
    fn release(&self) -> Result<(), Exit> {
        let failed = |why: String| Exit::failed(format!("starting {}", self.program), why, "");
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| failed("it has no process id".to_owned()))?;
        kill_process(pid, Signal::CONT).map_err(|error| failed(error.to_string()))
    }

    fn abandon(&mut self) {
        // Gone already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }
}

/// Set by SIGINT and SIGTERM.
fn stop_flag(exports: &Exports) -> Result<Arc<AtomicBool>, Exit> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let _entered = exports.enter();
    let failed =
        |error: std::io::Error| Exit::failed("listening for signals", error.to_string(), "");
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        flag.store(true, Ordering::Relaxed);
    });
    Ok(stop)
}

/// One line that says what is happening and where traces go.
fn announce(capture: &Capture, exports: &Exports) {
    let hooks: Vec<_> = capture
        .loaded
        .reports
        .iter()
        .filter_map(|report| {
            Some(format!(
                "{} by {}",
                report.subject.name,
                report.active()?.name
            ))
        })
        .collect();
    tracing::info!(hooks = hooks.join(", "), "attached");
    eprintln!(
        "weft: ready, watching {} processes and what they start, traces go to {}",
        capture.watched(),
        exports.described()
    );
    for report in &capture.loaded.reports {
        if report.active().is_none() {
            eprintln!(
                "weft: {} cannot be seen here: {}\nhint: `weft check` tells why",
                report.subject.name, report.subject.purpose
            );
        }
    }
}

/// Says what is off for its cost, and how to turn it on.
fn announce_costs(tasks: &Tasks) {
    let dear = plan::too_dear(tasks);
    if dear.is_empty() {
        return;
    }
    let names: Vec<&str> = dear.iter().map(|probed| probed.name()).collect();
    let keys: Vec<String> = dear
        .iter()
        .map(|probed| format!("{} = \"on\"", probed.key()))
        .collect();
    eprintln!(
        "weft: not all calls are followed through the tasks of {}: probes there can take more than \
         {} % of a service's CPU\nhint: {}",
        names.join(" and "),
        Probed::AFFORDABLE,
        keys.join(", ")
    );
}

/// Resource of the agent's own metrics.
fn own_resource(host: &Host) -> Vec<(String, ResourceValue)> {
    let mut resource: Vec<(String, ResourceValue)> = host
        .attributes()
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let text = |text: &str| ResourceValue::Text(text.to_owned());
    resource.push((semconv::SERVICE_NAME.to_owned(), text("weft")));
    resource.push((
        semconv::SERVICE_VERSION.to_owned(),
        text(env!("CARGO_PKG_VERSION")),
    ));
    let pid = i64::from(std::process::id());
    resource.push((semconv::PROCESS_PID.to_owned(), ResourceValue::Int(pid)));
    resource
}

/// Why capture did not start, in words with a remedy; the host's fault or not.
fn refused(error: Error) -> Exit {
    let text = error.to_string();
    let (why, hint) = text.split_once("\nhint: ").unwrap_or((&text, ""));
    match error {
        Error::Probe(object::Error::NoObject) => Exit::failed("starting capture", why, hint),
        _ => Exit::host("starting capture", why, hint),
    }
}

fn broken(error: &std::io::Error) -> Exit {
    Exit::failed("capture", error.to_string(), "")
}
