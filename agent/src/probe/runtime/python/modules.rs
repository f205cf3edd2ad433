//! Extension modules of CPython that hand work between tasks.
//!
//! In: their files. Out: where they are probed. Functions are found by the tables that give them
//! their names in Python, which are there in stripped files, too.

use super::super::{Found, Site, at_entry, at_return};
use crate::discovery::elf::Sections;
use crate::discovery::pointers::Pointers;
use crate::discovery::procs::Process;
use crate::discovery::symbols::{self, Symbol};
use crate::probe::site;
use agent_common::runtime::{FIELDS, NOWHERE, PYTHON, python};

/// Bytes of a `PyMethodDef { ml_name, ml_meth, ml_flags, ml_doc }`.
const METHOD: u64 = 32;
/// Methods of the class in question, at most.
const METHODS: u64 = 8;
/// `tp_name` and `tp_new` of a `PyTypeObject`.
const TYPE_NAME: u64 = 24;
const TYPE_NEW: u64 = 312;
/// Most bytes of a function that are looked through.
const CODE: usize = 512;

/// greenlet: `static thread_local ThreadStateCreator g_thread_state_global`.
const GREENLET_STATE: &str = "_ZL21g_thread_state_global";
/// uvloop: `UVStream._buffer_write`, as Cython names it.
const BUFFER_WRITE: &str = "__pyx_f_6uvloop_4loop_8UVStream__buffer_write";

/// `_queue`: the queue of executors.
pub(super) fn queue(sections: &Sections, _: &Process) -> Result<Found, String> {
    let sites = queue_sites(sections, &Pointers::of(sections));
    let sites = sites.ok_or("work that executors hand to threads: no SimpleQueue is in _queue")?;
    Ok(module(sections, sites, &[]))
}

/// The methods of `SimpleQueue`, if this file holds them.
pub(super) fn queue_sites(sections: &Sections, pointers: &Pointers) -> Option<Vec<Site>> {
    let places = pointers.places(sections, "get_nowait");
    places.into_iter().find_map(|place| {
        let method = |name| method(sections, pointers, place, name);
        let [put, get, get_nowait] = ["put", "get", "get_nowait"].map(method);
        Some(vec![
            at_entry(sections, put?, "python_item_put")?,
            at_return(sections, get?, "python_item_got")?,
            at_return(sections, get_nowait?, "python_item_got")?,
        ])
    })
}

/// Method `name` in the table that has an entry at `place`.
fn method(sections: &Sections, pointers: &Pointers, place: u64, name: &str) -> Option<Symbol> {
    let first = place.saturating_sub(METHODS * METHOD);
    let mut entries = (0..=2 * METHODS).map(|index| first.saturating_add(index * METHOD));
    let entry = entries.find(|entry| pointers.text(sections, *entry).as_deref() == Some(name))?;
    Some(Symbol {
        address: pointers.at(entry.checked_add(8)?)?,
        size: 0,
    })
}

/// greenlet 2 and later.
pub(super) fn greenlet(sections: &Sections, _: &Process) -> Result<Found, String> {
    let pointers = Pointers::of(sections);
    let module_at = pointers
        .module
        .ok_or("greenlets: their thread-local state is not found")?;
    let found = symbols::find(sections, &[GREENLET_STATE]);
    let state = found.get(GREENLET_STATE);
    let state = state.ok_or("greenlets: the library was stripped, or is older than 2.0")?;
    let made = made(sections, &pointers).ok_or("greenlets: who makes them is not found")?;
    let mut found = module(
        sections,
        vec![made],
        &[
            (python::GREENLET_MODULE, module_at),
            (python::GREENLET_STATE, state.address),
        ],
    );
    found.addresses = &[python::GREENLET_MODULE];
    Ok(found)
}

/// Where `green_new`, the constructor of the class `greenlet.greenlet`, has the new object.
fn made(sections: &Sections, pointers: &Pointers) -> Option<Site> {
    let names = pointers.places(sections, "greenlet.greenlet");
    names.into_iter().find_map(|name| {
        let constructor = pointers.at(name.checked_sub(TYPE_NAME)?.checked_add(TYPE_NEW)?)?;
        let offset = sections.file_offset(constructor)?;
        // It asks `object` for the new one, by the same slot.
        let skip = site::answered(&sections.bytes(offset, CODE), TYPE_NEW)?;
        Some(Site {
            program: "python_greenlet_made",
            offset: offset + skip,
            returns: false,
        })
    })
}

/// uvloop's `loop`. Where its code is not found, its thread still names nobody.
pub(super) fn uvloop(sections: &Sections, _: &Process) -> Result<Found, String> {
    let found = symbols::find(sections, &[BUFFER_WRITE]);
    let write = found.get(BUFFER_WRITE);
    let site = write.and_then(|write| at_entry(sections, *write, "python_stream_written"));
    let lacks = site.is_none();
    let mut found = module(sections, site.into_iter().collect(), &[(python::UVLOOP, 0)]);
    found.lacks = lacks.then_some("which task writes what uvloop sends: the library was stripped");
    Ok(found)
}

fn module(sections: &Sections, sites: Vec<Site>, known: &[(usize, u64)]) -> Found {
    let mut at = [NOWHERE; FIELDS];
    for (index, value) in known {
        at[*index] = *value;
    }
    Found {
        sites: sites.into(),
        ..Found::new(sections, PYTHON, at)
    }
}
