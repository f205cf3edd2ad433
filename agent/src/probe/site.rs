//! Where in a function a uprobe is put.
//!
//! The kernel emulates a few instructions and single-steps the others, which costs about ten
//! times as much. So the first one that it emulates is looked for, as long as the function has
//! not changed the registers of its arguments.

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register,
};
use std::collections::HashMap;

/// Bytes of a function that are looked through.
pub const PROLOGUE: usize = 64;

/// Offset in `code`, the beginning of a function, for a probe that reads its arguments.
#[must_use]
pub fn entry(code: &[u8]) -> u64 {
    let mut best = 0;
    for instruction in decode(code) {
        if is_emulated(&instruction) {
            best = instruction.ip();
            break;
        }
        if !keeps_arguments(&instruction) {
            break;
        }
    }
    best
}

/// The same for a function with C's calling convention of which only the first two arguments
/// matter: all else may have changed.
#[must_use]
pub fn entry_of_c(code: &[u8]) -> u64 {
    let changes = |found: &Instruction| {
        let argument = matches!(
            found.op0_register(),
            Register::RDI | Register::EDI | Register::RSI | Register::ESI
        );
        argument && !matches!(found.mnemonic(), Mnemonic::Cmp | Mnemonic::Test)
    };
    decode(code)
        .take_while(|found| !changes(found))
        .find(|found| is_emulated(found) || is_branch(found))
        .map_or(0, |found| found.ip())
}

/// Instructions of a function that are looked at for [`covering`].
const LOOKED_AT: usize = 32;

/// Offsets in `code`, the beginning of a function whose arguments are in registers of any kind,
/// that each way through it passes exactly once before it has changed one of them.
#[must_use]
pub fn covering(code: &[u8]) -> Vec<u64> {
    let mut found = Vec::new();
    let mut ways = vec![0];
    let mut left = LOOKED_AT;
    while let Some(ip) = ways.pop() {
        let rest = usize::try_from(ip).ok().and_then(|ip| code.get(ip..));
        let mut decoder = Decoder::with_ip(64, rest.unwrap_or_default(), ip, DecoderOptions::NONE);
        let instruction = decoder.decode();
        left = left.saturating_sub(1);
        if left == 0 || instruction.is_invalid() {
            return vec![0];
        }
        if is_emulated(&instruction) || !is_neutral(&instruction) {
            found.push(ip);
        } else {
            ways.push(instruction.next_ip());
            if is_conditional(&instruction) {
                ways.push(instruction.near_branch_target());
            }
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Registers that hold no arguments of the functions that [`covering`] is for.
const FREE: [Register; 12] = [
    Register::RDI,
    Register::EDI,
    Register::R8,
    Register::R8D,
    Register::R9,
    Register::R9D,
    Register::R10,
    Register::R10D,
    Register::R11,
    Register::R11D,
    Register::R12,
    Register::R12D,
];

/// Loads, tests and branches that leave the registers of arguments alone.
fn is_neutral(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Endbr64 | Mnemonic::Cmp | Mnemonic::Test => true,
        Mnemonic::Mov | Mnemonic::Movzx | Mnemonic::And | Mnemonic::Lea => {
            instruction.op0_kind() == OpKind::Register && FREE.contains(&instruction.op0_register())
        }
        // Forwards only: a loop would be passed more than once.
        _ => is_conditional(instruction) && instruction.near_branch_target() > instruction.ip(),
    }
}

fn is_conditional(instruction: &Instruction) -> bool {
    matches!(
        instruction.mnemonic(),
        Mnemonic::Je
            | Mnemonic::Jne
            | Mnemonic::Ja
            | Mnemonic::Jae
            | Mnemonic::Jb
            | Mnemonic::Jbe
            | Mnemonic::Jg
            | Mnemonic::Jge
            | Mnemonic::Jl
            | Mnemonic::Jle
    )
}

/// Offset for a probe of the function's return: there the return address must still be on top
/// of the stack, so only a landing mark may be skipped.
#[must_use]
pub fn before_stack(code: &[u8]) -> u64 {
    let mut instructions = decode(code);
    match instructions.next() {
        Some(first) if first.mnemonic() == Mnemonic::Endbr64 => first.len() as u64,
        _ => 0,
    }
}

/// Offset of the first call of `target` in `code`, which is loaded at `address`.
#[must_use]
pub fn call(code: &[u8], address: u64, target: u64) -> Option<u64> {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    decoder
        .iter()
        .find(|found| is_call(found, target))
        .map(|found| found.ip() - address)
}

/// Offsets of all calls of `target` in `code`, which is loaded at `address`.
#[must_use]
pub fn calls(code: &[u8], address: u64, target: u64) -> Vec<u64> {
    let decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let all = decoder.into_iter().filter(|found| is_call(found, target));
    all.map(|found| found.ip().wrapping_sub(address)).collect()
}

/// A call, and where an object that it is about stands when it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    /// Offset of the call.
    pub call: u64,
    /// The register that holds the address of the object.
    pub register: Register,
    /// Offset of a field of it that was used for the call.
    pub field: u64,
}

/// The first call of `target` in `code` before which a field was set to -1, of an object whose
/// address is still in the same register.
#[must_use]
pub fn call_behind_reset(code: &[u8], address: u64, target: u64) -> Option<About> {
    let resets = |found: &Instruction| {
        found.code() == Code::Mov_rm64_imm32
            && found.op0_kind() == OpKind::Memory
            && found.immediate32to64() == -1
            && found.memory_base() != Register::RSP
    };
    call_about(code, address, target, resets, |_| false)
}

/// The first call of `target` in `code` whose argument `argument` was loaded from a field of an
/// object whose address is still in the register that it was loaded by.
#[must_use]
pub fn call_with_field(
    code: &[u8],
    address: u64,
    target: u64,
    argument: Register,
) -> Option<About> {
    let loads = |found: &Instruction| {
        found.code() == Code::Mov_r64_rm64
            && found.op1_kind() == OpKind::Memory
            && found.op0_register() == argument
            && ![Register::RSP, Register::RIP, argument].contains(&found.memory_base())
            && found.memory_index() == Register::None
    };
    let replaces = |found: &Instruction| writes(found, argument);
    call_about(code, address, target, loads, replaces)
}

/// The first call of `target` in `code` behind an instruction that `uses` a field of an object whose
/// address is still in the same register: no call stands between, nor what `spoils` that use.
fn call_about(
    code: &[u8],
    address: u64,
    target: u64,
    uses: impl Fn(&Instruction) -> bool,
    spoils: impl Fn(&Instruction) -> bool,
) -> Option<About> {
    let mut used: Option<(Register, u64)> = None;
    for found in Decoder::with_ip(64, code, address, DecoderOptions::NONE) {
        if let Some((register, field)) = used
            && is_call(&found, target)
        {
            return Some(About {
                call: found.ip().wrapping_sub(address),
                register,
                field,
            });
        }
        if uses(&found) {
            used = Some((found.memory_base(), found.memory_displacement64()));
        } else if is_any_call(&found)
            || spoils(&found)
            || used.is_some_and(|(kept, _)| writes(&found, kept))
        {
            used = None;
        }
    }
    None
}

/// The first call of `target` in `code` whose argument `argument` may have been loaded from `field`
/// of an object that was on the stack before, as may be on another way through the code: offset of
/// the call, distance of the object's place from the stack pointer.
#[must_use]
pub fn call_with_field_of_stack(
    code: &[u8],
    address: u64,
    target: u64,
    argument: Register,
    field: u64,
) -> Option<(u64, u64)> {
    let mut places: HashMap<Register, u64> = HashMap::new();
    let mut place = None;
    for found in Decoder::with_ip(64, code, address, DecoderOptions::NONE) {
        if is_call(&found, target) {
            return Some((found.ip().wrapping_sub(address), place?));
        }
        if found.code() != Code::Mov_r64_rm64 || found.op1_kind() != OpKind::Memory {
            continue;
        }
        let (base, offset) = (found.memory_base(), found.memory_displacement64());
        if base == Register::RSP && found.memory_index() == Register::None {
            places.insert(found.op0_register(), offset);
        } else if found.op0_register() == argument && offset == field {
            place = places.get(&base).copied().or(place);
        }
    }
    None
}

/// The ends of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Offsets of calls behind each of which the function returns, whatever happens.
    pub calls: Vec<u64>,
    /// Offsets of the returns that are not behind one of those alone.
    pub returns: Vec<u64>,
}

/// Where `code`, a whole function that is loaded at `address`, ends: by the calls of `target` that lead to a
/// return of their own, and by its other returns.
#[must_use]
pub fn ends(code: &[u8], address: u64, target: Option<u64>) -> Ends {
    let decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let all: Vec<Instruction> = decoder.into_iter().collect();
    let mut targets: Vec<u64> = all.iter().filter_map(jump_target).collect();
    targets.sort_unstable();
    let mut ends = Ends::default();
    let mut passed = None;
    for found in &all {
        // Who comes from elsewhere has not passed the call.
        if targets.binary_search(&found.ip()).is_ok() {
            passed = None;
        }
        if target.is_some_and(|target| is_call(found, target)) {
            passed = Some(found.ip().wrapping_sub(address));
        } else if found.mnemonic() == Mnemonic::Ret {
            match passed.take() {
                Some(call) => ends.calls.push(call),
                None => ends.returns.push(found.ip().wrapping_sub(address)),
            }
        } else if !is_any_call(found) && found.flow_control() != FlowControl::Next {
            passed = None;
        }
    }
    ends
}

/// Where a jump goes.
fn jump_target(found: &Instruction) -> Option<u64> {
    let jumps = [
        FlowControl::ConditionalBranch,
        FlowControl::UnconditionalBranch,
    ];
    jumps
        .contains(&found.flow_control())
        .then(|| found.near_branch_target())
}

fn is_call(instruction: &Instruction, target: u64) -> bool {
    instruction.code() == Code::Call_rel32_64 && instruction.near_branch_target() == target
}

fn is_any_call(instruction: &Instruction) -> bool {
    instruction.mnemonic() == Mnemonic::Call
}

/// May it change `register`? Its first operand is what an instruction changes, but for those that
/// only compare; a few change others.
fn writes(instruction: &Instruction, register: Register) -> bool {
    let is = |changed: Register| changed.full_register() == register;
    match instruction.mnemonic() {
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push => false,
        Mnemonic::Xchg | Mnemonic::Xadd | Mnemonic::Cmpxchg => {
            is(instruction.op0_register())
                || is(instruction.op1_register())
                || register == Register::RAX
        }
        Mnemonic::Mul | Mnemonic::Imul | Mnemonic::Div | Mnemonic::Idiv | Mnemonic::Cqo => {
            is(instruction.op0_register()) || [Register::RAX, Register::RDX].contains(&register)
        }
        _ => instruction.op0_kind() == OpKind::Register && is(instruction.op0_register()),
    }
}

/// Distances from the thread pointer of the thread-local words that `code` stores registers in
/// (local-exec code of an executable), and offsets behind pointers that it has just loaded from
/// thread-local storage at which it stores zero.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stores {
    /// Thread-local words.
    pub words: Vec<i64>,
    /// Fields of what thread-local pointers point to.
    pub cleared: Vec<u64>,
}

/// Finds [`Stores`] in `code`, read from its beginning to its end whatever it jumps over.
#[must_use]
pub fn thread_local_stores(code: &[u8]) -> Stores {
    let mut stores = Stores::default();
    // Registers that hold the thread pointer plus a number, and those loaded through it.
    let mut near: HashMap<Register, i64> = HashMap::new();
    let mut loaded: HashMap<Register, usize> = HashMap::new();
    let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    for (index, found) in decoder.into_iter().enumerate() {
        if found.is_invalid() {
            break;
        }
        let to = found.op0_register();
        let place = found.memory_displacement64().cast_signed();
        let base = found.memory_base();
        let local =
            found.segment_prefix() == Register::FS && found.memory_index() == Register::None;
        match found.code() {
            Code::Mov_r64_rm64 if local && base == Register::None && place == 0 => {
                near.insert(to, 0);
            }
            Code::Mov_r64_rm64 if local => {
                near.remove(&to);
                loaded.insert(to, index);
            }
            Code::Lea_r64_m if near.contains_key(&base) => {
                let known = near.get(&base).copied().unwrap_or_default();
                near.insert(to, known.wrapping_add(place));
            }
            Code::Mov_rm64_r64 if found.op0_kind() == OpKind::Memory => {
                if local && base == Register::None {
                    stores.words.push(place);
                } else if let Some(known) = near.get(&base) {
                    stores.words.push(known.wrapping_add(place));
                }
            }
            Code::Mov_rm64_r64 | Code::Mov_r64_rm64 if found.op1_kind() == OpKind::Register => {
                match near.get(&found.op1_register()).copied() {
                    Some(known) => near.insert(to, known),
                    None => near.remove(&to),
                };
            }
            Code::Mov_rm64_imm32
                if found.op0_kind() == OpKind::Memory
                    && found.immediate32() == 0
                    && loaded.get(&base) == Some(&index.wrapping_sub(1)) =>
            {
                stores.cleared.push(place.cast_unsigned());
            }
            _ if found.op0_kind() == OpKind::Register && found.mnemonic() != Mnemonic::Cmp => {
                near.remove(&to);
            }
            _ => {}
        }
    }
    stores.words.sort_unstable();
    stores.words.dedup();
    stores.cleared.sort_unstable();
    stores.cleared.dedup();
    stores
}

/// Offset in `code` of the conditional jump behind a call through a table, at `slot` in it: there
/// what the call answered is in rax. Only tests and copies of rax may stand between.
#[must_use]
pub fn answered(code: &[u8], slot: u64) -> Option<u64> {
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let is_call = |found: &Instruction| {
        found.code() == Code::Call_rm64
            && found.op0_kind() == OpKind::Memory
            && found.memory_base() != Register::RIP
            && found.memory_displacement64() == slot
    };
    let mut found = decoder.iter().skip_while(|found| !is_call(found)).skip(1);
    let behind = found.find(|found| !keeps_answer(found))?;
    let is_jump = matches!(
        behind.code(),
        Code::Je_rel8_64 | Code::Je_rel32_64 | Code::Jne_rel8_64 | Code::Jne_rel32_64
    );
    is_jump.then(|| behind.ip())
}

/// How far behind what it points to the last pointer but one stands that `code` follows: `code` ends
/// with `return a->b->c`, and this is the offset of `b`.
#[must_use]
pub fn last_but_one_load(code: &[u8]) -> Option<u64> {
    let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let body = decoder
        .into_iter()
        .take_while(|found| !found.is_invalid() && found.mnemonic() != Mnemonic::Ret);
    let loads: Vec<u64> = body.filter_map(|found| load(&found)).collect();
    loads.get(loads.len().checked_sub(2)?).copied()
}

/// The first part of something whose address `code` takes, and the first word that it loads from
/// the same thing afterwards: their offsets.
#[must_use]
pub fn part_then_load(code: &[u8]) -> Option<[u64; 2]> {
    let is_object = |base| !matches!(base, Register::None | Register::RIP | Register::RSP);
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut found = decoder.iter().take_while(|found| !found.is_invalid());
    let part = found.find(|found| {
        found.code() == Code::Lea_r64_m
            && is_object(found.memory_base())
            && found.memory_index() == Register::None
    })?;
    let word =
        found.find(|found| load(found).is_some() && found.memory_base() == part.memory_base())?;
    Some([part.memory_displacement64(), load(&word)?])
}

/// Fields of `bytes` bytes that `code`, a function of C, loads from what its `argument` points to
/// before it first calls another: their offsets, each once.
#[must_use]
pub fn fields_of(code: &[u8], argument: Register, bytes: usize) -> Vec<u64> {
    let mut fields = Vec::new();
    follow(code, argument, |found, held| {
        let loads = found.op1_kind() == OpKind::Memory
            && found.op0_kind() == OpKind::Register
            && matches!(found.mnemonic(), Mnemonic::Mov | Mnemonic::Movsxd)
            && found.segment_prefix() == Register::None
            && found.memory_index() == Register::None
            && held.contains(&found.memory_base())
            && found.memory_size().size() == bytes;
        if loads && !fields.contains(&found.memory_displacement64()) {
            fields.push(found.memory_displacement64());
        }
    });
    fields
}

/// The field of 32 bits of what `argument` points to that `code` compares with others of that size in memory,
/// before it first calls another function: its offset, if it is the only one.
#[must_use]
pub fn compared_field(code: &[u8], argument: Register) -> Option<u64> {
    let mut loaded: HashMap<Register, u64> = HashMap::new();
    let mut compared = Vec::new();
    follow(code, argument, |found, held| {
        let is_word = found.memory_size().size() == size_of::<u32>();
        if found.mnemonic() == Mnemonic::Cmp && is_word {
            let operands = [found.op0_register(), found.op1_register()];
            let fields = operands.map(|with| loaded.get(&with.full_register()).copied());
            compared.extend(fields.into_iter().flatten());
        }
        if found.op0_kind() != OpKind::Register || is_only_read(found) {
            return;
        }
        let to = found.op0_register().full_register();
        loaded.remove(&to);
        let loads = found.mnemonic() == Mnemonic::Mov
            && found.op1_kind() == OpKind::Memory
            && found.memory_index() == Register::None;
        if loads && is_word && held.contains(&found.memory_base()) {
            loaded.insert(to, found.memory_displacement64());
        }
    });
    compared.dedup();
    match compared[..] {
        [only] => Some(only),
        _ => None,
    }
}

/// The offset at which `code`, a function of C, stores its second argument in what the first one
/// points to, before it first calls another.
#[must_use]
pub fn second_kept_in_first(code: &[u8]) -> Option<u64> {
    let mut place = None;
    follow(code, Register::RDI, |found, held| {
        let stores = found.code() == Code::Mov_rm64_r64
            && found.op0_kind() == OpKind::Memory
            && found.op1_register() == Register::RSI
            && found.memory_index() == Register::None
            && held.contains(&found.memory_base());
        if stores && place.is_none() {
            place = Some(found.memory_displacement64());
        }
    });
    place
}

/// Shows `each` the instructions of `code` until its first call, with the registers that hold
/// `argument` before each, whatever it jumps over.
fn follow(code: &[u8], argument: Register, mut each: impl FnMut(&Instruction, &[Register])) {
    let mut held = vec![argument];
    let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    for found in decoder {
        let ends = matches!(found.mnemonic(), Mnemonic::Call | Mnemonic::Ret);
        if found.is_invalid() || ends {
            return;
        }
        each(&found, &held);
        if found.op0_kind() != OpKind::Register || is_only_read(&found) {
            continue;
        }
        let to = found.op0_register().full_register();
        let copies = found.mnemonic() == Mnemonic::Mov
            && found.op1_kind() == OpKind::Register
            && held.contains(&found.op1_register());
        held.retain(|register| *register != to);
        if copies {
            held.push(to);
        }
    }
}

/// The first operand is not written.
fn is_only_read(found: &Instruction) -> bool {
    matches!(
        found.mnemonic(),
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push
    )
}

/// The offset of the word that the instruction loads through a register.
fn load(found: &Instruction) -> Option<u64> {
    let loads = found.code() == Code::Mov_r64_rm64
        && found.op1_kind() == OpKind::Memory
        && found.segment_prefix() == Register::None
        && found.memory_index() == Register::None
        && !matches!(
            found.memory_base(),
            Register::None | Register::RIP | Register::RSP
        );
    loads.then(|| found.memory_displacement64())
}

fn keeps_answer(instruction: &Instruction) -> bool {
    let of = [instruction.op0_register(), instruction.op1_register()];
    match instruction.mnemonic() {
        Mnemonic::Test => of == [Register::RAX, Register::RAX],
        Mnemonic::Mov => of[0] != Register::RAX && of[1] == Register::RAX,
        _ => false,
    }
}

fn decode(code: &[u8]) -> impl Iterator<Item = Instruction> {
    let code = code.get(..PROLOGUE).unwrap_or(code);
    let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let found: Vec<Instruction> = decoder.into_iter().filter(|i| !i.is_invalid()).collect();
    found.into_iter()
}

/// `ASM_NOP_MAX` of `arch/x86/include/asm/nops.h`: longer ones have prefixes that are not known.
const LONGEST_NOP: usize = 8;

/// `arch/x86/kernel/uprobes.c`: `push_setup_xol_ops` and `branch_setup_xol_ops`.
fn is_emulated(instruction: &Instruction) -> bool {
    matches!(
        instruction.code(),
        Code::Push_r64 | Code::Call_rel32_64 | Code::Jmp_rel8_64 | Code::Jmp_rel32_64
    ) || (instruction.mnemonic() == Mnemonic::Nop && instruction.len() <= LONGEST_NOP)
}

/// Conditional jumps, which `branch_setup_xol_ops` takes, too. Not where a stack check jumps back
/// to the beginning: it would count twice.
fn is_branch(instruction: &Instruction) -> bool {
    use Mnemonic::{Ja, Jae, Jb, Jbe, Je, Jg, Jge, Jl, Jle, Jne, Jns, Js};
    matches!(
        instruction.mnemonic(),
        Ja | Jae | Jb | Jbe | Je | Jg | Jge | Jl | Jle | Jne | Jns | Js
    )
}

/// Stack checks, landing marks and stores: what compilers put before the first push.
fn keeps_arguments(instruction: &Instruction) -> bool {
    match instruction.mnemonic() {
        Mnemonic::Endbr64 | Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Sub | Mnemonic::Jbe => true,
        Mnemonic::Lea => {
            let to = instruction.op0_register();
            matches!(to, Register::R12 | Register::R13)
        }
        Mnemonic::Mov => instruction.op0_kind() == OpKind::Memory,
        _ => false,
    }
}

#[cfg(test)]
#[path = "site_tests.rs"]
mod tests;
