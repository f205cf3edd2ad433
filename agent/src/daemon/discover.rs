//! The thread that finds out who processes are: reading `/proc` may block, capture must not.
//!
//! In: process ids, from the scan at start and from exec and fork records. Out: identities and
//! decisions. The queue is bounded; what does not fit is asked for again by the next scan.

use crate::discovery::procs::Proc;
use crate::discovery::select::{Decision, Rules, Selector};
use crate::discovery::sockets::Listeners;
use crate::metadata::Service;
use crate::metadata::host::Host;
use crate::metadata::service::Identifier;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// Processes that may wait to be identified.
const QUEUE: usize = 8192;
/// A process that does not match a rule of ports is looked at again after this pause, and after
/// twice as long each time: services begin to listen some time after they start.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Times that it is looked at again: for about two minutes.
const TRIES: u32 = 10;
/// Longest wait for a question.
const LONG: Duration = Duration::from_secs(3600);

/// What was found out about a process.
pub struct Found {
    /// Which.
    pub tgid: u32,
    /// Who it is.
    pub service: Arc<Service>,
    /// Whether it is watched.
    pub decision: Decision,
}

/// How processes are found, identified and chosen. Shared by the verbs that only look.
#[derive(Clone)]
pub struct Discovery {
    /// `/proc`.
    pub proc: Proc,
    /// Gives processes their identity.
    pub identifier: Identifier,
    selector: Selector,
    /// A rule names ports: a process may come to match when it begins to listen.
    by_port: bool,
}

impl Discovery {
    /// On this host, with the rules of the settings.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        let proc = Proc::at("/proc");
        let own = std::process::id();
        let ancestors = proc.ancestors(own);
        let identifier = Identifier::new(proc.clone(), Host::of(&proc));
        let by_port = rules.name_ports();
        Self {
            proc,
            identifier,
            selector: Selector::new(rules, own, ancestors),
            by_port,
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

    /// Who `tgid` is and whether it is watched; `None` when it is gone.
    #[must_use]
    pub fn find(&self, tgid: u32, ports: &[u16]) -> Option<Found> {
        let process = self.proc.read(tgid).ok()?;
        let service = self.identifier.identify(&process);
        let decision = self.selector.decide(&process, &service, ports);
        Some(Found {
            tgid,
            service,
            decision,
        })
    }
}

/// What the thread says.
enum Answer {
    Found(Found),
    /// All that were there at the start are found.
    Surveyed,
}

/// A process that a rule of ports may still match once it listens.
struct Again {
    at: Instant,
    tgid: u32,
    tries: u32,
}

/// The running thread.
pub struct Discoverer {
    requests: SyncSender<u32>,
    answers: Receiver<Answer>,
    /// Requests that did not fit.
    pub refused: u64,
}

impl Discoverer {
    /// Starts the thread; `known` is what is there already.
    #[must_use]
    pub fn start(discovery: Discovery, known: Vec<u32>) -> Self {
        let (requests, incoming) = sync_channel(QUEUE);
        let (outgoing, answers) = sync_channel(QUEUE);
        let name = "weft-discover".to_owned();
        let spawned = thread::Builder::new().name(name).spawn(move || {
            Worker {
                discovery,
                outgoing,
                again: Vec::new(),
            }
            .run(&known, &incoming)
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "no thread for discovery: processes keep provisional names");
        }
        Self {
            requests,
            answers,
            refused: 0,
        }
    }

    /// What is known of the processes that were there at the start: their first requests should
    /// not have to wait for their names. Waits for `limit` at most.
    #[must_use]
    pub fn survey(&self, limit: Duration) -> Vec<Found> {
        let end = Instant::now() + limit;
        let mut all = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            match self.answers.recv_timeout(left) {
                Ok(Answer::Found(found)) => all.push(found),
                Ok(Answer::Surveyed) | Err(_) => break,
            }
        }
        all
    }

    /// Asks who `tgid` is.
    pub fn ask(&mut self, tgid: u32) {
        if let Err(TrySendError::Full(_)) = self.requests.try_send(tgid) {
            self.refused += 1;
        }
    }

    /// What was found out since the last call.
    pub fn found(&self) -> impl Iterator<Item = Found> + '_ {
        self.answers.try_iter().filter_map(|answer| match answer {
            Answer::Found(found) => Some(found),
            Answer::Surveyed => None,
        })
    }
}

/// The thread's own.
struct Worker {
    discovery: Discovery,
    outgoing: SyncSender<Answer>,
    again: Vec<Again>,
}

impl Worker {
    /// Ends when nobody listens any more.
    fn run(mut self, known: &[u32], incoming: &Receiver<u32>) {
        let listeners = Listeners::read(&self.discovery.proc, known);
        for tgid in known {
            if self.find(*tgid, &listeners.ports(*tgid), 0).is_none() {
                return;
            }
        }
        if self.outgoing.send(Answer::Surveyed).is_err() {
            return;
        }
        loop {
            let pause = self.again.iter().map(|again| again.at).min();
            let pause = pause.map_or(LONG, |at| at.saturating_duration_since(Instant::now()));
            match incoming.recv_timeout(pause) {
                Ok(tgid) if self.look(tgid, 0).is_none() => return,
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            let (due, later) = std::mem::take(&mut self.again)
                .into_iter()
                .partition(|again| again.at <= now);
            self.again = later;
            let due: Vec<Again> = due;
            for again in due {
                if self.look(again.tgid, again.tries).is_none() {
                    return;
                }
            }
        }
    }

    /// Looks at a process with the ports it listens on now.
    fn look(&mut self, tgid: u32, tries: u32) -> Option<()> {
        let ports = Listeners::read(&self.discovery.proc, &[tgid]).ports(tgid);
        self.find(tgid, &ports, tries)
    }

    /// Says who a process is; `None` when nobody listens any more.
    fn find(&mut self, tgid: u32, ports: &[u16], tries: u32) -> Option<()> {
        let Some(found) = self.discovery.find(tgid, ports) else {
            return Some(());
        };
        let may_listen = !found.decision.watch && self.discovery.by_port && tries < TRIES;
        if may_listen && self.again.len() < QUEUE {
            let pause = FIRST_PAUSE * 2_u32.pow(tries);
            self.again.push(Again {
                at: Instant::now() + pause,
                tgid,
                tries: tries + 1,
            });
        }
        self.outgoing.send(Answer::Found(found)).ok()
    }
}
