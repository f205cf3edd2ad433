use super::*;

#[test]
fn a_preface_or_frames_with_a_request() {
    let get = b"\0\0\x03\x01\x05\0\0\0\x03\x82\x86\x84";
    for (bytes, expected) in [
        (PREFACE, Verdict::Yes(Role::Server)),
        (&PREFACE[..5], Verdict::More),
        (get, Verdict::Yes(Role::Server)),
        (&get[..9], Verdict::More),
        (b"\0\0\0\x04\x01\0\0\0\0", Verdict::More),
        (b"GET / HTTP/1.1\r\n", Verdict::No),
        (b"\x01\x01\0\x01\0\x08\0\0\0", Verdict::No),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc", Verdict::No),
    ] {
        let found = Http2.probe(Direction::Received, bytes);
        assert_eq!(found, expected, "{}", bytes.escape_ascii());
    }
    let sent = Http2.probe(Direction::Sent, PREFACE);
    assert_eq!(sent, Verdict::Yes(Role::Client));
}
