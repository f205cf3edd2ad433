//! The pipeline: records in, finished traces out; a pure function of its input.
//!
//! No IO, no clock, no task: time is that of the records and of [`Input::Tick`], ids come from
//! one seeded source. A record log holds exactly these inputs, so a replay gives the same
//! traces.

use crate::metadata::{Runtime, Service};
use crate::protocol::Limits as ProtocolLimits;
use crate::protocol::exchange::{Moment, Outcome, Report, Request, Role, Value};
use crate::protocol::session::{Change, Session};
use crate::protocol::sql::calls::Calls;
use crate::record::{ConnId, Direction, Event, Nanos, Opened, Record, Stream, Task, Way};
use crate::semconv;
use crate::span::build::{self, Peer};
use crate::span::redact::Query;
use crate::span::route::{self, Routes};
use crate::span::{Evidence, Parent, Span};
use crate::stream::Piece;
use crate::stream::plain::{self, Layers};
use crate::stream::table::{self, Table};
use crate::stream::time::Clock;
use crate::trace::assembly::{self, Assembly, Batch, Node, tighten};
use crate::trace::handlers::{Handler, Threading};
use crate::trace::id::Ids;
use crate::trace::parent::Refusal;
use crate::trace::secured::{Counts as SecuredCounts, Secured};
use crate::trace::streams::Of;
use agent_common::watch::Policy;
use foldhash::{HashMap, HashMapExt};
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

mod calls;
mod ciphertext;

/// Connections without records are looked for at this interval.
const EXPIRY: Nanos = 10_000_000_000;
/// How long the identity of an ended process is kept for its last spans.
const AFTERLIFE: Nanos = 30_000_000_000;
/// How long spans of a process that just started wait for its identity, ns. It comes in
/// milliseconds, but where hundreds of processes start at once and leave no processor to ask.
const ANONYMOUS: Nanos = 5_000_000_000;
/// Most batches that wait for identities.
const UNNAMED: usize = 4096;
/// Most processes known at once.
const PROCESSES: usize = 65_536;

/// Names a process by what the kernel told of it: its id, its name, its command line.
pub type Provisional = Box<dyn Fn(u32, &str, &[String]) -> Service + Send>;

/// All that can happen to the pipeline.
pub enum Input<'a> {
    /// Something happened in the kernel.
    Record(Record<'a>),
    /// A process was identified.
    Process(u32, Arc<Service>),
    /// A process is not watched after all: what is known of it is dropped.
    Unwatched(u32),
    /// Records were lost before this time: a request may be open that was never seen.
    Lost(Nanos),
    /// The clocks were compared.
    Clock(Clock),
    /// Time went on, ns of the records' clock.
    Tick(Nanos),
    /// The end: everything finished leaves now.
    Stop,
}

/// What the pipeline wants done.
pub enum Output {
    /// Spans of one trace, parents first; `complete` when nothing of it is missing.
    Trace {
        /// The spans.
        spans: Vec<Span>,
        /// Nothing of this tree is missing.
        complete: bool,
        /// The sampled flag that came with the trace.
        carried: Option<bool>,
    },
    /// How much of a connection is to be copied from now on.
    Capture(ConnId, Policy),
}

/// Bounds and choices.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections and order.
    pub table: table::Limits,
    /// Conversations.
    pub protocol: ProtocolLimits,
    /// Traces.
    pub assembly: assembly::Limits,
    /// Route guessing and span names.
    pub routes: route::Limits,
    /// What becomes of query strings.
    pub query: Query,
    /// Connections of which only ciphertext is seen have a span.
    pub tls_connections: bool,
}

/// What went through, and what did not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records by kind would be noise: all of them.
    pub records: u64,
    /// Bytes of chunks that were copied.
    pub captured_bytes: u64,
    /// Spans that left.
    pub spans: u64,
    /// Times that sync was lost.
    pub lost_sync: u64,
    /// Connections left alone.
    pub opaque: u64,
    /// Requests or answers that could not be understood or paired, by cause.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Spans whose exchange was lost sight of.
    pub unknown_outcome: u64,
    /// Connections and order.
    pub table: table::Counts,
    /// What TLS connections carry.
    pub plain: plain::Counts,
    /// Traces.
    pub assembly: assembly::Counts,
    /// Connections of which only ciphertext is seen.
    pub secured: SecuredCounts,
}

/// A process as the pipeline knows it.
struct Process {
    service: Option<Arc<Service>>,
    /// From the kernel's record, for processes that end before they are identified.
    comm: String,
    command: Vec<String>,
    unwatched: bool,
    ended: Option<Nanos>,
}

/// From records to traces.
pub struct Pipeline {
    options: Options,
    table: Table<Session>,
    layers: Layers,
    assembly: Assembly,
    secured: Secured,
    calls: Calls,
    routes: Routes,
    processes: HashMap<u32, Process>,
    clock: Clock,
    next_expiry: Nanos,
    reports: Vec<Report>,
    /// Batches with spans of processes that are not identified yet, and until when they wait.
    unnamed: VecDeque<(Nanos, Batch)>,
    counts: Counts,
    /// Identity of a process that ended before it could be identified.
    provisional: Provisional,
}

impl Pipeline {
    /// An empty pipeline. `provisional` names a process by what the kernel told of it.
    #[must_use]
    pub fn new(options: Options, ids: Ids, provisional: Provisional) -> Self {
        Self {
            table: Table::new(options.table),
            layers: Layers::new(),
            assembly: Assembly::new(options.assembly, ids),
            secured: Secured::default(),
            calls: Calls::default(),
            routes: Routes::new(options.routes),
            options,
            processes: HashMap::new(),
            clock: Clock::default(),
            next_expiry: 0,
            reports: Vec::new(),
            unnamed: VecDeque::new(),
            counts: Counts::default(),
            provisional,
        }
    }

    /// Takes one input; what it leads to goes to `out`.
    pub fn handle(&mut self, input: Input<'_>, out: &mut impl FnMut(Output)) {
        match input {
            Input::Record(record) => self.record(record, out),
            Input::Process(tgid, service) => {
                if let Some(process) = self.process(tgid) {
                    process.service = Some(service);
                    process.unwatched = false;
                }
            }
            Input::Unwatched(tgid) => {
                if let Some(process) = self.process(tgid) {
                    process.unwatched = true;
                }
                // Nothing more is heard of its ends: no trace shall wait for them.
                for info in self.table.used_by(tgid) {
                    self.assembly.closed_connection(info);
                }
            }
            Input::Lost(at) => {
                self.table.lost(at);
                self.assembly.lost(at);
                let over = self.calls.lost(at);
                self.over(over);
            }
            Input::Clock(clock) => self.clock = clock,
            Input::Tick(now) => self.tick(now, out),
            Input::Stop => {
                let batches = self.collect(|assembly, each| assembly.flush(each));
                self.leave(batches, Nanos::MAX, out);
                self.leave_secured(None, out);
            }
        }
    }

    /// What went through so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut dropped = self.counts.dropped.clone();
        dropped.extend(self.calls.counts.causes());
        Counts {
            dropped,
            table: self.table.counts,
            plain: self.layers.counts,
            assembly: self.assembly.counts.clone(),
            secured: self.secured.counts,
            ..self.counts.clone()
        }
    }

    /// Sizes for the agent's own metrics: connections, open requests, processes.
    #[must_use]
    pub fn sizes(&self) -> [usize; 3] {
        [self.table.len(), self.assembly.len(), self.processes.len()]
    }

    /// Entries of every map and queue that a connection or request can fill, by name; tests hold
    /// them to their bounds.
    #[must_use]
    pub fn held(&self) -> Vec<(&'static str, usize)> {
        let table = [
            ("connections", self.table.len()),
            ("held_bytes", self.table.held_bytes()),
        ];
        let others = [
            ("unnamed", self.unnamed.len()),
            ("secured", self.secured.len()),
            ("calls", self.calls.len()),
        ];
        let streams = table.into_iter().chain(self.layers.sizes());
        let all = streams.chain(self.assembly.sizes());
        all.chain(others).collect()
    }

    fn record(&mut self, record: Record<'_>, out: &mut impl FnMut(Output)) {
        self.counts.records += 1;
        let Record { at, task, event } = record;
        match event {
            Event::Chunk(chunk) => {
                if self.is_unwatched(task.tgid) {
                    return;
                }
                self.counts.captured_bytes += chunk.bytes.len() as u64;
                self.layers.carried(task, &chunk);
                let reader = Handler {
                    task,
                    fiber: chunk.fiber,
                };
                self.with_sessions(reader, out, |table, _, each| {
                    table.chunk(at, task, &chunk, each)
                });
            }
            Event::Opened(opened) => {
                if !self.is_unwatched(task.tgid) {
                    self.assembly.opened(task, &opened);
                }
                self.with_sessions(Handler { task, fiber: 0 }, out, |table, _, each| {
                    table.opened(at, task, *opened, each);
                });
            }
            Event::Plain(plain) => {
                if self.is_unwatched(task.tgid) {
                    return;
                }
                self.counts.captured_bytes += plain.chunk.bytes.len() as u64;
                let reader = Handler {
                    task,
                    fiber: plain.chunk.fiber,
                };
                let covered = self.with_sessions(reader, out, |table, layers, each| {
                    layers.plain(at, task, &plain, table, each)
                });
                self.cover(covered, out);
            }
            Event::Secured(secured) => {
                let nobody = Handler { task, fiber: 0 };
                let covered = self.with_sessions(nobody, out, |table, layers, each| {
                    layers.secured(at, task, &secured, table, each)
                });
                self.cover(covered, out);
            }
            Event::Joined(joined) => {
                let nobody = Handler { task, fiber: 0 };
                let covered = self.with_sessions(nobody, out, |table, layers, each| {
                    layers.joined(&joined, table, each)
                });
                self.cover(covered, out);
            }
            Event::Ended(ended) => {
                self.layers.ended(at, task, &ended);
                self.with_sessions(Handler { task, fiber: 0 }, out, |table, _, each| {
                    table.ended(at, task, &ended, each);
                });
            }
            Event::Spawned(child) => self.spawned(at, task, child),
            Event::Left => self.assembly.thread_ended(Handler { task, fiber: 0 }),
            Event::Allocates { from, to, by } => {
                self.assembly.allocates(task, (from, to), by, at);
            }
            Event::Over { fiber } => self.assembly.thread_ended(Handler { task, fiber }),
            Event::Executed { comm, command, .. } => {
                // Another program: what was known of the process is of the one before.
                let Some(process) = self.process(task.tgid) else {
                    return;
                };
                *process = Process {
                    comm,
                    command,
                    ..Process::unknown()
                };
            }
            Event::Linked { fiber, maker } => self.assembly.made(task.tgid, fiber, maker, at),
            Event::Stream(mut stream) => {
                stream.conn = self.layers.uppermost(stream.conn);
                self.assembly
                    .told(task, stream.fiber, of(task, &stream), at);
            }
            Event::Handed { fiber, by } => self.assembly.handed(task.tgid, fiber, by),
            Event::Called(called) => self.called(at, task, &called),
            Event::Returned(returned) => {
                let over = self.calls.returned(at, task, &returned);
                self.over(over);
            }
            Event::Exited => self.exited(at, task, out),
        }
    }

    /// What a connection carries is seen before its cipher and after it: nothing more of itself.
    fn cover(&mut self, covered: plain::Covered, out: &mut impl FnMut(Output)) {
        let Some(conn) = covered else { return };
        if let Some(session) = self.table.state_mut(conn) {
            session.cover();
        }
        out(Output::Capture(conn, Policy::COUNT));
    }

    /// A child that runs the same program is the same service until told otherwise.
    fn spawned(&mut self, at: Nanos, maker: Task, child: Task) {
        if maker.tgid == child.tgid {
            self.assembly.thread_made(maker, child, at);
            return;
        }
        let Some(parent) = self.processes.get(&maker.tgid) else {
            return;
        };
        let inherited = Process {
            service: parent.service.clone(),
            comm: parent.comm.clone(),
            command: parent.command.clone(),
            unwatched: parent.unwatched,
            ended: None,
        };
        if let Some(process) = self.process(child.tgid) {
            *process = inherited;
        }
    }

    fn exited(&mut self, at: Nanos, task: Task, out: &mut impl FnMut(Output)) {
        self.with_sessions(Handler { task, fiber: 0 }, out, |table, _, each| {
            table.exited(at, task.tgid, each);
        });
        let over = self.calls.exited(at, task.tgid);
        self.over(over);
        self.assembly.exited(task.tgid);
        if let Some(process) = self.processes.get_mut(&task.tgid) {
            process.ended = Some(at);
        }
    }

    fn tick(&mut self, now: Nanos, out: &mut impl FnMut(Output)) {
        let nobody = Handler::default();
        self.with_sessions(nobody, out, |table, layers, each| {
            table.tick(now, each);
            layers.tick(now, table, each);
        });
        if now >= self.next_expiry {
            self.next_expiry = now + EXPIRY;
            self.with_sessions(nobody, out, |table, _, each| table.expire(now, each));
            self.layers.expire(now, &self.table);
            self.processes
                .retain(|_, process| process.ended.is_none_or(|ended| ended + AFTERLIFE > now));
        }
        let batches = self.collect(|assembly, each| assembly.due(now, each));
        self.leave(batches, now, out);
        self.leave_secured(Some(now), out);
    }

    /// What is known of a process; `None` when there are too many to keep one more.
    fn process(&mut self, tgid: u32) -> Option<&mut Process> {
        if self.processes.len() >= PROCESSES && !self.processes.contains_key(&tgid) {
            self.processes.retain(|_, process| process.ended.is_none());
            if self.processes.len() >= PROCESSES {
                return None;
            }
        }
        Some(self.processes.entry(tgid).or_insert_with(Process::unknown))
    }

    /// Runs the table; its pieces go through the sessions into the assembly.
    fn with_sessions<R>(
        &mut self,
        reader: Handler,
        out: &mut impl FnMut(Output),
        run: impl FnOnce(
            &mut Table<Session>,
            &mut Layers,
            &mut dyn FnMut(&Arc<Opened>, &mut Session, Piece<'_>),
        ) -> R,
    ) -> R {
        let Self {
            options,
            table,
            layers,
            assembly,
            secured,
            processes,
            reports,
            counts,
            ..
        } = self;
        // The layers are in use until all pieces have gone through.
        let mut hellos = Vec::new();
        let mut each = |info: &Arc<Opened>, session: &mut Session, piece: Piece<'_>| {
            let moment = piece_moment(&piece);
            if let Piece::Waiting { moment } = piece {
                assembly.doubt(handler_of(&moment));
                return;
            }
            let reader = if moment.task.tgid == 0 {
                reader
            } else {
                handler_of(&moment)
            };
            if !info.fresh {
                session.joined_midway();
            }
            match session.take(&piece, options.protocol, reports) {
                Change::None => {}
                Change::Lost => counts.lost_sync += 1,
                Change::Opaque => {
                    counts.opaque += 1;
                    out(Output::Capture(info.conn, Policy::COUNT));
                }
            }
            if let Some(policy) = session.capture() {
                out(Output::Capture(info.conn, policy));
            }
            for report in reports.drain(..) {
                match report {
                    Report::Asked(request) => {
                        let reader = if reader.task.tgid == 0 {
                            handler_of(&request.start)
                        } else {
                            reader
                        };
                        let threading = threading(processes, reader.task.tgid, Some(&request));
                        let read = moment.at.max(request.start.at);
                        if let Some(carrier) = info.plain {
                            secured.understood(carrier.conn);
                        }
                        assembly.asked(info, request, (reader, read), threading);
                    }
                    Report::Switched(number) => assembly.switched(info.conn, number),
                    Report::Answered(answer) => assembly.answered(info.conn, answer),
                    Report::Secured(handshake) => {
                        hellos.extend(ciphertext::hello(info, &handshake));
                        if !options.tls_connections {
                            continue;
                        }
                        session.secured = true;
                        let threading = threading(processes, handshake.start.task.tgid, None);
                        ciphertext::secured(secured, assembly, info, handshake, threading);
                    }
                    Report::Dropped(cause) => *counts.dropped.entry(cause).or_default() += 1,
                }
            }
            if session.secured {
                ciphertext::follow(secured, info.conn, &piece);
            }
            if let Piece::Bytes {
                direction: Direction::Received,
                moment,
                ..
            } = piece
                && moment.fiber != 0
            {
                assembly.heard(info.conn, handler_of(&moment), moment.at);
            }
            if matches!(piece, Piece::Forgotten { .. }) {
                assembly.closed_connection(info);
            }
        };
        let led_to = run(table, layers, &mut each);
        for hello in hellos {
            layers.greeted(&hello);
        }
        led_to
    }

    fn collect(&mut self, run: impl FnOnce(&mut Assembly, &mut dyn FnMut(Batch))) -> Vec<Batch> {
        let mut batches = Vec::new();
        run(&mut self.assembly, &mut |batch| batches.push(batch));
        batches
    }

    /// Batches leave, the unnamed ones when their identities have come or are given up.
    fn leave(&mut self, batches: Vec<Batch>, now: Nanos, out: &mut impl FnMut(Output)) {
        let waiting = std::mem::take(&mut self.unnamed);
        let fresh = batches
            .into_iter()
            .map(|batch| (now.saturating_add(ANONYMOUS), batch));
        for (until, batch) in waiting.into_iter().chain(fresh) {
            let patient = now < until && self.unnamed.len() < UNNAMED;
            if patient && batch.nodes.iter().any(|node| self.is_anonymous(node.tgid)) {
                self.unnamed.push_back((until, batch));
            } else {
                self.export(batch, out);
            }
        }
    }

    fn is_unwatched(&self, tgid: u32) -> bool {
        let process = self.processes.get(&tgid);
        process.is_some_and(|process| process.unwatched)
    }

    /// Its identity is still to come.
    fn is_anonymous(&self, tgid: u32) -> bool {
        self.processes
            .get(&tgid)
            .is_none_or(|process| process.service.is_none() && process.ended.is_none())
    }

    fn export(&mut self, batch: Batch, out: &mut impl FnMut(Output)) {
        self.place(&batch);
        let (complete, carried) = (batch.complete, batch.sampled);
        let spans = self.spans(batch);
        if !spans.is_empty() {
            self.counts.spans += spans.len() as u64;
            out(Output::Trace {
                spans,
                complete,
                carried,
            });
        }
    }

    /// The spans of a batch; those of processes that are not watched are left out.
    fn spans(&mut self, mut batch: Batch) -> Vec<Span> {
        tighten_batch(&mut batch.nodes);
        let nodes = std::mem::take(&mut batch.nodes);
        // Not collected: that would make the list in the memory of the larger nodes.
        let mut spans = Vec::with_capacity(nodes.len());
        for node in nodes {
            spans.extend(self.span(node, &batch));
        }
        spans
    }

    fn span(&mut self, node: Node, batch: &Batch) -> Option<Span> {
        let service = self.service(node.tgid)?;
        let answer = node.answer.as_deref();
        // Hooks on two CPUs may report an answer before its request.
        let end = answer.map_or(node.start(), |answer| answer.end.at.max(node.start()));
        let (start, role) = (node.start(), node.request.role);
        if answer.is_none_or(|answer| answer.outcome == Outcome::Unknown) {
            self.counts.unknown_outcome += 1;
        }
        let peer = Peer {
            local: &node.info.local,
            remote: &node.info.remote,
            path: node.info.path.as_deref(),
            encrypted: node.info.plain.is_some(),
        };
        let draft = build::build(
            *node.request,
            node.answer.map(|answer| *answer),
            &peer,
            &service.name,
            &mut self.routes,
            self.options.query,
        );
        Some(Span {
            trace: batch.trace,
            id: node.id,
            parent: node.parent.map(|(id, evidence, remote)| Parent {
                id,
                remote,
                evidence,
            }),
            state: batch.state.clone(),
            sampled: batch.sampled.unwrap_or(true),
            role,
            name: draft.name,
            start: self.clock.wall(start),
            end: self.clock.wall(end),
            status: draft.status,
            attributes: draft.attributes,
            service,
        })
    }

    /// Identity of a process; `None` when it is not watched.
    fn service(&mut self, tgid: u32) -> Option<Arc<Service>> {
        let provisional = &self.provisional;
        let room = self.processes.len() < PROCESSES;
        let process = match self.processes.entry(tgid) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) if room => new.insert(Process::unknown()),
            Entry::Vacant(_) => return Some(Arc::new(provisional(tgid, "", &[]))),
        };
        if process.unwatched {
            return None;
        }
        let service = process
            .service
            .get_or_insert_with(|| Arc::new(provisional(tgid, &process.comm, &process.command)));
        Some(Arc::clone(service))
    }
}

impl Process {
    fn unknown() -> Self {
        Self {
            service: None,
            comm: String::new(),
            command: Vec::new(),
            unwatched: false,
            ended: None,
        }
    }
}

/// What is known of how a process maps requests to threads.
fn threading(processes: &HashMap<u32, Process>, tgid: u32, request: Option<&Request>) -> Threading {
    match processes
        .get(&tgid)
        .and_then(|process| process.service.as_ref())
    {
        None => Threading::Unknown,
        Some(service) => match service.runtime {
            Runtime::Go => Threading::Goroutines,
            Runtime::Rust => Threading::Migrating,
            Runtime::Php if request.is_some_and(is_fastcgi) => Threading::OneByOne,
            _ => Threading::Bound,
        },
    }
}

/// What a probe told of a task.
const fn of(task: Task, stream: &Stream) -> Of {
    match stream.way {
        Way::Served => Of::Served(stream.conn, stream.number),
        Way::Asked => Of::Asked(stream.conn, stream.number),
        Way::Writer => Of::Writer(task.tgid, stream.fiber),
        Way::Heard => Of::Heard(stream.conn, stream.number),
        Way::Answered => Of::Answered(stream.conn, stream.number),
        Way::Taken(reader) => Of::Taken(task.tgid, reader, stream.number),
    }
}

/// A server of PHP's that speaks FastCGI (php-fpm, php-cgi) runs one script at a time.
fn is_fastcgi(request: &Request) -> bool {
    let mut attributes = request.operation.attributes.iter();
    attributes.any(|found| {
        found.key == semconv::NETWORK_PROTOCOL_NAME
            && matches!(&found.value, Value::Text(name) if name == "fastcgi")
    })
}

const fn handler_of(moment: &Moment) -> Handler {
    Handler {
        task: moment.task,
        fiber: moment.fiber,
    }
}

fn piece_moment(piece: &Piece<'_>) -> Moment {
    match piece {
        Piece::Bytes { moment, .. }
        | Piece::Gap { moment, .. }
        | Piece::End { moment, .. }
        | Piece::Forgotten { moment }
        | Piece::Waiting { moment }
        | Piece::Torn { moment, .. } => *moment,
    }
}

/// Corrects the times of both ends of a connection by causality.
fn tighten_batch(nodes: &mut [Node]) {
    if nodes.len() < 2 {
        return;
    }
    let clients: HashMap<_, usize> = nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| node.request.role == Role::Client)
        .map(|(i, node)| (node.id, i))
        .collect();
    for i in 0..nodes.len() {
        let Some((parent, Evidence::SocketPair, _)) = nodes[i].parent else {
            continue;
        };
        let Some(&client) = clients.get(&parent) else {
            continue;
        };
        let Ok([above, below]) = nodes.get_disjoint_mut([client, i]) else {
            continue;
        };
        let (Some(asked), Some(answered)) = (&mut above.answer, &mut below.answer) else {
            continue;
        };
        tighten(
            (&mut above.request.start.at, &mut asked.end.at),
            (&mut below.request.start.at, &mut answered.end.at),
        );
    }
}

/// Names of the causes by which joins were refused, with their counts.
#[must_use]
pub fn refusals(counts: &Counts) -> Vec<(&'static str, u64)> {
    Refusal::ALL
        .iter()
        .zip(counts.assembly.refused)
        .map(|(refusal, count)| (refusal.name(), count))
        .collect()
}
