//! Where in a function a uprobe is put.
//!
//! The kernel emulates a few instructions and single-steps the others, which costs about ten
//! times as much. So the first one that it emulates is looked for, as long as the function has
//! not changed the registers of its arguments.

use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};

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
        if left == 0 {
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
        .find(|found| found.code() == Code::Call_rel32_64 && found.near_branch_target() == target)
        .map(|found| found.ip() - address)
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

/// `arch/x86/kernel/uprobes.c`: `push_setup_xol_ops` and `branch_setup_xol_ops`.
fn is_emulated(instruction: &Instruction) -> bool {
    matches!(
        instruction.code(),
        Code::Push_r64
            | Code::Nopw
            | Code::Nopd
            | Code::Call_rel32_64
            | Code::Jmp_rel8_64
            | Code::Jmp_rel32_64
    ) || (instruction.mnemonic() == Mnemonic::Nop && instruction.len() == 5)
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
        assert_eq!(covering(&[0x85; 2 * 3 * LOOKED_AT]), [0]);
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

    #[test]
    fn calls_are_found_by_their_target() {
        // nop; call +0x10; call +0x20
        let code = [0x90, 0xe8, 0x10, 0, 0, 0, 0xe8, 0x20, 0, 0, 0];
        assert_eq!(call(&code, 0x1000, 0x1016), Some(1));
        assert_eq!(call(&code, 0x1000, 0x102b), Some(6));
        assert_eq!(call(&code, 0x1000, 0x1000), None);
    }
}
