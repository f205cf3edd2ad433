//! Streams of HTTP/2: where Node.js asks for one, where JavaScript hears of one, and how a session leads
//! to its connection.
//!
//! In: the program. Out: places of probes, and offsets that are read from the code that uses
//! them, or nothing of all that: then calls over HTTP/2, and calls for requests that came over it, have no
//! parent.

use super::super::code_of;
use super::{Site, at_entry, instructions, is_load};
use crate::discovery::elf::Sections;
use crate::discovery::symbols::{self, Symbol};
use crate::probe::site;
use agent_common::runtime::node;
use iced_x86::{Code, FlowControl, Instruction, OpKind, Register};
use std::collections::HashMap;

/// What is said where it is not found.
pub(super) const LACKS: &str = "HTTP/2: this build's node::http2::Http2Session is not as known, so \
                                its streams do not tell whose they are";

const SUBMIT: &str = "_ZN4node5http212Http2Session13SubmitRequestERKNS0_13Http2PriorityERKNS_9NgHeadersINS0_18Http2HeadersTraitsEEEPii";
const STREAM: &str = "_ZN4node5http211Http2StreamC1EPNS0_12Http2SessionEN2v85LocalINS4_6ObjectEEEi24nghttp2_headers_categoryi";
const RESPOND: &str =
    "_ZN4node5http211Http2Stream14SubmitResponseERKNS_9NgHeadersINS0_18Http2HeadersTraitsEEEi";
const RESPONSE: [&str; 2] = ["nghttp2_submit_response", "nghttp2_submit_response2"];
const FRAME: &str =
    "_ZN4node5http212Http2Session14OnFrameReceiveEP15nghttp2_sessionPK13nghttp2_framePv";
const DATA: &str = "_ZN4node5http212Http2Session19OnDataChunkReceivedEP15nghttp2_sessionhiPKhmPv";
const OVER: &str = "_ZN4node5http212Http2Session13OnStreamCloseEP15nghttp2_sessionijPv";
const INVALID: &str =
    "_ZN4node5http212Http2Session14OnInvalidFrameEP15nghttp2_sessionPK13nghttp2_frameiPv";
const CONSUME: &str = "_ZN4node5http212Http2Session16ConsumeHTTP2DataEv";
const FEED: [&str; 2] = ["nghttp2_session_mem_recv", "nghttp2_session_mem_recv2"];
const SEND: &str = "_ZN4node5http212Http2Session15SendPendingDataEv";
const READ: &str = "_ZN4node5http212Http2Session12OnStreamReadElRK8uv_buf_t";
const TLS: &str = "_ZN4node6crypto7TLSWrap5GetFDEv";
const OPEN: &str = "uv__stream_open";

const NAMES: [&str; 16] = [
    SUBMIT,
    STREAM,
    RESPOND,
    RESPONSE[0],
    RESPONSE[1],
    FRAME,
    DATA,
    OVER,
    INVALID,
    CONSUME,
    FEED[0],
    FEED[1],
    SEND,
    READ,
    TLS,
    OPEN,
];

/// `GetFD` as a `StreamResource`'s table has it: the compiler's entries that begin by the way from there to
/// the whole object, which stands in their names as a number.
const OF_SOCKET: &str = "_N4node15LibuvStreamWrap5GetFDEv";
const OF_TLS: &str = "_N4node6crypto7TLSWrap5GetFDEv";

/// All that is known of streams.
pub(super) struct Streams {
    pub(super) at: [(usize, u64); 7],
    pub(super) sites: Vec<Site>,
}

/// Finds all of it, or nothing.
pub(super) fn find(sections: &Sections) -> Option<Streams> {
    let mut found = symbols::find(sections, &NAMES);
    found.extend(symbols::containing(sections, &[OF_SOCKET, OF_TLS]));
    let program = Program { sections, found };
    Some(Streams {
        at: program.offsets()?,
        sites: program.sites()?,
    })
}

struct Program<'a> {
    sections: &'a Sections,
    found: HashMap<String, Symbol>,
}

impl Program<'_> {
    fn symbol(&self, name: &str) -> Option<Symbol> {
        self.found.get(name).copied()
    }

    fn code(&self, name: &str) -> Option<Vec<Instruction>> {
        let symbol = self.symbol(name)?;
        Some(instructions(
            symbol.address,
            &code_of(self.sections, symbol),
        ))
    }

    fn offsets(&self) -> Option<[(usize, u64); 7]> {
        Some([
            (node::SESSION, tested(&self.code(READ)?)?),
            (node::DESCRIPTOR, entry_of_table(&self.code(TLS)?)?),
            (node::SOCKET, self.symbol(OF_SOCKET)?.address),
            (node::TLS, self.symbol(OF_TLS)?.address),
            (node::HANDLE, first_load(&self.code(OF_SOCKET)?)?),
            (node::BELOW, first_load(&self.code(OF_TLS)?)?),
            (node::FD, first_number(&self.code(OPEN)?)?),
        ])
    }

    fn sites(&self) -> Option<Vec<Site>> {
        let mut sites = Vec::new();
        for (name, program) in [
            (FRAME, "node_h2_frame"),
            (DATA, "node_h2_data"),
            (OVER, "node_h2_over"),
            (INVALID, "node_h2_invalid"),
        ] {
            sites.push(at_entry(self.sections, self.symbol(name)?, program)?);
        }
        sites.extend(self.calls(SUBMIT, STREAM, "node_h2_asked")?);
        sites.push(self.fed()?);
        sites.push(self.responds()?);
        // The compiler may have left it out: some versions send there, too.
        sites.extend(self.calls(DATA, SEND, "node_h2_sends").unwrap_or_default());
        Some(sites)
    }

    /// The call by which an answer is given to the session, with the `Http2Session *` in rax.
    fn responds(&self) -> Option<Site> {
        let respond = self.symbol(RESPOND)?;
        let offset = self.sections.file_offset(respond.address)?;
        let callees = self.addresses(&RESPONSE);
        let call = given(&self.code(RESPOND)?, &callees)?;
        Some(Site {
            program: "node_h2_answered",
            offset: offset.wrapping_add(call.wrapping_sub(respond.address)),
            returns: false,
        })
    }

    fn addresses(&self, names: &[&str]) -> Vec<u64> {
        let found = names.iter().filter_map(|name| self.symbol(name));
        found.map(|symbol| symbol.address).collect()
    }

    /// The first jump behind the call by which a session is given what was read.
    fn fed(&self) -> Option<Site> {
        let consume = self.symbol(CONSUME)?;
        let offset = self.sections.file_offset(consume.address)?;
        let feeds = self.addresses(&FEED);
        let jump = behind(&self.code(CONSUME)?, &feeds)?;
        Some(Site {
            program: "node_h2_told",
            offset: offset.wrapping_add(jump.wrapping_sub(consume.address)),
            returns: false,
        })
    }

    /// Every call of `callee` within `caller`, of which there is one at least.
    fn calls(&self, caller: &str, callee: &str, program: &'static str) -> Option<Vec<Site>> {
        let symbol = self.symbol(caller)?;
        let offset = self.sections.file_offset(symbol.address)?;
        let code = code_of(self.sections, symbol);
        let calls = site::calls(&code, symbol.address, self.symbol(callee)?.address);
        let sites = calls.iter().map(|at| Site {
            program,
            offset: offset + at,
            returns: false,
        });
        let sites: Vec<Site> = sites.collect();
        (!sites.is_empty()).then_some(sites)
    }
}

/// The place among `code` of the only call of one of `callees`.
fn only_call(code: &[Instruction], callees: &[u64]) -> Option<usize> {
    let of_them = |i: &Instruction| {
        i.code() == Code::Call_rel32_64 && callees.contains(&i.near_branch_target())
    };
    let call = code.iter().position(of_them)?;
    let others = code.iter().skip(call + 1).any(of_them);
    (!others).then_some(call)
}

/// Where that is, if its first argument was read by rax just before.
fn given(code: &[Instruction], callees: &[u64]) -> Option<u64> {
    let call = only_call(code, callees)?;
    let before = code.get(call.checked_sub(1)?)?;
    let read = is_load(before, Register::RAX) && before.op0_register() == Register::RDI;
    read.then(|| code[call].ip())
}

/// Where the first jump behind the only call of one of `callees` is, if no other call is before it.
fn behind(code: &[Instruction], callees: &[u64]) -> Option<u64> {
    let call = only_call(code, callees)?;
    let mut rest = code.iter().skip(call + 1);
    let next = rest.find(|i| i.flow_control() != FlowControl::Next)?;
    let emulated = [
        FlowControl::ConditionalBranch,
        FlowControl::UnconditionalBranch,
    ];
    emulated.contains(&next.flow_control()).then(|| next.ip())
}

/// The first pointer that is compared with null: is there a stream to read from?
fn tested(code: &[Instruction]) -> Option<u64> {
    let test = code
        .iter()
        .find(|i| i.code() == Code::Cmp_rm64_imm8 && i.immediate8() == 0)?;
    (test.op0_kind() == OpKind::Memory && is_field(test)).then(|| test.memory_displacement64())
}

/// The function that is gone on to by a table: `jmp [rax+x]`.
fn entry_of_table(code: &[Instruction]) -> Option<u64> {
    let indirect = [FlowControl::IndirectBranch, FlowControl::IndirectCall];
    let jump = code.iter().find(|i| indirect.contains(&i.flow_control()))?;
    (jump.op0_kind() == OpKind::Memory && is_field(jump)).then(|| jump.memory_displacement64())
}

/// The first pointer that is read from the first argument.
fn first_load(code: &[Instruction]) -> Option<u64> {
    let load = code.iter().find(|i| is_load(i, Register::RDI))?;
    Some(load.memory_displacement64())
}

/// The first number of 32 bits that is read from there.
fn first_number(code: &[Instruction]) -> Option<u64> {
    let load = code.iter().find(|i| {
        i.code() == Code::Mov_r32_rm32
            && i.op1_kind() == OpKind::Memory
            && i.memory_base() == Register::RDI
            && is_field(i)
    })?;
    Some(load.memory_displacement64())
}

fn is_field(instruction: &Instruction) -> bool {
    let base = instruction.memory_base();
    let nowhere = [Register::None, Register::RIP, Register::RSP, Register::RBP];
    !nowhere.contains(&base) && instruction.memory_index() == Register::None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_read_from_the_code_that_uses_them() {
        let decoded = |code: &[u8]| instructions(0x1000, code);
        // mov rax, [rdi+0x10]; cmp qword [r12+0x58], 0
        let read = [0x48, 0x8b, 0x47, 0x10, 0x49, 0x83, 0x7c, 0x24, 0x58, 0x00];
        assert_eq!(tested(&decoded(&read)), Some(0x58));
        assert_eq!(tested(&decoded(&read[..4])), None);
        // cmp qword [rbp-8], 0: a variable
        assert_eq!(tested(&decoded(&[0x48, 0x83, 0x7d, 0xf8, 0x00])), None);
        // mov rdi, [rdi+0x48]; mov rax, [rdi]; jmp [rax+0x70]
        let below = [0x48, 0x8b, 0x7f, 0x48, 0x48, 0x8b, 0x07, 0xff, 0x60, 0x70];
        assert_eq!(first_load(&decoded(&below)), Some(0x48));
        assert_eq!(entry_of_table(&decoded(&below)), Some(0x70));
        assert_eq!(entry_of_table(&decoded(&below[..7])), None);
        // sub rdi, 0x38; jmp rel32: it goes on to the whole object's own
        let whole = [0x48, 0x83, 0xef, 0x38, 0xe9, 0, 0, 0, 0];
        assert_eq!(first_load(&decoded(&whole)), None);
        assert_eq!(entry_of_table(&decoded(&whole)), None);
        // call +0; mov [rbp-8], rax; cmp rax, -5; je +0; call +0
        let fed = [
            0xe8, 0, 0, 0, 0, 0x48, 0x89, 0x45, 0xf8, 0x48, 0x83, 0xf8, 0xfb, 0x74, 0, 0xe8, 0, 0,
            0, 0,
        ];
        assert_eq!(behind(&decoded(&fed), &[0x1005]), Some(0x100d));
        assert_eq!(behind(&decoded(&fed), &[0x1005, 0x1014]), None);
        assert_eq!(behind(&decoded(&fed), &[0x1014]), None);
        // mov rdi, [rax+0xa8]; call +0
        let answer = [0x48, 0x8b, 0xb8, 0xa8, 0, 0, 0, 0xe8, 0, 0, 0, 0];
        assert_eq!(given(&decoded(&answer), &[0x100c]), Some(0x1007));
        assert_eq!(given(&decoded(&answer), &[0x1007]), None);
        // mov rdi, [rcx+0xa8]
        let other = [0x48, 0x8b, 0xb9, 0xa8, 0, 0, 0, 0xe8, 0, 0, 0, 0];
        assert_eq!(given(&decoded(&other), &[0x100c]), None);
        // mov r12d, esi; mov eax, [rdi+0xb8]
        let open = [0x41, 0x89, 0xf4, 0x8b, 0x87, 0xb8, 0, 0, 0];
        assert_eq!(first_number(&decoded(&open)), Some(0xb8));
    }
}
