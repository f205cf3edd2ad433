use super::*;

fn check(bytes: &[u8], expected: Verdict) {
    let found = Http1.probe(Direction::Received, bytes);
    assert_eq!(found, expected, "{}", bytes.escape_ascii());
    let sent = match expected {
        Verdict::Yes(_) => Verdict::Yes(Role::Client),
        other => other,
    };
    assert_eq!(Http1.probe(Direction::Sent, bytes), sent);
}

#[test]
fn requests_are_recognised() {
    let yes = Verdict::Yes(Role::Server);
    check(b"GET / HTTP/1.1\r\n", yes);
    check(b"\r\nPOST /a?b HTTP/1.0\r\nHost: x\r\n", yes);
    check(b"CONNECT a:443 HTTP/1.1\r\n", yes);
    check(b"custom http://a/ HTTP/1.1\n", yes);
    check(b"", Verdict::More);
    check(b"\r\n", Verdict::More);
    check(b"G", Verdict::More);
    check(b"GET /abc HTT", Verdict::More);
}

#[test]
fn other_protocols_are_refused() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"+OK\r\n",
        b"PING\r\n",
        b"EHLO example.com\r\n",
        b"MAIL FROM:<a@example.com> SIZE=1\r\n",
        b"220 mail.example.com ESMTP\r\n",
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"get key\r\n",
        b"set key 0 0 5\r\n",
        b"OPTIONS * RTSP/1.0\r\n",
        b"INVITE sip:a@b SIP/2.0\r\n",
        b"AMQP\x00\x00\x09\x01",
        b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
        b"GET /\r\n",
    ] {
        check(bytes, Verdict::No);
    }
}
