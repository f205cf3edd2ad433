use super::*;

/// Decodes all of `bytes`, as text.
fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut fields = Vec::new();
    let taken = decoder.decode(bytes, |field| {
        fields.push(match field {
            Field::Known(name, value) => format!("{name:?}={}", value.escape_ascii()),
            Field::Valueless(name) => format!("{name:?}=?"),
            Field::Unknown => "?".to_owned(),
        });
    })?;
    if taken < bytes.len() {
        fields.push(format!("and {} more", bytes.len() - taken));
    }
    Ok(fields)
}

#[track_caller]
fn check(decoder: &mut Decoder, bytes: &[u8], expected: &[&str]) {
    let found = decode(decoder, bytes).expect("well-formed");
    assert_eq!(found, expected);
}

/// RFC 7541, C.4.
const FIRST: &[u8] = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
const SECOND: &[u8] = b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf";
const THIRD: &[u8] = b"\x82\x87\x85\xbf\x40\x88\x25\xa8\x49\xe9\x5b\xa9\x7d\x7f\x89\x25\xa8\x49\xe9\x5b\xb8\xe8\xb4\xbf";

#[test]
fn the_examples_of_the_standard() {
    let mut decoder = Decoder::default();
    let pseudo = [
        "Method=GET",
        "Scheme=http",
        "Path=/",
        "Authority=www.example.com",
    ];
    check(&mut decoder, FIRST, &pseudo);
    check(&mut decoder, SECOND, &[&pseudo[..], &["Other="]].concat());
    let third = [
        "Method=GET",
        "Scheme=https",
        "Path=/index.html",
        "Authority=www.example.com",
        "Other=",
    ];
    check(&mut decoder, THIRD, &third);
    // Each entry counts 32 bytes and its texts: 57 + 53 + 54.
    assert_eq!(decoder.table.held().0, 3);
}

#[test]
fn joined_midway() {
    let mut decoder = Decoder::default();
    decoder.table.lose();
    check(
        &mut decoder,
        SECOND,
        &["Method=GET", "Scheme=http", "Path=/", "?", "Other="],
    );
    // The entry of SECOND is known, the one before it is not.
    check(&mut decoder, b"\xbe\xbf", &["Other=", "?"]);
    check(&mut decoder, b"\x41\x01h", &["Authority=h"]);
    check(
        &mut decoder,
        b"\xbe\xbf\xc0",
        &["Authority=h", "Other=", "?"],
    );
    // A name that is not known with a value that is.
    check(&mut decoder, b"\x7f\x01\x01v\xbe", &["?", "?"]);
}

#[test]
fn pieces() {
    let all = [FIRST, SECOND, THIRD].concat();
    let whole = decode(&mut Decoder::default(), &all);
    for cut in 0..all.len() {
        let mut decoder = Decoder::default();
        let mut found = Vec::new();
        let mut first = decode(&mut decoder, &all[..cut]).expect("well-formed");
        let mut from = cut;
        if let Some(more) = first.last().and_then(|last| last.strip_prefix("and ")) {
            let more = more
                .trim_end_matches(" more")
                .parse::<usize>()
                .expect("a number");
            from -= more;
            first.pop();
        }
        found.extend(first);
        found.extend(decode(&mut decoder, &all[from..]).expect("well-formed"));
        assert_eq!(Ok(found), whole, "{cut}");
    }
}

#[test]
fn faults() {
    for bytes in [
        // Index 0, an index of nothing, integers without end, a name of nothing.
        &b"\x80"[..],
        b"\xbe",
        b"\xff\x80\x80\x80\x80\x80\x00",
        b"\xff\xff\xff\xff\xff\x7f",
        b"\x7f\x00\x00",
        b"\x00\x7f\xff\xff\xff\xff\x7f",
    ] {
        let found = decode(&mut Decoder::default(), bytes);
        assert_eq!(found, Err(Malformed), "{}", bytes.escape_ascii());
    }
    // Bad Huffman is a value that is not known.
    let mut decoder = Decoder::default();
    check(&mut decoder, b"\x44\x82\xff\xff\xbe", &["Path=?", "Path=?"]);
}

#[test]
fn values_of_no_matter_are_not_kept() {
    let mut decoder = Decoder::default();
    check(
        &mut decoder,
        b"\x60\x06secret\x7a\x03abc",
        &["Other=", "UserAgent=abc"],
    );
    assert_eq!(decoder.table.held(), (2, 3));
}

#[test]
fn a_bomb_is_bounded() {
    let mut decoder = Decoder::default();
    let mut block = b"\x44\x7f\xa1\x1e".to_vec();
    block.extend(vec![b'x'; 4000]);
    block.extend(vec![0xbe; 16_000]);
    let mut fields = 0;
    let taken = decoder.decode(&block, |_| fields += 1);
    assert_eq!((taken, fields), (Ok(block.len()), 16_001));
    assert!(decoder.table.held().1 <= 4096);
}
