//! CPython: asyncio's tasks, greenlets, threads.
//!
//! The state of a thread is found by the key of its thread-local storage; it names the
//! `contextvars` context, which asyncio gives each task for its own, and the stack of frames,
//! which greenlet gives each greenlet for its own. A probe tells who copied which context: that is
//! how a task is made.

use super::{Found, Way, at_return};
use crate::discovery::elf::Sections;
use crate::discovery::mapping::Mapping;
use crate::discovery::procs::Process;
use crate::discovery::symbols;
use agent_common::runtime::{FIELDS, NOWHERE, PYTHON, Runtime, python};

pub(super) const WAY: Way = Way {
    library: Some(is_library),
    look,
    ready: None,
};

const RUNTIME: &str = "_PyRuntime";
const COPY: &str = "PyContext_CopyCurrent";
/// `Py_Version` of `Include/cpython/pylifecycle.h`, since 3.11.
const VERSION: &str = "Py_Version";

/// Offsets by minor version of Python 3 (x86-64), from its own headers: `autoTSSkey` in
/// `_PyRuntimeState`; `context` and `datastack_chunk` in `PyThreadState`.
const OFFSETS: &[(u8, u64, u64, u64)] = &[
    (9, 584, 240, NOWHERE),
    (10, 584, 240, NOWHERE),
    (11, 592, 224, 296),
    (12, 1544, 208, 232),
    (13, 2160, 208, 232),
];

/// `ctx_entered` in `PyContext`: the same in all of them.
const ENTERED: u64 = 40;

fn is_library(mapping: &Mapping) -> bool {
    let file = mapping.path.rsplit('/').next().unwrap_or_default();
    file.starts_with("libpython3.")
}

fn look(sections: &Sections, process: &Process) -> Result<Found, String> {
    let found = symbols::find(sections, &[RUNTIME, COPY, VERSION]);
    let runtime = found.get(RUNTIME).ok_or("it has no symbol _PyRuntime")?;
    let minor = found
        .get(VERSION)
        .and_then(|version| minor_of(sections, version.address))
        .or_else(|| minor_in_name(process.program()))
        .ok_or("its version is not told")?;
    let known = OFFSETS.iter().find(|known| known.0 == minor);
    let (_, key, context, stack) =
        known.ok_or_else(|| format!("Python 3.{minor}: the layout of its threads is not known"))?;
    let mut at = [NOWHERE; FIELDS];
    at[python::KEY] = runtime.address + key;
    at[python::CONTEXT] = *context;
    at[python::STACK] = *stack;
    at[python::ENTERED] = ENTERED;
    let copied = found.get(COPY);
    let site = copied.and_then(|copy| at_return(sections, *copy, "python_context_copied"));
    Ok(Found {
        runtime: Runtime {
            kind: PYTHON,
            reserved: 0,
            at,
        },
        sites: site.into_iter().collect(),
        addresses: &[python::KEY],
        lowest: sections.lowest(),
        own: false,
    })
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
    fn versions_in_names() {
        assert_eq!(minor_in_name("python3.9"), Some(9));
        assert_eq!(minor_in_name("python3"), None);
        assert_eq!(minor_in_name("gunicorn"), None);
    }
}
