use super::*;

/// Feeds `bytes` whole and byte by byte: the content's size once the body is over, and how many
/// bytes it had in all.
fn check(framing: Framing, bytes: &[u8], expected: Option<(u64, u64)>) {
    let mut whole = Body::new(framing.clone());
    let taken = whole.feed(bytes, |_| {});
    let found = taken.over.then_some((whole.size, taken.bytes));
    assert_eq!(found, expected, "{}", bytes.escape_ascii());

    let mut single = Body::new(framing);
    let mut total = 0;
    for byte in bytes.chunks(1) {
        let taken = single.feed(byte, |_| {});
        total += taken.bytes;
        if taken.over {
            assert_eq!(Some((single.size, total)), expected);
            return;
        }
    }
    assert_eq!(None, expected, "{}", bytes.escape_ascii());
}

#[test]
fn known_ends() {
    check(Framing::Length(3), b"abcdef", Some((3, 3)));
    check(Framing::Length(7), b"abcdef", None);
    check(Framing::UntilClose, b"abcdef", None);
}

#[test]
fn chunked_ends() {
    let chunked = Body::chunked;
    check(chunked(), b"3\r\nabc\r\n0\r\n\r\nmore", Some((3, 13)));
    check(chunked(), b"3;x=\"y\"\r\nabc\r\n0;z\r\n\r\n", Some((3, 21)));
    check(chunked(), b"3 \nabc\n0\n\n", Some((3, 10)));
    check(
        chunked(),
        b"00A\r\n0123456789\r\n000\r\nT: x\r\nU: y\r\n\r\n",
        Some((10, 36)),
    );
    check(chunked(), b"0\r\n\r\n", Some((0, 5)));
    check(chunked(), b"3\r\nabcd\r\n0\r\n\r\n", None);
    check(chunked(), b"\r\n0\r\n\r\n", None);
    check(chunked(), b"fffffffffffffffff\r\n", None);
    check(chunked(), b"3\r\nabc\r\n0\r\nT: x\r\n", None);
}

#[test]
fn gaps() {
    let mut body = Body::new(Body::chunked());
    assert_eq!(body.feed(b"10\r\nabcd", |_| {}).bytes, 8);
    assert_eq!(body.skippable(), 12);
    assert_eq!(
        body.skip(12),
        Taken {
            bytes: 12,
            over: false
        }
    );
    assert_eq!(body.skippable(), 0);
    assert!(body.feed(b"\r\n0\r\n\r\n", |_| {}).over);
    assert_eq!(body.size, 16);

    let mut body = Body::new(Body::chunked());
    body.feed(b"10\r\nabcd", |_| {});
    assert_eq!(
        body.skip(13),
        Taken {
            bytes: 13,
            over: false
        }
    );
    assert!(body.is_unknown());
    assert!(!body.feed(b"anything", |_| {}).over);
    assert!(body.feed(b"anything\r\n0\r\n\r\n", |_| {}).over);
}
