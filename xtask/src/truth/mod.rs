//! `cargo xtask truth`: are weft's parents right under concurrency? Every request has an id in its
//! path, and each service, as people write them, passes it on in the paths of its calls. So each
//! span tells by itself where it belongs, which weft does not know, and each link can be judged.
//!
//! Each row starts one service of `tests/workloads` between this client and one shared upstream,
//! and weft beside them for each number of connections.

pub(crate) mod agent;
pub(crate) mod guest;
pub(crate) mod leaf;
pub(crate) mod spans;

mod judge;
mod load;
mod plan;
mod refusals;
mod report;
pub(crate) mod rows;
mod shared;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::libtest::Counts;
use crate::process::{Group, free_port};
use crate::survey::{self, QUIET, Survey};
use crate::{build, step, workspace};
use agent::{Agent, Recorder};
use judge::{Calls, Verdict};
use plan::Plan;
use refusals::Refusals;
use rows::Row;
use spans::Span;

/// A service that is not up by then will not be. Clocks of guests run fast where the host is busy.
const START_LIMIT: Duration = Duration::from_secs(240);
/// Requests before the first run, so that runtimes have loaded what they need.
const WARM_UP: usize = 24;
/// How long a service that is not ready is left alone.
const PAUSE: Duration = Duration::from_millis(100);
/// The run of `cargo xtask test`: so many requests over so many connections.
const TEST_REQUESTS: usize = 60;
const TEST_CONNECTIONS: usize = 16;

/// The upstream's name among the outputs.
const UPSTREAM: &str = "upstream";

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only rows whose names contain one of these
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Requests open at once, one run each
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    concurrency: Vec<usize>,
    /// Requests of a run
    #[arg(long, default_value_t = 300)]
    requests: usize,
    /// Keep what the kernel reported instead, as one file a run in this folder
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Put the results into docs/truth.md and README.md
    #[arg(long)]
    write: bool,
    /// This weft instead of one built now
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// One run of a row.
#[derive(Debug, Clone, Default)]
struct Run {
    concurrency: usize,
    verdict: Verdict,
    /// Links that weft refused, by cause.
    refused: BTreeMap<String, u64>,
    /// weft's own last line.
    summary: String,
}

/// All runs of a row.
#[derive(Debug, Clone)]
struct Measured {
    row: Row,
    versions: String,
    runs: Vec<Run>,
}

/// Measures, prints, and writes when asked to.
///
/// # Errors
/// When a row that can be measured could not be.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.write && options.record.is_some() {
        bail!("a recording has no results to write\nhint: leave out --write or --record");
    }
    if options.write {
        table::writable(&options.concurrency)?;
    }
    let rows = rows::chosen(&options.only)?;
    if options.write {
        table::have_places(&rows)?;
    }
    let mut bench = Bench::new(options.binary.clone(), build::release)?;
    let (concurrency, requests) = (&options.concurrency, options.requests);
    if let Some(dir) = &options.record {
        return survey::installed(rows)
            .try_for_each(|row| bench.record(&row, concurrency, requests, dir));
    }
    let one = |row: &Row| bench.measure(row, concurrency, requests);
    let survey = Survey::of(rows, one, |all| match options.write {
        true => table::write(all),
        false => Ok(()),
    })?;
    report::print(&survey.measured);
    survey.whole()
}

/// The layer of `cargo xtask test`: every row that has a least recall, and few requests.
///
/// # Errors
/// When nothing can be started at all.
pub(crate) fn test(only: &[String]) -> Result<Counts> {
    step::say("test: truth");
    if !workspace::is_root() {
        return Ok(Counts::skip("truth: root: run the tests as root"));
    }
    let mut bench = Bench::new(None, build::debug)?;
    let rows = rows::chosen(only)?.into_iter();
    let rows = rows.filter(|row| row.recall.is_some());
    Ok(survey::test("truth", rows, |row| {
        let least = row.recall.unwrap_or_default();
        let mut measure = || bench.measure(row, &[TEST_CONNECTIONS], TEST_REQUESTS);
        let measured = measure()?;
        right(&measured)?;
        match found(&measured, least) {
            // Another load on this machine costs records, which are counted: once more, then.
            Err(_) if lossy(&measured) => holds(&measure()?, least),
            judged => judged,
        }
    }))
}

/// What the ids of a run begin with. The upstream remembers all paths that it was asked for: no two
/// runs may share them, of the same number of connections neither.
fn mark(pid: u32, number: usize, connections: usize) -> String {
    format!("p{pid}r{number}c{connections}")
}

/// No link is wrong.
fn right(measured: &Measured) -> Result<()> {
    for run in &measured.runs {
        for links in [&run.verdict.calls, &run.verdict.pairs] {
            if links.wrong > 0 {
                bail!(
                    "{} parents are wrong: {}",
                    links.wrong,
                    links.told.join("; ")
                );
            }
        }
    }
    Ok(())
}

/// No fewer links are made than were before.
fn found(measured: &Measured, least: f64) -> Result<()> {
    for run in &measured.runs {
        let recall = run.verdict.calls.recall();
        if recall < least {
            bail!(
                "{recall:.1} % of the parents were found, not {least:.1} %: refused {:?}, {}",
                run.refused,
                run.summary
            );
        }
    }
    Ok(())
}

/// Both.
fn holds(measured: &Measured, least: f64) -> Result<()> {
    right(measured)?;
    found(measured, least)
}

/// weft told of records that the ring had no room for.
fn lossy(measured: &Measured) -> bool {
    let mut runs = measured.runs.iter();
    runs.any(|run| run.summary.contains("ring_full"))
}

/// What all rows share: the agent's binary, the upstream, the receiver of its metrics.
struct Bench {
    weft: PathBuf,
    dir: PathBuf,
    leaf: u16,
    leaf_pid: u32,
    refusals: Refusals,
    upstream: Group,
}

impl Bench {
    fn new(binary: Option<PathBuf>, build: fn() -> Result<PathBuf>) -> Result<Self> {
        Self::with(survey::agent(binary, build)?)
    }

    /// With this agent; nothing is installed.
    fn with(weft: PathBuf) -> Result<Self> {
        let dir = workspace::kept().join("truth");
        let mut upstream = Group::new(&dir)?;
        let leaf = free_port()?;
        let own = std::env::current_exe().context("cannot find this program")?;
        let mut command = Command::new(own);
        let leaf_pid = upstream.start(UPSTREAM, command.args(["leaf", &leaf.to_string()]))?;
        upstream.wait_for(UPSTREAM, "listening on", START_LIMIT)?;
        Ok(Self {
            weft,
            dir,
            leaf,
            leaf_pid,
            refusals: Refusals::listen()?,
            upstream,
        })
    }

    fn measure(&mut self, row: &Row, concurrency: &[usize], requests: usize) -> Result<Measured> {
        step::say(format!("{}: {}", row.name, row.what));
        let (services, port, pid) = self.start(row)?;
        let mut runs = Vec::new();
        for (number, connections) in concurrency.iter().enumerate() {
            let plan = Plan::new(&row.paths, requests, &mark(pid, number, *connections))?;
            let name = format!("{}-{connections}", row.name);
            let run = self.run(row, &name, &plan, *connections, (port, pid))?;
            report::note(&run);
            runs.push(run);
        }
        drop(services);
        Ok(Measured {
            row: row.clone(),
            versions: rows::versions(row),
            runs,
        })
    }

    fn run(
        &self,
        row: &Row,
        name: &str,
        plan: &Plan,
        connections: usize,
        (port, pid): (u16, u32),
    ) -> Result<Run> {
        self.refusals.take();
        let watched = self.watched(pid)?;
        let agent = Agent::start(
            &self.weft,
            &self.dir,
            name,
            &watched,
            Some(&self.refusals.endpoint()),
        )?;
        let sent = load::send(port, row.over, plan, connections);
        let judge = |spans: &[Span]| {
            let made = Calls {
                upstream: self.calls(plan),
                hops: row.hops,
                statements: row.statements,
            };
            judge::judge(spans, plan, made, self.leaf_pid)
        };
        survey::until_quiet(|| {
            let verdict = judge(&agent.spans());
            (verdict.seen, verdict.expected)
        });
        let (spans, summary) = agent.stop();
        sent?;
        let run = Run {
            concurrency: connections,
            verdict: judge(&spans),
            refused: self.refusals.take(),
            summary,
        };
        fs::write(self.dir.join(format!("{name}.txt")), format!("{run:#?}\n"))?;
        Ok(run)
    }

    fn record(&self, row: &Row, concurrency: &[usize], requests: usize, dir: &Path) -> Result<()> {
        step::say(format!("record {}", row.name));
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let (_services, port, pid) = self.start(row)?;
        for (number, connections) in concurrency.iter().enumerate() {
            let plan = Plan::new(&row.paths, requests, &mark(pid, number, *connections))?;
            let file = dir.join(format!("{}-{connections}.log", row.name));
            let watched = self.watched(pid)?;
            let recorder = Recorder::start(&self.weft, &self.dir, &file, &watched)?;
            let sent = load::send(port, row.over, &plan, *connections);
            std::thread::sleep(QUIET);
            drop(recorder);
            sent?;
            step::note(file.display());
        }
        Ok(())
    }

    /// Calls of a run that reached the upstream, as it says itself.
    fn calls(&self, plan: &Plan) -> usize {
        let said = fs::read_to_string(self.upstream.output(UPSTREAM)).unwrap_or_default();
        said.lines()
            .filter(|path| plan.owns(plan::id_of(path)))
            .count()
    }

    /// Starts a row's service and asks it for everything a few times.
    fn start(&self, row: &Row) -> Result<(Group, u16, u32)> {
        let port = free_port()?;
        let mut services = Group::new(&self.dir)?;
        let mut command = Command::new(workspace::workloads().join(&row.folder).join("run"));
        command
            .env("PORT", port.to_string())
            .env("UPSTREAM", format!("http://127.0.0.1:{}", self.leaf))
            .envs(&row.variables);
        let pid = services.start(&row.name, &mut command)?;
        services.wait_for(&row.name, "listening on", START_LIMIT)?;
        let start = Instant::now();
        for attempt in 0.. {
            let plan = Plan::new(&row.paths, WARM_UP, &format!("w{attempt}p{pid}"))?;
            match load::send(port, row.over, &plan, 2) {
                Ok(()) => break,
                // some say that they listen a moment before their workers are there
                Err(error) if start.elapsed() > START_LIMIT / 4 => {
                    step::print_tail(&services.errors(&row.name));
                    return Err(error);
                }
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
        Ok((services, port, pid))
    }

    /// The processes of the service and of the upstream: others of this host are not our business.
    fn watched(&self, service: u32) -> Result<Vec<u32>> {
        let mut pids = rows::family(service)?;
        pids.push(self.leaf_pid);
        Ok(pids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_runs_share_ids() -> Result<()> {
        let plan = |number, connections| {
            Plan::new(&["leaf".to_owned()], 300, &mark(7, number, connections))
        };
        let first = plan(0, 64)?;
        for other in [plan(1, 64)?, plan(1, 6)?, plan(10, 64)?] {
            let id = plan::id_of(&other.path(4)).to_owned();
            assert!(other.owns(&id) && !first.owns(&id), "{id}");
        }
        Ok(())
    }
}
