//! Assembly: open requests, the trees they form, and when a tree is complete.
//!
//! A node is a request as one process saw it. Nodes that are joined form a tree, which leaves
//! as one batch when nothing in it is open and nothing more is expected; what is finished in a
//! tree that stays open for long leaves before the rest.

use super::answered::Answered;
use super::context::{self, Context};
use super::departed::{Departed, Gone};
use super::events::Purpose;
use super::handlers::{Handler, Handlers, Threading};
use super::id::Ids;
use super::pairs::{PairKey, Pairs};
use super::parent::Refusal;
use super::streams::Streams;
use super::supposed::Supposed;
use super::trees::{TreeId, Trees};
use super::waiting::Waiting;
use crate::protocol::exchange::{Answer, Request, Role};
use crate::record::{ConnId, Endpoint, Nanos, Opened, Task};
use crate::span::{Evidence, SpanId, TraceId};
use crate::stream::table::LOSSY;
use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

/// Most addresses of this host that are remembered.
const LOCALS: usize = 4096;
/// Most connections whose ends are remembered.
const ENDS: usize = 65_536;
/// A connection younger than this may have another end that was not announced yet, ns.
const YOUNG: Nanos = 50_000_000;

/// A node of the assembly; reused after its span has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// Bounds and waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most nodes at once.
    pub nodes: usize,
    /// After the last end in a tree, how long the other end of a connection may still be
    /// reported, ns.
    pub settle: Nanos,
    /// How long a finished node waits for the rest of its tree, ns.
    pub hold: Nanos,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            nodes: 65_536,
            settle: 250_000_000,
            hold: 2_000_000_000,
        }
    }
}

/// A request as one process saw it, finished or given up.
#[derive(Debug)]
pub struct Node {
    /// Its span.
    pub id: SpanId,
    /// Parent span, its evidence, and whether only a header names it.
    pub parent: Option<(SpanId, Evidence, bool)>,
    /// The connection.
    pub info: Arc<Opened>,
    /// The request.
    pub request: Box<Request>,
    /// The answer.
    pub answer: Option<Box<Answer>>,
    /// Process.
    pub tgid: u32,
    context: Option<Context>,
    handler: Handler,
    /// When its head was complete.
    read: Nanos,
    /// Since when the handler's task has its identity.
    handler_born: Nanos,
    pair: Option<PairKey>,
    /// The server's end of a client's request, once both were seen.
    server: Option<(NodeId, SpanId)>,
    /// The other end of its connection is on this host and was not seen yet.
    lonely: bool,
    /// The answer to an open request of its process may still tell its parent.
    waiting: bool,
    /// The request that it may be for.
    supposed: Option<SpanId>,
    /// The node that is its parent.
    above: Option<(NodeId, SpanId)>,
    /// Who handles it is told by probes, and by nobody else.
    told: bool,
    /// Number among all server requests; 0 for clients' requests.
    number: u64,
    tree: TreeId,
    /// When it may leave although its tree is open.
    due: Nanos,
}

impl Node {
    /// When it began.
    #[must_use]
    pub fn start(&self) -> Nanos {
        self.request.start.at
    }
}

/// Nodes that are joined.
#[derive(Default)]
pub(super) struct Tree {
    /// Most trees are small.
    nodes: SmallVec<[NodeId; 4]>,
    open: usize,
    /// Nodes whose other end may still be reported.
    lonely: usize,
    /// A node of it was dropped.
    missing: bool,
    /// Nodes whose parent may still be told.
    waiting: usize,
    trace: Option<TraceId>,
    sampled: Option<bool>,
    state: Option<String>,
    /// When it may leave, once nothing is open.
    due: Nanos,
}

/// Spans of one trace that leave together.
#[derive(Debug)]
pub struct Batch {
    /// The trace.
    pub trace: TraceId,
    /// The sampled flag that a header carried.
    pub sampled: Option<bool>,
    /// `tracestate` as carried.
    pub state: Option<String>,
    /// Nothing of this tree is missing.
    pub complete: bool,
    /// Its nodes, in the order of their starts.
    pub nodes: Vec<Node>,
}

/// What happened, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Possible parents not taken, by [`Refusal::ALL`].
    pub refused: [u64; Refusal::ALL.len()],
    /// Parents taken: header, socket pair, task, thread.
    pub joined: [u64; 4],
    /// Nodes dropped because there were too many.
    pub evicted: u64,
    /// Finished nodes that left before their trace because there were too many.
    pub hurried: u64,
    /// Answers whose request is unknown.
    pub orphans: u64,
}

/// All open requests and the trees they form.
pub struct Assembly {
    limits: Limits,
    ids: Ids,
    nodes: Vec<Option<Node>>,
    free: Vec<u32>,
    open: HashMap<(ConnId, u64), NodeId>,
    pairs: Pairs,
    handlers: Handlers,
    waiting: Waiting,
    supposed: Supposed,
    answered: Answered,
    streams: Streams,
    /// The last open request of each connection whose bytes runtime tasks move.
    serving: HashMap<ConnId, NodeId>,
    /// Server requests so far.
    served: u64,
    /// Requests that tasks may have outlived.
    departed: Departed,
    trees: Trees,
    /// Until then a thread is not believed.
    lossy_until: Nanos,
    /// Addresses of this host, as far as watched connections have shown them.
    locals: HashSet<IpAddr>,
    /// Both addresses of watched connections.
    ends: HashSet<(Endpoint, Endpoint)>,
    /// Trees that lack nothing.
    ready: Vec<TreeId>,
    /// Trees that wait, in the order in which they fall due; entries may be stale.
    due: VecDeque<(Nanos, TreeId)>,
    /// Finished nodes of open trees, in the order in which they fall due; may be stale.
    held: VecDeque<(Nanos, NodeId, SpanId)>,
    /// Nodes in the order in which they were made, to find the oldest.
    order: VecDeque<(NodeId, SpanId)>,
    /// What left before its time, until it is asked for; nodes of all batches are counted, and
    /// not more than the limit of nodes.
    early: Vec<Batch>,
    early_nodes: usize,
    /// What happened.
    pub counts: Counts,
}

impl Assembly {
    /// Nothing open.
    #[must_use]
    pub fn new(limits: Limits, ids: Ids) -> Self {
        Self {
            limits,
            ids,
            nodes: Vec::new(),
            free: Vec::new(),
            open: HashMap::new(),
            pairs: Pairs::default(),
            handlers: Handlers::default(),
            waiting: Waiting::default(),
            supposed: Supposed::default(),
            answered: Answered::default(),
            streams: Streams::default(),
            serving: HashMap::new(),
            served: 0,
            departed: Departed::default(),
            trees: Trees::default(),
            lossy_until: 0,
            locals: HashSet::new(),
            ends: HashSet::new(),
            ready: Vec::new(),
            due: VecDeque::new(),
            held: VecDeque::new(),
            order: VecDeque::new(),
            early: Vec::new(),
            early_nodes: 0,
            counts: Counts::default(),
        }
    }

    /// Nodes at present.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    /// Entries of every map and queue, by name: all must be bounded by the number of nodes.
    #[must_use]
    pub fn sizes(&self) -> [(&'static str, usize); 17] {
        let [handlers, processes] = self.handlers.sizes();
        let [told, streams, calls, readers] = self.streams.sizes();
        [
            ("nodes", self.len()),
            ("open", self.open.len()),
            ("pairs", self.pairs.len()),
            ("trees", self.trees.len()),
            ("due", self.due.len()),
            ("held", self.held.len()),
            ("order", self.order.len()),
            ("early", self.early_nodes),
            ("handlers", handlers),
            ("processes", processes),
            ("waiting", self.waiting.len()),
            ("supposed", self.supposed.len()),
            ("serving", self.serving.len()),
            ("told", told),
            ("streams", streams),
            ("stream_calls", calls),
            ("stream_readers", readers),
        ]
    }

    /// The one source of ids.
    pub const fn ids(&mut self) -> &mut Ids {
        &mut self.ids
    }

    /// No node.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A request was seen; its head was completed by `reader` at `read`.
    pub fn asked(
        &mut self,
        info: &Arc<Opened>,
        request: Box<Request>,
        (reader, read): (Handler, Nanos),
        threading: Threading,
    ) {
        if self.len() >= self.limits.nodes {
            self.evict();
        }
        let role = request.role;
        let key = (info.conn, request.number);
        let context = context::parse(&request.carried);
        let of_stream = || PairKey::of_stream(info, role, request.stream?);
        let pair = PairKey::new(info, role, request.start.offset).or_else(of_stream);
        let start = request.start.at;
        let tree = self.plant(context.as_ref());
        let id = self.ids.span();
        if role == Role::Server {
            self.served += 1;
        }
        let (fiber, stream) = (request.start.fiber, request.stream);
        let pipelined = self.serving.contains_key(&info.conn);
        let handler_born = self.handlers.fibers.born(reader.task.tgid, reader.fiber);
        let node = self.insert(Node {
            id,
            parent: None,
            info: Arc::clone(info),
            tgid: reader.task.tgid,
            request,
            answer: None,
            context,
            handler: reader,
            read,
            handler_born,
            pair,
            server: None,
            lonely: false,
            waiting: false,
            supposed: None,
            above: None,
            told: false,
            number: if role == Role::Server { self.served } else { 0 },
            tree,
            due: Nanos::MAX,
        });
        self.open.insert(key, node);
        // Of a shared connection the last request says nothing.
        if fiber != 0 && stream.is_none() {
            self.serving.insert(info.conn, node);
        }
        let other = self.meet(node, role);
        match other {
            Some(other) => {
                self.set_lonely(other, false);
                match role {
                    Role::Server => self.link(other, node),
                    Role::Client => self.link(node, other),
                }
            }
            None => {
                let near = pair.is_some() && self.is_near(info, start);
                self.set_lonely(node, near);
            }
        }
        match role {
            Role::Server => {
                // What an event reads is of many streams, too.
                let told = Self::is_told(threading, reader.fiber)
                    || (stream.is_some() && reader.is_event());
                match stream {
                    Some(stream) if told => {
                        self.begin_shared(node, info.conn, stream);
                    }
                    _ => self.handlers.begin(node, id, self.served, reader),
                }
                if let Some(stream) = stream.filter(|_| !told) {
                    self.begin_tellable(node, info.conn, stream);
                }
                if pipelined && reader.is_event() {
                    self.handlers.brought(reader, Purpose::Several);
                }
                if threading == Threading::OneByOne {
                    self.handlers.works_one_by_one(reader.task, (node, id));
                }
                self.settle_server(node, other);
            }
            Role::Client => {
                self.settle_client(node, threading);
                if let Some(server) = other {
                    self.settle_server(server, Some(node));
                }
            }
        }
    }

    /// The exchange lasts as long as its connection.
    pub fn switched(&mut self, conn: ConnId, number: u64) {
        let Some(node) = self.open.get(&(conn, number)).copied() else {
            return;
        };
        match self.node(node).map(|entry| entry.request.role) {
            Some(Role::Server) => self.handlers.last(node),
            // What comes on it later may be for anyone.
            Some(Role::Client) if self.serving.get(&conn) == Some(&node) => {
                self.serving.remove(&conn);
            }
            Some(Role::Client) | None => {}
        }
    }

    /// An answer was seen or given up at `at`.
    pub fn answered(&mut self, conn: ConnId, answer: Box<Answer>) {
        let Some(node) = self.open.remove(&(conn, answer.number)) else {
            self.counts.orphans += 1;
            return;
        };
        let end = answer.end.at;
        self.close_stream(node);
        let Some(entry) = self.node_mut(node) else {
            return;
        };
        let (id, tree, handler, role) = (entry.id, entry.tree, entry.handler, entry.request.role);
        let (server, number) = (entry.server, entry.number);
        let writer = answer.first.map(|first| Handler {
            task: first.task,
            fiber: first.fiber,
        });
        let events = [answer.first.unwrap_or(answer.end), answer.end];
        let shared = entry.request.stream.is_some();
        entry.answer = Some(answer);
        let hold = self.limits.hold;
        if let Some(entry) = self.node_mut(node) {
            entry.due = end + hold;
        }
        match (role, server) {
            (Role::Server, _) => {
                self.handlers.finish(node, number, handler);
                self.claim(node, writer, end);
                let answerer = self.answerer(node, writer);
                self.confirm(node, answerer);
            }
            // The client has its answer: the server has sent it, seen or not.
            (Role::Client, Some((server, id))) => {
                if self
                    .node(server)
                    .is_some_and(|entry| entry.id == id && entry.answer.is_none())
                {
                    self.handlers.doubt_node(server);
                }
            }
            (Role::Client, None) => {}
        }
        // Of a stream its own event is told.
        if role == Role::Client && !shared {
            self.brought(node, events);
        }
        if self.serving.get(&conn) == Some(&node) {
            self.serving.remove(&conn);
        }
        // Another tree by now, if a call of this request was waiting.
        let tree = self.node(node).map_or(tree, |entry| entry.tree);
        self.closed(tree, end);
        self.held.push_back((end + self.limits.hold, node, id));
        self.trim();
    }

    /// Clears the queues of what has left, once that is most of them: busy trees leave long
    /// before their turn comes.
    fn trim(&mut self) {
        if self.held.len() > 64 + 2 * self.len() {
            let nodes = &self.nodes;
            self.held.retain(|(_, node, id)| {
                let entry = nodes.get(node.0 as usize).and_then(Option::as_ref);
                entry.is_some_and(|entry| entry.id == *id)
            });
        }
        if self.due.len() > 64 + 2 * self.trees.len() {
            let trees = &self.trees;
            self.due
                .retain(|(due, tree)| trees.find(*tree).is_some_and(|tree| tree.due == *due));
        }
    }

    /// Bytes that `handler` moved cannot be told yet: its open requests may be over unseen.
    pub fn doubt(&mut self, handler: Handler) {
        self.handlers.doubt(handler);
    }

    /// A process ended: it handles nothing any more.
    pub fn exited(&mut self, tgid: u32) {
        self.handlers.exited(tgid);
        self.answered.exited(tgid);
        self.streams.exited(tgid);
        self.give_up(tgid);
    }

    /// Trees and nodes that may leave at `now`.
    pub fn due(&mut self, now: Nanos, each: &mut dyn FnMut(Batch)) {
        self.leave_early(each);
        for tree in std::mem::take(&mut self.ready) {
            let ripe = self
                .trees
                .find(tree)
                .is_some_and(|t| t.open == 0 && t.lonely == 0 && t.waiting == 0);
            if ripe {
                self.thin(tree, |_| true, each);
            }
        }
        while let Some((due, tree)) = self.due.front().copied() {
            if due > now {
                break;
            }
            self.due.pop_front();
            let ripe = self
                .trees
                .find(tree)
                .is_some_and(|t| t.open == 0 && t.waiting == 0 && t.due <= now);
            if ripe {
                self.thin(tree, |_| true, each);
            }
        }
        while let Some((due, node, id)) = self.held.front().copied() {
            if due > now {
                break;
            }
            self.held.pop_front();
            let tree = match self.node(node) {
                Some(found) if found.id == id => found.tree,
                _ => continue,
            };
            self.thin(tree, |node| node.due <= now, each);
        }
    }

    /// Lets everything go that is finished, whether its tree is complete or not: the agent stops.
    pub fn flush(&mut self, each: &mut dyn FnMut(Batch)) {
        self.leave_early(each);
        let mut trees: Vec<_> = self.trees.ids().collect();
        trees.sort_unstable();
        for tree in trees {
            self.thin(tree, |node| node.answer.is_some(), each);
        }
    }

    /// May the other end of this connection be watched, too? An address that no watched
    /// connection has for its own is another host's. On this host the other end has been
    /// announced, unless it is so new that its record may still be on the way.
    fn is_near(&self, info: &Opened, start: Nanos) -> bool {
        match &info.remote {
            Endpoint::Unix(_) => true,
            Endpoint::Unseen => false,
            Endpoint::Inet(remote, _) => {
                (remote.is_loopback() || self.locals.contains(remote))
                    && (start < info.at + YOUNG || self.ends.contains(&(info.remote, info.local)))
            }
        }
    }

    /// Records were lost before `at`. What one thread or process handles is uncertain until the
    /// requests of that time are answered.
    pub fn lost(&mut self, at: Nanos) {
        self.lossy_until = at.saturating_add(LOSSY);
        self.handlers.objects.lost();
    }

    /// A connection was announced.
    pub fn opened(&mut self, task: Task, info: &Opened) {
        if !info.client {
            self.handlers.turned(task);
        }
        if let Endpoint::Inet(local, _) = &info.local {
            if self.locals.len() < LOCALS {
                self.locals.insert(*local);
            }
            if self.ends.len() >= ENDS {
                // Ends are a hint: without it a trace leaves a moment too early.
                self.ends.clear();
            }
            self.ends.insert((info.local, info.remote));
        }
    }

    /// A connection is gone.
    pub fn closed_connection(&mut self, info: &Opened) {
        self.ends.remove(&(info.local, info.remote));
    }

    fn meet(&mut self, node: NodeId, role: Role) -> Option<NodeId> {
        let key = self.node(node)?.pair?;
        self.pairs.meet(&key, role, node)
    }

    fn link(&mut self, client: NodeId, server: NodeId) {
        let id = self.node(server).map(|entry| (server, entry.id));
        if let Some(entry) = self.node_mut(client) {
            entry.server = id;
        }
    }

    /// Makes one tree of the trees of two nodes; refuses when they are different traces.
    fn join(&mut self, above: NodeId, below: NodeId) -> bool {
        let (Some(one), Some(other)) = (self.node(above), self.node(below)) else {
            return false;
        };
        let (keep, give) = (one.tree, other.tree);
        if keep == give {
            return true;
        }
        let trace = |tree| self.trees.find(tree).and_then(|tree| tree.trace);
        if let (Some(one), Some(other)) = (trace(keep), trace(give))
            && one != other
        {
            return false;
        }
        let size = |tree| self.trees.find(tree).map_or(0, |tree| tree.nodes.len());
        let (keep, give) = if size(keep) < size(give) {
            (give, keep)
        } else {
            (keep, give)
        };
        let Some(given) = self.trees.remove(give) else {
            return false;
        };
        for node in &given.nodes {
            if let Some(entry) = self.node_mut(*node) {
                entry.tree = keep;
            }
        }
        let Some(kept) = self.trees.find_mut(keep) else {
            return false;
        };
        kept.nodes.extend(given.nodes);
        kept.open += given.open;
        kept.lonely += given.lonely;
        kept.missing |= given.missing;
        kept.waiting += given.waiting;
        kept.trace = kept.trace.or(given.trace);
        kept.sampled = kept.sampled.or(given.sampled);
        kept.state = kept.state.take().or(given.state);
        kept.due = kept.due.max(given.due);
        self.schedule(keep);
        true
    }

    /// One node of `tree` ended.
    fn closed(&mut self, tree: TreeId, end: Nanos) {
        let settle = self.limits.settle;
        let Some(entry) = self.trees.find_mut(tree) else {
            return;
        };
        entry.open -= 1;
        entry.due = entry.due.max(end + settle);
        self.schedule(tree);
    }

    /// A tree without open nodes leaves at once, or when it has waited for other ends.
    fn schedule(&mut self, id: TreeId) {
        match self.trees.find(id) {
            Some(tree) if tree.waiting > 0 => {}
            Some(tree) if tree.open == 0 && tree.lonely == 0 => self.ready.push(id),
            Some(tree) if tree.open == 0 => self.due.push_back((tree.due, id)),
            _ => {}
        }
    }

    /// The nodes of a tree that are `ripe` leave, the others stay.
    fn thin(&mut self, id: TreeId, ripe: impl Fn(&Node) -> bool, each: &mut dyn FnMut(Batch)) {
        let Some(tree) = self.trees.find_mut(id) else {
            return;
        };
        let mut staying = std::mem::take(&mut tree.nodes);
        let mut nodes = Vec::with_capacity(staying.len());
        staying.retain(|node| {
            let leaves = self.node(*node).is_some_and(&ripe);
            if leaves {
                nodes.extend(self.remove(*node));
            }
            !leaves
        });
        let Some(tree) = self.trees.find_mut(id) else {
            return;
        };
        let empty = staying.is_empty();
        tree.nodes = staying;
        tree.lonely -= nodes.iter().filter(|node| node.lonely).count();
        tree.waiting -= nodes.iter().filter(|node| node.waiting).count();
        if !nodes.is_empty() {
            self.batch(id, nodes, empty).into_iter().for_each(each);
        }
        if empty {
            self.trees.remove(id);
        }
    }

    fn batch(&mut self, id: TreeId, mut nodes: Vec<Node>, last: bool) -> Option<Batch> {
        let tree = self.trees.find_mut(id)?;
        let trace = *tree.trace.get_or_insert_with(|| self.ids.trace());
        nodes.sort_by_key(Node::start);
        for node in &nodes {
            if node.request.role == Role::Server {
                self.departed.insert(Gone {
                    trace,
                    span: node.id,
                    sampled: tree.sampled,
                    state: tree.state.clone(),
                });
            }
        }
        Some(Batch {
            trace,
            sampled: tree.sampled,
            state: tree.state.clone(),
            complete: last && !tree.missing,
            nodes,
        })
    }

    /// A tree of one open node, in the trace that its header names.
    fn plant(&mut self, context: Option<&Context>) -> TreeId {
        self.trees.plant(Tree {
            open: 1,
            trace: context.map(|context| context.trace),
            sampled: context.map(|context| context.sampled),
            state: context.and_then(|context| context.state.clone()),
            ..Tree::default()
        })
    }

    fn insert(&mut self, node: Node) -> NodeId {
        let (tree, id) = (node.tree, node.id);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.nodes[slot as usize] = Some(node);
                NodeId(slot)
            }
            None => {
                self.nodes.push(Some(node));
                NodeId((self.nodes.len() - 1) as u32)
            }
        };
        if let Some(tree) = self.trees.find_mut(tree) {
            tree.nodes.push(slot);
        }
        self.order.push_back((slot, id));
        slot
    }

    /// Takes a node out; nothing refers to it afterwards.
    fn remove(&mut self, node: NodeId) -> Option<Node> {
        self.close_stream(node);
        let found = self.nodes.get_mut(node.0 as usize)?.take()?;
        self.free.push(node.0);
        if let Some(key) = &found.pair {
            self.pairs.forget(key, node);
        }
        if found.waiting {
            self.waiting.forget(found.tgid, found.id);
        }
        if let Some(request) = found.supposed {
            self.supposed.forget(request, found.id);
        }
        // Amortised: the order is cleared of what left when it has grown to twice the rest.
        if self.order.len() > 64 + 2 * self.len() {
            let nodes = &self.nodes;
            self.order.retain(|(node, id)| {
                nodes[node.0 as usize]
                    .as_ref()
                    .is_some_and(|entry| entry.id == *id)
            });
        }
        Some(found)
    }

    fn refuse(&mut self, refusal: Refusal) {
        if let Some(i) = Refusal::ALL.iter().position(|other| *other == refusal) {
            self.counts.refused[i] += 1;
        }
    }

    fn node(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(node.0 as usize)?.as_ref()
    }

    fn node_mut(&mut self, node: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(node.0 as usize)?.as_mut()
    }
}

/// Times that causality corrects: what was received was sent before. The hook of a sender may
/// run later than that of the receiver on another CPU.
pub fn tighten(client: (&mut Nanos, &mut Nanos), server: (&mut Nanos, &mut Nanos)) {
    let (client_start, client_end) = client;
    let (server_start, server_end) = server;
    *client_start = (*client_start).min(*server_start);
    *server_end = (*server_end).min(*client_end).max(*server_start);
}

#[path = "eviction.rs"]
mod eviction;

#[path = "settle.rs"]
mod settle;

#[path = "shared.rs"]
mod shared;

#[cfg(test)]
#[path = "assembly_tests.rs"]
mod tests;
