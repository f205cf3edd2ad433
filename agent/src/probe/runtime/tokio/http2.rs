//! h2, the crate by which hyper, tonic and actix-web speak HTTP/2: where streams are taken up.
//!
//! In: symbols, and the code of the function that takes a stream out of those that have come. Out: where it is
//! probed, and where in its argument the stream's key is. Which task handles the stream then shows by what it
//! holds. Not here: clients, whose connections' tasks get requests of all callers by channels.

use super::super::{Site, at_entry, code_of};
use crate::discovery::elf::Sections;
use crate::discovery::symbols::{self, Symbol};
use crate::probe::site;
use agent_common::runtime::{FIELDS, NOWHERE, thread_local};
use iced_x86::Register;

/// `fn Recv::take_request(&mut self, stream: &mut store::Ptr) -> Request<()>` of `proto/streams/recv.rs`.
const TAKE: &str = "4Recv12take_request";
/// Where that stands, in either mangling.
const STREAMS: &str = "2h25proto7streams4recv";
/// Names of what only servers have.
const SERVER: &str = "2h26server";
/// Names that contain [`TAKE`], at most: a program may hold several versions of h2.
const NAMES: usize = 16;

/// What is known of h2 in a program.
pub(super) struct Found {
    pub(super) sites: Vec<Site>,
    /// What it adds to [`agent_common::runtime::Runtime::at`].
    pub(super) at: [u64; FIELDS],
    pub(super) lacks: Option<&'static str>,
}

/// Finds where streams are taken up.
pub(super) fn look(sections: &Sections) -> Found {
    let none = Found {
        sites: Vec::new(),
        at: [NOWHERE; FIELDS],
        lacks: None,
    };
    let takes = takes(sections);
    if takes.is_empty() && symbols::containing(sections, &[SERVER]).is_empty() {
        return none;
    }
    found(sections, &takes).unwrap_or(Found {
        lacks: Some(
            "h2: this build does not show which task handles a stream, so what that asks of others has no \
             parent",
        ),
        ..none
    })
}

/// The function in each version of h2 that the program holds.
fn takes(sections: &Sections) -> Vec<Symbol> {
    let named = symbols::all_containing(sections, &[TAKE], NAMES);
    let functions = named.into_iter().filter(|(name, _)| is_function(name));
    functions.map(|(_, symbol)| symbol).collect()
}

/// Is it the name of `Recv::take_request` itself?
fn is_function(name: &str) -> bool {
    let (before, behind) = name.split_once(TAKE).unwrap_or_default();
    let ends = behind.is_empty() || behind.starts_with('.') || behind.starts_with("17h");
    before.contains(STREAMS) && !name.starts_with("_RNC") && ends
}

/// `Ptr { key: Key { index, stream_id }, store }`, in the order that the compiler chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    store: u64,
    key: u64,
    /// Bits of the key below the stream's number.
    number: u64,
}

/// All versions must agree: the kernel side is told of one.
fn found(sections: &Sections, takes: &[Symbol]) -> Option<Found> {
    let mut layouts = takes.iter().map(|take| layout(&code_of(sections, *take)));
    let first = layouts.next()??;
    if !layouts.all(|other| other == Some(first)) {
        return None;
    }
    let mut at = [NOWHERE; FIELDS];
    at[thread_local::STORE] = first.store;
    at[thread_local::KEY] = first.key;
    at[thread_local::STREAM] = first.number;
    let site = |take: &Symbol| at_entry(sections, *take, "tokio_stream_taken");
    Some(Found {
        sites: takes.iter().map(site).collect::<Option<_>>()?,
        at,
        lacks: None,
    })
}

/// The function looks the stream up by `store` and `index`, and compares its number with `stream_id`.
fn layout(code: &[u8]) -> Option<Layout> {
    let words = |bytes| site::fields_of(code, Register::RDX, bytes);
    let [store] = words(size_of::<u64>())[..] else {
        return None;
    };
    let [one, other] = words(size_of::<u32>())[..] else {
        return None;
    };
    let (key, high) = (one.min(other), one.max(other));
    let stream = site::compared_field(code, Register::RDX)?;
    // Both have no other order than one behind the other.
    if high - key != 4 || !(stream == key || stream == high) || store.abs_diff(key) != 8 {
        return None;
    }
    Some(Layout {
        store,
        key,
        number: 8 * (stream - key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_function_itself_is_probed() {
        for (name, expected) in [
            (
                "_ZN2h25proto7streams4recv4Recv12take_request17haae8ebab1353a54cE",
                true,
            ),
            (
                "_RNvMs_NtNtNtCs1_2h25proto7streams4recvNtB4_4Recv12take_request",
                true,
            ),
            (
                "_RNvMs_NtNtNtCs1_2h25proto7streams4recvNtB4_4Recv12take_request.llvm.12",
                true,
            ),
            (
                "_ZN2h25proto7streams4recv4Recv12take_request28_$u7b$$u7b$closure$u7d$$u7d$17h0E",
                false,
            ),
            (
                "_RNCNvMs_NtNtNtCs1_2h25proto7streams4recvNtB6_4Recv12take_request0B8_",
                false,
            ),
            (
                "_ZN2h25proto7streams4recv4Recv12take_request10__CALLSITE17h0E",
                false,
            ),
            ("_ZN4jobs4Recv12take_request17h0E", false),
        ] {
            assert_eq!(is_function(name), expected, "{name}");
        }
    }

    /// `take_request` as rustc made it, up to its first call: the place of the key's second number is `second`,
    /// and the register with which the stream's number is compared has this code.
    fn code(second: u8, compared: u8) -> Vec<u8> {
        [
            // push r14; push rbx; sub rsp, 0xf8; mov rax, rsi; mov rbx, rdi
            &[0x41, 0x56, 0x53, 0x48, 0x81, 0xec, 0xf8, 0, 0, 0][..],
            &[0x48, 0x89, 0xf0, 0x48, 0x89, 0xfb],
            // mov rsi, [rdx]; mov edi, [rdx+8]; mov ecx, [rdx+second]; mov [rsp+8], edi; mov [rsp+12], ecx
            &[0x48, 0x8b, 0x32, 0x8b, 0x7a, 0x08, 0x8b, 0x4a, second],
            &[0x89, 0x7c, 0x24, 0x08, 0x89, 0x4c, 0x24, 0x0c],
            // cmp [rsi+16], rdi; jbe; mov rsi, [rsi+8]; imul rdx, rdi, 0x148
            &[0x48, 0x39, 0x7e, 0x10, 0x76, 0x7a, 0x48, 0x8b, 0x76, 0x08],
            &[0x48, 0x69, 0xd7, 0x48, 0x01, 0, 0],
            // cmp dword [rsi+rdx], 2; je; add rsi, rdx; cmp [rsi+0x12c], ecx or edi; jne; call
            &[0x83, 0x3c, 0x16, 0x02, 0x74, 0x69, 0x48, 0x01, 0xd6],
            &[
                0x39, compared, 0x2c, 0x01, 0, 0, 0x75, 0x5e, 0xe8, 0, 0, 0, 0,
            ],
        ]
        .concat()
    }

    #[test]
    fn the_place_of_a_streams_number_is_read_from_code() {
        let layout_of = |number| Layout {
            store: 0,
            key: 8,
            number,
        };
        for (code, expected) in [
            (code(12, 0x8e), Some(layout_of(32))),
            // The other way round.
            (code(12, 0xbe), Some(layout_of(0))),
            // Not one key of two numbers.
            (code(16, 0x8e), None),
            (code(12, 0x8e)[..30].to_vec(), None),
            (Vec::new(), None),
        ] {
            assert_eq!(layout(&code), expected, "{code:x?}");
        }
    }
}
