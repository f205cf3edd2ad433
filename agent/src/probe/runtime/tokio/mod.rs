//! tokio: the id of the current task.
//!
//! It stands in thread-local storage while a task is polled, and ids are never used again. Where
//! it stands is read from the code of the one function that sets it. Probes tell who spawned which
//! task, on a thread for blocking work, too, and who woke a task that waited for a message: a connection
//! of hyper's client is a task of its own, which gets each request by a channel. Not told: calls by
//! reqwest's blocking client, whose own runtime takes requests from a queue of all callers. Streams of HTTP/2
//! have a file of their own.
//!
//! Programs without a table of symbols are left alone.

mod http2;

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
/// `fn Spawner::spawn_task(&self, task: Task, rt: &Handle)` of `runtime/blocking/pool.rs`: every blocking task,
/// in the context of who spawns it. Closures within it have names that contain its own.
const SPAWN_BLOCKING: &str = "7Spawner10spawn_task";
/// Where that stands, in either mangling.
const BLOCKING: &str = "5tokio7runtime8blocking4pool";
/// Names that contain [`SPAWN_BLOCKING`], at most.
const NAMES: usize = 16;
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
    let streams = http2::look(sections);
    at.iter_mut()
        .zip(streams.at)
        .filter(|(_, known)| *known != NOWHERE)
        .for_each(|(at, known)| *at = known);
    let sites = sites(sections, &found).into_iter().chain(streams.sites);
    Ok(Found {
        sites: sites.collect(),
        addresses,
        lacks: streams.lacks,
        ..Found::new(sections, THREAD_LOCAL, at)
    })
}

fn sites(sections: &Sections, found: &HashMap<String, Symbol>) -> Vec<Site> {
    let blocking = spawns_blocking(sections);
    let places = [
        (found.get(SPAWN), "tokio_task_spawned"),
        (blocking.as_ref(), "tokio_blocking_spawned"),
        (found.get(WAKE), "tokio_task_woken"),
    ];
    let site = |(symbol, program): (Option<&Symbol>, _)| {
        symbol.and_then(|symbol| at_entry_of_c(sections, *symbol, program))
    };
    places.into_iter().filter_map(site).collect()
}

/// The one function that blocking tasks pass.
fn spawns_blocking(sections: &Sections) -> Option<Symbol> {
    let found = symbols::all_containing(sections, &[SPAWN_BLOCKING], NAMES);
    let mut functions = found.into_iter().filter(|(name, _)| is_function(name));
    match (functions.next(), functions.next()) {
        (Some((_, only)), None) => Some(only),
        _ => None,
    }
}

/// Is it the name of `Spawner::spawn_task` itself?
fn is_function(name: &str) -> bool {
    let closure = name.starts_with("_RNC") || name.contains("closure");
    name.contains(BLOCKING) && !closure
}

#[cfg(test)]
mod tests {
    use super::is_function;

    #[test]
    fn closures_and_others_are_not_taken_for_the_function() {
        for (name, expected) in [
            (
                "_ZN5tokio7runtime8blocking4pool7Spawner10spawn_task17hcba6a2db9b10b621E",
                true,
            ),
            (
                "_ZN5tokio7runtime8blocking4pool7Spawner10spawn_task28_$u7b$$u7b$closure$u7d$$u7d$17h0E",
                false,
            ),
            (
                "_RNvMs0_NtNtNtCs1_5tokio7runtime8blocking4poolNtB5_7Spawner10spawn_task",
                true,
            ),
            (
                "_RNCNvMs0_NtNtNtCs1_5tokio7runtime8blocking4poolNtB7_7Spawner10spawn_task0B9_",
                false,
            ),
            ("_ZN4jobs7Spawner10spawn_task17h0E", false),
        ] {
            assert_eq!(is_function(name), expected, "{name}");
        }
    }
}
