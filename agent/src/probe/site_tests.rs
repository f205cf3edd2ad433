//! Beginnings and middles of functions as compilers made them.

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
                0x48, 0x8b, 0x47, 0x10, 0x48, 0x89, 0xc1, 0x48, 0x83, 0xc9, 0x02, 0xf0, 0x48, 0x0f,
                0xb1, 0x4f, 0x10, 0x75, 0xf1,
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
                0x48, 0x89, 0xfb, 0x64, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0, 0x48, 0x8d, 0x80, 0x98,
                0xfd, 0xff, 0xff, 0x48, 0x8b, 0x48, 0x30, 0x48, 0x89, 0x58, 0x30,
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
fn fields_of_an_argument_are_read_from_code() {
    // mov rbx, rdi; sub rsp, 24; mov r13, [rdi+0x4f8]; mov r15, [rbx+0x3b0]; mov eax, [rbx+4];
    // xor edi, edi; mov rcx, [rdi+8]; call [rax]; mov rbp, [rbx+16]
    let code = [
        0x48, 0x89, 0xfb, 0x48, 0x83, 0xec, 0x18, 0x4c, 0x8b, 0xaf, 0xf8, 0x04, 0, 0, 0x4c, 0x8b,
        0xbb, 0xb0, 0x03, 0, 0, 0x8b, 0x43, 0x04, 0x31, 0xff, 0x48, 0x8b, 0x4f, 0x08, 0xff, 0x10,
        0x48, 0x8b, 0x6b, 0x10,
    ];
    for (argument, bytes, expected) in [
        (Register::RDI, 8, &[0x4f8, 0x3b0][..]),
        (Register::RDI, 4, &[4]),
        (Register::RSI, 8, &[]),
    ] {
        assert_eq!(fields_of(&code, argument, bytes), expected, "{argument:?}");
    }
    // mov ecx, [rdi+12]; mov eax, [rdi+8]; cmp [rsi+16], ecx; cmp [rsi+24], rax
    let code = [
        0x8b, 0x4f, 0x0c, 0x8b, 0x47, 0x08, 0x39, 0x4e, 0x10, 0x48, 0x39, 0x46, 0x18,
    ];
    assert_eq!(compared_field(&code, Register::RDI), Some(12));
    // The other way round, and both.
    assert_eq!(compared_field(&code[3..], Register::RDI), None);
    let both = [&code[..], &[0x39, 0x46, 0x10]].concat();
    assert_eq!(compared_field(&both, Register::RDI), None);
    // push rbx; mov rdx, [rdi+32]; mov rbx, rdi; mov [rdi+40], rsi
    let code = [
        0x53, 0x48, 0x8b, 0x57, 0x20, 0x48, 0x89, 0xfb, 0x48, 0x89, 0x77, 0x28,
    ];
    assert_eq!(second_kept_in_first(&code), Some(40));
    assert_eq!(fields_of(&code, Register::RDI, 8), [32]);
    assert_eq!(second_kept_in_first(&code[..8]), None);
    // movsxd rdx, dword [rdi+0x68]
    assert_eq!(
        fields_of(&[0x48, 0x63, 0x57, 0x68], Register::RDI, 4),
        [0x68]
    );
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
        0x90, 0xff, 0x90, 0x38, 1, 0, 0, 0x49, 0x89, 0xc4, 0x48, 0x85, 0xc0, 0x0f, 0x84, 0, 0, 0, 0,
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
    0x48, 0xc7, 0x86, 0xe8, 0x02, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x48, 0x8b, 0xbe, 0xd0, 0x02, 0, 0,
    0x48, 0x8b, 0x44, 0x24, 0x70, 0xe8, 0, 0, 0, 0,
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
    0x48, 0x8b, 0x9e, 0xc0, 0x01, 0, 0, 0x8b, 0x4f, 0x6c, 0x48, 0x8d, 0x05, 0, 0, 0, 0, 0xe8, 0, 0,
    0, 0,
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
                0x48, 0x83, 0xec, 8, 0x48, 0x8b, 0, 0x48, 0x8b, 0x40, 0x30, 0x48, 0x8b, 0x40, 0x10,
                0x48, 0x83, 0xc4, 8, 0xc3, 0x48, 0x8b, 0x40, 8,
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
        0x48, 0x8d, 0x35, 0, 0, 0, 0, 0x48, 0x8b, 0x43, 8, 0x4c, 0x8d, 0xa3, 0xd0, 0, 0, 0, 0x48,
        0x8b, 1, 0x48, 0x8b, 0x43, 0x28,
    ];
    assert_eq!(part_then_load(&code), Some([0xd0, 0x28]));
    assert_eq!(part_then_load(&code[..21]), None);
    assert_eq!(part_then_load(&code[..11]), None);
}

#[test]
fn an_object_is_found_on_the_stack() {
    // mov rcx, [rsp+0x20]; mov rbx, [rcx+0x1b8]; mov ebx, -1; mov ecx, [rdx]; call +0
    let code = [
        0x48, 0x8b, 0x4c, 0x24, 0x20, 0x48, 0x8b, 0x99, 0xb8, 0x01, 0, 0, 0xbb, 0xff, 0xff, 0xff,
        0xff, 0x8b, 0x0a, 0xe8, 0, 0, 0, 0,
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

/// Ends of `code` at address 0x1000, where what is looked for is at 0x2000.
fn check_ends(code: &[u8], calls: &[u64], returns: &[u64]) {
    let expected = Ends {
        calls: calls.to_vec(),
        returns: returns.to_vec(),
    };
    assert_eq!(ends(code, 0x1000, Some(0x2000)), expected, "{code:x?}");
}

#[test]
fn a_return_behind_a_call_alone_is_told_by_the_call() {
    // call 0x2000; add rsp, 8; pop rbp; ret
    let success = [0xe8, 0xfb, 0x0f, 0, 0, 0x48, 0x83, 0xc4, 8, 0x5d, 0xc3];
    check_ends(&success, &[0], &[]);
    // Another call between them is no way elsewhere: call rcx.
    let released = [0xe8, 0xfb, 0x0f, 0, 0, 0xff, 0xd1, 0xc3];
    check_ends(&released, &[0], &[]);
    let failed = [0x31, 0xc0, 0xc3];
    check_ends(&[&success[..], &failed].concat(), &[0], &[13]);
}

#[test]
fn a_return_that_others_reach_is_told_by_itself() {
    // je 7; call 0x2000; ret: who jumps has not passed the call.
    check_ends(&[0x74, 5, 0xe8, 0xf9, 0x0f, 0, 0, 0xc3], &[], &[7]);
    // call 0x2000; je 8; nop; ret: what happens in between is not known.
    check_ends(&[0xe8, 0xfb, 0x0f, 0, 0, 0x74, 1, 0x90, 0xc3], &[], &[8]);
    // call of something else; ret
    check_ends(&[0xe8, 0, 0, 0, 0, 0xc3], &[], &[5]);
    assert_eq!(ends(&[0xc3], 0x1000, None).returns, [0]);
}
