//! CPython: asyncio's tasks, greenlets, executors, threads.
//!
//! The state of a thread is found by the key of its thread-local storage; it names the
//! `contextvars` context, which asyncio gives each task for its own, and the stack of frames,
//! whose root is the thread's own. greenlet keeps the one that runs in thread-local storage of its
//! own. Probes tell where tasks are made and work is handed on: who copied which context, who made
//! which greenlet, who submitted which work item to an executor and which thread took it up, and
//! who wrote what uvloop sends later.
//!
//! Why this is exact: each of these is an object of its own, and each time one is made the record
//! of it overwrites what its address meant before. A work item is made for one call of `submit`
//! and goes through its queue once; other objects in queues (connections of a pool, numbers) say
//! nothing of who works for whom, and are not looked at.
//!
//! Not here: `queue.Queue` and whatever else hands work on in Python code alone, and threads that
//! a request starts by itself. The first may hand work of any request to a thread that another
//! started, so neither is believed.

mod modules;

use super::{Found, Module, Refusal, Way, at_return};
use crate::discovery::elf::Sections;
use crate::discovery::mapping::Mapping;
use crate::discovery::pointers::Pointers;
use crate::discovery::procs::{Proc, Process};
use crate::discovery::symbols;
use agent_common::runtime::{FIELDS, NOWHERE, PYTHON, Runtime, python};
use std::fs::File;
use std::os::unix::fs::FileExt;

pub(super) const WAY: Way = Way {
    library: Some(is_library),
    look,
    modules: &[
        Module {
            name: "_queue.",
            beside: Some("/lib-dynload/"),
            look: modules::queue,
        },
        Module {
            name: "_greenlet.",
            beside: None,
            look: modules::greenlet,
        },
        Module {
            name: "loop.cpython-",
            beside: None,
            look: modules::uvloop,
        },
    ],
    check: Some(check),
};

const RUNTIME: &str = "_PyRuntime";
const COPY: &str = "PyContext_CopyCurrent";
/// `Py_Version` of `Include/cpython/pylifecycle.h`, since 3.11.
const VERSION: &str = "Py_Version";
/// Exported by builds without a global lock, whose objects are laid out differently.
const WITHOUT_LOCK: &str = "_Py_MergeZeroLocalRefcount";

/// Offsets by minor version of Python 3 (x86-64), from its own headers: `autoTSSkey` in
/// `_PyRuntimeState`; `context`, `datastack_chunk` and `thread_id` in `PyThreadState`.
const OFFSETS: &[(u8, [u64; 4])] = &[
    (9, [584, 240, NOWHERE, 176]),
    (10, [584, 240, NOWHERE, 176]),
    (11, [592, 224, 296, 152]),
    (12, [1544, 208, 232, 136]),
    (13, [2160, 208, 232, 152]),
];

/// `ctx_entered` in `PyContext`: the same in all of them.
const ENTERED: u64 = 40;
/// Keys that each thread keeps at hand (`PTHREAD_KEY_2NDLEVEL_SIZE`).
const KEYS: u32 = 32;

fn is_library(mapping: &Mapping) -> bool {
    let file = mapping.path.rsplit('/').next().unwrap_or_default();
    file.starts_with("libpython3.")
}

fn look(sections: &Sections, process: &Process) -> Result<Found, String> {
    let found = symbols::find(sections, &[RUNTIME, COPY, VERSION, WITHOUT_LOCK]);
    let runtime = found.get(RUNTIME).ok_or("it has no symbol _PyRuntime")?;
    if found.contains_key(WITHOUT_LOCK) {
        return Err("it was built without a global lock".to_owned());
    }
    let minor = found
        .get(VERSION)
        .and_then(|version| minor_of(sections, version.address))
        .or_else(|| minor_in_name(process.program()))
        .ok_or("its version is not told")?;
    let known = OFFSETS.iter().find(|known| known.0 == minor);
    let (_, [key, context, stack, thread]) =
        known.ok_or_else(|| format!("Python 3.{minor}: the layout of its threads is not known"))?;
    let mut at = [NOWHERE; FIELDS];
    at[python::KEY] = runtime.address.wrapping_add(*key);
    at[python::CONTEXT] = *context;
    at[python::STACK] = *stack;
    at[python::ENTERED] = ENTERED;
    at[python::THREAD] = *thread;
    let copied = found.get(COPY);
    let site = copied.and_then(|copy| at_return(sections, *copy, "python_context_copied"));
    // Some builds hold all modules of the standard library themselves.
    let queue = modules::queue_sites(sections, &Pointers::of(sections)).unwrap_or_default();
    Ok(Found {
        sites: site.into_iter().chain(queue).collect(),
        addresses: &[python::KEY],
        lacks: copied
            .is_none()
            .then_some("who makes which task: it has no PyContext_CopyCurrent"),
        ..Found::new(sections, PYTHON, at)
    })
}

/// A process whose memory does not hold what the file says is refused rather than misread. The
/// kernel side compares each thread's state with the thread itself besides.
fn check(
    proc: &Proc,
    maps: &[Mapping],
    tgid: u32,
    runtime: &mut Runtime,
) -> Result<Option<&'static str>, Refusal> {
    if maps
        .iter()
        .any(|mapping| mapping.path.contains("/ld-musl-"))
    {
        return Err(Refusal::Unknown(
            "musl: its threads are not known".to_owned(),
        ));
    }
    let mut bytes = [0; 8];
    let memory = File::open(proc.path(tgid, "mem"));
    let read = memory.and_then(|memory| memory.read_exact_at(&mut bytes, runtime.at[python::KEY]));
    if read.is_err() {
        return Err(Refusal::Early);
    }
    initialized(bytes).map(|()| None)
}

/// Is this a `Py_tss_t { int _is_initialized; pthread_key_t _key; }` in use?
fn initialized(bytes: [u8; 8]) -> Result<(), Refusal> {
    let [a, b, c, d, e, f, g, h] = bytes;
    match (
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
    ) {
        (0, _) => Err(Refusal::Early),
        (1, key) if key < KEYS => Ok(()),
        _ => Err(Refusal::Unknown(
            "the key of its threads' state is not where its version has it".to_owned(),
        )),
    }
}

/// `Py_Version` is `PY_VERSION_HEX`: major and minor in the two highest bytes.
fn minor_of(sections: &Sections, address: u64) -> Option<u8> {
    let bytes = sections.bytes(sections.file_offset(address)?, 8);
    match *bytes.as_slice() {
        [_, _, minor, 3, ..] => Some(minor),
        _ => None,
    }
}

/// Of a program such as `python3.9`.
fn minor_in_name(program: &str) -> Option<u8> {
    program.strip_prefix("python3.")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_use() {
        let bytes = |made: u32, key: u32| {
            let [a, b, c, d] = made.to_ne_bytes();
            let [e, f, g, h] = key.to_ne_bytes();
            [a, b, c, d, e, f, g, h]
        };
        assert_eq!(initialized(bytes(1, 4)), Ok(()));
        assert_eq!(initialized(bytes(0, 0)), Err(Refusal::Early));
        assert!(matches!(
            initialized(bytes(1, 32)),
            Err(Refusal::Unknown(_))
        ));
        assert!(matches!(initialized(bytes(7, 4)), Err(Refusal::Unknown(_))));
    }

    #[test]
    fn versions_in_names() {
        assert_eq!(minor_in_name("python3.9"), Some(9));
        assert_eq!(minor_in_name("python3"), None);
        assert_eq!(minor_in_name("gunicorn"), None);
    }
}
