//! Hellos, whole and malformed.

use super::*;

/// A client's hello with these extensions.
fn hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([2, 0xaa, 0xbb]); // session id
    body.extend([0, 4, 0x13, 1, 0x13, 2]); // cipher suites
    body.extend([1, 0]); // compression
    body.extend(list(extensions));
    body
}

fn list(extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut all = Vec::new();
    for (kind, value) in extensions {
        all.extend(kind.to_be_bytes());
        all.extend((value.len() as u16).to_be_bytes());
        all.extend(*value);
    }
    let mut out = (all.len() as u16).to_be_bytes().to_vec();
    out.extend(all);
    out
}

#[test]
fn what_a_client_says() {
    let found = client(&hello(&[
        (0x0a0a, &[]),
        (SERVER_NAME, b"\0\x0b\0\0\x08Shop.eXa"),
        (PROTOCOLS, b"\0\x0c\x02h2\x08http/1.1"),
        (SUPPORTED_VERSIONS, b"\x06\x9a\x9a\x03\x04\x03\x03"),
        (EARLY_DATA, b""),
    ]));
    let expected = ClientHello {
        random: [7; 32],
        session_id: vec![0xaa, 0xbb],
        server_name: Some("shop.exa".to_owned()),
        protocols: vec!["h2".to_owned(), "http/1.1".to_owned()],
        version: 0x0304,
        early_data: true,
    };
    assert_eq!(found, Some(expected));
}

#[test]
fn names_that_no_host_has_are_none() {
    for name in [
        &b"\0\x04\0\0\x01\n"[..],
        b"\0\x03\0\0\0",
        b"\0\x04\x01\0\x01a",
    ] {
        let found = client(&hello(&[(SERVER_NAME, name)]));
        let named = found.map(|hello| hello.server_name);
        assert_eq!(named, Some(None), "{}", name.escape_ascii());
    }
}

/// Wherever it is cut, or whatever byte is another one, it is read or refused.
#[test]
fn no_length_is_believed() {
    let whole = hello(&[
        (SERVER_NAME, b"\0\x0b\0\0\x08shop.exa"),
        (PROTOCOLS, b"\0\x0c\x02h2\x08http/1.1"),
        (SUPPORTED_VERSIONS, b"\x02\x03\x04"),
    ]);
    let end = 2 + 32 + 3 + 6 + 2;
    for len in 0..whole.len() {
        // Without extensions it is a whole hello of TLS 1.0.
        assert_eq!(client(&whole[..len]).is_some(), len == end, "{len}");
    }
    for at in 0..whole.len() {
        for byte in [0, 1, 0x7f, 0xff] {
            let mut other = whole.clone();
            other[at] = byte;
            let _ = client(&other);
            let _ = server(&other, &[]);
        }
    }
}

/// A server's hello with the session id `session`.
fn answer(random: [u8; 32], session: &[u8], extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(random);
    body.push(session.len() as u8);
    body.extend(session);
    body.extend([0xc0, 0x2f, 0]);
    body.extend(list(extensions));
    body
}

fn check(body: &[u8], version: u16, protocol: Option<&str>, resumed: bool) {
    let Some(Answer::Hello(found)) = server(body, b"id") else {
        panic!("no hello: {}", body.escape_ascii());
    };
    assert_eq!((found.version, found.cipher), (version, 0xc02f));
    assert_eq!(found.protocol.as_deref(), protocol);
    assert_eq!(found.resumed, resumed);
}

#[test]
fn what_a_server_chooses() {
    let versions = (SUPPORTED_VERSIONS, &b"\x03\x04"[..]);
    check(
        &answer([1; 32], b"", &[(PROTOCOLS, b"\0\x03\x02h2")]),
        0x0303,
        Some("h2"),
        false,
    );
    check(&answer([1; 32], b"id", &[]), 0x0303, None, true);
    check(&answer([1; 32], b"other", &[]), 0x0303, None, false);
    check(&answer([1; 32], b"id", &[versions]), 0x0304, None, false);
    check(
        &answer([1; 32], b"id", &[versions, (PRE_SHARED_KEY, b"\0\0")]),
        0x0304,
        None,
        true,
    );
    assert!(matches!(
        server(&answer(RETRY, b"id", &[versions]), b"id"),
        Some(Answer::Retry)
    ));
    assert!(server(b"\x02\0", b"").is_none());
}
