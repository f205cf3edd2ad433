//! Go: plain bytes of `crypto/tls`.
//!
//! In: a program. Out: where its bytes pass. What is written passes the calls by which
//! `(*Conn).Write` makes records of it; what is read is copied out of `c.input`, a `bytes.Reader`
//! whose `Read` every version from 1.17 to 1.26 inlines into `(*Conn).Read`: it sets `prevRune` to
//! -1 and calls `memmove`. Register and offset are those of that very code, so no version is known
//! here.

use super::{Parts, Program, word_of};
use crate::probe::site;
use agent_common::runtime::go;

const WRITE: &str = "crypto/tls.(*Conn).Write";
const RECORD: &str = "crypto/tls.(*Conn).writeRecordLocked";
const READ: &str = "crypto/tls.(*Conn).Read";
const MOVE: &str = "runtime.memmove";
const HANDSHAKES: [&str; 2] = [
    "crypto/tls.(*Conn).clientHandshake",
    "crypto/tls.(*Conn).serverHandshake",
];

/// What is asked for.
pub(super) const FUNCTIONS: &[&str] = &[WRITE, RECORD, READ, MOVE, HANDSHAKES[0], HANDSHAKES[1]];

/// The programs that see plain bytes.
pub(in crate::probe::runtime) const PROGRAMS: [&str; 3] =
    ["go_tls_write", "go_tls_read", "go_tls_handshake"];

/// `bytes.Reader.prevRune`, behind a slice and `i`.
const PREVIOUS_RUNE: u64 = 32;

pub(super) fn look(program: &Program<'_>) -> Parts {
    if program.function(READ).is_none() && program.function(WRITE).is_none() {
        return Parts::default();
    }
    match passing(program) {
        Some(parts) => parts,
        None => Parts {
            lacks: Some(
                "crypto/tls: this build does not show where plain bytes pass, so what goes over \
                 TLS is not seen",
            ),
            ..Parts::default()
        },
    }
}

/// All sites or none: half a conversation is of no use.
fn passing(program: &Program<'_>) -> Option<Parts> {
    program.types.as_ref()?;
    let (write, at) = program.code(WRITE)?;
    let record = program.function(RECORD)?;
    let calls = site::calls(&write, at.address, record.address);
    let mut sites = Vec::new();
    for call in calls {
        sites.push(program.within(at, call, PROGRAMS[0])?);
    }
    if sites.is_empty() {
        return None;
    }
    let (read, at) = program.code(READ)?;
    let moved = program.function(MOVE)?;
    let copy = site::call_behind_reset(&read, at.address, moved.address)?;
    sites.push(program.within(at, copy.call, PROGRAMS[1])?);
    for handshake in HANDSHAKES {
        sites.extend(program.at_entry(handshake, PROGRAMS[2]));
    }
    Some(Parts {
        at: vec![
            (go::TLS_REGISTER, word_of(copy.register)?),
            (go::TLS_INPUT, copy.field.checked_sub(PREVIOUS_RUNE)?),
        ],
        sites,
        lacks: None,
    })
}
