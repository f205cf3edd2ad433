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
//! Not told: requests of HTTP/2 clients, whose streams have connections of their own.

use super::{Found, Way};
use crate::discovery::elf::Sections;
use crate::discovery::procs::Process;
use agent_common::runtime::{FIELDS, NGINX, NOWHERE, nginx};

pub(super) const WAY: Way = Way {
    library: None,
    look,
    modules: &[],
    check: None,
};

/// Its names.
pub(super) const PROGRAMS: &[&str] = &["nginx", "openresty", "tengine", "angie", "freenginx"];

fn look(sections: &Sections, _: &Process) -> Result<Found, String> {
    let mut at = [NOWHERE; FIELDS];
    // `struct ngx_connection_s { void *data; ngx_event_t *read, *write; ngx_socket_t fd; ... }`
    at[nginx::DATA] = 0;
    at[nginx::FD] = 24;
    // `struct ngx_http_request_s { uint32_t signature; ngx_connection_t *connection; ... }`
    at[nginx::CLIENT] = 8;
    Ok(Found::new(sections, NGINX, at))
}
