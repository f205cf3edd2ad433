//! The capture thread's work: ring buffer, pipeline, process discovery.
//!
//! In: the running kernel. Out: [`Output::Trace`]. One thread does it all, so nothing is locked
//! and nothing is queued between a record and its trace.

use super::discover::{Discoverer, Discovery, Found};
use super::heard::Heard;
use crate::discovery::procs::Proc;
use crate::discovery::select::Rules;
use crate::host::{release_code, release_memory};
use crate::pipeline::{Counts, Input, Options, Output, Pipeline};
use crate::probe::misses::missed;
use crate::probe::object::{self, Control, Loaded};
use crate::probe::ring::Reader;
use crate::probe::runtime::{Part, Switches};
use crate::probe::tls::Finder;
use crate::probe::uprobes::Reach;
use crate::record::decode::decode;
use crate::record::log::{Frame, Writer};
use crate::record::{Event, Nanos};
use crate::stream::time::{Clock, monotonic};
use crate::trace::id::Ids;
use agent_common::loss::Loss;
use agent_common::watch::{IGNORE, WATCH};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufWriter};
use std::sync::Arc;

/// Records taken from the ring before the pipeline's time goes on.
const BATCH: usize = 64;

/// Batches taken before all else is looked after: when more comes than the agent can take, its ring
/// is never empty, and processes must get their names and the agent its signals all the same.
const TURN: usize = 64;
/// The clocks are compared at this interval, ns: the wall clock is adjusted now and then.
const CLOCK: Nanos = 5_000_000_000;

/// Writers of probed files are looked for at this interval, ns.
const YIELD: Nanos = 50_000_000;

/// Free memory is given back to the system at this interval, ns.
const RELEASE: Nanos = 30_000_000_000;

/// The first time soon after the start, whose memory is the largest part of it.
const SETTLED: Nanos = 1_000_000_000;

/// No process: files that are probed for whoever comes.
const ANYBODY: u32 = 0;

/// Where the inputs of the pipeline are saved.
pub type RecordLog = Writer<BufWriter<File>>;

/// What a capture is started with.
pub struct Plan {
    /// The kernel side.
    pub probes: object::Options,
    /// The pipeline.
    pub pipeline: Options,
    /// Which processes.
    pub rules: Rules,
    /// Which runtimes are probed.
    pub switches: Switches,
    /// Only these processes and what they start, instead of the whole host.
    pub only: Option<Vec<u32>>,
    /// Save all inputs.
    pub log: Option<RecordLog>,
}

/// A running capture.
pub struct Capture {
    /// Hooks; dropping them detaches.
    pub loaded: Loaded,
    reader: Reader,
    control: Control,
    pipeline: Pipeline,
    discoverer: Discoverer,
    heard: Heard,
    executed: Executed,
    log: Option<RecordLog>,
    next_clock: Nanos,
    next_release: Nanos,
    next_yield: Nanos,
    undecodable: u64,
    /// Bytes taken from the ring since it was last empty.
    backlog: usize,
    /// When the latest record so far was made.
    newest: Nanos,
    awake: Awake,
    /// Records that the ring buffer had no room for, as last asked.
    lost: u64,
    /// Runs of programs that the kernel left out, as last asked.
    missed: u64,
    /// Bytes of the ring buffer.
    full: usize,
    /// Processes of the start that are watched, as far as the rules were asked.
    watched: HashSet<u32>,
    identified: bool,
    /// There are processes left whose identity was not taken over yet.
    behind: bool,
    /// What only the start needed was given back.
    settled: bool,
}

/// Why a capture did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel side.
    #[error(transparent)]
    Probe(#[from] object::Error),
    /// No way to see socket I/O.
    #[error(
        "this host lets weft see no {purpose}: {reasons}\n\
         hint: `weft check` tells what each hook needs"
    )]
    Blind {
        /// What is not seen.
        purpose: &'static str,
        /// Each candidate's refusal.
        reasons: String,
    },
    /// A descriptor.
    #[error("cannot wait for the ring buffer: {0}")]
    Io(#[from] io::Error),
}

/// Records wait no longer for processes that are probed, but for the last of them.
const PROBING: Nanos = 50_000_000;

/// Processes of which the last program is remembered.
const EXECUTED: usize = 4096;

/// When processes last became other programs: what was found out before is of the former one.
#[derive(Default)]
struct Executed(HashMap<u32, Nanos>);

impl Executed {
    fn note(&mut self, tgid: u32, at: Nanos) {
        if self.0.len() >= EXECUTED {
            // Answers take milliseconds.
            self.0.retain(|_, before| *before + RELEASE > at);
        }
        if self.0.len() < EXECUTED {
            self.0.insert(tgid, at);
        }
    }

    /// Has `tgid` become another program since `at`?
    fn since(&self, tgid: u32, at: Nanos) -> bool {
        self.0.get(&tgid).is_some_and(|executed| *executed > at)
    }
}

/// The time that has gone by for the pipeline, which waits for nothing longer than it is awake: while the
/// agent was stopped, or the machine that it runs on, nobody could report what is waited for.
#[derive(Default)]
struct Awake {
    now: Nanos,
    /// Turns since a stop.
    steps: u32,
}

impl Awake {
    /// Most that it goes on by at once, ns: a few times the interval of looks at the ring.
    const STEP: Nanos = 200_000_000;
    /// Turns after a stop in which what came late is taken: a second, if nothing comes.
    const STEPS: u32 = 20;

    /// It is `now`; answers how late that is for the pipeline.
    fn reach(&mut self, now: Nanos) -> Nanos {
        let next = self.now.saturating_add(Self::STEP);
        if self.now > 0 && now > next && self.steps < Self::STEPS {
            self.steps += 1;
            self.now = next;
        } else {
            self.steps = 0;
            self.now = now.max(self.now);
        }
        self.now
    }
}

/// TLS libraries that are probed for whoever comes.
fn standard_libraries() -> Vec<Part> {
    let libraries = Finder::default().standard(&Proc::at("/proc"));
    let parts = libraries.into_iter();
    parts.filter_map(|library| library.part.ok()).collect()
}

impl Capture {
    /// Attaches the hooks, then looks who is there already: nobody falls between.
    ///
    /// # Errors
    /// When nothing can be captured on this host.
    pub fn start(plan: Plan) -> Result<Self, Error> {
        let full = plan.probes.ring_bytes as usize;
        // Before any hook is there: it takes a while, in which nobody would read the ring.
        let parts = if plan.probes.tls {
            standard_libraries()
        } else {
            Vec::new()
        };
        let mut loaded = object::load(&plan.probes)?;
        release_memory();
        if let Some(report) = loaded.missing().first() {
            let refused = report
                .candidates
                .iter()
                .map(|(candidate, state)| format!("{}: {state:?}", candidate.name));
            return Err(Error::Blind {
                purpose: report.subject.purpose,
                reasons: refused.collect::<Vec<_>>().join("; "),
            });
        }
        loaded.probe_parts(ANYBODY, &parts);
        let reader = Reader::new(loaded.ring()?)?;
        let mut control = loaded.control()?;
        let discovery = Discovery::new(plan.rules, plan.switches);
        let (heard, later) = Heard::start(plan.probes.tls);
        let identifier = discovery.identifier.clone();
        for tgid in discovery.ignored() {
            control.watch(tgid, IGNORE)?;
        }
        let ignored = discovery.ignored();
        let known = plan.only.unwrap_or_else(|| discovery.scan());
        let known: Vec<u32> = known
            .into_iter()
            .filter(|tgid| !ignored.contains(tgid))
            .collect();
        for tgid in &known {
            control.watch(*tgid, WATCH)?;
        }
        let watched = known.iter().copied().collect();
        let pipeline = Pipeline::new(
            plan.pipeline,
            Ids::random(),
            Box::new(move |tgid, comm, command| identifier.from_command(tgid, comm, command)),
        );
        Ok(Self {
            discoverer: Discoverer::start(discovery, known, later, reader.waker()?),
            heard,
            loaded,
            reader,
            control,
            pipeline,
            executed: Executed::default(),
            log: plan.log,
            next_clock: 0,
            next_release: monotonic() + SETTLED,
            next_yield: 0,
            undecodable: 0,
            backlog: 0,
            newest: 0,
            awake: Awake::default(),
            lost: 0,
            missed: 0,
            full,
            watched,
            identified: false,
            behind: false,
            settled: false,
        })
    }

    /// Waits for records or a while, and takes them through the pipeline.
    ///
    /// # Errors
    /// When the ring buffer cannot be waited for or the log not be written.
    pub fn turn(&mut self, out: &mut impl FnMut(Output)) -> io::Result<()> {
        if self.backlog == 0 && !self.behind {
            self.reader.wait()?;
        }
        self.compare_clocks()?;
        self.rest();
        self.heard.hand_on(&self.control, &mut self.discoverer);
        self.take_identities()?;
        for _ in 0..TURN {
            self.hear_of_losses()?;
            if self.take_batch(out)? {
                self.backlog = 0;
                break;
            }
        }
        Ok(())
    }

    /// The ring was full only if much more than this waited. What was lost lies behind a whole ring of
    /// older records, so no record that follows the loss is taken before the pipeline knows of it.
    fn hear_of_losses(&mut self) -> io::Result<()> {
        if self.backlog <= self.full / 4 {
            return Ok(());
        }
        let lost = self.control.lost_records();
        if lost > self.lost {
            self.lost = lost;
            let now = monotonic();
            if let Some(log) = &mut self.log {
                log.write(&Frame::Lost(now))?;
            }
            self.pipeline.handle(Input::Lost(now), &mut |_| {});
        }
        Ok(())
    }

    /// Takes some records; answers whether no more wait.
    fn take_batch(&mut self, out: &mut impl FnMut(Output)) -> io::Result<bool> {
        let Self {
            reader,
            control,
            pipeline,
            discoverer,
            executed,
            log,
            undecodable,
            backlog,
            newest,
            awake,
            loaded,
            ..
        } = self;
        let mut failed = None;
        let mut give = |output: Output| match output {
            Output::Capture(conn, policy) => control.capture(conn.0, policy),
            trace @ Output::Trace { .. } => out(trace),
        };
        // Not behind it: a record may come right then, and would be missed by whoever waits for it.
        let before = monotonic();
        let count = reader.drain(BATCH, |bytes| {
            *backlog += bytes.len();
            if let Some(log) = log
                && let Err(error) = log.write(&Frame::Record(bytes))
            {
                failed = Some(error);
            }
            let Ok(record) = decode(bytes) else {
                *undecodable += 1;
                return;
            };
            *newest = record.at.max(*newest);
            match &record.event {
                Event::Executed { .. } => {
                    loaded.uprobes.gone(record.task.tgid);
                    executed.note(record.task.tgid, record.at);
                    discoverer.ask(record.task.tgid);
                }
                Event::Exited => loaded.uprobes.gone(record.task.tgid),
                Event::Spawned(child) if child.tgid != record.task.tgid => {
                    discoverer.ask(child.tgid);
                }
                _ => {}
            }
            pipeline.handle(Input::Record(record), &mut give);
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let emptied = count < BATCH;
        // While more waits, it is as late as the records say: what a record waits for may stand right
        // behind it, however long ago both were made.
        let now = awake.reach(if emptied { before } else { *newest });
        if let Some(log) = log {
            log.write(&Frame::Tick(now))?;
        }
        pipeline.handle(Input::Tick(now), &mut give);
        Ok(emptied)
    }

    /// The end: what is finished leaves. Taken is what the ring can hold: more may come without end.
    ///
    /// # Errors
    /// When the log cannot be written.
    pub fn stop(&mut self, out: &mut impl FnMut(Output)) -> io::Result<()> {
        let before = self.backlog;
        self.turn(out)?;
        while (1..before + self.full).contains(&self.backlog) {
            self.turn(out)?;
        }
        self.pipeline.handle(Input::Stop, &mut |output| {
            if let trace @ Output::Trace { .. } = output {
                out(trace);
            }
        });
        self.log.as_mut().map_or(Ok(()), Writer::flush)
    }

    /// What went through.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.pipeline.counts()
    }

    /// Losses in the kernel by cause.
    #[must_use]
    pub fn losses(&self) -> [u64; Loss::ALL.len()] {
        self.control.losses()
    }

    /// Connections, open requests, processes.
    #[must_use]
    pub fn sizes(&self) -> [usize; 3] {
        self.pipeline.sizes()
    }

    /// Processes watched at the start.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.watched.len()
    }

    /// Processes that could not be asked about because too many were: they keep provisional names.
    #[must_use]
    pub const fn unasked(&self) -> u64 {
        self.discoverer.refused
    }

    /// Records that this build could not decode: a bug if ever above zero.
    #[must_use]
    pub const fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// Runs of kernel programs that were left out.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// Mappings that the kernel did not tell of: those of TLS libraries were found by looking.
    #[must_use]
    pub fn unheard(&self) -> u64 {
        self.heard.lost()
    }

    /// All processes that were there at the start are known by name and runtime.
    #[must_use]
    pub const fn identified(&self) -> bool {
        self.identified
    }

    /// What is done now and then: after a burst its memory is given back, and writers of probed
    /// files need not wait.
    fn rest(&mut self) {
        let now = monotonic();
        if now >= self.next_release {
            if !self.settled {
                self.settled = true;
                release_code();
            }
            self.next_release = now + RELEASE;
            release_memory();
        }
        if now >= self.next_yield {
            self.next_yield = now + YIELD;
            self.loaded.uprobes.yield_to_writers();
        }
    }

    fn compare_clocks(&mut self) -> io::Result<()> {
        let now = monotonic();
        if now < self.next_clock {
            return Ok(());
        }
        self.next_clock = now + CLOCK;
        self.missed = missed();
        self.heard.follow();
        let clock = Clock::read();
        if let Some(log) = &mut self.log {
            log.write(&Frame::Clock(clock.offset))?;
        }
        self.pipeline.handle(Input::Clock(clock), &mut |_| {});
        Ok(())
    }

    /// Probes what a process runs.
    fn probe(&mut self, found: &Found) {
        let tgid = found.tgid;
        match self.loaded.probe_parts(tgid, &found.tls) {
            Reach::Whole => {}
            Reach::InPart => tracing::warn!(tgid, "a TLS library is not probed whole"),
            // Java's libraries remove what they have unpacked as soon as it is loaded.
            Reach::Gone if !found.again => self.discoverer.once_more(tgid),
            Reach::Gone => tracing::debug!(tgid, "a TLS library is out of reach"),
        }
        let Some(plan) = &found.tasks else { return };
        let reach = self.loaded.probe(tgid, plan);
        if reach == Reach::Gone {
            return;
        }
        if reach != Reach::Whole && plan.files.iter().any(|part| part.own) {
            tracing::warn!(tgid, "tasks are not told apart: not all is probed");
        } else if let Err(error) = self.control.name_tasks(tgid, plan.runtime) {
            tracing::warn!(tgid, %error, "tasks are not told apart");
        }
    }

    fn take_identities(&mut self) -> io::Result<()> {
        let scanned = self.discoverer.scanned();
        let start = monotonic();
        self.behind = false;
        while let Some(found) = self.discoverer.next_found() {
            if self.executed.since(found.tgid, found.at) {
                continue;
            }
            if !found.decision.watch {
                self.control.forget(found.tgid);
                if !self.identified {
                    // It was watched until the rules were asked.
                    self.watched.remove(&found.tgid);
                }
                if let Some(log) = &mut self.log {
                    log.write(&Frame::Unwatched(found.tgid))?;
                }
                self.pipeline
                    .handle(Input::Unwatched(found.tgid), &mut |_| {});
                continue;
            }
            // Only then: an entry for a process that has just ended would stay for ever.
            if found.recalled
                && let Err(error) = self.control.watch_again(found.tgid)
            {
                tracing::warn!(found.tgid, %error, "process not watched");
            }
            self.probe(&found);
            if let Some(log) = &mut self.log {
                let json = serde_json::to_vec(&*found.service)?;
                log.write(&Frame::Service(found.tgid, &json))?;
            }
            let service = Arc::clone(&found.service);
            self.pipeline
                .handle(Input::Process(found.tgid, service), &mut |_| {});
            if monotonic() > start + PROBING {
                self.behind = true;
                return Ok(());
            }
        }
        self.identified |= scanned;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_made_up_for_in_steps() {
        let mut awake = Awake::default();
        let ms = 1_000_000;
        let mut reach = |now| awake.reach(now * ms) / ms;
        let told = [5, 55, 40, 700, 750, 760, 770].map(&mut reach);
        assert_eq!(told, [5, 55, 55, 255, 455, 655, 770]);
        // A long one: for some turns.
        let turns = u64::from(Awake::STEPS);
        for turn in 1..=turns {
            assert_eq!(reach(600_000 + 50 * turn), 770 + 200 * turn);
        }
        assert_eq!(reach(602_000), 602_000);
        assert_eq!(reach(602_050), 602_050);
    }
}
