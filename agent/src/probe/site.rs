//! Where in a function a uprobe is put.
//!
//! The kernel emulates a few instructions and single-steps the others, which costs about ten
//! times as much. So the first one that it emulates is looked for, as long as the function has
//! not changed the registers of its arguments.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
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
mod tests {
    use super::*;

    /// Beginnings of functions as compilers made them, and the offset of the first push.
    #[test]
    fn the_first_push_is_found() {
        for (code, offset) in [
            // Go: cmp rsp, [r14+16]; jbe; push rbp
            (
                &[0x49, 0x3b, 0x66, 0x10, 0x76, 0x53, 0x55, 0x48, 0x89, 0xe5][..],
                6,
            ),
            // gcc: endbr64; push r15
            (&[0xf3, 0x0f, 0x1e, 0xfa, 0x41, 0x57], 4),
            // sub rsp, 8; mov eax, 1: nothing to emulate
            (&[0x48, 0x83, 0xec, 0x08, 0xb8, 1, 0, 0, 0, 0x55], 0),
            // mov rax, rdi changes rax, which is an argument in Go
            (&[0x48, 0x89, 0xf8, 0x55], 0),
            (&[], 0),
        ] {
            assert_eq!(entry(code), offset, "{code:x?}");
        }
        assert_eq!(before_stack(&[0xf3, 0x0f, 0x1e, 0xfa, 0x55]), 4);
        assert_eq!(before_stack(&[0x55, 0x90]), 0);
    }

    /// Functions of tokio as rustc made them.
    #[test]
    fn the_first_branch_is_found_in_c() {
        for (code, offset) in [
            // mov rax, [rdi]; test rax, rax; je
            (&[0x48, 0x8b, 0x07, 0x48, 0x85, 0xc0, 0x74, 0x1d][..], 6),
            // mov rax, [rdi+16]; mov rcx, rax; or rcx, 2; lock cmpxchg [rdi+16], rcx; jne
            (
                &[
                    0x48, 0x8b, 0x47, 0x10, 0x48, 0x89, 0xc1, 0x48, 0x83, 0xc9, 0x02, 0xf0, 0x48,
                    0x0f, 0xb1, 0x4f, 0x10, 0x75, 0xf1,
                ],
                17,
            ),
            // xor edi, edi changes an argument
            (&[0x31, 0xff, 0x74, 0x01], 0),
            (&[], 0),
        ] {
            assert_eq!(entry_of_c(code), offset, "{code:x?}");
        }
    }

    #[test]
    fn thread_local_places_are_read_from_code() {
        let words = |words: &[i64]| Stores {
            words: words.to_vec(),
            cleared: Vec::new(),
        };
        for (code, expected) in [
            // mov rbx, rdi; mov rax, fs:[0]; lea rax, [rax-0x268]; mov rcx, [rax+0x30];
            // mov [rax+0x30], rbx
            (
                &[
                    0x48, 0x89, 0xfb, 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x8d, 0x80,
                    0x98, 0xfd, 0xff, 0xff, 0x48, 0x8b, 0x48, 0x30, 0x48, 0x89, 0x58, 0x30,
                ][..],
                words(&[-0x238]),
            ),
            // mov fs:[-8], rdi
            (
                &[0x64, 0x48, 0x89, 0x3c, 0x25, 0xf8, 0xff, 0xff, 0xff],
                words(&[-8]),
            ),
            // mov rax, fs:[r15]; mov qword [rax+0x20], 0
            (
                &[0x64, 0x49, 0x8b, 0x07, 0x48, 0xc7, 0x40, 0x20, 0, 0, 0, 0],
                Stores {
                    words: Vec::new(),
                    cleared: vec![0x20],
                },
            ),
            // mov rax, [rbx]; mov [rax+8], rdi: not thread-local
            (&[0x48, 0x8b, 0x03, 0x48, 0x89, 0x78, 0x08], words(&[])),
            (&[], words(&[])),
        ] {
            assert_eq!(thread_local_stores(code), expected, "{code:x?}");
        }
    }

    #[test]
    fn every_way_is_covered_once() {
        for (code, offsets) in [
            // push rbp
            (&[0x55][..], &[0][..]),
            // mov edi, [rax+35]; test edi, edi; jne +1; push rbp; mov rax, rbx
            (
                &[
                    0x8b, 0x78, 0x23, 0x85, 0xff, 0x75, 0x01, 0x55, 0x48, 0x89, 0xd8,
                ],
                &[7, 8],
            ),
            // cmp rbx, [r13+400]; jne +0; push rbp: both ways meet
            (&[0x49, 0x39, 0x9d, 0x90, 1, 0, 0, 0x75, 0, 0x55], &[9]),
            // mov rax, rbx changes an argument
            (&[0x48, 0x89, 0xd8, 0x55], &[0]),
            // mov edi, eax; jne back
            (&[0x89, 0xc7, 0x75, 0xfc], &[2]),
            (&[], &[0]),
        ] {
            assert_eq!(covering(code), offsets, "{code:x?}");
        }
        // test edi, edi, too often; then bytes that are no instruction
        assert_eq!(covering(&[0x85, 0xff].repeat(LOOKED_AT)), [0]);
        assert_eq!(covering(&[0x85, 0xff, 0x06]), [0]);
    }

    #[test]
    fn the_jump_behind_a_call_is_found() {
        // call [rax+0x138]; mov r12, rax; test rax, rax; je +0
        let code = [
            0x90, 0xff, 0x90, 0x38, 1, 0, 0, 0x49, 0x89, 0xc4, 0x48, 0x85, 0xc0, 0x0f, 0x84, 0, 0,
            0, 0,
        ];
        assert_eq!(answered(&code, 0x138), Some(13));
        assert_eq!(answered(&code, 0x130), None);
        assert_eq!(answered(&code[..13], 0x138), None);
        // xor eax, eax between them
        let code = [0xff, 0x90, 0x38, 1, 0, 0, 0x31, 0xc0, 0x74, 0];
        assert_eq!(answered(&code, 0x138), None);
    }

    /// `(*Conn).Read` of crypto/tls, as Go 1.26 made it: mov qword [rsi+0x2e8], -1; mov rdi,
    /// [rsi+0x2d0]; mov rax, [rsp+0x70]; call +0.
    const READ: [u8; 28] = [
        0x48, 0xc7, 0x86, 0xe8, 0x02, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x48, 0x8b, 0xbe, 0xd0, 0x02,
        0, 0, 0x48, 0x8b, 0x44, 0x24, 0x70, 0xe8, 0, 0, 0, 0,
    ];

    #[test]
    fn an_object_is_found_where_it_is_reset() {
        let found = About {
            call: 23,
            register: Register::RSI,
            field: 0x2e8,
        };
        assert_eq!(call_behind_reset(&READ, 0x1000, 0x101c), Some(found));
        assert_eq!(call_behind_reset(&READ, 0x1000, 0x2000), None);
        // mov esi, ecx; another call
        for between in [&[0x89, 0xce][..], &[0xe8, 0, 1, 0, 0]] {
            let code = [&READ[..11], between, &READ[11..]].concat();
            let target = 0x1000 + code.len() as u64;
            assert_eq!(call_behind_reset(&code, 0x1000, target), None);
        }
        assert_eq!(calls(&READ, 0x1000, 0x101c), [23]);
    }

    /// The end of a literal in `(*http2Client).NewStream`: mov rbx, [rsi+0x1c0]; mov ecx,
    /// [rdi+0x6c]; lea rax, [rip]; call +0.
    const ASSIGN: [u8; 22] = [
        0x48, 0x8b, 0x9e, 0xc0, 0x01, 0, 0, 0x8b, 0x4f, 0x6c, 0x48, 0x8d, 0x05, 0, 0, 0, 0, 0xe8,
        0, 0, 0, 0,
    ];

    #[test]
    fn an_object_is_found_by_its_field_in_an_argument() {
        let found = About {
            call: 17,
            register: Register::RSI,
            field: 0x1c0,
        };
        let look = |code: &[u8]| {
            let target = 0x1000 + code.len() as u64;
            call_with_field(code, 0x1000, target, Register::RBX)
        };
        assert_eq!(look(&ASSIGN), Some(found));
        // The object's register changes; the argument changes.
        for between in [&[0x31, 0xf6][..], &[0x48, 0x89, 0xc3], &[0xb3, 1]] {
            let code = [&ASSIGN[..7], between, &ASSIGN[7..]].concat();
            assert_eq!(look(&code), None, "{between:x?}");
        }
        // mov rbx, [rbx+8] leaves nothing of the object.
        let code = [&[0x48, 0x8b, 0x5b, 0x08][..], &ASSIGN[7..]].concat();
        assert_eq!(look(&code), None);
    }

    /// Functions of CRuby as gcc made them.
    #[test]
    fn offsets_are_read_from_loads() {
        for (code, expected) in [
            // sub rsp, 8; mov rax, [rax]; mov rax, [rax+0x30]; mov rax, [rax+0x10]; add rsp, 8; ret
            (
                &[
                    0x48, 0x83, 0xec, 8, 0x48, 0x8b, 0, 0x48, 0x8b, 0x40, 0x30, 0x48, 0x8b, 0x40,
                    0x10, 0x48, 0x83, 0xc4, 8, 0xc3, 0x48, 0x8b, 0x40, 8,
                ][..],
                Some(0x30),
            ),
            // mov rax, [rax+0x10]; ret
            (&[0x48, 0x8b, 0x40, 0x10, 0xc3], None),
            // mov rax, [rsp+8]; mov rax, [rax+0x10]; ret
            (
                &[0x48, 0x8b, 0x44, 0x24, 8, 0x48, 0x8b, 0x40, 0x10, 0xc3],
                None,
            ),
            (&[], None),
        ] {
            assert_eq!(last_but_one_load(code), expected, "{code:x?}");
        }
        // lea rsi, [rip+0]; mov rax, [rbx+8]; lea r12, [rbx+0xd0]; mov rax, [rcx]; mov rax, [rbx+0x28]
        let code = [
            0x48, 0x8d, 0x35, 0, 0, 0, 0, 0x48, 0x8b, 0x43, 8, 0x4c, 0x8d, 0xa3, 0xd0, 0, 0, 0,
            0x48, 0x8b, 1, 0x48, 0x8b, 0x43, 0x28,
        ];
        assert_eq!(part_then_load(&code), Some([0xd0, 0x28]));
        assert_eq!(part_then_load(&code[..21]), None);
        assert_eq!(part_then_load(&code[..11]), None);
    }

    #[test]
    fn an_object_is_found_on_the_stack() {
        // mov rcx, [rsp+0x20]; mov rbx, [rcx+0x1b8]; mov ebx, -1; mov ecx, [rdx]; call +0
        let code = [
            0x48, 0x8b, 0x4c, 0x24, 0x20, 0x48, 0x8b, 0x99, 0xb8, 0x01, 0, 0, 0xbb, 0xff, 0xff,
            0xff, 0xff, 0x8b, 0x0a, 0xe8, 0, 0, 0, 0,
        ];
        let look =
            |target, field| call_with_field_of_stack(&code, 0x1000, target, Register::RBX, field);
        assert_eq!(look(0x1018, 0x1b8), Some((19, 0x20)));
        assert_eq!(look(0x1018, 0x1b0), None);
        assert_eq!(look(0x2000, 0x1b8), None);
        assert_eq!(call_with_field(&code, 0x1000, 0x1018, Register::RBX), None);
    }

    #[test]
    fn calls_are_found_by_their_target() {
        // nop; call +0x10; call +0x20
        let code = [0x90, 0xe8, 0x10, 0, 0, 0, 0xe8, 0x20, 0, 0, 0];
        assert_eq!(call(&code, 0x1000, 0x1016), Some(1));
        assert_eq!(call(&code, 0x1000, 0x102b), Some(6));
        assert_eq!(call(&code, 0x1000, 0x1000), None);
    }
}
