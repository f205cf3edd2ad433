//! The thread that finds out who processes are: reading `/proc` may block, capture must not.
//!
//! In: process ids, from the scan at start and from exec and fork records. Out: identities and
//! decisions. The queue is bounded; what does not fit is asked for again by the next scan.

use crate::discovery::mapping::{Mapping, mappings};
use crate::discovery::procs::{Proc, Process};
use crate::discovery::select::{Decision, Rules, Selector};
use crate::discovery::sockets::Listeners;
use crate::metadata::Service;
use crate::metadata::host::Host;
use crate::metadata::service::Identifier;
use crate::probe::ring::Waker;
use crate::probe::runtime::{Part, Plan, Planner, Refusal, Switches};
use crate::probe::tls::Finder;
use crate::record::Nanos;
use crate::stream::time::monotonic;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Processes that may wait to be identified.
const QUEUE: usize = 8192;

/// Reasons that are told.
const REASONS: usize = 16;

/// Rules about ports are applied anew at this interval.
const RESCAN: Duration = Duration::from_secs(1);

/// What was found out about a process.
#[derive(Clone)]
pub struct Found {
    /// Which.
    pub tgid: u32,
    /// When it was looked at: it may have run another program by then.
    pub at: Nanos,
    /// Its program, as it was then.
    pub process: Arc<Process>,
    /// Who it is.
    pub service: Arc<Service>,
    /// Whether it is watched.
    pub decision: Decision,
    /// It came to listen on a port that a rule names, and may have been given up before.
    pub recalled: bool,
    /// How its tasks are named, if they can be.
    pub tasks: Option<Plan>,
    /// Its TLS libraries.
    pub tls: Vec<Part>,
    /// They were looked for once more, as they were out of reach.
    pub again: bool,
}

/// How processes are found, identified and chosen. Shared by the verbs that only look.
#[derive(Clone)]
pub struct Discovery {
    /// `/proc`.
    pub proc: Proc,
    /// Gives processes their identity.
    pub identifier: Identifier,
    /// Which runtimes are probed.
    pub switches: Switches,
    selector: Selector,
}

impl Discovery {
    /// On this host, with the rules and switches of the settings.
    #[must_use]
    pub fn new(rules: Rules, switches: Switches) -> Self {
        let proc = Proc::at("/proc");
        let own = std::process::id();
        let ancestors = proc.ancestors(own);
        let identifier = Identifier::new(proc.clone(), Host::of(&proc));
        Self {
            proc,
            identifier,
            switches,
            selector: Selector::new(rules, own, ancestors),
        }
    }

    /// Processes that are never watched whatever the rules: the agent and those that started it.
    #[must_use]
    pub fn ignored(&self) -> Vec<u32> {
        let own = std::process::id();
        let mut ignored = self.proc.ancestors(own);
        ignored.push(own);
        ignored
    }

    /// All processes at present, oldest ids first.
    #[must_use]
    pub fn scan(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.proc.scan().map(Iterator::collect).unwrap_or_default();
        pids.sort_unstable();
        pids
    }

    /// Sockets on ports that rules name, in the network namespaces of `tgids`; it is not known yet who
    /// holds them.
    fn named_sockets(&self, tgids: &[u32]) -> Listeners {
        let named = |port| self.selector.ports_matter(&[port]);
        Listeners::on_ports(&self.proc, tgids, named)
    }

    /// Those of them that `tgids` hold; nothing is looked for if no rule asks for ports.
    fn named_ports(&self, tgids: &[u32]) -> Listeners {
        if !self.selector.needs_ports() {
            return Listeners::default();
        }
        let mut listeners = self.named_sockets(tgids);
        listeners.hold(&self.proc, tgids);
        listeners
    }

    /// Finds `tgids` until `tell` has heard enough; answers whether it heard all.
    fn find_all(&self, tgids: &[u32], tell: impl FnMut(Found) -> bool) -> bool {
        let listeners = self.named_ports(tgids);
        let mut found = tgids
            .iter()
            .filter_map(|tgid| self.find(*tgid, &listeners.ports(*tgid)));
        found.all(tell)
    }

    /// The same for one of which the ports are not known.
    fn find_one(&self, tgid: u32) -> Option<Found> {
        let listeners = self.named_ports(&[tgid]);
        self.find(tgid, &listeners.ports(tgid))
    }

    /// Who `tgid` is and whether it is watched; `None` when it is gone.
    #[must_use]
    pub fn find(&self, tgid: u32, ports: &[u16]) -> Option<Found> {
        let at = monotonic();
        let process = self.proc.read(tgid).ok()?;
        let service = self.identifier.identify(&process);
        let decision = self.selector.decide(&process, &service, ports);
        Some(Found {
            tgid,
            at,
            process: Arc::new(process),
            service,
            decision,
            recalled: false,
            tasks: None,
            tls: Vec::new(),
            again: false,
        })
    }
}

/// Services listen only a while after they start: what rules about ports say of them is found
/// out by looking again and again.
#[derive(Default)]
struct Listening {
    /// What was told of processes that listen on ports which rules name.
    told: HashMap<u32, bool>,
    last: Option<Instant>,
    /// Sockets that listen on such ports, and processes that were asked for them.
    sockets: Vec<u64>,
    asked: HashSet<u32>,
    /// When all processes were asked.
    whole: Option<Instant>,
}

/// Who holds a socket is asked of all processes when there is another one, and at this interval:
/// sockets may be passed on.
const WHOLE: Duration = Duration::from_secs(10);

impl Listening {
    /// Looks if rules ask for ports and it is time; tells what changed. Answers whether all was
    /// heard.
    fn look(&mut self, discovery: &Discovery, tell: impl Fn(Found) -> bool) -> bool {
        let early = self.last.is_some_and(|last| last.elapsed() < RESCAN);
        if early || !discovery.selector.needs_ports() {
            return true;
        }
        self.last = Some(Instant::now());
        let ignored = discovery.ignored();
        let mut pids = discovery.scan();
        pids.retain(|tgid| !ignored.contains(tgid));
        let mut listeners = discovery.named_sockets(&pids);
        let asked = self.unasked(&pids, listeners.inodes());
        listeners.hold(&discovery.proc, &asked);
        let (listening, idle): (Vec<u32>, Vec<u32>) = asked
            .into_iter()
            .partition(|tgid| !listeners.ports(*tgid).is_empty());
        self.told
            .retain(|tgid, _| self.asked.contains(tgid) && !idle.contains(tgid));
        let mut found = listening.iter().filter_map(|tgid| {
            let mut found = discovery.find(*tgid, &listeners.ports(*tgid))?;
            found.recalled = true;
            let watch = found.decision.watch;
            (self.told.insert(*tgid, watch) != Some(watch)).then_some(found)
        });
        found.all(tell)
    }

    /// Which of `pids` are to be asked whether they hold one of `sockets`.
    fn unasked(&mut self, pids: &[u32], sockets: Vec<u64>) -> Vec<u32> {
        let recent = self.whole.is_some_and(|whole| whole.elapsed() < WHOLE);
        if !recent || sockets != self.sockets {
            self.sockets = sockets;
            self.whole = Some(Instant::now());
            self.asked.clear();
        }
        let present: HashSet<u32> = pids.iter().copied().collect();
        self.asked.retain(|tgid| present.contains(tgid));
        let new = pids.iter().filter(|tgid| self.asked.insert(**tgid));
        new.copied().collect()
    }
}

/// To the thread that takes what was found out.
#[derive(Clone)]
struct Outgoing {
    /// Boxed, as the queue makes all its room at once.
    sender: SyncSender<Box<Found>>,
    waker: Waker,
}

impl Outgoing {
    /// Answers whether somebody still listens. A name may wait until the thread looks anyhow, probes
    /// may not.
    fn tell(&self, found: Found) -> bool {
        let urgent = found.recalled || found.tasks.is_some() || !found.tls.is_empty();
        let heard = self.sender.send(Box::new(found)).is_ok();
        if urgent {
            self.waker.wake();
        }
        heard
    }
}

/// What the other threads may ask for.
#[derive(Clone, Copy)]
enum Request {
    /// Who that is.
    Who(u32),
    /// It has mapped files.
    Mapped(u32, Kind),
    /// Any process may have.
    Missed,
    /// Its libraries were out of reach.
    Again(u32),
}

/// Which files a process has mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One of them is named like a TLS library.
    Tls,
    /// Others: they matter only where a part of a runtime is waited for.
    Other,
}

/// How it becomes known that processes load libraries after they have started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Later {
    /// The kernel tells.
    Told,
    /// Nobody tells: all are looked at again and again.
    Sought,
    /// TLS is not looked for.
    Ignored,
}

/// Plans for the tasks of processes, and their TLS libraries. Libraries that hold a runtime or a part of it are mapped a
/// while after their program starts: such processes are looked at again when they have mapped
/// something, and anyhow, each time after a longer wait.
struct Tasks {
    planner: Planner,
    finder: Finder,
    later: Later,
    early: Vec<Early>,
    /// Processes that have mapped TLS libraries, and when to look at them.
    loading: HashMap<u32, Instant>,
    /// Those of them whose libraries were out of reach.
    again: HashSet<u32>,
    /// When all were last looked at, and when they are next.
    looked: Instant,
    everybody: Option<Instant>,
    /// TLS libraries that were told, by process.
    told: HashMap<u32, usize>,
    /// Why tasks could not be told apart, as far as that was told.
    refused: HashSet<String>,
}

/// A process to look at again.
struct Early {
    /// What is known of it, but for its plan and libraries: its identity is not looked up again.
    found: Found,
    /// When it was first asked for, and when to look at it.
    since: Instant,
    due: Instant,
    /// How long it was waited for since the last look; before the first not at all.
    wait: Duration,
    /// Files of the plan that it has already.
    files: usize,
}

/// A program that loads a library mostly loads more, and makes it ready: they are looked at together,
/// but for libraries of TLS, whose functions are probed before they are ready and first used.
const LOADING: Duration = Duration::from_millis(50);

/// All processes are looked at no more often than this because something was missed, and as often as
/// that where nobody tells what they load.
const MISSED: Duration = Duration::from_secs(1);
const SOUGHT: Duration = Duration::from_secs(10);

/// What the thread that makes plans is asked for.
enum Wanted {
    /// A plan for this process, which is watched.
    Plan(Box<Found>),
    /// This process has mapped files.
    Mapped(u32, Kind),
    /// Any process may have.
    Missed,
    /// Its libraries once more.
    Again(u32),
    /// Those of the start have all been asked for.
    Last,
}

/// The first wait for a library; where nobody tells of libraries, the longest while a program
/// starts, and how long that takes; how long it is waited for at all.
const EARLY: Duration = Duration::from_millis(20);
const SOON: Duration = Duration::from_millis(500);
const START: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);

impl Tasks {
    /// Starts the thread: a plan may take the reading of a large file, and identities must not
    /// wait for it. Answers where processes are asked for; behind those of the start
    /// [`Wanted::Last`], so that `done` is told when all of them were looked at.
    fn start(
        discovery: Discovery,
        outgoing: Outgoing,
        done: Arc<AtomicBool>,
        later: Later,
    ) -> SyncSender<Wanted> {
        let (wanted, incoming) = sync_channel(QUEUE);
        let spawned = thread::Builder::new()
            .name("weft-plan".to_owned())
            .spawn(move || {
                let tell = |found| outgoing.tell(found);
                let mut tasks = Self::new(&discovery, later);
                let mut last = false;
                loop {
                    let first = match incoming.recv_timeout(tasks.next()) {
                        Ok(first) => Some(first),
                        Err(RecvTimeoutError::Timeout) => None,
                        Err(RecvTimeoutError::Disconnected) => return,
                    };
                    for wanted in first.into_iter().chain(incoming.try_iter()) {
                        match wanted {
                            Wanted::Last => last = true,
                            Wanted::Plan(found) => tasks.ask(*found),
                            Wanted::Mapped(tgid, kind) => tasks.mapped(tgid, kind),
                            Wanted::Missed => tasks.missed(MISSED),
                            Wanted::Again(tgid) => tasks.once_more(tgid),
                        }
                    }
                    if !tasks.again(&discovery, tell) || !tasks.look(&discovery, tell) {
                        return;
                    }
                    let new = |early: &Early| early.wait == Duration::ZERO;
                    if last && !tasks.early.iter().any(new) {
                        last = false;
                        done.store(true, Ordering::Release);
                        outgoing.waker.wake();
                    }
                }
            });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for plans: tasks are not told apart");
        }
        wanted
    }

    fn new(discovery: &Discovery, later: Later) -> Self {
        let mut new = Self {
            planner: Planner::new(discovery.switches.clone()),
            finder: Finder::default(),
            later,
            early: Vec::new(),
            loading: HashMap::new(),
            again: HashSet::new(),
            looked: Instant::now(),
            everybody: None,
            told: HashMap::new(),
            refused: HashSet::new(),
        };
        if later == Later::Sought {
            new.missed(SOUGHT);
        }
        new
    }

    fn ask(&mut self, found: Found) {
        // Of the program that it ran before.
        self.told.remove(&found.tgid);
        self.early.retain(|early| early.found.tgid != found.tgid);
        if self.early.len() < QUEUE {
            let now = Instant::now();
            self.early.push(Early {
                found,
                since: now,
                due: now,
                wait: Duration::ZERO,
                files: 0,
            });
        }
    }

    /// Process `tgid` has mapped files.
    fn mapped(&mut self, tgid: u32, kind: Kind) {
        let now = Instant::now();
        let early = self.early.iter_mut().find(|early| early.found.tgid == tgid);
        match (early, kind) {
            (Some(early), Kind::Tls) => early.due = early.due.min(now),
            (Some(early), Kind::Other) => early.due = early.due.min(now + LOADING),
            (None, Kind::Tls) if self.loading.len() < QUEUE => {
                self.loading.entry(tgid).or_insert(now);
            }
            (None, Kind::Tls) => self.missed(MISSED),
            (None, Kind::Other) => {}
        }
    }

    /// The libraries of process `tgid` were out of reach: removed, maybe, since they were found.
    fn once_more(&mut self, tgid: u32) {
        if self.loading.len() < QUEUE {
            self.told.remove(&tgid);
            self.again.insert(tgid);
            self.loading.insert(tgid, Instant::now());
        }
    }

    /// Any process may have mapped anything: all are looked at, if the last time is `interval` ago.
    fn missed(&mut self, interval: Duration) {
        self.everybody.get_or_insert(self.looked + interval);
    }

    /// The TLS libraries of process `tgid`, if there are more than were told.
    fn libraries(&mut self, proc: &Proc, tgid: u32, maps: &[Mapping]) -> Vec<Part> {
        let found = self.finder.of_process(proc, tgid, maps);
        let parts: Vec<Part> = found
            .into_iter()
            .filter_map(|library| library.part.ok())
            .collect();
        if self.told.len() >= QUEUE {
            let gone = |tgid: &u32| !proc.path(*tgid, "maps").exists();
            self.told.retain(|tgid, _| !gone(tgid));
        }
        if self.told.len() >= QUEUE {
            self.told.clear();
        }
        let told = self.told.insert(tgid, parts.len());
        if told == Some(parts.len()) {
            Vec::new()
        } else {
            parts
        }
    }

    /// Looks what processes have loaded whose time has come.
    fn look(&mut self, discovery: &Discovery, tell: impl Fn(Found) -> bool) -> bool {
        let now = Instant::now();
        if self.everybody.is_some_and(|due| due <= now) {
            self.everybody = None;
            self.looked = now;
            let known = self.told.keys().map(|tgid| (*tgid, now));
            self.loading.extend(known);
            if self.later == Later::Sought {
                self.missed(SOUGHT);
            }
        }
        let due = self.loading.extract_if(|_, due| *due <= now);
        let due: Vec<u32> = due.map(|(tgid, _)| tgid).collect();
        due.into_iter().all(|tgid| {
            let again = self.again.remove(&tgid);
            let maps = mappings(&discovery.proc, tgid);
            if maps.is_empty() {
                self.told.remove(&tgid);
                return true;
            }
            let tls = self.libraries(&discovery.proc, tgid, &maps);
            if tls.is_empty() {
                return true;
            }
            let found = discovery.find_one(tgid);
            let found = found.filter(|found| found.decision.watch);
            found.is_none_or(|found| {
                tell(Found {
                    tls,
                    again,
                    ..found
                })
            })
        })
    }

    /// What `early` is known to be, with its plan and its libraries as far as they are new; `None`
    /// when it is gone.
    fn plan(&mut self, proc: &Proc, early: Early) -> Option<Found> {
        let mut found = early.found.clone();
        let maps = mappings(proc, found.tgid);
        if maps.is_empty() {
            return None;
        }
        found.tls = self.libraries(proc, found.tgid, &maps);
        let runtime = found.service.runtime;
        match self.planner.plan(proc, &found.process, &maps, runtime) {
            Ok(plan) => {
                if plan.awaited {
                    let files = plan.files.len();
                    self.wait_for(Early { files, ..early });
                }
                found.tasks = Some(plan);
            }
            Err(Refusal::None | Refusal::Off(_)) => {}
            Err(Refusal::Early) if early.since.elapsed() < PATIENCE => {
                self.wait_for(early);
            }
            Err(Refusal::Early) => {
                tracing::debug!(found.tgid, "tasks are not told apart: too early")
            }
            Err(Refusal::Unknown(why)) => self.refused(&found, why),
        }
        Some(found)
    }

    /// Tells once for each reason why the traces of a process will have holes.
    fn refused(&mut self, found: &Found, why: String) {
        if self.refused.len() < REASONS && !self.refused.contains(&why) {
            tracing::warn!(
                "calls of {} may have no parents, as its tasks are not told apart: {why} \
                 (`weft explain {}` tells more)",
                found.service.name,
                found.tgid
            );
            self.refused.insert(why);
        }
    }

    /// Looks at a process again, later each time where the kernel tells of what it loads.
    fn wait_for(&mut self, early: Early) {
        let now = Instant::now();
        let age = now - early.since;
        if age < PATIENCE && self.early.len() < QUEUE {
            let wait = (early.wait * 2).max(EARLY);
            let often = age < START && self.later != Later::Told;
            let wait = if often { wait.min(SOON) } else { wait };
            self.early.push(Early {
                due: now + wait,
                wait,
                ..early
            });
        }
    }

    /// When the next process is to be looked at again.
    fn next(&self) -> Duration {
        let early = self.early.iter().map(|early| early.due);
        let next = early.chain(self.loading.values().copied());
        let next = next.chain(self.everybody).min();
        next.map_or(RESCAN, |due| due.saturating_duration_since(Instant::now()))
            .min(RESCAN)
    }

    /// Looks at the one that is due longest, and tells if its plan is new or has grown: others
    /// may be waiting for their identities.
    fn again(&mut self, discovery: &Discovery, tell: impl Fn(Found) -> bool) -> bool {
        let now = Instant::now();
        let due = self.early.iter().enumerate();
        let due = due.filter(|(_, early)| early.due <= now);
        let Some((index, _)) = due.min_by_key(|(_, early)| early.due) else {
            return true;
        };
        let early = self.early.swap_remove(index);
        let before = early.files;
        let Some(found) = self.plan(&discovery.proc, early) else {
            return true;
        };
        let files = found.tasks.as_ref().map_or(0, |plan| plan.files.len());
        (files <= before && found.tls.is_empty()) || tell(found)
    }
}

/// The running thread.
pub struct Discoverer {
    requests: SyncSender<Request>,
    found: Receiver<Box<Found>>,
    scanned: Arc<AtomicBool>,
    /// Requests that did not fit.
    pub refused: u64,
}

impl Discoverer {
    /// Starts the thread; `known` is what is there already. Where what they load `later` is told, that
    /// is by [`Self::mapped`] and [`Self::missed`]. Whoever takes what is found out is woken for what is to
    /// be probed.
    #[must_use]
    pub fn start(discovery: Discovery, known: Vec<u32>, later: Later, waker: Waker) -> Self {
        let (requests, incoming) = sync_channel(QUEUE);
        let (sender, found) = sync_channel(QUEUE);
        let outgoing = Outgoing { sender, waker };
        let scanned = Arc::new(AtomicBool::new(false));
        let done = Arc::clone(&scanned);
        let name = "weft-discover".to_owned();
        let spawned = thread::Builder::new().name(name).spawn(move || {
            let tell = |found| outgoing.tell(found);
            let looked = Arc::clone(&done);
            let tasks = Tasks::start(discovery.clone(), outgoing.clone(), looked, later);
            let name = |found: Found| {
                let watched = found.decision.watch.then(|| Box::new(found.clone()));
                let heard = tell(found);
                // A full queue: the process is one more whose threads stand for its tasks.
                if let Some(found) = watched {
                    let _ = tasks.try_send(Wanted::Plan(found));
                }
                heard
            };
            if !discovery.find_all(&known, name) {
                return;
            }
            // Without that thread there is nothing to wait for.
            if tasks.try_send(Wanted::Last).is_err() {
                done.store(true, Ordering::Release);
            }
            let mut listening = Listening::default();
            // Its queue was full: it is told as soon as there is room.
            let mut missed = false;
            loop {
                let first = match incoming.recv_timeout(RESCAN) {
                    Ok(first) => Some(first),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                };
                let mut asked: Vec<u32> = Vec::new();
                for request in first.into_iter().chain(incoming.try_iter()) {
                    match request {
                        Request::Who(tgid) => asked.push(tgid),
                        Request::Mapped(tgid, kind) => {
                            missed |= tasks.try_send(Wanted::Mapped(tgid, kind)).is_err();
                        }
                        Request::Missed => missed = true,
                        Request::Again(tgid) => {
                            missed |= tasks.try_send(Wanted::Again(tgid)).is_err();
                        }
                    }
                }
                missed = missed && tasks.try_send(Wanted::Missed).is_err();
                // A process that forks and becomes another program is asked for twice.
                asked.sort_unstable();
                asked.dedup();
                let heard = discovery.find_all(&asked, name);
                if !heard || !listening.look(&discovery, name) {
                    return;
                }
            }
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for discovery: processes keep provisional names");
        }
        Self {
            requests,
            found,
            scanned,
            refused: 0,
        }
    }

    /// Those that were there at the start have all been found out: what [`Self::next_found`] answers
    /// after this is true holds the last of them.
    #[must_use]
    pub fn scanned(&self) -> bool {
        self.scanned.load(Ordering::Acquire)
    }

    /// Asks who `tgid` is.
    pub fn ask(&mut self, tgid: u32) {
        if let Err(TrySendError::Full(_)) = self.requests.try_send(Request::Who(tgid)) {
            self.refused += 1;
        }
    }

    /// Tells that `tgid` has mapped files of this `kind`; answers whether that is heard.
    pub fn mapped(&mut self, tgid: u32, kind: Kind) -> bool {
        self.requests.try_send(Request::Mapped(tgid, kind)).is_ok()
    }

    /// Has the libraries of `tgid` looked for once more.
    pub fn once_more(&mut self, tgid: u32) {
        // Full: as for a process that ends while it is looked at.
        let _ = self.requests.try_send(Request::Again(tgid));
    }

    /// Tells that any process may have mapped something; answers whether that is heard.
    pub fn missed(&mut self) -> bool {
        self.requests.try_send(Request::Missed).is_ok()
    }

    /// What was found out and not taken yet, the oldest.
    #[must_use]
    pub fn next_found(&self) -> Option<Found> {
        self.found.try_recv().ok().map(|found| *found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No process has this id.
    const GONE: u32 = u32::MAX;

    #[test]
    fn who_maps_a_tls_library_is_looked_at() {
        let discovery = Discovery::new(Rules::default(), Switches::new(|_| None));
        let mut tasks = Tasks::new(&discovery, Later::Told);
        let look = |tasks: &mut Tasks| {
            tasks.told.insert(GONE, 1);
            assert!(tasks.look(&discovery, |_| true));
            // What is gone is forgotten once it was looked at.
            tasks.told.is_empty()
        };
        assert!(!look(&mut tasks));
        tasks.mapped(GONE, Kind::Other);
        assert!(!look(&mut tasks));
        tasks.mapped(GONE, Kind::Tls);
        assert!(look(&mut tasks));
        assert!(!look(&mut tasks), "once");
        tasks.missed(Duration::ZERO);
        assert!(look(&mut tasks));
        assert!(!look(&mut tasks), "once");
        tasks.missed(PATIENCE);
        assert!(!look(&mut tasks), "not too often");
        assert!(tasks.everybody.is_some(), "but then");
    }

    #[test]
    fn all_are_looked_at_where_nobody_tells() {
        let discovery = Discovery::new(Rules::default(), Switches::new(|_| None));
        for (later, sought) in [
            (Later::Told, false),
            (Later::Sought, true),
            (Later::Ignored, false),
        ] {
            let mut tasks = Tasks::new(&discovery, later);
            assert_eq!(tasks.everybody.is_some(), sought, "{later:?}");
            tasks.everybody = Some(Instant::now());
            tasks.look(&discovery, |_| true);
            assert_eq!(tasks.everybody.is_some(), sought, "{later:?} again");
        }
    }

    #[test]
    fn processes_are_asked_once_for_the_same_sockets() {
        let mut listening = Listening::default();
        for (pids, sockets, asked) in [
            (vec![1, 2], vec![10], vec![1, 2]),
            (vec![1, 2], vec![10], vec![]),
            (vec![1, 2, 3], vec![10], vec![3]),
            (vec![1, 2, 3], vec![10, 11], vec![1, 2, 3]),
            (vec![1, 3], vec![10, 11], vec![]),
            // another process of that number
            (vec![1, 2, 3], vec![10, 11], vec![2]),
        ] {
            assert_eq!(listening.unasked(&pids, sockets), asked, "{pids:?}");
        }
    }
}
