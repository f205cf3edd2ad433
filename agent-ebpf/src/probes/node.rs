//! Which event of a Node.js loop the running code continues.
//!
//! A task is an *event*: the bytes of one call that received some, and all that JavaScript does
//! because of them. Its identity is new with each such call and never used again.
//!
//! What runs in an event's own time, until the loop turns to the next one, is the event's, with
//! two exceptions, both known:
//!
//! * Microtasks. A promise that the event settles continues whoever waited for it. Where a
//!   reaction is attached, the task of that moment is kept under an object of V8 that only this
//!   reaction has; where it runs, that task is the current one, until the queue is empty.
//! * Ticks (`process.nextTick`), which run when microtasks have changed the task. Each has an id
//!   from a counter in plain memory; whoever was current when the counter had that value made it.
//!
//! Timers, immediates and resolved names are of whoever asked for them, which their ids tell in the same way,
//! over many events; messages to a worker thread are of whoever sent them. Many timers run in one event,
//! unseen: what is made there is of whoever made the resource in whose scope that was.
//!
//! Everything else that enters JavaScript (the thread pool, connections made, closed
//! or accepted) begins an event without a task: calls made there have no parent. What is done
//! while the answer to a call is read is an event's like any other, but user space does not take it
//! for the caller's: a callback there may be one that another request has put into a queue. Only
//! the queue of `http.Agent` is known: it keeps a resource for each request that waits, and gives
//! it the connection in the scope of that resource, which a tick of the event has entered. The loop itself
//! enters only scopes of the connection, and no tick is around them.
//!
//! The collector moves objects. When it is done, the place from which one moved still tells where
//! it went; each kept object is followed. What cannot be followed is forgotten: entries of an
//! older epoch are not believed. Reactions of no task are kept, too: so the place of one that
//! was never run is not believed when another's object comes to it.

use core::ffi::c_void;

use agent_common::record::{FIBER_ANSWER, FIBER_EVENT};
use agent_common::runtime::{NODE, Runtime, node};
use aya_ebpf::helpers::generated::bpf_for_each_map_elem;

use crate::kernel::{fresh_id, read_user, task_id};
use crate::maps::{
    FLAG_CLIENT, Ids, InProcess, NODE_CHANGES, NODE_FRESH, NODE_IDS, NODE_LOG, NODE_REACTIONS,
    NODE_THREADS, NodeThread, Reaction, Slot,
};
use crate::probes::fiber;

/// Objects are 8 bytes apart: what is left to say under which of its roles one is a key.
const KIND: u64 = 7;
/// A promise that results from a reaction, or a context of V8: one reaction at a time.
const ONE: u64 = 1;
/// A function that reacts: others may have attached it, too.
const SHARED: u64 = 3;

/// Pages of V8's heap are aligned to this.
const PAGE: u64 = 0x4_0000;
/// `MemoryChunk::FROM_PAGE`: what is left there is dead.
const FROM_PAGE: u64 = 8;

/// 1 and 2^52 as doubles: ids of resources are between.
const FIRST_ID: u64 = 0x3ff0_0000_0000_0000;
const LAST_ID: u64 = 0x4330_0000_0000_0000;

/// Stands in the log for the tasks of callbacks that ran one after the other.
const MANY: u64 = 1;

/// The newest id in `AsyncHooks::async_id_fields`, behind that of what runs and that of what
/// caused it.
const COUNTER: u64 = 16;

/// The event loop of the current thread; made when it is `wanted` and not known.
#[inline(always)]
pub(super) fn thread(wanted: bool) -> Option<&'static mut NodeThread> {
    let tid = task_id() as u32;
    if let Some(found) = NODE_THREADS.get_ptr_mut(tid) {
        // SAFETY: a live map value that only its own thread writes.
        return Some(unsafe { &mut *found });
    }
    if !wanted {
        return None;
    }
    let fresh = NODE_FRESH.get_ptr_mut(0)?;
    // SAFETY: this CPU's own; all programs write the same here but the epoch.
    let fresh = unsafe { &mut *fresh };
    fresh.epoch = fresh_id();
    let _ = NODE_THREADS.insert(tid, &*fresh, 0);
    // SAFETY: as above.
    NODE_THREADS
        .get_ptr_mut(tid)
        .map(|found| unsafe { &mut *found })
}

/// The newest id of a resource; positive doubles are ordered like their bits. 0 when it cannot be
/// read; then nothing is known of any id any more.
#[inline(always)]
pub(super) fn newest(thread: &mut NodeThread) -> u64 {
    if thread.ids == 0 {
        return 0;
    }
    match read_user(thread.ids + COUNTER) {
        Some(newest) => newest,
        None => {
            thread.ids = 0;
            thread.logged = 0;
            0
        }
    }
}

#[inline(always)]
fn begin(thread: &mut NodeThread, event: u64) {
    thread.reading = 0;
    thread.session = 0;
    thread.resume = 0;
    turn(thread, event);
}

/// What runs is `event`'s from now on, within what the loop does.
#[inline(always)]
pub(super) fn turn(thread: &mut NodeThread, event: u64) {
    thread.stream = 0;
    thread.event = event;
    thread.current = event;
    thread.since = newest(thread);
    thread.changed = 0;
    thread.microtasks = 0;
    thread.makers = 0;
    thread.closing = 0;
    thread.scope = 0;
    if thread.ids != 0 {
        log(thread, thread.since, event);
    }
}

/// Ids after `after` are of `fiber`.
#[inline(always)]
pub(super) fn log(thread: &mut NodeThread, after: u64, fiber: u64) {
    let fiber = if fiber == 0 && thread.makers != 0 {
        MANY
    } else {
        fiber
    };
    if thread.logged != 0 {
        if thread.last.fiber == fiber {
            return;
        }
        if thread.last.after == after {
            // Nothing was made in between.
            thread.last.fiber = fiber;
            return;
        }
        // The last entry may change: it goes into the map when it cannot any more.
        let _ = NODE_IDS.insert(slot(thread.logged - 1), thread.last, 0);
    }
    thread.last = Ids { after, fiber };
    thread.logged += 1;
}

#[inline(always)]
fn slot(number: u64) -> Slot {
    Slot {
        tid: task_id() as u32,
        number: (number % NODE_LOG) as u32,
    }
}

/// The task that was current when the resource `id` was made, in whichever event.
#[inline(never)]
fn logged(thread: &NodeThread, id: u64) -> u64 {
    if thread.logged == 0 {
        return 0;
    }
    if thread.last.after < id {
        return thread.last.fiber;
    }
    let mut high = thread.logged - 1;
    let mut low = thread.logged.saturating_sub(NODE_LOG);
    let mut found = 0;
    let mut i = 0;
    while i <= NODE_LOG.ilog2() {
        if low >= high {
            break;
        }
        let middle = low + (high - low) / 2;
        // SAFETY: a map value read once.
        let Some(ids) = (unsafe { NODE_IDS.get(slot(middle)) }) else {
            return 0;
        };
        if ids.after < id {
            found = ids.fiber;
            low = middle + 1;
        } else {
            high = middle;
        }
        i += 1;
    }
    found
}

/// The task that made the resource `id`, in whichever event: in the scope of the resource
/// `trigger`, if that is not 0.
#[inline(always)]
pub(super) fn made_by(thread: &NodeThread, id: u64, trigger: u64) -> u64 {
    let found = match logged(thread, id) {
        MANY if trigger != 0 => logged(thread, trigger),
        found => found,
    };
    if found == MANY { 0 } else { found }
}

/// The current thread received bytes on connection `conn` with `flags`: an event begins, which is a task.
#[inline(always)]
pub fn received(conn: u64, flags: u16) -> u64 {
    let Some(thread) = thread(true) else {
        return 0;
    };
    let mut event = fresh_event();
    if flags & FLAG_CLIENT != 0 {
        event |= FIBER_ANSWER;
    }
    begin(thread, event);
    thread.reading = conn;
    thread.read = event;
    event
}

/// An identity that no task had before.
#[inline(always)]
pub(super) fn fresh_event() -> u64 {
    fresh_id() & (FIBER_ANSWER - 1) | FIBER_EVENT
}

/// The loop of the current thread turns to an event that is no task of ours.
#[inline(always)]
pub fn entered() {
    if let Some(thread) = thread(false) {
        begin(thread, 0);
    }
}

/// A handle is told that it is closed.
#[inline(always)]
pub fn closed() {
    if let Some(thread) = thread(false) {
        begin(thread, 0);
        thread.closing = 1;
    }
}

/// Callbacks are due each of which is of whoever made its resource.
#[inline(always)]
pub fn makers() {
    if let Some(thread) = thread(false) {
        begin(thread, 0);
        if thread.ids != 0 {
            thread.makers = 1;
            log(thread, thread.since, 0);
        }
    }
}

/// The same for timers or immediates of `environment`.
#[inline(always)]
pub fn callbacks(runtime: &Runtime, environment: u64) {
    if let Some(thread) = thread(true) {
        learn_from(thread, runtime, environment);
        makers();
    }
}

/// The current thread puts `message` into the queue of another.
#[inline(always)]
pub fn posted(message: u64) {
    match current() {
        0 => fiber::forget(message),
        task => fiber::hand(message, task),
    }
}

/// The current thread takes `message` up. A worker does what it was asked to; what its answer
/// leads to, which comes to the main thread, may be another's that waited for a worker.
#[inline(always)]
pub fn took(runtime: &Runtime, message: u64, environment: u64) {
    let Some(thread) = thread(true) else { return };
    learn_from(thread, runtime, environment);
    let main = task_id() >> 32 == task_id() & 0xffff_ffff;
    let task = match fiber::handed(message) {
        Some(task) if !main => task,
        _ => 0,
    };
    fiber::forget(message);
    begin(thread, task);
}

/// The event that the loop of the current thread serves, 0 when it is none of ours: while it reads, that of
/// the bytes, whichever of their streams it has come to.
#[inline(always)]
pub fn event() -> u64 {
    match thread(false) {
        Some(thread) if thread.reading != 0 => thread.read,
        Some(thread) => thread.event,
        None => 0,
    }
}

/// The task on whose behalf the current thread runs JavaScript.
#[inline(always)]
pub fn current() -> u64 {
    node_task()
}

/// The same: a function of its own, as there are many ways through it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn node_task() -> u64 {
    match thread(false) {
        Some(thread) => of(thread),
        None => 0,
    }
}

#[inline(always)]
pub(super) fn of(thread: &NodeThread) -> u64 {
    if thread.changed == 0 && thread.makers == 0 && thread.scope == 0 {
        return thread.event;
    }
    let Some([id, trigger]) = read_user::<[u64; 2]>(thread.ids) else {
        return thread.unchanged();
    };
    if id == 0 {
        // Microtasks run under no resource, nor does what the loop itself does.
        return thread.current;
    }
    if id <= thread.since {
        // Somebody has kept a resource for later, and runs what is not its own.
        return if thread.microtasks != 0 {
            0
        } else {
            older(thread, id, trigger)
        };
    }
    let maker = maker(thread, id);
    if trigger == 0 {
        return maker;
    }
    if trigger <= thread.since {
        // Made in the scope of an older resource: among microtasks somebody has kept it.
        return if maker == thread.event {
            older(thread, trigger, 0)
        } else {
            0
        };
    }
    // Made in the scope of one that was itself made here: a tick of a connection, where a callback
    // of many has made both.
    let outer = self::maker(thread, trigger);
    if outer == maker || (maker == 0 && thread.makers != 0) {
        outer
    } else {
        0
    }
}

/// The task for which code runs that an event enters by the resource `id`, which is older and was
/// made in the scope of `trigger`, if that is not 0.
#[inline(always)]
fn older(thread: &NodeThread, id: u64, trigger: u64) -> u64 {
    if thread.scope == id {
        return thread.queued;
    }
    if thread.makers != 0 {
        return made_by(thread, id, trigger);
    }
    // A resource of the connection: the event's own code.
    thread.event
}

/// A connection is given to a request of `http.Agent`: to one that has waited, if a tick of this event
/// has entered the scope of an older resource for it, or what is told that a connection is closed.
#[inline(always)]
pub fn assigned(runtime: &Runtime) -> Option<()> {
    let thread = thread(false)?;
    if thread.ids == 0 || thread.microtasks != 0 {
        return None;
    }
    let [scope, trigger] = read_user::<[u64; 2]>(thread.ids)?;
    if scope == 0 || scope > thread.since {
        return None;
    }
    let around = around(thread, runtime)?;
    if around <= thread.since && (thread.closing == 0 || around == 0) {
        return None;
    }
    let maker = made_by(thread, scope, trigger);
    if maker != 0 {
        thread.scope = scope;
        thread.queued = maker;
        thread.tick = newest(thread);
    }
    Some(())
}

/// The current thread connects a socket: whoever uses it first, if that is known.
#[inline(always)]
pub fn connects() -> u64 {
    let Some(thread) = thread(false) else {
        return 0;
    };
    if thread.scope != 0 && read_user::<u64>(thread.ids) == Some(thread.tick) {
        return thread.queued;
    }
    of(thread)
}

/// A connection is made: among callbacks of many, its id is of the one that runs.
#[inline(always)]
pub fn made() {
    let Some(thread) = thread(false) else { return };
    if thread.makers == 0 {
        return;
    }
    let maker = of(thread);
    if maker != 0 {
        let newest = newest(thread);
        change_after(thread, newest, maker);
        change_after(thread, next(newest), 0);
    }
}

/// The id behind `id`. Among positive doubles the next integer is so many further that the
/// exponent, shifted by the bits of the fraction, says how many.
#[inline(always)]
fn next(id: u64) -> u64 {
    let exponent = (id >> 52).wrapping_sub(1023);
    id.wrapping_add(1 << (52_u64.wrapping_sub(exponent) & 63))
}

/// The id of the resource in whose scope the current one was entered.
#[inline(always)]
fn around(thread: &NodeThread, runtime: &Runtime) -> Option<u64> {
    let outer = u64::from(depth(thread, runtime)?).checked_sub(1)?;
    let scopes: u64 = read_user(thread.hooks.wrapping_add(runtime.at[node::SCOPES]))?;
    read_user(scopes.wrapping_add(16 * outer))
}

/// How many scopes are around what runs; none where the loop itself is about to enter JavaScript.
#[inline(always)]
pub(super) fn depth(thread: &NodeThread, runtime: &Runtime) -> Option<u32> {
    if thread.ids == 0 {
        return None;
    }
    let counters: u64 = read_user(thread.hooks.wrapping_add(runtime.at[node::COUNTERS]))?;
    read_user(counters.wrapping_add(runtime.at[node::DEPTH]))
}

impl NodeThread {
    /// The task of the event, if nothing else has run in it.
    #[inline(always)]
    fn unchanged(&self) -> u64 {
        if self.changed == 0 { self.event } else { 0 }
    }
}

/// The task that was current when the resource `id` was made, within this event.
#[inline(never)]
fn maker(thread: &NodeThread, id: u64) -> u64 {
    let changed = thread.changed;
    let mut i = 0;
    while i < NODE_CHANGES as u32 {
        if i >= changed {
            return thread.event;
        }
        let at = (changed - 1 - i) as usize % NODE_CHANGES;
        if thread.counters[at] < id {
            return thread.fibers[at];
        }
        i += 1;
    }
    if changed == NODE_CHANGES as u32 {
        thread.event
    } else {
        0
    }
}

/// From now on `fiber` is the current task.
#[inline(always)]
fn change(thread: &mut NodeThread, fiber: u64) {
    let newest = newest(thread);
    change_after(thread, newest, fiber);
}

/// So it is for what is made after the id `newest`.
#[inline(always)]
fn change_after(thread: &mut NodeThread, newest: u64, fiber: u64) {
    thread.current = fiber;
    if thread.ids == 0 {
        thread.event = 0;
        thread.changed = 0;
        return;
    }
    log(thread, newest, fiber);
    let changed = thread.changed;
    let mut at = changed as usize % NODE_CHANGES;
    if changed == 0 {
        if fiber == thread.event {
            return;
        }
    } else {
        let last = (changed - 1) as usize % NODE_CHANGES;
        if thread.fibers[last] == fiber {
            return;
        }
        if thread.counters[last] == newest {
            // Nothing was made in between.
            at = last;
        }
    }
    thread.counters[at] = newest;
    thread.fibers[at] = fiber;
    if changed == 0 || at == changed as usize % NODE_CHANGES {
        thread.changed = changed.wrapping_add(1);
    }
}

/// Learns where the ids of this thread's resources are, from the `context` of V8 that runs.
#[inline(always)]
fn learn(thread: &mut NodeThread, runtime: &Runtime, context: u64) -> Option<()> {
    if thread.ids != 0 {
        return Some(());
    }
    let map: u64 = read_user(context.wrapping_sub(1))?;
    let native: u64 = read_user(map.wrapping_add(runtime.at[node::MAP_CONTEXT]))?;
    let embedder: u64 = read_user(native.wrapping_add(runtime.at[node::EMBEDDER]))?;
    let environment: u64 = read_user(embedder.wrapping_add(runtime.at[node::ENVIRONMENT]))?;
    learn_from(thread, runtime, environment)
}

/// The same from a `node::Environment *`.
#[inline(always)]
fn learn_from(thread: &mut NodeThread, runtime: &Runtime, environment: u64) -> Option<()> {
    if thread.ids != 0 {
        return Some(());
    }
    let ids: u64 = read_user(environment.wrapping_add(runtime.at[node::ASYNC_IDS]))?;
    let counter: u64 = read_user(ids.wrapping_add(COUNTER))?;
    let running: u64 = read_user(ids)?;
    if counter < FIRST_ID || counter > LAST_ID || running > counter {
        return None;
    }
    thread.ids = ids;
    thread.hooks = environment.wrapping_add(runtime.at[node::ASYNC_IDS]);
    // What this event has made so far was made by its own code.
    thread.since = counter;
    let event = thread.event;
    log(thread, counter, event);
    Some(())
}

/// Registers at the call of a builtin of V8, as both probes below need them.
pub struct Call {
    /// Root register r13.
    pub root: u64,
    /// Context register rsi.
    pub context: u64,
    /// The function that reacts.
    pub handler: u64,
    /// The promise that results, or `undefined` when a generator waits (`await`).
    pub result: u64,
}

/// The key of a reaction. Behind an `await` are two closures made for it alone; both have a
/// context made for it alone.
#[inline(always)]
fn key(runtime: &Runtime, call: &Call) -> Option<InProcess> {
    let undefined: u64 = read_user(call.root.wrapping_add(runtime.at[node::UNDEFINED]))?;
    let object = if call.result == undefined {
        read_user(
            call.handler
                .wrapping_add(runtime.at[node::FUNCTION_CONTEXT]),
        )?
    } else {
        call.result
    };
    keyed(object, ONE)
}

/// `object` is a tagged pointer.
#[inline(always)]
fn keyed(object: u64, kind: u64) -> Option<InProcess> {
    if object & 3 != 1 {
        return None;
    }
    Some(fiber::in_process(object & !KIND | kind))
}

/// A reaction is attached to a promise.
#[inline(always)]
pub fn attached(runtime: &Runtime, call: &Call) -> Option<()> {
    let thread = thread(true)?;
    learn(thread, runtime, call.context);
    let key = key(runtime, call)?;
    keep(thread, key, false);
    Some(())
}

/// A reaction is attached by `then`, whose result is not known yet.
#[inline(always)]
pub fn attached_by_then(
    runtime: &Runtime,
    root: u64,
    context: u64,
    handlers: [u64; 2],
) -> Option<()> {
    let thread = thread(true)?;
    learn(thread, runtime, context);
    let undefined: u64 = read_user(root.wrapping_add(runtime.at[node::UNDEFINED]))?;
    if handlers[0] != undefined {
        keep(thread, keyed(handlers[0], SHARED)?, true);
    }
    if handlers[1] != undefined {
        keep(thread, keyed(handlers[1], SHARED)?, true);
    }
    Some(())
}

#[inline(always)]
fn keep(thread: &NodeThread, key: InProcess, shared: bool) {
    let mut made = Reaction {
        fiber: of(thread),
        epoch: thread.epoch,
        tid: task_id() as u32,
        count: 1,
    };
    if shared && let Some(found) = NODE_REACTIONS.get_ptr(key) {
        // SAFETY: a live map value.
        let found = unsafe { *found };
        if found.epoch == made.epoch && found.tid == made.tid {
            if found.fiber != made.fiber {
                made.fiber = 0;
            }
            made.count = found.count.saturating_add(1);
        }
    }
    let _ = NODE_REACTIONS.insert(key, made, 0);
}

/// A reaction runs.
#[inline(always)]
pub fn reacts(runtime: &Runtime, call: &Call) -> Option<()> {
    let thread = thread(true)?;
    let known = learn(thread, runtime, call.context).is_some();
    let mut found = key(runtime, call).map_or(0, |key| take(thread, key));
    if found == 0 {
        found = keyed(call.handler, SHARED).map_or(0, |key| take(thread, key));
    }
    if known {
        thread.microtasks = 1;
        change(thread, found);
    } else {
        // Without ids what comes after cannot be told apart.
        begin(thread, 0);
    }
    Some(())
}

/// Who waits under `key`; one less from now on.
#[inline(always)]
fn take(thread: &NodeThread, key: InProcess) -> u64 {
    let Some(found) = NODE_REACTIONS.get_ptr_mut(key) else {
        return 0;
    };
    // SAFETY: a live map value that only this thread writes.
    let found = unsafe { &mut *found };
    let fiber = if found.epoch == thread.epoch && found.tid == task_id() as u32 {
        found.fiber
    } else {
        0
    };
    if found.count > 1 {
        found.count -= 1;
    } else {
        let _ = NODE_REACTIONS.remove(key);
    }
    fiber
}

/// A microtask runs that is no reaction: an object with a method `then` was awaited.
#[inline(always)]
pub fn resolves() {
    if let Some(thread) = thread(false)
        && thread.ids != 0
    {
        thread.microtasks = 1;
        change(thread, 0);
    }
}

/// The queue of microtasks is empty: the event's own code goes on.
#[inline(always)]
pub fn drained() {
    if let Some(thread) = thread(false)
        && thread.changed != 0
    {
        thread.microtasks = 0;
        let event = thread.event;
        change(thread, event);
    }
}

/// What the walk over the reactions needs.
#[repr(C)]
struct Walk {
    tgid: u64,
    before: u64,
    after: u64,
    flags: u64,
    tid: u32,
    reserved: u32,
}

/// The collector has moved objects of this thread's heap.
#[inline(always)]
pub fn collected(runtime: &Runtime) -> Option<()> {
    let thread = thread(false)?;
    let mut walk = Walk {
        tgid: fiber::in_process(0).tgid,
        before: thread.epoch,
        after: fresh_id(),
        flags: runtime.at[node::PAGE_FLAGS],
        tid: task_id() as u32,
        reserved: 0,
    };
    thread.epoch = walk.after;
    let map = (&raw const NODE_REACTIONS).cast_mut().cast::<c_void>();
    // SAFETY: the callback has the signature that the helper documents.
    unsafe {
        bpf_for_each_map_elem(
            map,
            follow as *mut c_void,
            (&raw mut walk).cast::<c_void>(),
            0,
        );
    }
    Some(())
}

/// Follows one object to where it is now; always 0, which is to go on.
#[inline(never)]
extern "C" fn follow(
    _map: *mut c_void,
    key: *const InProcess,
    value: *mut Reaction,
    walk: *const Walk,
) -> i64 {
    // SAFETY: pointers that the helper made, checked by the verifier.
    let (key, value, walk) = unsafe { (&*key, &mut *value, &*walk) };
    if key.tgid != walk.tgid || value.tid != walk.tid || value.epoch != walk.before {
        return 0;
    }
    let object = key.value & !KIND;
    let word: u64 = read_user(object).unwrap_or(1);
    if word & KIND == 0 {
        // It moved there.
        let moved = InProcess {
            tgid: key.tgid,
            value: word | key.value & KIND,
        };
        let mut value = *value;
        value.epoch = walk.after;
        let _ = NODE_REACTIONS.insert(moved, value, 0);
    } else {
        let flags: u64 = read_user((object & !(PAGE - 1)) + walk.flags).unwrap_or(FROM_PAGE);
        if flags & FROM_PAGE == 0 {
            // Dead or alive: whoever comes to its place is known by a key of his own.
            value.epoch = walk.after;
            return 0;
        }
    }
    let _ = NODE_REACTIONS.remove(*key);
    0
}

/// The process runs Node.js, and its tasks are named.
#[inline(always)]
pub fn runtime() -> Option<&'static Runtime> {
    fiber::runtime(NODE)
}
