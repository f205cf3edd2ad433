//! Which virtual thread a thread of HotSpot carries, which task of an executor it runs, and who
//! allocates where.
//!
//! A virtual thread is mounted on the thread that carries it while it calls into the kernel, and the
//! carrier names its object, which has a number that no other thread of the process ever has. What
//! it is handed is for user space to know: it is a thread like any other.
//!
//! A task that was submitted to an executor is a `FutureTask`, an object that is made for it alone.
//! While a thread runs one, the object names the thread (`runner`), and the thread has it on its
//! stack: each proves the other, so nothing has to be known of frames or of what a slot is for.
//!
//! Who made it tells its place: a thread allocates in a buffer of its own until that is full, and
//! nobody else does. Each report of a buffer is a point in the thread's work, and objects behind it
//! were made after it. Collections of garbage move objects and hand out the places anew, so they
//! are counted, and while one is under way nothing is said. Garbage is not taken for an object: a
//! task that is over names no thread, and the copy that a moved one leaves behind has a mark.
//!
//! Not here: tasks of other classes, and heaps whose collector moves objects beside the program.

use agent_common::record::{
    ALLOCATES, ALLOCATES_VIRTUAL, ALLOCATES_WORKER, ALLOCATES_YIELDED, Allocates, FIBER_OBJECT,
    FIBER_THREAD, FIBER_VIRTUAL, LINKED,
};
use agent_common::runtime::{JAVA, NOWHERE, Runtime, java};

use crate::emit::{emit, header};
use crate::kernel::{copy_user, offset, opaque, read, read_user, task};
use crate::maps::{JAVA_FOUND, JAVA_HEAD, JAVA_STACK, JAVA_WORDS, JavaStack};
use crate::probes::{fiber, native, storage};

/// Below the thread pointer there is first what glibc and the JVM keep there.
const SKIPPED: u64 = 2560;
/// Bytes of a stack that are looked through.
const STACK: u64 = 8 * JAVA_WORDS as u64;
/// Lowest bits of the mark of an object that was moved.
const MOVED: u32 = 3;
/// Name of the class of tasks, and its length.
const CLASS_NAME: [u64; 4] = [
    u64::from_le_bytes(*b"java/uti"),
    u64::from_le_bytes(*b"l/concur"),
    u64::from_le_bytes(*b"rent/Fut"),
    u64::from_le_bytes(*b"ureTask\0"),
];
const CLASS_NAME_LEN: u16 = 31;
/// End of the name of the class of tasks that have a thread each, and its length:
/// `java/util/concurrent/ThreadPerTaskExecutor$ThreadBoundFuture`.
const PER_TASK: [u64; 3] = [
    u64::from_le_bytes(*b"ecutor$T"),
    u64::from_le_bytes(*b"hreadBou"),
    u64::from_le_bytes(*b"ndFuture"),
];
const PER_TASK_LEN: u16 = 60;
/// Where an object's class stands, and its first field, where references to both are compressed.
const CLASS_FIELD: u64 = 8;
const FIRST_FIELD: u64 = 12;

/// The current thread as HotSpot has it.
struct Thread {
    /// Thread pointer.
    pointer: u64,
    /// `JavaThread *`.
    at: u64,
}

#[inline(always)]
fn thread(runtime: &Runtime) -> Option<Thread> {
    if runtime.at[java::MODULE] == NOWHERE {
        return None;
    }
    let pointer: u64 = read(task(), offset!(task_fsbase))?;
    let block = storage::of_module(pointer, runtime.at[java::MODULE])?;
    let at: u64 = read_user(block.wrapping_add(runtime.at[java::CURRENT]))?;
    if at == 0 {
        return None;
    }
    Some(Thread { pointer, at })
}

/// The count of collections, shifted to its place.
#[inline(always)]
fn counted(runtime: &Runtime) -> Option<u64> {
    let heap = runtime.at[java::HEAP];
    let count: u32 = read_user(heap.wrapping_add(runtime.at[java::COLLECTIONS]))?;
    Some(u64::from(count & 0xff_ffff) << 32)
}

/// No collection is under way.
#[inline(always)]
fn rests(runtime: &Runtime) -> Option<()> {
    let heap = runtime.at[java::HEAP];
    let active: u8 = read_user(heap.wrapping_add(runtime.at[java::COLLECTING]))?;
    if active == 0 { Some(()) } else { None }
}

/// The same count; none while a collection is under way. To be asked before anything is read. A
/// collection counts itself at any time while it is under way, so the count comes first here, and
/// last in [`unmoved`]: one that began in between is seen by either.
#[inline(always)]
fn collections(runtime: &Runtime) -> Option<u64> {
    let count = counted(runtime)?;
    rests(runtime)?;
    Some(count)
}

/// What was read since the count was `count` is true: nothing was moved meanwhile.
#[inline(always)]
fn unmoved(runtime: &Runtime, count: u64) -> Option<()> {
    rests(runtime)?;
    if counted(runtime)? == count {
        Some(())
    } else {
        None
    }
}

/// Address of the object to which field `at` of the current thread leads.
#[inline(always)]
fn object(thread: &Thread, at: u64) -> Option<u64> {
    let handle: u64 = read_user(thread.at.wrapping_add(at))?;
    read_user(handle)
}

/// The virtual thread that the current one carries, if it does, and if that is certain now. One that
/// `asks` somebody else may have been made for a request: where it lies is reported.
#[inline(always)]
pub fn carried(asks: bool) -> Option<u64> {
    match java_carried(u64::from(asks)) {
        0 => None,
        thread => Some(thread),
    }
}

/// The same, 0 where there is none: a function of its own, as it needs registers of its own.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn java_carried(asks: u64) -> u64 {
    match fiber::runtime(JAVA) {
        Some(runtime) => virtual_thread(runtime, asks != 0).unwrap_or(0),
        None => 0,
    }
}

#[inline(always)]
fn virtual_thread(runtime: &Runtime, asks: bool) -> Option<u64> {
    if runtime.at[java::CARRIED] == NOWHERE {
        return None;
    }
    let thread = thread(runtime)?;
    let count = collections(runtime)?;
    let own = object(&thread, runtime.at[java::OBJECT])?;
    let carried = object(&thread, runtime.at[java::CARRIED])?;
    if carried == 0 || carried == own {
        return None;
    }
    let number: u64 = read_user(carried.wrapping_add(runtime.at[java::THREAD_ID]))?;
    unmoved(runtime, count)?;
    if number == 0 || number >= FIBER_VIRTUAL {
        return None;
    }
    let fiber = FIBER_THREAD | FIBER_VIRTUAL | number;
    if asks && runs_one_task(runtime, carried).is_some() {
        fiber::tell(
            LINKED,
            fiber,
            FIBER_OBJECT | count | compressed(runtime, carried),
        );
    }
    Some(fiber)
}

/// Compressed reference to the object at `address`.
#[inline(always)]
fn compressed(runtime: &Runtime, address: u64) -> u64 {
    (address.wrapping_sub(runtime.at[java::BASE]) >> (runtime.at[java::SHIFT] & 7)) & 0xffff_ffff
}

/// The executor's task that the current thread runs, by its place in the heap.
#[inline(always)]
pub fn current() -> Option<u64> {
    match java_task() {
        0 => None,
        task => Some(task),
    }
}

/// The same, 0 where there is none: a function of its own, as it needs registers of its own.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn java_task() -> u64 {
    match fiber::runtime(JAVA) {
        Some(runtime) => task_of(runtime).unwrap_or(0),
        None => 0,
    }
}

#[inline(always)]
fn task_of(runtime: &Runtime) -> Option<u64> {
    if runtime.at[java::START] == NOWHERE {
        return None;
    }
    let thread = thread(runtime)?;
    let count = collections(runtime)?;
    let own = object(&thread, runtime.at[java::OBJECT])?;
    let own = compressed(runtime, own) as u32;
    let stack = JAVA_STACK.get_ptr_mut(0)?;
    // SAFETY: this CPU's own.
    let stack = unsafe { &mut *stack };
    let from = thread.pointer.wrapping_sub(SKIPPED + STACK);
    if own == 0 || !copy_user(stack.words.as_mut_ptr().cast(), STACK, from) {
        return None;
    }
    references(stack);
    store(&mut stack.task, 0);
    let mut i = 0;
    while i < JAVA_FOUND {
        let address = stack.found[i];
        i += 1;
        if address == 0 || address == load(&stack.task) || java_runs(address, own.into()) == 0 {
            continue;
        }
        // One within another: which of them calls is not told.
        if load(&stack.task) != 0 {
            return None;
        }
        store(&mut stack.task, address);
    }
    let task = load(&stack.task);
    unmoved(runtime, count)?;
    if task == 0 {
        return None;
    }
    Some(FIBER_OBJECT | count | compressed(runtime, task))
}

/// Reads a value from where it is, each time anew.
#[inline(always)]
fn load(from: &u64) -> u64 {
    // SAFETY: a reference.
    unsafe { core::ptr::read_volatile(from) }
}

/// Writes a value to where it is.
#[inline(always)]
fn store(to: &mut u64, value: u64) {
    // SAFETY: a reference.
    unsafe { core::ptr::write_volatile(to, value) };
}

/// Collects the words of `stack` that may be references to objects: the first ones, which are the
/// last that were called, are overwritten when there are too many.
#[inline(always)]
fn references(stack: &mut JavaStack) {
    store(&mut stack.count, 0);
    stack.found = [0; JAVA_FOUND];
    let mut first = 0;
    while first < JAVA_WORDS as u64 {
        java_references(first);
        first += PART;
    }
}

/// Words that [`java_references`] looks at.
const PART: u64 = 32;

/// The same for one part, from the word `first`: a function of its own, which the verifier goes through
/// once, and not for each word of the stack.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn java_references(first: u64) -> u32 {
    let (Some(runtime), Some(stack)) = (fiber::runtime(JAVA), JAVA_STACK.get_ptr_mut(0)) else {
        return 0;
    };
    // SAFETY: this CPU's own, which `task_of` lends while this runs.
    let stack = unsafe { &mut *stack };
    let (start, len) = (runtime.at[java::START], runtime.at[java::LEN]);
    let first = opaque(first);
    if first > JAVA_WORDS as u64 - PART {
        return 0;
    }
    let mut i = 0;
    while i < PART {
        let word = stack.words[(first + i) as usize];
        i += 1;
        if word.wrapping_sub(start) < len && word & 7 == 0 {
            let at = opaque(load(&stack.count)) & (JAVA_FOUND as u64 - 1);
            stack.found[at as usize] = word;
            store(&mut stack.count, at + 1);
        }
    }
    0
}

/// 1 if the object at `address` is a task that the thread with the compressed reference `own` runs. A
/// function of its own, which the verifier goes through once, and not for each word of the stack.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn java_runs(address: u64, own: u64) -> u32 {
    let (Some(runtime), Some(stack)) = (fiber::runtime(JAVA), JAVA_STACK.get_ptr_mut(0)) else {
        return 0;
    };
    // SAFETY: this CPU's own, which `task_of` lends while this runs.
    runs(runtime, unsafe { &mut *stack }, address, own as u32).into()
}

#[inline(always)]
fn runs(runtime: &Runtime, stack: &mut JavaStack, address: u64, own: u32) -> bool {
    let len = size_of_val(&stack.head) as u64;
    if !copy_user(stack.head.as_mut_ptr().cast(), len, address) {
        return false;
    }
    let mut i = 3;
    while i < JAVA_HEAD {
        if stack.head[i] == own {
            return stack.head[0] & 3 != MOVED && is_task(runtime, stack).is_some();
        }
        i += 1;
    }
    false
}

/// Is the object whose head was read one of the class of executors' tasks?
#[inline(always)]
fn is_task(runtime: &Runtime, stack: &mut JavaStack) -> Option<()> {
    let (text, len) = class_name(runtime, stack.head[2])?;
    let to = stack.name.as_mut_ptr().cast();
    if len != CLASS_NAME_LEN || !copy_user(to, size_of_val(&stack.name) as u64, text) {
        return None;
    }
    // One byte more than the name has.
    stack.name[3] &= u64::MAX >> 8;
    let mut i = 0;
    while i < CLASS_NAME.len() {
        if stack.name[i] != CLASS_NAME[i] {
            return None;
        }
        i += 1;
    }
    Some(())
}

/// Where the name of the class with the compressed reference `class` stands, and its length.
#[inline(always)]
fn class_name(runtime: &Runtime, class: u32) -> Option<(u64, u16)> {
    let shifted = u64::from(class) << (runtime.at[java::CLASS_SHIFT] & 31);
    let class = runtime.at[java::CLASS_BASE].wrapping_add(shifted);
    let name: u64 = read_user(class.wrapping_add(runtime.at[java::NAME]))?;
    let text = name.wrapping_add(runtime.at[java::TEXT]);
    Some((text, read_user(text.wrapping_sub(2))?))
}

/// Address of the object with the compressed reference that stands at `at`.
#[inline(always)]
fn referred(runtime: &Runtime, at: u64) -> Option<u64> {
    let reference: u32 = read_user(at)?;
    if reference == 0 {
        return None;
    }
    let shifted = u64::from(reference) << (runtime.at[java::SHIFT] & 7);
    Some(runtime.at[java::BASE].wrapping_add(shifted))
}

/// Was the virtual thread at `thread` made for one task alone, by `newVirtualThreadPerTaskExecutor` and
/// its kin? Others may be workers of a pool, which were made for one request and serve many. Its
/// continuation has a `Runnable` with two fields: itself, and what it was made for.
#[inline(always)]
fn runs_one_task(runtime: &Runtime, thread: u64) -> Option<()> {
    if runtime.at[java::START] == NOWHERE || runtime.at[java::CONTINUATION] == NOWHERE {
        return None;
    }
    let continuation = referred(runtime, thread.wrapping_add(runtime.at[java::CONTINUATION]))?;
    let target = referred(runtime, continuation.wrapping_add(runtime.at[java::TARGET]))?;
    // Their order is the JVM's choice.
    let mut task = referred(runtime, target.wrapping_add(FIRST_FIELD))?;
    if task == thread {
        task = referred(runtime, target.wrapping_add(FIRST_FIELD + 4))?;
    }
    let class: u32 = read_user(task.wrapping_add(CLASS_FIELD))?;
    let (text, len) = class_name(runtime, class)?;
    if len != PER_TASK_LEN {
        return None;
    }
    let tail: [u64; 3] = read_user(text.wrapping_add(PER_TASK_LEN as u64 - 24))?;
    if tail[0] == PER_TASK[0] && tail[1] == PER_TASK[1] && tail[2] == PER_TASK[2] {
        Some(())
    } else {
        None
    }
}

/// The current thread read or answered a request on socket `sk`, connection `conn`, or it carries the
/// virtual thread `fiber` and that moved bytes anywhere: what it makes from now on lies behind what
/// it has made so far.
#[inline(always)]
pub fn served(fiber: u64, sk: u64, conn: u64) {
    java_served(fiber, sk, conn);
}

/// The same: a function of its own, as there are many ways through it.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn java_served(fiber: u64, sk: u64, conn: u64) -> u32 {
    report(fiber, sk, conn).map_or(0, |()| 1)
}

#[inline(always)]
fn report(fiber: u64, sk: u64, conn: u64) -> Option<()> {
    let runtime = fiber::runtime(JAVA)?;
    let part = part(runtime, thread(runtime)?.at)?;
    if native::is_virtual(fiber) {
        return allocates(runtime, part, fiber, ALLOCATES_VIRTUAL);
    }
    let polls = native::polls(sk);
    let flags = if polls { 0 } else { ALLOCATES_WORKER };
    allocates(runtime, part, conn, flags)
}

/// The virtual thread on the `JavaThread` at `thread` begins to wait: another is carried next.
#[inline(always)]
pub fn yielded(thread: u64) -> Option<()> {
    let runtime = fiber::runtime(JAVA)?;
    allocates(runtime, part(runtime, thread)?, 0, ALLOCATES_YIELDED)
}

/// Where the `JavaThread` at `thread` makes the next object, and the end of its buffer.
#[inline(always)]
fn part(runtime: &Runtime, thread: u64) -> Option<(u64, u64)> {
    if runtime.at[java::START] == NOWHERE {
        return None;
    }
    let top: u64 = read_user(thread.wrapping_add(runtime.at[java::TOP]))?;
    let end: u64 = read_user(thread.wrapping_add(runtime.at[java::END]))?;
    Some((top, end))
}

/// The current thread allocates from `start` to `end` from now on.
#[inline(always)]
pub fn filled(start: u64, words: u64) -> Option<()> {
    let runtime = fiber::runtime(JAVA)?;
    let end = start.wrapping_add(words.wrapping_mul(8));
    thread(runtime)?;
    match virtual_thread(runtime, false) {
        Some(fiber) => allocates(runtime, (start, end), fiber, ALLOCATES_VIRTUAL),
        None => allocates(runtime, (start, end), 0, 0),
    }
}

#[inline(always)]
fn allocates(runtime: &Runtime, (start, end): (u64, u64), conn: u64, flags: u32) -> Option<()> {
    let count = collections(runtime)?;
    if start == 0 || end <= start || runtime.at[java::START] == NOWHERE {
        return None;
    }
    emit(&Allocates {
        header: header(ALLOCATES, size_of::<Allocates>()),
        from: count | compressed(runtime, start),
        // The last place may be the last of all: what follows it is none.
        to: (count | compressed(runtime, end.wrapping_sub(8))) + 1,
        conn,
        flags,
        reserved: 0,
    });
    Some(())
}
