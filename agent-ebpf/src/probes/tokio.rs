//! tokio: tasks by their heads, and which task handles a stream of HTTP/2.
//!
//! In: the stream that a task took up which reads a connection, and the tasks that this one makes. Out: a
//! `Stream` record of each that holds a reference to that stream, by which it is answered or its body is read.
//! Who makes a task says nothing by itself: a server may handle streams in the task that took them, and what
//! makes tasks there may be of any stream.

use agent_common::record::STREAM_TAKEN;
use agent_common::runtime::{NOWHERE, Runtime, thread_local};

use crate::kernel::{copy_user, opaque, read_user};
use crate::maps::{HOLDING, Holding, InProcess, TAKEN, TASK, TASK_WORDS, Taken};
use crate::probes::fiber::in_process;
use crate::probes::{go, native};

/// `Header { state, queue_next, vtable, .. }` of a task: offset of `vtable`.
const VTABLE: u64 = 16;
/// `Vtable { poll, schedule, dealloc, try_read_output, drop_join_handle_slow, drop_abort_handle,
/// shutdown, trailer_offset, scheduler_offset, id_offset }`: offset of `trailer_offset`, ...
const TRAILER_OFFSET: u64 = 56;
/// ... and of `id_offset`.
const ID_OFFSET: u64 = 72;
/// Farthest that an id stands from the task's head.
const HEAD: u64 = 256;
/// `Cell`: tasks begin at cache lines, of which there are two at once.
const ALIGNMENT: u64 = 128;

/// The id of the task whose head is at `head`.
#[inline(always)]
pub fn id(head: u64) -> Option<u64> {
    let of_task: u64 = read_user(head.wrapping_add(VTABLE))?;
    let offset: u64 = read_user(of_task.wrapping_add(ID_OFFSET))?;
    if offset >= HEAD {
        return None;
    }
    read_user(head.wrapping_add(offset))
}

/// The current task takes up the stream of the `store::Ptr` at `stream`.
#[inline(always)]
pub fn take(runtime: &Runtime, stream: u64) -> Option<()> {
    if runtime.at[thread_local::STORE] == NOWHERE {
        return None;
    }
    let reader = in_process(native::thread_local_word(runtime)?);
    let key: u64 = read_user(stream.wrapping_add(runtime.at[thread_local::KEY]))?;
    let number = (key >> (runtime.at[thread_local::STREAM] & 63)) & u64::from(u32::MAX);
    // Streams that clients begin have odd numbers.
    if number & 1 == 0 {
        return None;
    }
    let taken = Taken {
        store: read_user(stream.wrapping_add(runtime.at[thread_local::STORE]))?,
        key,
        number,
    };
    match TAKEN.get_ptr_mut(reader) {
        // SAFETY: a live map value, which this task alone writes and reads.
        Some(known) => unsafe { *known = taken },
        None => {
            let _ = TAKEN.insert(reader, taken, 0);
        }
    }
    Some(())
}

/// What the current task has made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// The head of another task is there.
    Elsewhere,
    /// A task that has no stream.
    Alone,
    /// A task that was told to have one.
    Told,
}

/// `maker`, the current task, has made the task `made`, which has not run yet and whose head may be at `head`.
#[inline(always)]
pub fn made(runtime: &Runtime, head: u64, made: u64, maker: u64) -> Made {
    if runtime.at[thread_local::STORE] == NOWHERE {
        return Made::Alone;
    }
    match tokio_task_made(head, made, maker) {
        ELSEWHERE => Made::Elsewhere,
        ALONE => Made::Alone,
        number => {
            go::tell(STREAM_TAKEN, maker, number as u32, made);
            Made::Told
        }
    }
}

/// Streams of clients have odd numbers.
const ELSEWHERE: u64 = 0;
const ALONE: u64 = 2;

/// Number of the stream that `maker` took last, if the task `made` is at `head` and holds a reference to it; or
/// one of the two above. A function of its own, as there are many ways through it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn tokio_task_made(head: u64, made: u64, maker: u64) -> u64 {
    // SAFETY: a map value read once.
    let Some(taken) = (unsafe { TAKEN.get(in_process(maker)) }) else {
        return ALONE;
    };
    let taken = *taken;
    if head == 0 || head & (ALIGNMENT - 1) != 0 {
        return ELSEWHERE;
    }
    let Some(table) = read_user(head.wrapping_add(VTABLE)) else {
        return ELSEWHERE;
    };
    let kind = in_process(table);
    // SAFETY: as above.
    if let Some(known) = unsafe { HOLDING.get(kind) } {
        let known = *known;
        if refers(&taken, head, known.key) {
            let is_it = read_user(head.wrapping_add(known.id)) == Some(made);
            return if is_it { taken.number } else { ELSEWHERE };
        }
    }
    if id(head) != Some(made) {
        return ELSEWHERE;
    }
    match search(&taken, head, table, kind) {
        Some(()) => taken.number,
        None => ALONE,
    }
}

/// Does the task at `head` hold a reference? Only of the first ones of its kind, and of those that may hold
/// none, or another one, that is not known.
#[inline(always)]
fn search(taken: &Taken, head: u64, table: u64, kind: InProcess) -> Option<()> {
    let offsets: [u64; 3] = read_user(table.wrapping_add(TRAILER_OFFSET))?;
    let (end, start) = (offsets[0], offsets[2]);
    if start >= HEAD || end <= start {
        return None;
    }
    let task = TASK.get_ptr_mut(0)?;
    // SAFETY: this CPU's own.
    let task = unsafe { &mut *task };
    let mut len = opaque(end - start);
    if len > 8 * TASK_WORDS as u64 {
        len = 8 * TASK_WORDS as u64;
    }
    if !copy_user(
        task.words.as_mut_ptr().cast(),
        len,
        head.wrapping_add(start),
    ) {
        return None;
    }
    task.count = len / 8;
    task.taken = *taken;
    let mut first = 0;
    while first < PARTS * PART {
        let found = tokio_reference(first);
        if found != 0 {
            let (id, key) = (start, start + 8 * found);
            // Another task may have been copied there meanwhile.
            if !refers(taken, head, key) {
                return None;
            }
            let _ = HOLDING.insert(kind, Holding { id, key }, 0);
            return Some(());
        }
        first += PART;
    }
    None
}

/// Words that are looked through at once, and how often.
const PART: u64 = 64;
const PARTS: u64 = (TASK_WORDS as u64 - 2) / PART;

/// Index of the first key in the copied task behind word `first`; 0 when there is none. A
/// function of its own, which the verifier goes through once, and not for each part.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn tokio_reference(first: u64) -> u64 {
    let Some(task) = TASK.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: this CPU's own, which `search` lends while this runs.
    let task = unsafe { &*task };
    let first = opaque(first);
    if first > PART * (PARTS - 1) {
        return 0;
    }
    let mut i = 0;
    while i < PART {
        let at = first + i + 1;
        // What stands behind it is of another task.
        if at >= task.count {
            return 0;
        }
        if task.words[at as usize] == task.taken.key {
            return at;
        }
        i += 1;
    }
    0
}

/// Farthest that a connection's store is from the beginning of what references point to.
const INNER: u64 = 4096;

/// Is the key in a reference, at `place` of the task at `head`? `OpaqueStreamRef { inner: Arc<Mutex<Inner>>, key
/// }`, whose fields have either order; the store is a part of `Inner`.
#[inline(always)]
fn refers(taken: &Taken, head: u64, place: u64) -> bool {
    let at = head.wrapping_add(place).wrapping_sub(8);
    let Some([before, key, behind]) = read_user::<[u64; 3]>(at) else {
        return false;
    };
    let leads = |word: u64| taken.store.wrapping_sub(word) < INNER;
    key == taken.key && (leads(before) || leads(behind))
}
