use super::*;

/// From a server, without extensions.
fn check(bytes: &[u8], expected: Found) {
    assert_eq!(head(bytes, false, false), expected, "{bytes:x?}");
    for len in 0..bytes.len() {
        let found = head(&bytes[..len], false, false);
        // What is refused may be refused early, and what is understood needs all of its head.
        assert!(
            found == Found::Partial || found == expected,
            "{len} of {bytes:x?}: {found:?}"
        );
    }
}

fn frame(kind: Kind, last: bool, len: usize, payload: u64) -> Found {
    Found::Head(Head {
        kind,
        last,
        len,
        payload,
    })
}

#[test]
fn heads_of_a_server() {
    check(b"\x81\x02", frame(Kind::Message, true, 2, 2));
    check(b"\x02\x00", frame(Kind::Message, false, 2, 0));
    check(b"\x80\x05", frame(Kind::More, true, 2, 5));
    check(b"\x89\x00", frame(Kind::Control, true, 2, 0));
    check(b"\x8a\x7d", frame(Kind::Control, true, 2, 125));
    check(b"\x82\x7e\x01\x00", frame(Kind::Message, true, 4, 256));
    check(
        b"\x82\x7f\0\0\0\0\0\x01\0\0",
        frame(Kind::Message, true, 10, 65536),
    );
    check(b"\x88\x00", frame(Kind::Close(None), true, 2, 0));
    check(
        b"\x88\x02\x03\xe8",
        frame(Kind::Close(Some(1000)), true, 2, 2),
    );
    check(
        b"\x88\x7d\x03\xf3",
        frame(Kind::Close(Some(1011)), true, 2, 125),
    );
}

#[test]
fn what_is_no_frame() {
    for bytes in [
        // reserved bits without an extension
        &b"\xc1\x02"[..],
        b"\x91\x02",
        // opcodes without meaning
        b"\x83\x00",
        b"\x8b\x00",
        // control frames are short and whole
        b"\x89\x7e\x00\x7e",
        b"\x09\x00",
        // half a code
        b"\x88\x01",
        // lengths in more bytes than they need, or too large
        b"\x81\x7e\x00\x7d",
        b"\x81\x7f\0\0\0\0\0\0\xff\xff",
        b"\x81\x7f\x80\0\0\0\0\0\0\0",
        // a server that masks
        b"\x81\x80",
    ] {
        check(bytes, Found::Bad);
    }
}

#[test]
fn clients_mask() {
    let found = head(b"\x88\x82\x01\x02\x03\x04\x02\xea", true, false);
    assert_eq!(found, frame(Kind::Close(Some(1000)), true, 6, 2));
    assert_eq!(
        head(b"\x81\xfe\x01\x00abcd", true, false),
        frame(Kind::Message, true, 8, 256)
    );
    assert_eq!(
        head(b"\x81\x82\x01\x02\x03", true, false),
        Found::Partial,
        "half a key"
    );
    assert_eq!(head(b"\x81\x02", true, false), Found::Bad);
    assert_eq!(
        head(b"\xc1\x80\0\0\0\0", true, true),
        frame(Kind::Message, true, 6, 0)
    );
}

#[test]
fn nothing_is_waited_for_beyond_the_longest_head() {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut bytes = [0; LONGEST];
        for byte in &mut bytes {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            *byte = noise.to_be_bytes()[0];
        }
        for masked in [false, true] {
            assert_ne!(head(&bytes, masked, true), Found::Partial, "{bytes:x?}");
        }
    }
}
