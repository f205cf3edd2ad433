//! Records in, stages of the handshake out.

use super::*;
use Direction::{Received, Sent};

/// A record.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, 3, 3];
    out.extend((content.len() as u16).to_be_bytes());
    out.extend(content);
    out
}

fn client_hello() -> Vec<u8> {
    let mut body = vec![CLIENT_HELLO, 0, 0, 41, 3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 1, 1, 0]);
    body
}

/// A server's hello of TLS 1.2 or 1.3.
fn server_hello(new: bool) -> Vec<u8> {
    let extension: &[u8] = if new { &[0, 6, 0, 43, 0, 2, 3, 4] } else { &[] };
    let mut body = vec![SERVER_HELLO, 0, 0, 38 + extension.len() as u8, 3, 3];
    body.extend([9; 32]);
    body.extend([0, 0x13, 1, 0]);
    body.extend(extension);
    body
}

/// Feeds a server with `pieces`; answers the stages and how it ended.
fn run(pieces: &[(Direction, Vec<u8>)]) -> (Vec<Stage>, Option<Progress>) {
    let limits = Limits::default();
    let mut conversation = Tls.open(Role::Server, limits);
    let mut out = Vec::new();
    let mut ended = None;
    'all: for (direction, bytes) in pieces {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let moment = Moment::default();
            match conversation.feed(*direction, rest, moment, moment, &mut out) {
                Progress::Took(len) => rest = &rest[len..],
                other => {
                    ended = Some(other);
                    break 'all;
                }
            }
        }
    }
    let stage = |report| match report {
        Report::Secured(handshake) => Some(match handshake.stage {
            Stage::Failed(failure, _) => Stage::Failed(failure, Moment::default()),
            stage => stage,
        }),
        _ => None,
    };
    (out.into_iter().filter_map(stage).collect(), ended)
}

fn check(name: &str, pieces: &[(Direction, Vec<u8>)], last: Stage, ended: Option<Progress>) {
    let (stages, found) = run(pieces);
    assert_eq!(stages.last(), Some(&last), "{name}");
    assert_eq!(found, ended, "{name}");
}

const OPAQUE: Option<Progress> = Some(Progress::Opaque);

#[test]
fn handshakes_end_where_they_end() {
    let at = Moment::default();
    let established = Stage::Established(at);
    let failed = |failure| Stage::Failed(failure, at);
    let hello = (Received, record(HANDSHAKE, &client_hello()));
    let old = (Sent, record(HANDSHAKE, &server_hello(false)));
    let new = (Sent, record(HANDSHAKE, &server_hello(true)));
    let data = |way, len| (way, record(DATA, &vec![0; len]));
    let change = |way| (way, record(CHANGE_CIPHER, &[1]));
    let finished = |way| (way, record(HANDSHAKE, &[0xee; 40]));
    let alert = |way, level, number| (way, record(ALERT, &[level, number]));
    let one = [hello.clone(), new.clone()];
    let with = |rest: &[(Direction, Vec<u8>)]| [&one[..], rest].concat();
    check(
        "1.3",
        &with(&[
            change(Sent),
            data(Sent, 900),
            data(Received, 53),
            data(Received, 90),
        ]),
        established,
        OPAQUE,
    );
    check(
        "the server's part alone",
        &with(&[data(Sent, 900)]),
        Stage::Chosen,
        None,
    );
    check(
        "refused under encryption",
        &with(&[data(Sent, 900), data(Received, 19), data(Sent, 1)]),
        failed(Failure::EncryptedAlert),
        OPAQUE,
    );
    let two = [hello.clone(), old];
    let with = |rest: &[(Direction, Vec<u8>)]| [&two[..], rest].concat();
    let clients = [change(Received), finished(Received)];
    check("1.2, one end", &with(&clients), Stage::Chosen, None);
    let servers = [change(Sent), finished(Sent), data(Sent, 30)];
    check(
        "1.2",
        &with(&[&clients[..], &servers].concat()),
        established,
        OPAQUE,
    );
    check(
        "1.2, refused",
        &with(&[alert(Received, 2, 48), data(Sent, 1)]),
        failed(Failure::Alert(48)),
        OPAQUE,
    );
    check(
        "a warning",
        &with(&[alert(Received, 1, 112)]),
        Stage::Chosen,
        None,
    );
    check(
        "refused at once",
        &[hello.clone(), alert(Sent, 2, 40), data(Sent, 1)],
        failed(Failure::Alert(40)),
        OPAQUE,
    );
    check(
        "no TLS",
        &[hello.clone(), (Sent, b"HTTP/1.1 400 Bad Request".to_vec())],
        failed(Failure::NotTls),
        OPAQUE,
    );
    check("no answer", &[hello], Stage::Offered, None);
}

#[test]
fn a_hello_in_many_records() {
    let hello = client_hello();
    for len in 1..hello.len() {
        let records: Vec<u8> = hello
            .chunks(len)
            .flat_map(|part| record(HANDSHAKE, part))
            .collect();
        let (stages, ended) = run(&[(Received, records)]);
        assert_eq!(
            (stages, ended),
            (vec![Stage::Offered], None),
            "{len} bytes each"
        );
    }
}

#[test]
fn hellos_without_bound_are_given_up() {
    let mut endless = vec![CLIENT_HELLO, 0xff, 0xff, 0xff];
    endless.extend([3; 100]);
    let (stages, ended) = run(&[(Received, record(HANDSHAKE, &endless))]);
    assert_eq!((stages, ended), (vec![], OPAQUE));
}

#[test]
fn what_is_recognised() {
    let hello = record(HANDSHAKE, &client_hello());
    let check = |bytes: &[u8], verdict| {
        assert_eq!(
            Tls.probe(Received, bytes),
            verdict,
            "{}",
            bytes.escape_ascii()
        );
    };
    for len in 0..11 {
        check(&hello[..len], Verdict::More);
    }
    check(&hello[..11], Verdict::Yes(Role::Server));
    assert_eq!(Tls.probe(Sent, &hello), Verdict::Yes(Role::Client));
    check(b"\x17\x03\x03\x00\x11", Verdict::Opaque);
    check(b"\x17\x03\x03\x48\x00...", Verdict::Opaque);
    check(b"\x17\x03\x03\x00", Verdict::More);
    for other in [
        &b"\x17\x03\x03\x00\x10"[..],
        b"\x17\x03\x03\x48\x01",
        b"\x17\x03\x04\x00\x11",
        b"\x16\x03\x03\x00\x7a\x02",
        b"\x80\x2e\x01\x00\x02",
        b"\x16\x03\x05",
        b"GET",
    ] {
        check(other, Verdict::No);
    }
}

#[test]
fn gaps_are_bridged_within_records() {
    let mut conversation = Tls.open(Role::Server, Limits::default());
    let (mut out, at) = (Vec::new(), Moment::default());
    let mut feed = |way, bytes: &[u8]| {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Progress::Took(len) = conversation.feed(way, rest, at, at, &mut out) else {
                panic!("not taken: {}", rest.escape_ascii());
            };
            rest = &rest[len..];
        }
    };
    feed(Received, &record(HANDSHAKE, &client_hello()));
    feed(Sent, &record(HANDSHAKE, &server_hello(true)));
    feed(Sent, &[DATA, 3, 3, 0x10, 0, 1, 2]);
    assert_eq!(conversation.skippable(Sent), 0x1000 - 2);
    let progress = conversation.gap(Sent, 0x2000, at, &mut out);
    assert_eq!(progress, Progress::Took(0x1000 - 2));
    assert_eq!(conversation.skippable(Sent), 0);
    // The client's hello is needed; nothing can be told without it.
    let mut fresh = Tls.open(Role::Server, Limits::default());
    assert_eq!(fresh.gap(Received, 10, at, &mut out), Progress::Lost);
}
