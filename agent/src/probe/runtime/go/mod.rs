//! Go: goroutines.
//!
//! The current `g` is in register r14 (ABIInternal), so the goroutine of each call is known
//! without a probe. Probes tell where work changes goroutines: a `go` statement; `net/http`'s
//! client, whose connections write in goroutines of their own; and its server, which gives each
//! request a context that the request's calls carry, whoever makes them. Plaintext of `crypto/tls`,
//! streams of HTTP/2 and calls of `database/sql` have files of their own.

mod sql;
mod streams;
mod tls;

pub(super) use sql::PROGRAMS as DATABASE_SQL;
pub(super) use tls::PROGRAMS as PLAINTEXT;

use super::{Found, Site, Way, at_entry, code_of};
use crate::discovery::elf::Sections;
use crate::discovery::go_types::Types;
use crate::discovery::pclntab;
use crate::discovery::procs::Process;
use crate::discovery::symbols::Symbol;
use crate::probe::site;
use agent_common::runtime::{FIELDS, GO, NOWHERE, go};
use iced_x86::Register;
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

/// The program that tells of the contexts of requests.
pub(super) const SERVES: &str = "go_serve";

/// Most bytes of [`NEWPROC`].
const CLOSURE: usize = 512;

/// Offsets of `runtime.g.goid`, `runtime.g.parentGoid` and `net/http.Request.ctx` by minor version
/// of Go 1, from the debug information of programs that each version built (x86-64).
const OFFSETS: &[(u32, [u64; 3])] = &[
    (17, [152, NOWHERE, 232]),
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

/// Offsets of `runtime.g.m` and `runtime.m.curg` in the versions above that have no `parentGoid`,
/// from the same.
const CURRENT: [u64; 2] = [48, 192];

/// The functions of a program that are asked for, and the types.
struct Program<'a> {
    sections: &'a Sections,
    functions: HashMap<String, Symbol>,
    types: Option<Types<'a>>,
}

/// What one part of a program adds to its plan.
#[derive(Default)]
struct Parts {
    /// Indices and values of what the kernel side is told (`Runtime::at`).
    at: Vec<(usize, u64)>,
    sites: Vec<Site>,
    lacks: Option<&'static str>,
}

/// Indices that are addresses of types.
const ADDRESSES: &[usize] = &[go::TCP, go::UNIX, go::TLS, go::GRPC_SERVER, go::TYPES];

fn look(sections: &Sections, _: &Process) -> Result<Found, String> {
    let version = sections.go().map(|go| go.version).unwrap_or_default();
    let minor = minor(&version);
    let [goid, parent, context] = minor
        .and_then(offsets)
        .ok_or_else(|| unknown(&version, minor))?;
    let own = [NEWPROC, RUNQPUT, SERVE, ROUND_TRIP, WRITE];
    let wanted = [&own[..], tls::FUNCTIONS, streams::FUNCTIONS, sql::FUNCTIONS].concat();
    let program = Program {
        sections,
        functions: pclntab::find(sections, &wanted),
        types: Types::of(sections, minor.unwrap_or_default()),
    };
    let mut at = [NOWHERE; FIELDS];
    at[go::GOID] = goid;
    at[go::PARENT] = parent;
    [at[go::M], at[go::CURRENT]] = CURRENT;
    at[go::REQUEST_CTX] = context;
    let mut all = vec![
        Parts {
            sites: sites(sections, &program.functions),
            ..Parts::default()
        },
        sockets(&program),
    ];
    all.extend([
        tls::look(&program),
        streams::look(&program),
        sql::look(&program),
    ]);
    for (index, value) in all.iter().flat_map(|parts| &parts.at) {
        at[*index] = *value;
    }
    Ok(Found {
        lacks: all.iter().find_map(|parts| parts.lacks),
        sites: all.into_iter().flat_map(|parts| parts.sites).collect(),
        addresses: ADDRESSES,
        ..Found::new(sections, GO, at)
    })
}

/// The types by which connections are known.
fn sockets(program: &Program<'_>) -> Parts {
    let known = [
        (go::TCP, "*net.TCPConn"),
        (go::UNIX, "*net.UnixConn"),
        (go::TLS, "*tls.Conn"),
    ];
    let found = known.iter().filter_map(|(index, name)| {
        let types = program.types.as_ref()?;
        let fields: &[&str] = match *index {
            go::TLS => &["conn", "input"],
            _ => &["conn"],
        };
        let (pointer, _) = types.find(name, fields)?;
        Some((*index, pointer.address))
    });
    Parts {
        at: found.collect(),
        ..Parts::default()
    }
}

impl Program<'_> {
    fn function(&self, name: &str) -> Option<Symbol> {
        self.functions.get(name).copied()
    }

    /// A site at the beginning of function `name`.
    fn at_entry(&self, name: &str, program: &'static str) -> Option<Site> {
        at_entry(self.sections, self.function(name)?, program)
    }

    /// The code of function `name`, and where it is.
    fn code(&self, name: &str) -> Option<(Vec<u8>, Symbol)> {
        let symbol = self.function(name)?;
        Some((code_of(self.sections, symbol), symbol))
    }

    /// A site at `offset` in the function that is `symbol`.
    fn within(&self, symbol: Symbol, offset: u64, program: &'static str) -> Option<Site> {
        Some(Site {
            program,
            offset: self
                .sections
                .file_offset(symbol.address)?
                .checked_add(offset)?,
            returns: false,
        })
    }
}

/// Which word of `struct pt_regs` holds `register` (x86-64).
fn word_of(register: Register) -> Option<u64> {
    use Register::{R8, R9, R10, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, RSI};
    let order = [
        R15, R14, R13, R12, RBP, RBX, R11, R10, R9, R8, RAX, RCX, RDX, RSI, RDI,
    ];
    let word = order.iter().position(|known| *known == register)?;
    u64::try_from(word).ok()
}

/// What the program has of the functions in question; one that makes no calls by `net/http` has
/// none of its client.
fn sites(sections: &Sections, functions: &HashMap<String, Symbol>) -> Vec<Site> {
    let mut sites = Vec::new();
    if let (Some(newproc), Some(runqput)) = (functions.get(NEWPROC), functions.get(RUNQPUT)) {
        sites.extend(made(sections, *newproc, runqput.address));
    }
    if let (Some(round_trip), Some(write)) = (functions.get(ROUND_TRIP), functions.get(WRITE)) {
        sites.extend(at_entry(sections, *round_trip, "go_round_trip"));
        sites.extend(at_entry(sections, *write, "go_request_write"));
        let serve = functions.get(SERVE);
        sites.extend(serve.and_then(|serve| at_entry(sections, *serve, SERVES)));
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

/// The minor version of one such as `go1.24.1`, `go1.25-devel_abc` or `go1.26rc1`.
fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Why a version is refused.
fn unknown(version: &str, minor: Option<u32>) -> String {
    let oldest = OFFSETS.first().map_or(0, |known| known.0);
    match minor {
        Some(minor) if minor < oldest => format!(
            "{version}: before Go 1.{oldest} no register holds the goroutine, and arguments are on \
             the stack; nor is seen what crypto/tls encrypts"
        ),
        Some(_) => format!(
            "{version}: the layout of its g is not known; nor is seen what crypto/tls encrypts"
        ),
        None => {
            "the version of Go that built it is not known; nor is seen what crypto/tls encrypts"
                .to_owned()
        }
    }
}

fn offsets(minor: u32) -> Option<[u64; 3]> {
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
            ("go1.17.13", Some([152, NOWHERE, 232])),
            ("go1.16.15", None),
            ("go1.99.1", None),
            ("devel", None),
            ("", None),
        ] {
            assert_eq!(minor(version).and_then(offsets), expected, "{version}");
        }
    }

    #[test]
    fn refusals_say_why() {
        for (version, expected) in [
            ("go1.16.15", "go1.16.15: before Go 1.17 no register"),
            ("go1.99.1", "go1.99.1: the layout"),
            ("devel", "the version of Go"),
            ("", "the version of Go"),
        ] {
            let told = unknown(version, minor(version));
            assert!(told.starts_with(expected), "{version}: {told}");
        }
    }

    #[test]
    fn registers_stand_as_the_kernel_saves_them() {
        assert_eq!(word_of(Register::RSI), Some(13));
        assert_eq!(word_of(Register::RAX), Some(10));
        assert_eq!(word_of(Register::RSP), None);
    }
}
