//! Every recorded connection of every protocol: as expected, however it is cut and split.
//!
//! `UPDATE=1` rewrites the expected spans.

use anyhow::{Context, Result};
use harness::feeder::{Run, run};
use harness::hostile::{self, split};
use harness::story::tell;
use harness::traffic::{Event, Traffic, Way, What, folder};
use std::path::Path;
use weft::protocol::exchange::{Outcome, Report, Role};
use weft::protocol::fastcgi::FastCgi;
use weft::protocol::http1::Http1;
use weft::protocol::http2::Http2;
use weft::protocol::tls::Tls;
use weft::protocol::{ALL, Limits, Protocol, Verdict};
use weft::record::Direction;

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// Most variants of one kind that are tried per file and role; longer files are sampled.
const MOST_VARIANTS: usize = 400;

/// Folder of a protocol's fixtures.
fn fixtures(protocol: &dyn Protocol) -> &'static str {
    match protocol.name() {
        "http" => "http1",
        name => name,
    }
}

/// Calls `check` with every file and role.
fn each(check: impl Fn(&dyn Protocol, Role, &Traffic, &Path)) -> Result<()> {
    for protocol in ALL {
        let files = Traffic::files(&folder(fixtures(*protocol)))?;
        assert!(!files.is_empty(), "{} has no fixtures", protocol.name());
        for file in files {
            let traffic = Traffic::read(&file)?;
            for role in ROLES {
                check(*protocol, role, &traffic, &file);
            }
        }
    }
    Ok(())
}

fn whole(protocol: &dyn Protocol, role: Role, events: &[Event]) -> Run {
    run(protocol, role, Limits::default(), events)
}

fn size(events: &[Event]) -> usize {
    let len = |event: &Event| match &event.what {
        What::Bytes(bytes) => bytes.len(),
        What::Gap(_) | What::Close => 0,
    };
    events.iter().map(len).sum()
}

/// Positions among `size` bytes: all of them, or a sample.
fn positions(size: usize) -> impl Iterator<Item = usize> {
    (0..size).step_by(size.div_ceil(MOST_VARIANTS).max(1))
}

/// The events with the call that holds byte `position` replaced by `parts` of its two halves.
fn at(events: &[Event], position: usize, parts: impl Fn(&[u8], &[u8]) -> Vec<What>) -> Vec<Event> {
    let mut out = Vec::new();
    let mut before = 0;
    for event in events {
        match &event.what {
            What::Bytes(bytes) if (before..before + bytes.len()).contains(&position) => {
                let (head, rest) = bytes.split_at(position - before);
                let parts = parts(head, rest).into_iter();
                out.extend(parts.map(|what| Event {
                    what,
                    ..event.clone()
                }));
                before += bytes.len();
            }
            What::Bytes(bytes) => {
                before += bytes.len();
                out.push(event.clone());
            }
            What::Gap(_) | What::Close => out.push(event.clone()),
        }
    }
    out.retain(|event| event.what != What::Bytes(Vec::new()) && event.what != What::Gap(0));
    out
}

#[test]
fn spans_are_as_expected() -> Result<()> {
    for protocol in ALL {
        for file in Traffic::files(&folder(fixtures(*protocol)))? {
            let events = Traffic::read(&file)?.events;
            let found = ROLES
                .map(|role| tell(role, &whole(*protocol, role, &events)))
                .concat();
            let expected = file.with_extension("spans");
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&expected, &found)?;
            }
            let expected = std::fs::read_to_string(&expected).with_context(|| {
                format!(
                    "cannot read {}\nhint: UPDATE=1 writes it",
                    expected.display()
                )
            })?;
            assert_eq!(found, expected, "{}", file.display());
        }
    }
    Ok(())
}

#[test]
fn every_protocol_has_success_error_and_cut() -> Result<()> {
    for protocol in ALL {
        let mut seen = [false; 3];
        for file in Traffic::files(&folder(fixtures(*protocol)))? {
            let run = whole(*protocol, Role::Server, &Traffic::read(&file)?.events);
            for report in run.conversations.iter().flatten() {
                let (outcome, cut) = match report {
                    Report::Answered(answer) => (answer.outcome.clone(), answer.cut),
                    Report::Secured(handshake) => (handshake.outcome(), false),
                    Report::Asked(_) | Report::Switched(_) | Report::Dropped(_) => continue,
                };
                seen[0] |= outcome == Outcome::Ok;
                seen[1] |= matches!(outcome, Outcome::ServerError { .. });
                seen[2] |= cut || outcome == Outcome::Aborted;
            }
        }
        assert_eq!(
            seen,
            [true; 3],
            "{} lacks a kind of fixture",
            protocol.name()
        );
    }
    Ok(())
}

/// What a protocol must have beside its code, by the text of the places where it is named.
fn lacks(
    key: &str,
    folder: &str,
    document: &str,
    manifest: &str,
    targets: &[String],
) -> Vec<String> {
    let mut lacks = Vec::new();
    let row = document
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split('|').nth(1))
        .any(|cell| cell.trim() == format!("`{key}`"));
    if !row {
        lacks.push(format!("a row with `{key}` in docs/protocols.md"));
    }
    if !targets.iter().any(|target| target == folder) {
        lacks.push(format!("tests/fuzz/fuzz_targets/{folder}.rs"));
    }
    if !manifest.contains(&format!("name = \"{folder}\"\n")) {
        lacks.push(format!("a [[bin]] {folder} in tests/fuzz/Cargo.toml"));
    }
    lacks
}

#[test]
fn every_protocol_has_its_document_and_fuzz_target() -> Result<()> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = |path: &str| {
        let path = tests.join(path);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let (document, manifest) = (text("../docs/protocols.md")?, text("fuzz/Cargo.toml")?);
    let mut targets = Vec::new();
    for entry in std::fs::read_dir(tests.join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        targets.push(
            path.file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
        );
    }
    for protocol in ALL {
        let found = lacks(
            protocol.name(),
            fixtures(*protocol),
            &document,
            &manifest,
            &targets,
        );
        assert_eq!(found, [""; 0], "{} lacks", protocol.name());
    }
    // What is not there is missed.
    assert_eq!(
        lacks("gopher", "gopher", &document, &manifest, &targets).len(),
        3
    );
    Ok(())
}

/// Which protocols take the first piece of `traffic` that any of them takes for a request of its
/// own: the connection is theirs. Names, sorted.
fn claims(traffic: &Traffic) -> Vec<&'static str> {
    let claimed = |bytes: &[u8]| {
        let way = [Direction::Received, Direction::Sent];
        let claims = |protocol: &&&dyn Protocol| {
            way.iter()
                .any(|way| matches!(protocol.probe(*way, bytes), Verdict::Yes(_)))
        };
        let mut names: Vec<_> = ALL
            .iter()
            .filter(claims)
            .map(|protocol| protocol.name())
            .collect();
        names.sort_unstable();
        names
    };
    let pieces = traffic.events.iter().filter_map(|event| match &event.what {
        What::Bytes(bytes) => Some(claimed(bytes)),
        What::Gap(_) | What::Close => None,
    });
    pieces
        .into_iter()
        .find(|names| !names.is_empty())
        .unwrap_or_default()
}

#[test]
fn each_fixture_is_claimed_by_its_protocol_alone() -> Result<()> {
    for protocol in ALL {
        for file in Traffic::files(&folder(fixtures(*protocol)))? {
            let found = claims(&Traffic::read(&file)?);
            assert_eq!(found, [protocol.name()], "{}", file.display());
        }
    }
    Ok(())
}

#[test]
fn what_is_no_protocol_of_ours_is_claimed_by_none() {
    for bytes in [
        // SSL 2's form of a hello, and TLS that is no hello.
        &b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10"[..],
        b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03",
        b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n",
        // Frames, but no request among them.
        b"\0\0\0\x04\x01\0\0\0\0",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0\0\0\0",
    ] {
        let event = Event {
            at: 0,
            way: Way::Request,
            what: What::Bytes(bytes.to_vec()),
        };
        let traffic = Traffic {
            events: vec![event],
            ..Traffic::default()
        };
        let text = bytes.escape_ascii();
        assert_eq!(claims(&traffic), [""; 0], "{text}");
    }
}

#[test]
fn splits_change_nothing() -> Result<()> {
    each(|protocol, role, traffic, file| {
        let events = &traffic.events;
        let expected = whole(protocol, role, events);
        if expected.is_cut() {
            return;
        }
        for width in [1, 2, 7] {
            assert_eq!(
                whole(protocol, role, &split(events, width)),
                expected,
                "{}",
                file.display()
            );
        }
        for position in positions(size(events)) {
            let parted = at(events, position, |head, rest| {
                vec![What::Bytes(head.to_vec()), What::Bytes(rest.to_vec())]
            });
            assert_eq!(
                whole(protocol, role, &parted),
                expected,
                "{} at {position}",
                file.display()
            );
        }
    })
}

#[test]
fn a_prefix_tells_the_same_story() -> Result<()> {
    each(|protocol, role, traffic, file| {
        let events = &traffic.events;
        let expected = whole(protocol, role, events);
        if expected.is_cut() || expected.lost > 0 {
            return;
        }
        let told = expected.conversations.concat();
        for position in positions(size(events)) {
            let mut prefix = Vec::new();
            let mut left = position;
            for event in events {
                match &event.what {
                    What::Bytes(bytes) if bytes.len() >= left => {
                        let what = What::Bytes(bytes[..left].to_vec());
                        prefix.push(Event {
                            what,
                            ..event.clone()
                        });
                        break;
                    }
                    What::Bytes(bytes) => {
                        left -= bytes.len();
                        prefix.push(event.clone());
                    }
                    What::Gap(_) | What::Close => prefix.push(event.clone()),
                }
            }
            prefix.retain(|event| event.what != What::Bytes(Vec::new()));
            let mut found = whole(protocol, role, &prefix).conversations.concat();
            // What was still open when the prefix ended.
            found.retain(|report| match report {
                Report::Answered(answer) => answer.outcome != Outcome::Unknown,
                Report::Asked(_) | Report::Switched(_) | Report::Secured(_) => true,
                Report::Dropped(cause) => *cause != "request_head_cut",
            });
            assert_eq!(
                told.get(..found.len()),
                Some(&found[..]),
                "{} at {position}",
                file.display()
            );
        }
    })
}

/// The contract holds (see `harness::feeder`) wherever bytes are missing, one or the rest of a
/// call.
#[test]
fn gaps_break_nothing() -> Result<()> {
    each(|protocol, role, traffic, _| {
        for position in positions(size(&traffic.events)) {
            let rest_missing = at(&traffic.events, position, |head, rest| {
                vec![What::Bytes(head.to_vec()), What::Gap(rest.len() as u64)]
            });
            let _ = whole(protocol, role, &rest_missing);
            let one_missing = at(&traffic.events, position, |head, rest| {
                vec![
                    What::Bytes(head.to_vec()),
                    What::Gap(1),
                    What::Bytes(rest[1..].to_vec()),
                ]
            });
            let _ = whole(protocol, role, &one_missing);
        }
    })
}

/// What the kernel side keeps of long calls is enough for every exchange whose request line was
/// seen; of HTTP/2, whose heads are no lines, for those whose requests are in short calls.
#[test]
fn exchanges_survive_the_capture_limit() -> Result<()> {
    const KEPT: usize = 2048;
    each(|protocol, role, traffic, file| {
        let line = |event: &Event| match &event.what {
            What::Bytes(_) if protocol.name() == "http2" => 0,
            What::Bytes(bytes) => bytes.iter().position(|&byte| byte == b'\n').unwrap_or(0),
            What::Gap(_) | What::Close => 0,
        };
        let long = |event: &Event| match (&event.what, event.way) {
            (What::Bytes(bytes), Way::Request) => bytes.len() > KEPT,
            _ => false,
        };
        let framed = protocol.name() == "http2" && traffic.events.iter().any(long);
        if framed || traffic.events.iter().any(|event| line(event) > KEPT) {
            return;
        }
        let mut events = Vec::new();
        for event in &traffic.events {
            match &event.what {
                What::Bytes(bytes) if bytes.len() > KEPT => {
                    let (head, rest) = bytes.split_at(KEPT);
                    events.push(Event {
                        what: What::Bytes(head.to_vec()),
                        ..event.clone()
                    });
                    events.push(Event {
                        what: What::Gap(rest.len() as u64),
                        ..event.clone()
                    });
                }
                _ => events.push(event.clone()),
            }
        }
        let count = |events: &[Event]| {
            let run = whole(protocol, role, events);
            assert_eq!(run.lost, 0, "{}", file.display());
            let told = |report: &&Report| !matches!(report, Report::Dropped(_));
            run.conversations.iter().flatten().filter(told).count()
        };
        assert_eq!(count(&events), count(&traffic.events), "{}", file.display());
    })
}

/// A small generator, so that every run of the test is the same.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

#[test]
fn mutations_break_nothing() -> Result<()> {
    each(|protocol, role, traffic, _| {
        let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
        let size = size(&traffic.events).max(1);
        for _ in 0..200 {
            let position = (noise.next() % size as u64) as usize;
            let value = (noise.next() & 0xff) as u8;
            let kind = noise.next() % 3;
            let events = at(&traffic.events, position, |head, rest| {
                let mut bytes = head.to_vec();
                match kind {
                    0 => bytes.extend([&[value], &rest[1..]].concat()),
                    1 => bytes.extend([&[value], rest].concat()),
                    _ => bytes.extend(&rest[1..]),
                }
                vec![What::Bytes(bytes)]
            });
            let _ = whole(protocol, role, &events);
            let _ = whole(protocol, role, &split(&events, 5));
        }
    })
}

#[test]
fn protocols_hold_on_hostile_traffic() {
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    for _ in 0..4000 {
        let len = noise.next() % 120;
        let data: Vec<u8> = (0..len).map(|_| (noise.next() >> 24) as u8).collect();
        hostile::check(&Http1, hostile::HTTP1, &data);
        hostile::check(&Http1, hostile::WEBSOCKET, &data);
        hostile::check(&FastCgi, hostile::FASTCGI, &data);
        hostile::check(&Tls, hostile::TLS, &data);
        hostile::check(&Http2, hostile::HTTP2, &data);
        hostile::check_blocks(&Http2, &data);
        hostile::check_bodies(&Http2, &data);
        hostile::check_statement(&data);
    }
}
