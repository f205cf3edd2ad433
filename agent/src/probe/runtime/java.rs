//! JVM: threads, but those of fork-join pools.
//!
//! A thread that reads a request handles it, in the pools of most servers. Not so in a
//! `ForkJoinPool`: a thread that joins a task runs others meanwhile, and one that carries virtual
//! threads (JDK 21) runs each until it waits. Their threads are known by the names that the JDK
//! gives them, and are not believed. A pool whose factory names its threads otherwise is not
//! recognised. Which virtual thread is mounted stands in the heap, which moves: not read yet.

use super::{Found, Way};
use crate::discovery::elf::Sections;
use crate::discovery::procs::Process;
use agent_common::runtime::{FIELDS, JAVA, NOWHERE, Runtime};

pub(super) const WAY: Way = Way {
    library: None,
    look,
    modules: &[],
    check: None,
};

fn look(sections: &Sections, _: &Process) -> Result<Found, String> {
    Ok(Found {
        runtime: Runtime {
            kind: JAVA,
            reserved: 0,
            at: [NOWHERE; FIELDS],
        },
        sites: [].into(),
        addresses: &[],
        lowest: sections.lowest(),
        lacks: None,
        own: false,
    })
}
