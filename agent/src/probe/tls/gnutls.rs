//! GnuTLS: `gnutls_record_recv`, `gnutls_record_send` and `gnutls_record_send2`, which does the
//! work of the second since 3.6.
//!
//! Its objects are freed by one function alone. Programs give it functions of their own that move
//! bytes; these make their system calls within its calls.

use super::{Sites, call};
use crate::discovery::elf::Sections;
use crate::discovery::symbols::Symbol;
use crate::probe::runtime::at_entry;
use std::collections::HashMap;

const RECEIVE: &str = "gnutls_record_recv";
const SEND: &str = "gnutls_record_send";
const SEND_CHECKED: &str = "gnutls_record_send2";
const HANDSHAKE: &str = "gnutls_handshake";
const INIT: &str = "gnutls_init";
const DEINIT: &str = "gnutls_deinit";

/// What is looked for.
pub(super) const NAMES: &[&str] = &[RECEIVE, SEND, SEND_CHECKED, HANDSHAKE, INIT, DEINIT];

/// A function that is no longer hands its arguments on.
const FORWARDS: u64 = 32;

pub(super) fn look(sections: &Sections, found: &HashMap<String, Symbol>) -> Option<Sites> {
    let symbol = |name: &str| found.get(name).copied();
    let (receive, send) = (symbol(RECEIVE)?, symbol(SEND)?);
    let back = "tls_returned";
    let mut sites = Vec::new();
    sites.extend(call(sections, receive.address, "tls_read", back)?);
    let checked = symbol(SEND_CHECKED);
    if let Some(checked) = checked {
        sites.extend(call(sections, checked.address, "tls_write", back)?);
    }
    if checked.is_none() || send.size > FORWARDS {
        sites.extend(call(sections, send.address, "tls_write", back)?);
    }
    if let Some(handshake) = symbol(HANDSHAKE) {
        sites.extend(call(sections, handshake.address, "tls_handshake", back)?);
    }
    if let Some(init) = symbol(INIT) {
        sites.extend(call(sections, init.address, "tls_init", "tls_inited")?);
    }
    sites.extend(symbol(DEINIT).and_then(|deinit| at_entry(sections, deinit, "tls_freed")));
    Some(Sites {
        name: "GnuTLS".to_owned(),
        sites: sites.into(),
        cookie: 0,
    })
}
