//! HAProxy: its scheduler's current task.
//!
//! Each request is a stream with a task of its own, which sends it to the server and begins the
//! answer; a client's connection is read by another one, and what is sent first on a new connection
//! to a server, too, which the stream's task opened for itself. The thread's context names the task that
//! runs, and its place is read from the scheduler's code, which clears it after each task. So a
//! call waits until its task answers a request. A stream's address is used again when it is over,
//! but not before: it lives from its request's head to the end of the answer.

use super::{Found, Way, code_of};
use crate::discovery::elf::Sections;
use crate::discovery::procs::Process;
use crate::discovery::symbols;
use crate::probe::site;
use agent_common::runtime::{FIELDS, NOWHERE, THREAD_LOCAL, thread_local};

pub(super) const WAY: Way = Way {
    library: None,
    look,
    modules: &[],
    check: None,
};

/// Its name.
pub(super) const PROGRAM: &str = "haproxy";

/// `THREAD_LOCAL struct thread_ctx *th_ctx` (HAProxy 2.5 and later).
const CONTEXT: &str = "th_ctx";
/// Sets `th_ctx->current` before each task, and clears it afterwards.
const SCHEDULER: &str = "run_tasks_from_lists";

fn look(sections: &Sections, _: &Process) -> Result<Found, String> {
    let found = symbols::find(sections, &[CONTEXT, SCHEDULER]);
    let context = found.get(CONTEXT).ok_or("it has no symbol th_ctx")?;
    let word = sections
        .from_thread_pointer(context.address)
        .ok_or("it has no thread-local storage")?;
    let scheduler = found
        .get(SCHEDULER)
        .ok_or("it has no symbol run_tasks_from_lists")?;
    let stores = site::thread_local_stores(&code_of(sections, *scheduler));
    let [current] = stores.cleared[..] else {
        return Err("its scheduler does not show where the current task stands".to_owned());
    };
    let mut at = [NOWHERE; FIELDS];
    at[thread_local::WORD] = word.cast_unsigned();
    at[thread_local::INNER] = current;
    at[thread_local::CONNECTS] = 1;
    Ok(Found::new(sections, THREAD_LOCAL, at))
}
