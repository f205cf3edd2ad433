//! nginx and what is made of it: OpenResty, Tengine, Angie, freenginx.
//!
//! One loop serves many requests, and what it does next may belong to any of them, but its own
//! structures say which: nginx gives epoll the address of its connection for each socket, whose
//! `data` is the request that it serves at present, and a request names its client's connection.
//! That holds whatever the loop was woken by, and for subrequests and retries. A client's
//! connection has one request at a time; an upstream's is given another request before anything is
//! sent on it. No probe, no symbol and no version is needed: these fields have stood there since
//! nginx 0.6, and `fd` is compared with the system call's at each use.
//!
//! Each stream of an HTTP/2 client has a connection of its own, a copy of the client's, and its
//! request names the stream. Where in a request is read from two functions that nginx exports for
//! its modules; the kernel side proves it anew for each stream (`agent-ebpf/src/probes/proxied.rs`).

use super::{Found, Way, code_of};
use crate::discovery::elf::Sections;
use crate::discovery::procs::Process;
use crate::discovery::symbols::{self, Symbol};
use crate::probe::site;
use agent_common::runtime::{FIELDS, NGINX, NOWHERE, nginx};
use iced_x86::Register;
use std::collections::HashMap;

pub(super) const WAY: Way = Way {
    library: None,
    look,
    modules: &[],
    check: None,
};

/// Its names.
pub(super) const PROGRAMS: &[&str] = &["nginx", "openresty", "tengine", "angie", "freenginx"];

/// `ngx_int_t ngx_http_v2_read_request_body(ngx_http_request_t *r)` and its relative: both begin with
/// the stream of `r`.
const BODY_READERS: [&str; 2] = [
    "ngx_http_v2_read_request_body",
    "ngx_http_v2_read_unbuffered_request_body",
];

/// The one word of a request that both load first, its connection aside.
fn stream(sections: &Sections, found: &HashMap<String, Symbol>) -> Option<u64> {
    let [one, other] = BODY_READERS.map(|name| {
        let code = found.get(name).map(|symbol| code_of(sections, *symbol));
        site::fields_of(&code.unwrap_or_default(), Register::RDI, 8)
    });
    let mut both = one
        .iter()
        .filter(|field| other.contains(field) && **field != 8);
    match (both.next(), both.next()) {
        (Some(only), None) => Some(*only),
        _ => None,
    }
}

fn look(sections: &Sections, _: &Process) -> Result<Found, String> {
    let mut at = [NOWHERE; FIELDS];
    // `struct ngx_connection_s { void *data; ngx_event_t *read, *write; ngx_socket_t fd; ... }`
    at[nginx::DATA] = 0;
    at[nginx::FD] = 24;
    // `struct ngx_http_request_s { uint32_t signature; ngx_connection_t *connection; ... }`
    at[nginx::CLIENT] = 8;
    let found = symbols::find(sections, &BODY_READERS);
    let speaks = !found.is_empty();
    let stream = stream(sections, &found);
    at[nginx::STREAM] = stream.unwrap_or(NOWHERE);
    Ok(Found {
        lacks: (speaks && stream.is_none()).then_some(
            "its code does not show which stream a request came on, so calls for clients that \
             speak HTTP/2 have no parent",
        ),
        ..Found::new(sections, NGINX, at)
    })
}
