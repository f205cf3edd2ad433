//! tokio: the id of the current task.
//!
//! It stands in thread-local storage while a task is polled, and ids are never used again. Where
//! it stands is read from the code of the one function that sets it. Probes tell who spawned which
//! task, and who woke a task that waited for a message: a connection of hyper's client is a task
//! of its own, which gets each request by a channel. Not told: blocking clients, whose own runtime
//! takes requests from a queue of all callers.
//!
//! Programs without a table of symbols are left alone.

use super::{Found, Site, Way, at_entry_of_c, code_of};
use crate::discovery::elf::Sections;
use crate::discovery::procs::Process;
use crate::discovery::symbols::{self, Symbol};
use crate::probe::site;
use agent_common::runtime::{FIELDS, NOWHERE, THREAD_LOCAL, thread_local};
use std::collections::HashMap;

pub(super) const WAY: Way = Way {
    library: None,
    look,
    modules: &[],
    check: None,
};

/// `fn TaskIdGuard::enter(id: Id)` of `runtime/task/core.rs`.
const ENTER: &str = "11TaskIdGuard5enter";
/// `fn TaskHooks::spawn(&self, meta: &TaskMeta)` of `runtime/task_hooks.rs`: every task but
/// blocking ones, in the context of who spawns it.
const SPAWN: &str = "9TaskHooks5spawn";
/// `fn AtomicWaker::wake(&self)` of `sync/task/atomic_waker.rs`: a channel got a message.
const WAKE: &str = "5tokio4sync4task12atomic_waker11AtomicWaker4wake";
/// `unsafe fn wake_by_val(ptr: *const ())` of `runtime/task/waker.rs`.
const BY_VALUE: &str = "4task5waker11wake_by_val";

fn look(sections: &Sections, _: &Process) -> Result<Found, String> {
    let found = symbols::containing(sections, &[ENTER, SPAWN, WAKE, BY_VALUE]);
    let enter = found
        .get(ENTER)
        .ok_or("it has no symbols of tokio's tasks")?;
    let stores = site::thread_local_stores(&code_of(sections, *enter));
    let [word] = stores.words[..] else {
        return Err("its code does not show where tokio keeps the current task".to_owned());
    };
    let mut at = [NOWHERE; FIELDS];
    at[thread_local::WORD] = word.cast_unsigned();
    let wake = found.get(BY_VALUE);
    at[thread_local::WAKE] = wake.map_or(NOWHERE, |wake| wake.address);
    let addresses: &[usize] = if wake.is_some() {
        &[thread_local::WAKE]
    } else {
        &[]
    };
    Ok(Found {
        sites: sites(sections, &found).into(),
        addresses,
        ..Found::new(sections, THREAD_LOCAL, at)
    })
}

fn sites(sections: &Sections, found: &HashMap<String, Symbol>) -> Vec<Site> {
    let mut sites = Vec::new();
    for (mark, program) in [(SPAWN, "tokio_task_spawned"), (WAKE, "tokio_task_woken")] {
        if let Some(symbol) = found.get(mark)
            && let Some(site) = at_entry_of_c(sections, *symbol, program)
        {
            sites.push(site);
        }
    }
    sites
}
