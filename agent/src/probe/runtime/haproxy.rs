//! HAProxy: its scheduler's current task.
//!
//! Each request is a stream with a task of its own, which sends it to the server and begins the
//! answer; a client's connection is read by another one, and what is sent first on a new connection
//! to a server, too, which the stream's task opened for itself. The thread's context names the task that
//! runs, and its place is read from the scheduler's code, which clears it after each task. So a
//! call waits until its task answers a request. A stream's address is used again when it is over,
//! but not before: it lives from its request's head to the end of the answer.
//!
//! The answer to a client that speaks HTTP/2 is written by the task of its connection, for all of its
//! streams. So the kernel side looks at what the calling task serves: its stream has two ends, and
//! the client's leads to the number of the stream and to the connection. Where, is read from
//! functions that set or use those fields, and proven anew at each call by what points back
//! (`agent-ebpf/src/probes/proxied.rs`).

use super::{Found, Way, code_of};
use crate::discovery::elf::Sections;
use crate::discovery::procs::Process;
use crate::discovery::symbols;
use crate::probe::site;
use agent_common::runtime::{FIELDS, NOWHERE, THREAD_LOCAL, thread_local};
use iced_x86::Register;

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

/// `struct task *process_stream(struct task *t, void *context, unsigned int state)`: begins with both
/// ends of the stream in `context`, which stand beside each other, the client's first.
const PROCESS: &str = "process_stream";
/// `int sc_attach_strm(struct stconn *sc, struct stream *strm)`: tells an end its stream, and looks at
/// its endpoint first (HAProxy 2.6 and later).
const ATTACH: &str = "sc_attach_strm";
/// `void sock_conn_ctrl_init(struct connection *conn)` and `int sock_drain(struct connection *conn)`:
/// both use the descriptor of `conn`.
const INIT: &str = "sock_conn_ctrl_init";
const DRAIN: &str = "sock_drain";
/// `connection.flags`.
const FLAGS: u64 = 4;

/// Where the stream of HTTP/2 that a task serves is found, by the indices of the map.
fn streams(sections: &Sections) -> Option<[(usize, u64); 4]> {
    let found = symbols::find(sections, &[PROCESS, ATTACH, INIT, DRAIN]);
    let code = |name| Some(code_of(sections, *found.get(name)?));
    let ends = site::fields_of(&code(PROCESS)?, Register::RSI, 8);
    let front = ends.iter().find(|field| ends.contains(&(**field + 8)))?;
    let attach = code(ATTACH)?;
    let endpoint = site::fields_of(&attach, Register::RDI, 8);
    let app = site::second_kept_in_first(&attach)?;
    let numbers = site::fields_of(&code(INIT)?, Register::RDI, 4);
    let drain = site::fields_of(&code(DRAIN)?, Register::RDI, 4);
    let mut numbers = numbers.iter().filter(|field| drain.contains(field));
    let fd = numbers.find(|field| **field != FLAGS)?;
    Some([
        (thread_local::FRONT, *front),
        (thread_local::APP, app),
        (thread_local::ENDPOINT, *endpoint.first()?),
        (thread_local::FD, *fd),
    ])
}

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
    let streams = streams(sections);
    for (index, place) in streams.into_iter().flatten() {
        at[index] = place;
    }
    Ok(Found {
        lacks: streams.is_none().then_some(
            "its code does not show which stream a task serves, so calls for clients that speak \
             HTTP/2 have no parent",
        ),
        ..Found::new(sections, THREAD_LOCAL, at)
    })
}
