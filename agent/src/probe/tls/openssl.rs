//! OpenSSL 1.1 and 3, LibreSSL, BoringSSL and its like: `SSL_read`, `SSL_write` and their kin.
//!
//! OpenSSL's ways to read all pass one function of its own, as its ways to write do; where the
//! exported ones call it with their arguments as they got them, it is probed in their place: it
//! begins with a push, which the kernel emulates, and they mostly do not.

use super::{Sites, call};
use crate::discovery::elf::Sections;
use crate::discovery::symbols::Symbol;
use crate::probe::runtime::at_entry;
use crate::probe::site::PROLOGUE;
use iced_x86::{Code, Decoder, DecoderOptions, Instruction, Mnemonic, OpKind, Register};
use memchr::memmem;
use std::collections::HashMap;
use std::path::Path;

const READ: &str = "SSL_read";
const READ_COUNTED: &str = "SSL_read_ex";
const WRITE: &str = "SSL_write";
const WRITE_COUNTED: &str = "SSL_write_ex";
const SEND_FILE: &str = "SSL_sendfile";
const HANDSHAKE: &str = "SSL_do_handshake";
const NEW: &str = "SSL_new";
const CLEAR: &str = "SSL_clear";
const RANDOM: &str = "SSL_get_client_random";

/// What is looked for.
pub(super) const NAMES: &[&str] = &[
    READ,
    READ_COUNTED,
    WRITE,
    WRITE_COUNTED,
    SEND_FILE,
    HANDSHAKE,
    NEW,
    CLEAR,
    RANDOM,
];

const BACK: &str = "tls_returned";

pub(super) fn look(
    sections: &Sections,
    found: &HashMap<String, Symbol>,
    path: &Path,
) -> Option<Sites> {
    let symbol = |name: &str| found.get(name).copied();
    let mut sites = Vec::new();
    let (read, write) = (symbol(READ)?, symbol(WRITE)?);
    match symbol(READ_COUNTED).and_then(|counted| shared(sections, read, counted)) {
        Some(inner) => sites.extend(call(sections, inner.address, "tls_read_counted", BACK)?),
        None => {
            sites.extend(call(sections, read.address, "tls_read", BACK)?);
            if let Some(counted) = symbol(READ_COUNTED) {
                sites.extend(call(sections, counted.address, "tls_read_counted", BACK)?);
            }
        }
    }
    match symbol(WRITE_COUNTED).and_then(|counted| shared(sections, write, counted)) {
        Some(inner) => {
            let program = if inner.flagged {
                "tls_write_flagged"
            } else {
                "tls_write_counted"
            };
            sites.extend(call(sections, inner.address, program, BACK)?);
        }
        None => {
            sites.extend(call(sections, write.address, "tls_write", BACK)?);
            if let Some(counted) = symbol(WRITE_COUNTED) {
                sites.extend(call(sections, counted.address, "tls_write_counted", BACK)?);
            }
        }
    }
    for (name, program) in [(SEND_FILE, "tls_send_file"), (HANDSHAKE, "tls_handshake")] {
        if let Some(symbol) = symbol(name) {
            sites.extend(call(sections, symbol.address, program, BACK)?);
        }
    }
    let made = symbol(NEW).and_then(|new| call(sections, new.address, "tls_made", "tls_made"));
    sites.extend(made.map(|[_, back]| back));
    sites.extend(symbol(CLEAR).and_then(|clear| at_entry(sections, clear, "tls_cleared")));
    let random = symbol(RANDOM).map(|random| code(sections, random.address));
    Some(Sites {
        name: version(sections, path),
        sites: sites.into(),
        cookie: random.and_then(|code| member(&code)).unwrap_or(0),
    })
}

/// The function that two others share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Inner {
    address: u64,
    /// A fifth argument says where to write how many bytes were moved, not the fourth.
    flagged: bool,
}

/// The function to which `plain` and `counted` give their first two arguments as they got them.
fn shared(sections: &Sections, plain: Symbol, counted: Symbol) -> Option<Inner> {
    let plain = inner(&code(sections, plain.address), plain.address)?;
    let counted = inner(&code(sections, counted.address), counted.address)?;
    (plain.address == counted.address).then_some(counted)
}

fn code(sections: &Sections, address: u64) -> Vec<u8> {
    match sections.file_offset(address) {
        Some(offset) => sections.bytes(offset, 4 * PROLOGUE),
        None => Vec::new(),
    }
}

/// The first call in `code`, which is loaded at `address`, if its first two arguments are the
/// function's own.
fn inner(code: &[u8], address: u64) -> Option<Inner> {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut flagged = false;
    for found in decoder.iter() {
        if found.is_invalid() || found.code() == Code::Retnq {
            return None;
        }
        if matches!(found.code(), Code::Call_rel32_64 | Code::Jmp_rel32_64) {
            return Some(Inner {
                address: found.near_branch_target(),
                flagged,
            });
        }
        match written(&found) {
            Some(Register::RDI | Register::RSI) => return None,
            Some(Register::R8) => flagged = true,
            _ => {}
        }
    }
    None
}

/// The register that an instruction writes, as its whole.
fn written(instruction: &Instruction) -> Option<Register> {
    let compares = matches!(
        instruction.mnemonic(),
        Mnemonic::Cmp | Mnemonic::Test | Mnemonic::Push
    );
    let writes = instruction.op0_kind() == OpKind::Register && !compares;
    writes.then(|| whole(instruction.op0_register()))
}

/// Registers by their lower halves.
const HALVES: [(Register, Register); 16] = [
    (Register::EAX, Register::RAX),
    (Register::ECX, Register::RCX),
    (Register::EDX, Register::RDX),
    (Register::EBX, Register::RBX),
    (Register::ESP, Register::RSP),
    (Register::EBP, Register::RBP),
    (Register::ESI, Register::RSI),
    (Register::EDI, Register::RDI),
    (Register::R8D, Register::R8),
    (Register::R9D, Register::R9),
    (Register::R10D, Register::R10),
    (Register::R11D, Register::R11),
    (Register::R12D, Register::R12),
    (Register::R13D, Register::R13),
    (Register::R14D, Register::R14),
    (Register::R15D, Register::R15),
];

/// The whole register of which `register` is the lower half, or itself.
fn whole(register: Register) -> Register {
    let half = HALVES.iter().find(|(half, _)| *half == register);
    half.map_or(register, |(_, whole)| *whole)
}

/// A place that a register holds: the object, or what a pointer in it at `first` points to.
#[derive(Clone, Copy)]
struct Place {
    first: Option<u64>,
}

/// What registers hold.
type Known = HashMap<Register, Place>;

/// Most instructions that are followed, over all ways through a function.
const FOLLOWED: usize = 256;

/// Registers that a called function may change.
const CHANGED: [Register; 9] = [
    Register::RAX,
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::RDI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
];

/// Where an object has what `code`, a function of it that copies a member out, reads: as the cookie
/// of the kernel side's `Random`. `object + last`, or, behind a pointer, `*(object + first) + last`.
/// All ways are followed, as some are for other kinds of objects.
///
/// It need not be right: what stands there is compared with what has crossed the connection.
fn member(code: &[u8]) -> Option<u64> {
    let mut ways = vec![(0, Known::from([(Register::RDI, Place { first: None })]))];
    let mut left = FOLLOWED;
    while let Some((mut ip, mut known)) = ways.pop() {
        loop {
            left = left.checked_sub(1)?;
            let rest = usize::try_from(ip).ok().and_then(|ip| code.get(ip..));
            let rest = rest.unwrap_or_default();
            let found = Decoder::with_ip(64, rest, ip, DecoderOptions::NONE).decode();
            let over = found.is_invalid() || found.mnemonic() == Mnemonic::Ret;
            if over || known.is_empty() {
                break;
            }
            ip = found.next_ip();
            let branches = found.op0_kind() == OpKind::NearBranch64;
            let target = branches.then(|| found.near_branch_target());
            match (found.mnemonic(), target) {
                (Mnemonic::Call, _) => CHANGED.iter().for_each(|changed| {
                    known.remove(changed);
                }),
                // Forwards only: each way ends.
                (_, Some(target)) if target < ip => {}
                (Mnemonic::Jmp, Some(target)) => ip = target,
                (_, Some(target)) => ways.push((target, known.clone())),
                (_, None) => {
                    if let Some(cookie) = step(&found, &mut known) {
                        return Some(cookie);
                    }
                }
            }
        }
    }
    None
}

/// What an instruction does to what is known; the answer, if it is the one that finds the member.
fn step(found: &Instruction, known: &mut Known) -> Option<u64> {
    let to = whole(found.op0_register());
    let plain = found.memory_index() == Register::None;
    let base = known.get(&whole(found.memory_base())).copied();
    let base = base.filter(|_| plain);
    let offset = found.memory_displacement64();
    let in_register = found.op0_kind() == OpKind::Register;
    let place = match found.code() {
        Code::Lea_r64_m if base.is_some() => return cookie(base?.first, offset),
        Code::Add_rm64_imm32 | Code::Add_RAX_imm32 if in_register && known.contains_key(&to) => {
            return cookie(known.get(&to)?.first, found.immediate(1));
        }
        Code::Mov_r64_rm64 | Code::Mov_rm64_r64
            if in_register && found.op1_kind() == OpKind::Register =>
        {
            known.get(&whole(found.op1_register())).copied()
        }
        Code::Mov_r64_rm64 if base.is_some_and(|base| base.first.is_none()) => Some(Place {
            first: Some(offset),
        }),
        _ => None,
    };
    match (place, written(found)) {
        (Some(place), _) => {
            known.insert(to, place);
        }
        (None, Some(to)) => {
            known.remove(&to);
        }
        (None, None) => {}
    }
    None
}

/// Farthest member of an object.
const OBJECT: u64 = 64 * 1024;

fn cookie(first: Option<u64>, last: u64) -> Option<u64> {
    if last == 0 || last > OBJECT || first.is_some_and(|first| first > OBJECT) {
        return None;
    }
    Some(first.map_or(0, |first| first + 1) << 32 | last)
}

/// What the library says of itself, else its name.
fn version(sections: &Sections, path: &Path) -> String {
    const MARKS: [&str; 4] = ["OpenSSL 1.1.", "OpenSSL 3.", "OpenSSL 4.", "LibreSSL "];
    let head = sections.head(".rodata").unwrap_or_default();
    let found = MARKS.iter().find_map(|mark| {
        let at = memmem::find(&head, mark.as_bytes())?;
        let text: String = head
            .get(at..)?
            .iter()
            .map(|byte| char::from(*byte))
            .skip_while(|c| c.is_ascii_alphabetic())
            .skip(1)
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '.')
            .take(16)
            .collect();
        let name = mark.split(' ').next()?;
        Some(format!("{name} {text}"))
    });
    // Names without a version are links to those with one.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    found.unwrap_or_else(|| named(&name))
}

/// LibreSSL counts its libssl from 26 on, and says what it is in its libcrypto alone; OpenSSL is at 4.
const LIBRE: u32 = 26;

/// What a library that does not say it itself is by the name of its file.
fn named(file: &str) -> String {
    let Some((_, version)) = file.split_once(".so.") else {
        return "OpenSSL or a relative".to_owned();
    };
    let major = version.split('.').next().and_then(|n| n.parse().ok());
    match major {
        Some(LIBRE..) => format!("LibreSSL (libssl {version})"),
        _ => format!("OpenSSL {version}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_tell_what_they_are() {
        for (file, expected) in [
            ("libssl.so.60.2.0", "LibreSSL (libssl 60.2.0)"),
            ("libssl.so.1.1", "OpenSSL 1.1"),
            ("libssl.so.x", "OpenSSL x"),
            ("libssl.so", "OpenSSL or a relative"),
        ] {
            assert_eq!(named(file), expected, "{file}");
        }
    }

    #[test]
    fn ways_of_libressl_have_no_function_in_common() {
        // SSL_read_ex of 4.3: push rbx; cmp rdx, 0x7fffffff; ja +0x26; mov rbx, rcx; call SSL_read
        let counted = [
            &[0x53, 0x48, 0x81, 0xfa, 0xff, 0xff, 0xff, 0x7f, 0x77, 0x26][..],
            &[0x48, 0x89, 0xcb, 0xe8, 0xce, 0xa8, 0xfe, 0xff],
        ]
        .concat();
        // SSL_read: push r12; push rbp; push rbx; mov rbx, rdi; test edx, edx; js +0x48;
        // mov r12, rsi; mov ebp, edx; call SSL_is_quic
        let plain = [
            &[
                0x41, 0x54, 0x55, 0x53, 0x48, 0x89, 0xfb, 0x85, 0xd2, 0x78, 0x48,
            ][..],
            &[0x49, 0x89, 0xf4, 0x89, 0xd5, 0xe8, 0xcb, 0xac, 0xfe, 0xff],
        ]
        .concat();
        let of = |code: &[u8], at| inner(code, at).map(|inner| inner.address);
        assert_eq!(of(&counted, 0x2_7180), Some(0x1_1a60));
        assert_eq!(of(&plain, 0x2_70d0), Some(0x1_1db0));
    }

    #[test]
    fn the_shared_function_is_found() {
        for (code, expected) in [
            // SSL_write_ex of OpenSSL 3.0: sub rsp, 8; call +7
            (
                &[0x48, 0x83, 0xec, 0x08, 0xe8, 7, 0, 0, 0][..],
                Some((0x1010, false)),
            ),
            // Of 3.3: sub rsp, 8; mov r8, rcx; xor ecx, ecx; call +2
            (
                &[
                    0x48, 0x83, 0xec, 0x08, 0x49, 0x89, 0xc8, 0x31, 0xc9, 0xe8, 2, 0, 0, 0,
                ],
                Some((0x1010, true)),
            ),
            // xor esi, esi; call: of something else
            (&[0x31, 0xf6, 0xe8, 7, 0, 0, 0], None),
            // ret
            (&[0xc3, 0xe8, 7, 0, 0, 0], None),
            (&[], None),
        ] {
            let found = inner(code, 0x1000).map(|inner| (inner.address, inner.flagged));
            assert_eq!(found, expected, "{code:x?}");
        }
    }

    #[test]
    fn the_random_number_is_found() {
        for (code, expected) in [
            // OpenSSL 3.0: mov rcx, rsi; mov eax, 32; lea rsi, [rdi+0x160]
            (
                &[
                    0x48, 0x89, 0xf1, 0xb8, 0x20, 0, 0, 0, 0x48, 0x8d, 0xb7, 0x60, 0x01, 0, 0,
                ][..],
                Some(0x160),
            ),
            // OpenSSL 1.1: mov rax, [rdi+0xa8]; add rax, 0xb8
            (
                &[0x48, 0x8b, 0x87, 0xa8, 0, 0, 0, 0x48, 0x05, 0xb8, 0, 0, 0],
                Some(0xa9 << 32 | 0xb8),
            ),
            // mov rax, rdi; lea rsi, [rax+0x160]
            (
                &[0x48, 0x89, 0xf8, 0x48, 0x8d, 0xb0, 0x60, 0x01, 0, 0],
                Some(0x160),
            ),
            // OpenSSL 3.5: mov eax, [rdi]; test eax, eax; je over what is for QUIC:
            // call; mov rdi, rax; test rax, rax; jne; ret. Then lea rcx, [rdi+0x188]
            (
                &[
                    0x8b, 0x07, 0x85, 0xc0, 0x74, 0x0e, 0xe8, 0, 1, 0, 0, 0x48, 0x89, 0xc7, 0x48,
                    0x85, 0xc0, 0x75, 0x01, 0xc3, 0x48, 0x8d, 0x8f, 0x88, 0x01, 0, 0,
                ],
                Some(0x188),
            ),
            // mov edi, 1; lea rsi, [rdi+0x160]: not of the object
            (
                &[0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0xb7, 0x60, 0x01, 0, 0],
                None,
            ),
            (&[], None),
        ] {
            assert_eq!(member(code), expected, "{code:x?}");
        }
    }
}
