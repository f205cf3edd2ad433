//! HotSpot: threads, virtual ones among them, and what executors hand to them.
//!
//! A thread that reads a request handles it, in the pools of most servers. Not so in a
//! `ForkJoinPool`: a thread that joins a task runs others meanwhile, and one that carries virtual
//! threads (JDK 21) runs each until it waits. Their threads are known by the names that the JDK
//! gives them, and are not believed. A pool whose factory names its threads otherwise is not
//! recognised.
//!
//! The thread that carries a virtual one names its object, which has a number of its own: it is
//! told by that as a thread is. Which virtual thread was made by which is told by their places, and a
//! probe where one begins to wait.
//!
//! A task that a handler submits to an executor is an object, whose place in the heap tells which
//! thread made it, and when (`agent-ebpf/src/probes/java.rs`). Where its parts are is told by the
//! tables that HotSpot exports for its own debugger, read from the process. One probe tells when a
//! thread begins to allocate in another part of the heap.
//!
//! Not here: tasks of other classes (`CompletableFuture`), `HttpClient`.

use super::{Found, Refusal, Way, at_entry};
use crate::discovery::elf::Sections;
use crate::discovery::mapping::Mapping;
use crate::discovery::pointers::Pointers;
use crate::discovery::procs::{Proc, Process};
use crate::discovery::symbols;
use agent_common::runtime::{FIELDS, JAVA, NOWHERE, Runtime, java};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

pub(super) const WAY: Way = Way {
    library: Some(is_library),
    look,
    modules: &[],
    check: Some(complete),
};

/// The table of fields: address of `VMStructEntry[]`.
const STRUCTS: &str = "gHotSpotVMStructs";
/// `Thread *Thread::_thr_current`, thread-local.
const CURRENT: &str = "_ZN6Thread12_thr_currentE";
/// `void ThreadLocalAllocBuffer::fill(HeapWord *, HeapWord *, size_t)` (JDK 17 and later).
const FILL: &str = "_ZN22ThreadLocalAllocBuffer4fillEPP12HeapWordImplS2_m";
/// `int freeze<Config>(JavaThread *, intptr_t *)` (JDK 21 and later), one for each kind of collector
/// that is known, where references are compressed.
const FREEZE: [&str; 2] = [
    "_Z6freezeI6ConfigIL8oop_kind0E19CardTableBarrierSetEEiP10JavaThreadPl",
    "_Z6freezeI6ConfigIL8oop_kind0E12G1BarrierSetEEiP10JavaThreadPl",
];
/// `int java_lang_Thread::_tid_offset` and kin, which the JVM finds out when it starts.
const OFFSETS: [(usize, &str, u64); 3] = [
    (java::THREAD_ID, "_ZN16java_lang_Thread11_tid_offsetE", 8),
    (
        java::CONTINUATION,
        "_ZN23java_lang_VirtualThread20_continuation_offsetE",
        4,
    ),
    (
        java::TARGET,
        "_ZN28jdk_internal_vm_Continuation14_target_offsetE",
        4,
    ),
];
/// Most bytes of a thread's object, or a continuation's.
const OBJECT: u64 = 1024;
/// Tables of functions of heaps whose collectors move objects only while the program stands still.
const HEAPS: [&str; 3] = [
    "_ZTV10SerialHeap",
    "_ZTV20ParallelScavengeHeap",
    "_ZTV15G1CollectedHeap",
];
/// Where an object points to in such a table.
const FUNCTIONS: u64 = 16;

/// Between the file and the process: indices of [`Runtime::at`] for what is found in the file.
mod early {
    pub(super) const STRUCTS: usize = 2;
    pub(super) const HEAPS: usize = 3;
    pub(super) const OFFSETS: usize = 6;
}

/// Bytes of a `VMStructEntry { typeName, fieldName, typeString, isStatic, offset, address }`, and
/// most of them that are read.
const ENTRY: usize = 48;
const ENTRIES: usize = 8192;
/// Most bytes of a name.
const NAME: usize = 64;

const STRIPPED: &str =
    "who submits which task to an executor: libjvm was stripped, or is older than 17";
const UNKNOWN_HEAP: &str = "which virtual thread calls, and who submits which task to an executor: \
                            its collector moves objects beside the program";
const NOT_COMPRESSED: &str =
    "who submits which task to an executor: its references are not compressed";

fn is_library(mapping: &Mapping) -> bool {
    mapping.path.ends_with("/libjvm.so")
}

fn look(sections: &Sections, _: &Process) -> Result<Found, String> {
    let offsets = OFFSETS.map(|(_, name, _)| name);
    let names = [&[STRUCTS, CURRENT, FILL][..], &HEAPS, &FREEZE, &offsets].concat();
    let found = symbols::find(sections, &names);
    let structs = found.get(STRUCTS).ok_or("it is no HotSpot")?;
    let mut plan = Found {
        lacks: Some(STRIPPED),
        ..Found::new(sections, JAVA, by_names().at)
    };
    let fill = found
        .get(FILL)
        .and_then(|fill| at_entry(sections, *fill, "java_buffer_filled"));
    if let (Some(current), Some(fill)) = (found.get(CURRENT), fill)
        && let Some(module) = Pointers::of(sections).module
    {
        let at = &mut plan.runtime.at;
        at[java::MODULE] = module;
        at[java::CURRENT] = current.address;
        at[early::STRUCTS] = structs.address;
        for (index, name) in (early::HEAPS..).zip(HEAPS) {
            // An absent one is no address at all once it is placed.
            at[index] = found.get(name).map_or(0, |heap| heap.address + FUNCTIONS);
        }
        for (index, name) in (early::OFFSETS..).zip(offsets) {
            at[index] = found.get(name).map_or(NOWHERE, |at| at.address);
        }
        let freezes = FREEZE.iter().filter_map(|name| found.get(*name));
        let yields = freezes.filter_map(|at| at_entry(sections, *at, "java_yielded"));
        plan.sites = [fill].into_iter().chain(yields).collect();
        plan.addresses = &[java::MODULE, early::STRUCTS, 3, 4, 5, 6, 7, 8];
        plan.lacks = None;
    }
    Ok(plan)
}

/// Threads are told by their names alone.
const fn by_names() -> Runtime {
    Runtime {
        kind: JAVA,
        reserved: 0,
        at: [NOWHERE; FIELDS],
    }
}

/// Reads from the process what the file does not tell.
fn complete(
    proc: &Proc,
    _: &[Mapping],
    tgid: u32,
    runtime: &mut Runtime,
) -> Result<Option<&'static str>, Refusal> {
    if runtime.at[java::MODULE] == NOWHERE {
        return Ok(None);
    }
    let memory = File::open(proc.path(tgid, "mem")).map_err(|_| Refusal::Early)?;
    let memory = Memory(memory);
    let fields = memory
        .fields(runtime.at[early::STRUCTS])
        .ok_or(Refusal::Early)?;
    let heaps = [0, 1, 2].map(|index| runtime.at[early::HEAPS + index]);
    let heap = field(&fields, "Universe", &["_collectedHeap"]);
    let heap = heap.and_then(|at| memory.word(at)).ok_or(Refusal::Early)?;
    if heap == 0 {
        return Err(Refusal::Early);
    }
    let early = std::mem::replace(runtime, by_names()).at;
    let Some(mut at) = memory.threads(&fields, heap, heaps) else {
        return Ok(Some(UNKNOWN_HEAP));
    };
    for index in [java::MODULE, java::CURRENT] {
        at[index] = early[index];
    }
    for (place, (index, _, aligned)) in (early::OFFSETS..).zip(OFFSETS) {
        at[index] = memory.offset(early[place], aligned).unwrap_or(NOWHERE);
    }
    if at[java::THREAD_ID] == NOWHERE {
        at[java::CARRIED] = NOWHERE;
    }
    if at[java::TARGET] == NOWHERE {
        at[java::CONTINUATION] = NOWHERE;
    }
    runtime.at = memory.tasks(&fields, at).unwrap_or(at);
    let told = runtime.at[java::START] != NOWHERE;
    Ok((!told).then_some(NOT_COMPRESSED))
}

/// Fields by their type and name: offset in the struct, or address where they are static.
type Fields = HashMap<(String, String), u64>;

/// The field that has one of these names: some were renamed.
fn field(fields: &Fields, kind: &str, names: &[&str]) -> Option<u64> {
    let mut known = names.iter();
    known.find_map(|name| fields.get(&(kind.to_owned(), (*name).to_owned())).copied())
}

/// Memory of a process.
struct Memory(File);

impl Memory {
    fn word(&self, at: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, at).ok()?;
        Some(u64::from_ne_bytes(bytes))
    }

    /// The offset of a field of so many bytes in an object that stands at `at`, as an `int`.
    fn offset(&self, at: u64, aligned: u64) -> Option<u64> {
        let offset = self.word(at)? & 0xffff_ffff;
        (offset > 0 && offset < OBJECT && offset.is_multiple_of(aligned)).then_some(offset)
    }

    fn text(&self, at: u64) -> Option<String> {
        let mut bytes = [0; NAME];
        let len = self.0.read_at(&mut bytes, at).ok()?;
        let text = bytes.get(..len)?.split(|byte| *byte == 0).next()?;
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// The table of fields whose address stands at `place`, as far as it is of the types in question.
    fn fields(&self, place: u64) -> Option<Fields> {
        let table = self.word(place).filter(|table| *table != 0)?;
        let mut bytes = vec![0; ENTRY * ENTRIES];
        let len = self.0.read_at(&mut bytes, table).ok()?;
        bytes.truncate(len);
        let mut kinds: HashMap<u64, Option<String>> = HashMap::new();
        let mut fields = Fields::new();
        for entry in bytes.chunks_exact(ENTRY) {
            let mut words = entry.chunks_exact(8).map(|word| {
                let word: [u8; 8] = word.try_into().unwrap_or_default();
                u64::from_ne_bytes(word)
            });
            let mut next = || words.next().unwrap_or(0);
            let [kind, name, _, is_static, offset, address] = [(); 6].map(|()| next());
            if kind == 0 {
                break;
            }
            let kind = kinds.entry(kind).or_insert_with(|| {
                self.text(kind)
                    .filter(|kind| KINDS.contains(&kind.as_str()))
            });
            if let (Some(kind), Some(name)) = (kind, self.text(name)) {
                let value = if is_static & 1 == 1 { address } else { offset };
                fields.insert((kind.clone(), name), value);
            }
        }
        Some(fields)
    }

    /// What tells threads apart, if `heap` is one of those that are known.
    fn threads(&self, fields: &Fields, heap: u64, heaps: [u64; 3]) -> Option<[u64; FIELDS]> {
        if !heaps.contains(&self.word(heap)?) {
            return None;
        }
        let find = |kind, names: &[&str]| field(fields, kind, names);
        let mut at = [NOWHERE; FIELDS];
        at[java::OBJECT] = find("JavaThread", &["_threadObj"])?;
        at[java::CARRIED] = find("JavaThread", &["_vthread"]).unwrap_or(NOWHERE);
        at[java::HEAP] = heap;
        at[java::COLLECTIONS] = find("CollectedHeap", &["_total_collections"])?;
        at[java::COLLECTING] = find("CollectedHeap", &["_is_gc_active", "_is_stw_gc_active"])?;
        Some(at)
    }

    /// The same with what tells tasks apart, if that can be.
    fn tasks(&self, fields: &Fields, mut at: [u64; FIELDS]) -> Option<[u64; FIELDS]> {
        let find = |kind, names: &[&str]| field(fields, kind, names);
        let value = |kind, names: &[&str]| self.word(find(kind, names)?);
        let tlab = find("Thread", &["_tlab"])?;
        let reserved = at[java::HEAP] + find("CollectedHeap", &["_reserved"])?;
        at[java::TOP] = tlab + find("ThreadLocalAllocBuffer", &["_top"])?;
        at[java::END] = tlab + find("ThreadLocalAllocBuffer", &["_end"])?;
        at[java::START] = self.word(reserved + find("MemRegion", &["_start"])?)?;
        at[java::LEN] = 8 * self.word(reserved + find("MemRegion", &["_word_size"])?)?;
        at[java::BASE] = value("CompressedOops", &["_narrow_oop._base", "_base"])?;
        at[java::SHIFT] = value("CompressedOops", &["_narrow_oop._shift", "_shift"])? & 0xff;
        at[java::CLASS_BASE] = value("CompressedKlassPointers", &["_narrow_klass._base", "_base"])?;
        at[java::CLASS_SHIFT] = value(
            "CompressedKlassPointers",
            &["_narrow_klass._shift", "_shift"],
        )? & 0xff;
        at[java::NAME] = find("Klass", &["_name"])?;
        at[java::TEXT] = find("Symbol", &["_body", "_body[0]"])?;
        // What is behind that is not to be named by 32 bits: references are not compressed.
        let end = at[java::START].checked_add(at[java::LEN])?;
        let places = end.checked_sub(at[java::BASE])? >> at[java::SHIFT].min(7);
        let beside = find("Symbol", &["_length"])? + 2 == at[java::TEXT];
        (places <= 1 << 32 && at[java::SHIFT] <= 3 && beside).then_some(at)
    }
}

/// Types whose fields are asked for.
const KINDS: [&str; 10] = [
    "Universe",
    "Thread",
    "JavaThread",
    "ThreadLocalAllocBuffer",
    "CollectedHeap",
    "MemRegion",
    "CompressedOops",
    "CompressedKlassPointers",
    "Klass",
    "Symbol",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_fields_are_found() {
        let key = |name: &str| ("CollectedHeap".to_owned(), name.to_owned());
        let fields = Fields::from([(key("_is_stw_gc_active"), 64), (key("_reserved"), 32)]);
        let names = ["_is_gc_active", "_is_stw_gc_active"];
        assert_eq!(field(&fields, "CollectedHeap", &names), Some(64));
        assert_eq!(field(&fields, "CollectedHeap", &["_is_gc_active"]), None);
        assert_eq!(field(&fields, "G1CollectedHeap", &names), None);
    }

    /// A table in this very process, as HotSpot lays them out.
    #[test]
    fn tables_are_read_from_memory() {
        let names = [
            "Klass\0",
            "_name\0",
            "Universe\0",
            "_collectedHeap\0",
            "Other\0",
        ];
        let at = |index: usize| names[index].as_ptr() as u64;
        let table: [[u64; 6]; 4] = [
            [at(0), at(1), 0, 0, 24, 0],
            [at(2), at(3), 0, 1, 0, 0x1000],
            [at(4), at(1), 0, 0, 8, 0],
            [0; 6],
        ];
        let place = table.as_ptr() as u64;
        let memory = Memory(File::open("/proc/self/mem").unwrap());
        let fields = memory.fields(&raw const place as u64).unwrap();
        assert_eq!(fields.len(), 2, "{fields:?}");
        assert_eq!(field(&fields, "Klass", &["_name"]), Some(24));
        assert_eq!(
            field(&fields, "Universe", &["_collectedHeap"]),
            Some(0x1000)
        );
        assert!(memory.fields(8).is_none());
        // No heap that is known.
        assert!(memory.threads(&fields, place, [1, 2, 3]).is_none());
    }

    #[test]
    fn only_an_offset_in_a_thread_is_one() {
        let memory = Memory(File::open("/proc/self/mem").unwrap());
        for (there, expected) in [
            (16, Some(16)),
            (7 << 32 | 96, Some(96)),
            (0, None),
            (20, None),
        ] {
            let place: u64 = there;
            let found = memory.offset(&raw const place as u64, 8);
            assert_eq!(found, expected, "{there}");
        }
        assert_eq!(memory.offset(8, 8), None);
        let far = OBJECT;
        assert_eq!(memory.offset(&raw const far as u64, 8), None);
        let narrow: u64 = 20;
        assert_eq!(memory.offset(&raw const narrow as u64, 4), Some(20));
    }
}
