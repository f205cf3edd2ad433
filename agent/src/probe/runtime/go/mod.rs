//! Go: goroutines.
//!
//! The current `g` is in register r14 (ABIInternal), so the goroutine of each call is known
//! without a probe. Probes tell where work changes goroutines: a `go` statement; `net/http`'s
//! client, whose connections write in goroutines of their own; and its server, which gives each
//! request a context that the request's calls carry, whoever makes them.

use super::{Found, Site, Way, at_entry};
use crate::discovery::elf::Sections;
use crate::discovery::pclntab;
use crate::discovery::procs::Process;
use crate::discovery::symbols::Symbol;
use crate::probe::site;
use agent_common::runtime::{FIELDS, GO, NOWHERE, Runtime, go};
use std::collections::HashMap;

pub(super) const WAY: Way = Way {
    library: None,
    look,
    modules: &[],
    check: None,
};

/// `newproc` runs this on the stack of the scheduler, and it calls the next.
const NEWPROC: &str = "runtime.newproc.func1";
const RUNQPUT: &str = "runtime.runqput";
const SERVE: &str = "net/http.serverHandler.ServeHTTP";
const ROUND_TRIP: &str = "net/http.(*persistConn).roundTrip";
const WRITE: &str = "net/http.(*Request).write";

/// Most bytes of [`NEWPROC`].
const CLOSURE: usize = 512;

/// Offsets of `runtime.g.goid`, `runtime.g.parentGoid` and `net/http.Request.ctx` by minor version
/// of Go 1, from the debug information of programs that each version built (x86-64).
const OFFSETS: &[(u32, [u64; 3])] = &[
    (18, [152, NOWHERE, 232]),
    (19, [152, NOWHERE, 232]),
    (20, [152, NOWHERE, 232]),
    (21, [152, 272, 232]),
    (22, [152, 272, 232]),
    (23, [160, 280, 248]),
    (24, [160, 280, 248]),
    (25, [152, 272, 248]),
    (26, [152, 280, 248]),
];

fn look(sections: &Sections, _: &Process) -> Result<Found, String> {
    let version = sections.go().map(|go| go.version).unwrap_or_default();
    let [goid, parent, context] = offsets(&version)
        .ok_or_else(|| format!("{version:?}: the layout of its g is not known"))?;
    let functions = pclntab::find(sections, &[NEWPROC, RUNQPUT, SERVE, ROUND_TRIP, WRITE]);
    let mut at = [NOWHERE; FIELDS];
    at[go::GOID] = goid;
    at[go::PARENT] = parent;
    at[go::REQUEST_CTX] = context;
    Ok(Found {
        runtime: Runtime {
            kind: GO,
            reserved: 0,
            at,
        },
        sites: sites(sections, &functions, parent != NOWHERE).into(),
        addresses: &[],
        lowest: sections.lowest(),
        lacks: None,
        own: false,
    })
}

/// What the program has of the functions in question; one that makes no calls by `net/http` has
/// none of its client.
fn sites(sections: &Sections, functions: &HashMap<String, Symbol>, parents: bool) -> Vec<Site> {
    let mut sites = Vec::new();
    if parents
        && let (Some(newproc), Some(runqput)) = (functions.get(NEWPROC), functions.get(RUNQPUT))
    {
        sites.extend(made(sections, *newproc, runqput.address));
    }
    if let (Some(round_trip), Some(write)) = (functions.get(ROUND_TRIP), functions.get(WRITE)) {
        sites.extend(at_entry(sections, *round_trip, "go_round_trip"));
        sites.extend(at_entry(sections, *write, "go_request_write"));
        let serve = functions.get(SERVE);
        sites.extend(serve.and_then(|serve| at_entry(sections, *serve, "go_serve")));
    }
    sites
}

/// The call of `runqput`, where the new goroutine is complete and in a register.
fn made(sections: &Sections, newproc: Symbol, runqput: u64) -> Option<Site> {
    let offset = sections.file_offset(newproc.address)?;
    let len = usize::try_from(newproc.size).ok()?.min(CLOSURE);
    let code = sections.bytes(offset, len);
    let call = site::call(&code, newproc.address, runqput)?;
    Some(Site {
        program: "go_goroutine_made",
        offset: offset + call,
        returns: false,
    })
}

/// Offsets for a version such as `go1.24.1`, `go1.25-devel_abc` or `go1.26rc1`.
fn offsets(version: &str) -> Option<[u64; 3]> {
    let rest = version.strip_prefix("go1.")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    let minor: u32 = digits.parse().ok()?;
    let known = OFFSETS.iter().find(|known| known.0 == minor)?;
    Some(known.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_by_version() {
        for (version, expected) in [
            ("go1.26.0", Some([152, 280, 248])),
            ("go1.21", Some([152, 272, 232])),
            ("go1.25rc1", Some([152, 272, 248])),
            ("go1.18.10 X:boringcrypto", Some([152, NOWHERE, 232])),
            ("go1.99.1", None),
            ("devel", None),
            ("", None),
        ] {
            assert_eq!(offsets(version), expected, "{version}");
        }
    }
}
