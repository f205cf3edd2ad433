//! Node.js: events of its loop, promises, ticks.
//!
//! Everything is found in the program itself: the places of the probes by the names of V8's
//! builtins and of functions of V8, libuv and Node.js; the offsets by reading the code that uses
//! them. A build that lacks one of them is refused as a whole: a place where JavaScript is entered
//! unseen would be taken for the event before. What is known of HTTP/2 is lost by itself (`streams`).

mod streams;

use super::{Found, Refusal, Site, Way, at_entry};
use crate::discovery::elf::Sections;
use crate::discovery::mapping::{Mapping, Region, regions};
use crate::discovery::procs::{Proc, Process};
use crate::discovery::symbols::{self, Symbol};
use crate::probe::site;
use agent_common::runtime::{FIELDS, NODE, NOWHERE, Runtime, node};
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use std::collections::HashMap;

pub(super) const WAY: Way = Way {
    library: None,
    look,
    modules: &[],
    check: Some(check),
};

const THEN: &str = "Builtins_PerformPromiseThen";
const PROTOTYPE_THEN: &str = "Builtins_PromisePrototypeThen";
const FULFILL: &str = "Builtins_PromiseFulfillReactionJob";
const REJECT: &str = "Builtins_PromiseRejectReactionJob";
const THENABLE: &str = "Builtins_PromiseResolveThenableJob";
const CALL: &str = "Builtins_CallFunction_ReceiverIsAny";
const RUN: &str = "_ZN2v88internal14MicrotaskQueue13RunMicrotasksEPNS0_7IsolateE";
const COMPLETED: &str = "_ZNK2v88internal14MicrotaskQueue11OnCompletedEPNS0_7IsolateE";
const COLLECTED: &str =
    "_ZN2v88internal4Heap36GarbageCollectionEpilogueInSafepointENS0_16GarbageCollectorE";
const ASYNC_ID: &str = "_ZN4node29AsyncHooksGetExecutionAsyncIdEPN2v87IsolateE";

const POP: &str = "_ZN4node10AsyncHooks17pop_async_contextEd";
const RESET: &str = "_ZN4node9AsyncWrap10AsyncResetERKN2v820FunctionCallbackInfoINS1_5ValueEEE";

const CLOSED: &str = "_ZN4node10HandleWrap7OnCloseEP11uv_handle_s";
const TCP: &str = "_ZN4node7TCPWrap3NewERKN2v820FunctionCallbackInfoINS1_5ValueEEE";
const PIPE: &str = "_ZN4node8PipeWrap3NewERKN2v820FunctionCallbackInfoINS1_5ValueEEE";

const TIMERS: &str = "_ZN4node11Environment9RunTimersEP10uv_timer_s";

const IMMEDIATES: &str = "_ZN4node11Environment14CheckImmediateEP10uv_check_s";
const RESOLVED: &str =
    "_ZN4node10cares_wrap12_GLOBAL__N_116AfterGetAddrInfoEP16uv_getaddrinfo_siP8addrinfo";
const POSTED: &str =
    "_ZN4node6worker15MessagePortData18AddToIncomingQueueESt10shared_ptrINS0_7MessageEE";
const TOOK: &str = "_ZN4node6worker7Message11DeserializeEPNS_11EnvironmentEN2v85LocalINS4_7ContextEEEPNS5_INS4_5ValueEEE";

/// Where something else than received bytes enters JavaScript.
const ENTRIES: [&str; 9] = [
    "_ZN4node14ConnectionWrapINS_7TCPWrapE8uv_tcp_sE12AfterConnectEP12uv_connect_si",
    "_ZN4node14ConnectionWrapINS_8PipeWrapE9uv_pipe_sE12AfterConnectEP12uv_connect_si",
    "uv__async_io",
    "uv__server_io",
    "uv__write_callbacks",
    "uv__signal_event",
    "uv__udp_io",
    "uv__poll_io",
    "uv__inotify_read",
];

/// Most bytes of a function that are read.
const CODE: usize = 2048;
/// Bytes of V8's builtins, at least: more than any other code that is not writable.
const BUILTINS: u64 = 1024 * 1024;

fn look(sections: &Sections, _: &Process) -> Result<Found, String> {
    let mut names = vec![
        THEN,
        PROTOTYPE_THEN,
        FULFILL,
        REJECT,
        THENABLE,
        CALL,
        RUN,
        COMPLETED,
        COLLECTED,
        ASYNC_ID,
        POP,
        RESET,
        CLOSED,
        TCP,
        PIPE,
        TIMERS,
        IMMEDIATES,
        RESOLVED,
        POSTED,
        TOOK,
    ];
    names.extend(ENTRIES);
    let found = symbols::find(sections, &names);
    if let Some(missing) = names.iter().find(|name| !found.contains_key(**name)) {
        return Err(format!("it has no symbol {missing}"));
    }
    let functions = Functions { sections, found };
    let mut at = functions
        .offsets()
        .ok_or("the code of its promises or of its asynchronous ids is not as known")?;
    let mut sites = functions
        .sites()
        .ok_or("the code of its promises is not as known")?;
    let streams = streams::find(sections);
    if let Some(streams) = &streams {
        sites.extend(streams.sites.iter().cloned());
        for (index, value) in streams.at {
            at[index] = value;
        }
    }
    Ok(Found {
        sites: sites.into(),
        own: true,
        addresses: &[node::SOCKET, node::TLS],
        lacks: streams.is_none().then_some(streams::LACKS),
        ..Found::new(sections, NODE, at)
    })
}

/// V8 maps its builtins a second time, near the code that it makes, if its heap may grow large;
/// where it cannot map them it copies them, and a copy cannot be probed. So it must have come that
/// far: it has made code, and has not made a copy.
fn check(
    proc: &Proc,
    maps: &[Mapping],
    tgid: u32,
    _: &mut Runtime,
) -> Result<Option<&'static str>, Refusal> {
    let program = maps.first().ok_or(Refusal::Early)?;
    ready(program, &regions(proc, tgid)).map(|()| None)
}

fn ready(mapping: &Mapping, regions: &[Region]) -> Result<(), Refusal> {
    let anonymous = |region: &&Region| region.executable && region.file.is_none();
    let own = |region: &&Region| region.executable && region.file == Some(mapping.file);
    if !regions
        .iter()
        .filter(anonymous)
        .any(|region| region.writable)
    {
        return Err(Refusal::Early);
    }
    let copy = regions
        .iter()
        .filter(anonymous)
        .any(|region| !region.writable && region.end - region.start >= BUILTINS);
    let large = regions
        .iter()
        .filter(own)
        .filter(|region| region.end - region.start >= BUILTINS)
        .count();
    if copy || large == 0 {
        return Err(Refusal::Unknown(
            "V8 has copied its builtins, where they cannot be probed".to_owned(),
        ));
    }
    Ok(())
}

/// Instructions of a function, as many as are read.
fn instructions(address: u64, code: &[u8]) -> Vec<Instruction> {
    let decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    decoder
        .into_iter()
        .take_while(|i| !i.is_invalid())
        .collect()
}

/// Named functions of a program.
struct Functions<'a> {
    sections: &'a Sections,
    found: HashMap<String, Symbol>,
}

impl Functions<'_> {
    /// Its bytes.
    fn code(&self, name: &str) -> Option<(Symbol, Vec<u8>)> {
        let symbol = *self.found.get(name)?;
        let offset = self.sections.file_offset(symbol.address)?;
        let len = usize::try_from(symbol.size).ok()?.min(CODE);
        Some((symbol, self.sections.bytes(offset, len)))
    }

    fn instructions(&self, name: &str) -> Option<Vec<Instruction>> {
        let (symbol, code) = self.code(name)?;
        Some(instructions(symbol.address, &code))
    }

    fn offsets(&self) -> Option<[u64; FIELDS]> {
        let mut at = [NOWHERE; FIELDS];
        at[node::UNDEFINED] = undefined(&self.instructions(FULFILL)?)?;
        let call = self.instructions(CALL)?;
        at[node::FUNCTION_CONTEXT] = load(&call, Register::RDI, Some(Register::RSI))?;
        at[node::MAP_CONTEXT] = native_context(&call)?;
        at[node::TIMER] = environment(&self.instructions(TIMERS)?)?;
        at[node::IMMEDIATE] = environment(&self.instructions(IMMEDIATES)?)?;
        at[node::PAGE_FLAGS] = page_flags(&self.instructions(THEN)?)?;
        let [embedder, environment, ids] = async_ids(&self.instructions(ASYNC_ID)?)?;
        at[node::EMBEDDER] = embedder;
        at[node::ENVIRONMENT] = environment;
        at[node::ASYNC_IDS] = ids;
        let [scopes, counters, depth] = scopes(&self.instructions(POP)?)?;
        at[node::SCOPES] = scopes;
        at[node::COUNTERS] = counters;
        at[node::DEPTH] = depth;
        Some(at)
    }

    fn sites(&self) -> Option<Vec<Site>> {
        let mut sites = Vec::new();
        for (name, program) in [
            (THEN, "node_then"),
            (FULFILL, "node_reaction"),
            (REJECT, "node_reaction"),
            (THENABLE, "node_thenable"),
        ] {
            let (symbol, code) = self.code(name)?;
            let offset = self.sections.file_offset(symbol.address)?;
            sites.extend(site::covering(&code).into_iter().map(|skip| Site {
                program,
                offset: offset + skip,
                returns: false,
            }));
        }
        let then = self.found.get(PROTOTYPE_THEN)?;
        sites.push(Site {
            program: "node_prototype_then",
            offset: self.sections.file_offset(then.address)?,
            returns: false,
        });
        for name in ENTRIES {
            let symbol = *self.found.get(name)?;
            sites.push(at_entry(self.sections, symbol, "node_entered")?);
        }
        for (name, program) in [
            (TIMERS, "node_timers"),
            (IMMEDIATES, "node_immediates"),
            (RESOLVED, "node_resolved"),
            (POSTED, "node_posted"),
            (TOOK, "node_took"),
            (COLLECTED, "node_collected"),
            (RESET, "node_assigned"),
            (CLOSED, "node_closed"),
            (TCP, "node_made"),
            (PIPE, "node_made"),
        ] {
            let symbol = *self.found.get(name)?;
            sites.push(at_entry(self.sections, symbol, program)?);
        }
        sites.extend(self.drained()?);
        Some(sites)
    }

    /// The calls of `OnCompleted` at the end of `RunMicrotasks`, but for that of an empty queue,
    /// to which the first test of the queue's size jumps.
    fn drained(&self) -> Option<Vec<Site>> {
        let run = *self.found.get(RUN)?;
        let offset = self.sections.file_offset(run.address)?;
        let completed = self.found.get(COMPLETED)?.address;
        let code = self.instructions(RUN)?;
        let test = code.windows(2).find(|pair| {
            pair[0].code() == Code::Cmp_rm64_imm8
                && pair[0].immediate8() == 0
                && pair[1].mnemonic() == Mnemonic::Je
        })?;
        let empty = test[1].near_branch_target();
        let calls: Vec<u64> = code
            .iter()
            .filter(|i| i.code() == Code::Call_rel32_64 && i.near_branch_target() == completed)
            .map(Instruction::ip)
            .collect();
        let skipped = calls.iter().copied().find(|ip| *ip >= empty)?;
        let sites: Vec<Site> = calls
            .into_iter()
            .filter(|ip| *ip != skipped)
            .map(|ip| Site {
                program: "node_drained",
                offset: offset.wrapping_add(ip.wrapping_sub(run.address)),
                returns: false,
            })
            .collect();
        (!sites.is_empty()).then_some(sites)
    }
}

fn displacement(instruction: &Instruction) -> u64 {
    instruction.memory_displacement64()
}

/// The first load from `[base + x]`, into `to` if that matters; answers `x`.
fn load(code: &[Instruction], base: Register, to: Option<Register>) -> Option<u64> {
    code.iter()
        .find(|i| is_load(i, base) && to.is_none_or(|to| i.op0_register() == to))
        .map(displacement)
}

fn is_load(instruction: &Instruction, base: Register) -> bool {
    instruction.code() == Code::Mov_r64_rm64
        && instruction.op1_kind() == OpKind::Memory
        && instruction.memory_base() == base
        && instruction.memory_index() == Register::None
}

/// The handler is compared with `undefined`, which the root register leads to, before all else.
fn undefined(code: &[Instruction]) -> Option<u64> {
    let compare = code.iter().find(|i| i.mnemonic() == Mnemonic::Cmp)?;
    let right = compare.memory_base() == Register::R13
        && (compare.op0_register() == Register::RBX || compare.op1_register() == Register::RBX);
    right.then(|| displacement(compare))
}

/// `mov r, [rsi-1]`, the map of a context, and at once from there its native context.
fn native_context(code: &[Instruction]) -> Option<u64> {
    let pair = code.windows(2).find(|pair| {
        is_load(&pair[0], Register::RSI)
            && displacement(&pair[0]) == u64::MAX
            && is_load(&pair[1], pair[0].op0_register())
    })?;
    Some(displacement(&pair[1]))
}

/// `lea r, [rdi-x]`: the environment that a handle lies in.
fn environment(code: &[Instruction]) -> Option<u64> {
    code.iter()
        .find(|i| i.mnemonic() == Mnemonic::Lea && i.memory_base() == Register::RDI)
        .map(displacement)
}

/// The write barrier tests a flag of the page that an object is in.
fn page_flags(code: &[Instruction]) -> Option<u64> {
    code.iter()
        .find(|i| {
            i.code() == Code::Test_rm8_imm8
                && i.immediate8() == 4
                && i.memory_base() != Register::None
                && i.memory_base() != Register::RIP
        })
        .map(displacement)
}

/// From a context: the embedder's data, `Environment *` in it, and there `double *`.
fn async_ids(code: &[Instruction]) -> Option<[u64; 3]> {
    let first = code
        .iter()
        .position(|i| i.code() == Code::Movsd_xmm_xmmm64 && i.memory_base() == Register::RAX)?;
    let before = code.get(..first)?;
    let ids = before
        .iter()
        .rposition(|i| i.code() == Code::Mov_r64_rm64 && i.op0_register() == Register::RAX)?;
    let environment = before.get(..ids)?.iter().rposition(|i| {
        i.code() == Code::Mov_r64_rm64
            && i.op0_register() == before[ids].memory_base()
            && i.op1_kind() == OpKind::Memory
    })?;
    let data = before[environment].memory_base();
    let embedder = before
        .get(..environment)?
        .iter()
        .rposition(|i| is_load(i, data) && i.op0_register() == data)?;
    let found = [embedder, environment, ids].map(|i| displacement(&before[i]));
    // The last is no displacement of a stack frame, the first two are tagged pointers.
    (found[0] % 8 == 7 && found[1] % 8 == 7 && found[2] % 8 == 0).then_some(found)
}

/// In `AsyncHooks`, from the pointer to the ids: the pointers to the ids of scopes and to counters; and the
/// one of these that counts scopes. The first two pointers that are read are those to the
/// counters and to the ids, the next one, of the same object, is that to the scopes.
fn scopes(code: &[Instruction]) -> Option<[u64; 3]> {
    let mut pointers = code.iter().filter(|i| is_load(i, Register::RDI));
    let (counters, ids) = (pointers.next()?, pointers.next()?);
    let depth = code.iter().find(|i| {
        i.code() == Code::Mov_r32_rm32
            && i.op1_kind() == OpKind::Memory
            && i.memory_base() == counters.op0_register()
    })?;
    let copy = code.iter().find(|i| {
        i.mnemonic() == Mnemonic::Mov
            && i.op0_kind() == OpKind::Register
            && i.op1_register() == Register::RDI
    })?;
    let scopes = code.iter().find(|i| is_load(i, copy.op0_register()))?;
    let from_ids = |i| displacement(i).wrapping_sub(displacement(ids));
    Some([from_ids(scopes), from_ids(counters), displacement(depth)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::mapping::FileId;

    fn decoded(code: &[u8]) -> Vec<Instruction> {
        let decoder = Decoder::with_ip(64, code, 0x1000, DecoderOptions::NONE);
        decoder.into_iter().collect()
    }

    #[test]
    fn offsets_are_read_from_the_code_that_uses_them() {
        // push rbp; cmp [r13+0x190], rbx
        let code = decoded(&[0x55, 0x49, 0x39, 0x9d, 0x90, 1, 0, 0]);
        assert_eq!(undefined(&code), Some(0x190));
        // cmp [r13+0x190], rcx: not the handler
        let code = decoded(&[0x49, 0x39, 0x8d, 0x90, 1, 0, 0]);
        assert_eq!(undefined(&code), None);
        // mov rsi, [rdi+0x1f]; mov rcx, [rsi-1]; mov rcx, [rcx+0x27]
        let code = decoded(&[
            0x48, 0x8b, 0x77, 0x1f, 0x48, 0x8b, 0x4e, 0xff, 0x48, 0x8b, 0x49, 0x27,
        ]);
        assert_eq!(load(&code, Register::RDI, Some(Register::RSI)), Some(0x1f));
        assert_eq!(native_context(&code), Some(0x27));
        assert_eq!(native_context(&code[..2]), None);
        // test byte [rcx+8], 4
        assert_eq!(page_flags(&decoded(&[0xf6, 0x41, 0x08, 0x04])), Some(8));
        assert_eq!(page_flags(&decoded(&[0xf6, 0x41, 0x08, 0x02])), None);
        // lea rbx, [rdi-0xe0]
        let code = decoded(&[0x48, 0x8d, 0x9f, 0x20, 0xff, 0xff, 0xff]);
        assert_eq!(environment(&code), Some(0xe0_u64.wrapping_neg()));
    }

    #[test]
    fn the_way_to_the_ids_is_followed_backwards() {
        // mov rax, [rax+0x2f]; mov r12, [rax+0x10f]; mov rax, [r12+0x480]; movsd xmm0, [rax]
        let code = [
            0x48, 0x8b, 0x40, 0x2f, 0x4c, 0x8b, 0xa0, 0x0f, 1, 0, 0, 0x49, 0x8b, 0x84, 0x24, 0x80,
            4, 0, 0, 0xf2, 0x0f, 0x10, 0x00,
        ];
        assert_eq!(async_ids(&decoded(&code)), Some([0x2f, 0x10f, 0x480]));
        assert_eq!(async_ids(&decoded(&code[..19])), None);
        assert_eq!(async_ids(&decoded(&code[4..])), None);
    }

    #[test]
    fn the_stack_of_scopes_is_found_from_the_ids() {
        // mov rax, [rdi+0x60]; mov r13d, [rax+0x1c]; mov rdx, [rdi+0x98]; mov r12, rdi;
        // mov rcx, [r12+0x28]
        let code = [
            0x48, 0x8b, 0x47, 0x60, 0x44, 0x8b, 0x68, 0x1c, 0x48, 0x8b, 0x97, 0x98, 0, 0, 0, 0x49,
            0x89, 0xfc, 0x49, 0x8b, 0x4c, 0x24, 0x28,
        ];
        let found = [0x70_u64.wrapping_neg(), 0x38_u64.wrapping_neg(), 0x1c];
        assert_eq!(scopes(&decoded(&code)), Some(found));
        assert_eq!(scopes(&decoded(&code[..18])), None);
        assert_eq!(scopes(&decoded(&code[8..])), None);
    }

    #[test]
    fn a_process_is_probed_when_its_builtins_are_where_they_stay() {
        let file = FileId {
            device: (1, 2),
            inode: 3,
        };
        let region = |permissions: &str, megabytes: u64, file| Region {
            start: 0,
            end: megabytes * BUILTINS,
            executable: permissions.contains('x'),
            writable: permissions.contains('w'),
            file,
        };
        let program = Mapping {
            start: 0,
            end: 4096,
            file,
            path: String::new(),
            gone: None,
        };
        let text = || region("rx", 30, Some(file));
        let made = || region("rwx", 1, None);
        let unknown = |refusal: &Refusal| matches!(refusal, Refusal::Unknown(_));
        // It has made no code yet.
        assert_eq!(ready(&program, &[text()]), Err(Refusal::Early));
        assert_eq!(ready(&program, &[text(), made()]), Ok(()));
        let twice = [text(), made(), region("rx", 2, Some(file))];
        assert_eq!(ready(&program, &twice), Ok(()));
        let copied = [text(), made(), region("rx", 2, None)];
        assert!(ready(&program, &copied).is_err_and(|refusal| unknown(&refusal)));
    }
}
