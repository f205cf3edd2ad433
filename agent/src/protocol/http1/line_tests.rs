use super::*;

/// Every proper prefix of a line must be [`Start::Partial`], unless it says otherwise.
fn check_request(line: &[u8], expected: Option<(&[u8], &[u8], u8)>) {
    let found = match request(line) {
        Start::Whole(found, len) => {
            assert_eq!(len, line.len());
            Some((found.method, found.target, found.minor))
        }
        Start::Partial => panic!("{} is whole", line.escape_ascii()),
        Start::Bad => None,
    };
    assert_eq!(found, expected, "{}", line.escape_ascii());
    for cut in 0..line.len() {
        let found = request(&line[..cut]);
        match expected {
            Some(_) => assert_eq!(found, Start::Partial, "{}", line[..cut].escape_ascii()),
            None => assert!(!matches!(found, Start::Whole(..))),
        }
    }
}

#[test]
fn request_lines() {
    check_request(b"GET / HTTP/1.1\r\n", Some((b"GET", b"/", 1)));
    check_request(b"GET /a?b=c HTTP/1.0\n", Some((b"GET", b"/a?b=c", 0)));
    check_request(b"OPTIONS * HTTP/1.1\r\n", Some((b"OPTIONS", b"*", 1)));
    check_request(
        b"GET HTTP://h/p HTTP/1.1\r\n",
        Some((b"GET", b"HTTP://h/p", 1)),
    );
    check_request(
        b"CONNECT h:443 HTTP/1.1\r\n",
        Some((b"CONNECT", b"h:443", 1)),
    );
    check_request(b"purge /x HTTP/1.1\r\n", Some((b"purge", b"/x", 1)));
    check_request(b"M-SEARCH * HTTP/1.1\r\n", Some((b"M-SEARCH", b"*", 1)));
    check_request(b"GET /caf\xe9 HTTP/1.1\r\n", Some((b"GET", b"/caf\xe9", 1)));
    check_request(b"GET /a b HTTP/1.1\r\n", None);
    check_request(b"GET nothing HTTP/1.1\r\n", None);
    check_request(b"GET / HTTP/1.1 \r\n", None);
    check_request(b"GET / HTTP/2.0\r\n", None);
    check_request(b"GET /\r\n", None);
    check_request(b" / HTTP/1.1\r\n", None);
    check_request(b"HTTP/1.1 200 OK\r\n", None);
    check_request(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", None);
}

#[test]
fn long_lines_are_waited_for_only_where_they_look_like_http() {
    let line = |method: &str, len: usize| {
        let mut line = format!("{method} /").into_bytes();
        line.resize(len, b'a');
        request(&line) == Start::Partial
    };
    assert!(line("GET", 20_000));
    assert!(!line("GET", 70_000));
    assert!(line("FOO", 16_000));
    assert!(!line("FOO", 17_000));
    assert_eq!(request(&[b'A'; 32]), Start::Partial);
    assert_eq!(request(&[b'A'; 33]), Start::Bad);
}

fn check_status(line: &[u8], expected: Option<u16>) {
    let found = match status(line) {
        Start::Whole(found, len) => {
            assert_eq!(len, line.len());
            Some(found.status)
        }
        Start::Partial => panic!("{} is whole", line.escape_ascii()),
        Start::Bad => None,
    };
    assert_eq!(found, expected, "{}", line.escape_ascii());
}

#[test]
fn status_lines() {
    check_status(b"HTTP/1.1 200 OK\r\n", Some(200));
    check_status(b"HTTP/1.1 200\r\n", Some(200));
    check_status(b"HTTP/1.0 404 Not Found at all\n", Some(404));
    check_status(b"HTTP/1.1 099 x\r\n", None);
    check_status(b"HTTP/1.1 2000\r\n", None);
    check_status(b"HTTP/2 200\r\n", None);
    check_status(b"ICY 200 OK\r\n", None);
    assert_eq!(begins_status(b"HTTP/1.1 20"), Start::Partial);
    assert_eq!(begins_status(b"HTTP/1.1 200 O"), Start::Whole((), 0));
    assert_eq!(begins_status(b"HTTX"), Start::Bad);
}

fn check_header(line: &[u8], expected: Header<'_>) {
    assert_eq!(header(content(line)), expected, "{}", line.escape_ascii());
}

#[test]
fn header_lines() {
    check_header(b"Host: a\r\n", Header::Field(b"Host", b"a"));
    check_header(b"Host:a\n", Header::Field(b"Host", b"a"));
    check_header(b"Host : a \r\n", Header::Field(b"Host", b"a"));
    check_header(b"Empty:\r\n", Header::Field(b"Empty", b""));
    check_header(b"\t folded \r\n", Header::Folded(b"folded"));
    check_header(b"nothing\r\n", Header::Junk);
    check_header(b": nothing\r\n", Header::Junk);
}
