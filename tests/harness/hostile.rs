//! Traffic made of arbitrary bytes, for fuzzing and random tests.
//!
//! In: bytes of a fuzzer or a random generator. They decide about pieces of messages, their
//! order, directions, gaps, splits and limits. Out: nothing, or a panic where a property does
//! not hold: the contract (see `feeder`), and that splitting calls changes no report.

use crate::feeder::{Run, converse, run};
use crate::traffic::{Event, Way, What};
use weft::protocol::exchange::{Operation, Outcome, Report, Role, Value};
use weft::protocol::sql::scan::Dialect;
use weft::protocol::sql::{self, System};
use weft::protocol::{Limits, Protocol};

/// Most events that one input makes.
const MOST_EVENTS: usize = 256;

/// Bytes that decide, read once each.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }
}

/// Holds `protocol` to its properties on traffic that `data` decides about. `pieces` are parts
/// of its messages, so that more than noise comes about.
pub fn check(protocol: &dyn Protocol, pieces: &[&[u8]], data: &[u8]) {
    let mut choices = Choices(data);
    let options = choices.next().unwrap_or(0);
    let role = if options & 1 == 0 {
        Role::Server
    } else {
        Role::Client
    };
    let limits = Limits {
        head: if options & 2 == 0 { 64 * 1024 } else { 64 },
        pending: if options & 4 == 0 { 1024 } else { 2 },
    };
    let events = events(&mut choices, pieces);
    let _ = run(protocol, role, limits, &events);
    let whole = converse(protocol, role, limits, &events);
    for width in [1, 3, 17] {
        let split = converse(protocol, role, limits, &split(&events, width));
        // A client that is refused its body may begin anew with any call.
        if !mentions(&events, b"100-continue") {
            compare(&whole, &split);
        }
    }
}

/// Holds what is shown of a statement to its properties: `data` decides who reads it, whether it is
/// cut, and all of it but a mark in a literal, which must never show.
pub fn check_statement(data: &[u8]) {
    const MARK: &[u8] = b"kept-to-itself";
    const DIALECTS: [Dialect; 7] = [
        Dialect::Postgresql,
        Dialect::Mysql,
        Dialect::Sqlite,
        Dialect::SqlServer,
        Dialect::Oracle,
        Dialect::Clickhouse,
        Dialect::Unknown,
    ];
    let mut choices = Choices(data);
    let (options, place) = (choices.next().unwrap_or(0), choices.next().unwrap_or(0));
    let system = System {
        name: "fuzzed",
        dialect: DIALECTS[usize::from(options >> 1) % DIALECTS.len()],
    };
    let shown = |statement: &[u8]| sql::operation(statement, options & 1 == 1, system);
    bounded(&shown(choices.0), choices.0.len());
    // Inside a literal, neither its end nor what may hide that is left to the fuzzer.
    let (inside, behind) = choices.0.split_at(usize::from(place).min(choices.0.len()));
    let inside: Vec<u8> = inside
        .iter()
        .copied()
        .filter(|byte| !b"'\\".contains(byte))
        .collect();
    let statement = [b"SELECT '", &inside[..], MARK, b"' ", behind].concat();
    let operation = shown(&statement);
    bounded(&operation, statement.len());
    let mark = String::from_utf8_lossy(MARK).into_owned();
    assert!(
        !texts(&operation).any(|text| text.contains(&mark))
            || behind.windows(MARK.len()).any(|part| part == MARK),
        "a literal shows: {operation:?}"
    );
}

/// All texts of an operation.
fn texts(operation: &Operation) -> impl Iterator<Item = &str> {
    let values = operation
        .attributes
        .iter()
        .map(|attribute| match &attribute.value {
            Value::Text(text) => &**text,
            _ => "",
        });
    values.chain([&*operation.verb])
}

/// What is shown of a statement is printable and not much longer than the statement: a control
/// character becomes three, and the name of a system may stand alone.
fn bounded(operation: &Operation, len: usize) {
    for text in texts(operation) {
        assert!(
            text.len() <= 4 * len + 16,
            "{} of {len}: {text}",
            text.len()
        );
    }
    assert!(
        !operation.verb.chars().any(char::is_control),
        "{:?}",
        operation.verb
    );
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, len2, len1, len0] = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
    let mut out = vec![len2, len1, len0, kind, flags];
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// Holds `protocol`, HTTP/2, to its properties on field blocks that `data` is made of: of
/// requests and answers, in one frame or in several, from the first byte or from the middle.
pub fn check_blocks(protocol: &dyn Protocol, data: &[u8]) {
    let mut choices = Choices(data);
    let options = choices.next().unwrap_or(0);
    let mut events = Vec::new();
    let mut put = |way, bytes: Vec<u8>| {
        let what = What::Bytes(bytes);
        events.push(Event { at: 0, way, what });
    };
    if options & 1 == 0 {
        put(Way::Request, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec());
    } else {
        put(Way::Request, frame(1, 5, 1, &[0x82, 0x86, 0x84]));
    }
    let mut streams = [3, 3];
    while let Some(choice) = choices.next() {
        let half = usize::from(choice & 1);
        let way = [Way::Request, Way::Answer][half];
        let len = usize::from(choice >> 2).min(choices.0.len());
        let (block, rest) = choices.0.split_at(len);
        choices.0 = rest;
        let stream = streams[half];
        streams[half] += 2;
        if choice & 2 == 0 {
            put(way, frame(1, 5, stream, block));
        } else {
            let (first, second) = block.split_at(len / 2);
            put(way, frame(1, 1, stream, first));
            put(way, frame(9, 4, stream, second));
        }
    }
    check_splits(protocol, &events);
}

/// How calls are put into HTTP: content types.
const MEDIA: [&str; 5] = [
    "application/grpc",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/connect+json",
    "application/json",
];

/// Holds `protocol`, HTTP/2, to its properties on the bodies of a call, which `data` is made of.
pub fn check_bodies(protocol: &dyn Protocol, data: &[u8]) {
    let mut choices = Choices(data);
    let options = choices.next().unwrap_or(0);
    let media = MEDIA[usize::from(options >> 2) % MEDIA.len()];
    let mut head = b"\x83\x86\x44\x04/s/m".to_vec();
    for (name, value) in [
        ("content-type", media),
        ("connect-protocol-version", "1"),
        ("grpc-timeout", "1m"),
    ] {
        for text in [name, value] {
            if text == name {
                head.push(0);
            }
            head.push(u8::try_from(text.len()).unwrap_or(0));
            head.extend(text.as_bytes());
        }
    }
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let status: &[u8] = if options & 1 == 0 { &[0x88] } else { &[0x8d] };
    let mut events = Vec::new();
    let mut put = |way, what| events.push(Event { at: 0, way, what });
    put(
        Way::Request,
        What::Bytes([&preface[..], &frame(1, 4, 1, &head)].concat()),
    );
    put(Way::Answer, What::Bytes(frame(1, 4, 1, status)));
    while let Some(choice) = choices.next() {
        let way = [Way::Request, Way::Answer][usize::from(choice & 1)];
        let len = usize::from(choice >> 2).min(choices.0.len());
        let (body, rest) = choices.0.split_at(len);
        choices.0 = rest;
        let bytes = frame(0, 0, 1, body);
        if choice & 2 == 0 || body.is_empty() {
            put(way, What::Bytes(bytes));
        } else {
            // The body is not seen.
            put(way, What::Bytes(bytes[..9].to_vec()));
            put(way, What::Gap(body.len() as u64));
        }
    }
    let trailers: &[u8] = if options & 2 == 0 {
        b"\x00\x0bgrpc-status\x0212"
    } else {
        b""
    };
    put(Way::Answer, What::Bytes(frame(1, 5, 1, trailers)));
    check_splits(protocol, &events);
}

/// Splits of calls change nothing, on either side.
fn check_splits(protocol: &dyn Protocol, events: &[Event]) {
    for role in [Role::Server, Role::Client] {
        let _ = run(protocol, role, Limits::default(), events);
        let whole = converse(protocol, role, Limits::default(), events);
        for width in [1, 3, 17] {
            let parts = split(events, width);
            compare(&whole, &converse(protocol, role, Limits::default(), &parts));
        }
    }
}

/// Where framing was lost, the beginnings of calls are all there is to go by, as they are behind
/// an answer that nobody asked for: only then a split may change reports.
fn compare(whole: &Run, split: &Run) {
    let stray = |report: &Report| match report {
        Report::Dropped(cause) => {
            let strays = [
                "answer_without_request",
                "request_framing_lost",
                "frames_missing",
            ];
            strays.contains(cause)
        }
        Report::Asked(_) | Report::Switched(_) | Report::Answered(_) | Report::Secured(_) => false,
    };
    if whole.is_cut() || whole.conversations.iter().flatten().any(stray) {
        return;
    }
    assert_eq!(
        ends(whole),
        ends(split),
        "a split changed what was reported"
    );
}

/// All of a run but the offset at which it was given up: it depends on what the feeder kept.
fn ends(run: &Run) -> (Vec<Report>, usize, bool) {
    let mut reports = run.conversations.concat();
    for report in &mut reports {
        if let Report::Answered(answer) = report
            && answer.outcome == Outcome::Unknown
        {
            answer.end.offset = 0;
        }
    }
    (reports, run.lost, run.opaque)
}

fn events(choices: &mut Choices<'_>, pieces: &[&[u8]]) -> Vec<Event> {
    let mut events = Vec::new();
    let mut at = 0;
    let mut ended = [false; 2];
    while let Some(choice) = choices.next() {
        if events.len() >= MOST_EVENTS {
            break;
        }
        let way = if choice & 1 == 0 {
            Way::Request
        } else {
            Way::Answer
        };
        let place = usize::from(choice & 1);
        if ended[place] {
            continue;
        }
        let parameter = choices.next().unwrap_or(0);
        let what = match choice >> 1 & 7 {
            0..=4 => {
                let piece = usize::from(parameter)
                    .checked_rem(pieces.len())
                    .unwrap_or(0);
                What::Bytes(pieces.get(piece).unwrap_or(&&b"x"[..]).to_vec())
            }
            5 => {
                let len = usize::from(parameter).min(choices.0.len());
                let (bytes, rest) = choices.0.split_at(len);
                choices.0 = rest;
                What::Bytes(bytes.to_vec())
            }
            6 => What::Gap(u64::from(parameter) + 1),
            _ if parameter < 32 => {
                ended[place] = true;
                What::Close
            }
            _ => What::Bytes(vec![parameter; 40]),
        };
        at += u64::from(choice >> 4);
        match (events.last_mut(), what) {
            // Pieces of one call.
            (
                Some(Event {
                    way: before,
                    what: What::Bytes(bytes),
                    ..
                }),
                What::Bytes(more),
            ) if *before == way && choice >> 4 & 1 == 0 => bytes.extend(more),
            (_, What::Bytes(bytes)) if bytes.is_empty() => {}
            (_, what) => events.push(Event { at, way, what }),
        }
    }
    events
}

fn mentions(events: &[Event], word: &[u8]) -> bool {
    events.iter().any(|event| match &event.what {
        What::Bytes(bytes) => bytes.windows(word.len()).any(|found| found == word),
        What::Gap(_) | What::Close => false,
    })
}

/// The same traffic in calls of at most `width` bytes.
#[must_use]
pub fn split(events: &[Event], width: usize) -> Vec<Event> {
    let mut out = Vec::new();
    for event in events {
        match &event.what {
            What::Bytes(bytes) => out.extend(bytes.chunks(width).map(|part| Event {
                what: What::Bytes(part.to_vec()),
                ..event.clone()
            })),
            What::Gap(_) | What::Close => out.push(event.clone()),
        }
    }
    out
}

/// Records of FastCGI, whole and cut.
pub const FASTCGI: &[&[u8]] = &[
    b"\x01\x01\x00\x01\x00\x08\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00",
    b"\x01\x01\x00\x02\x00\x08\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00",
    b"\x01\x04\x00\x01\x00\x14\x04\x00\x0e\x04REQUEST_METHODPOSTabcd",
    b"\x01\x04\x00\x01\x00\x0f\x01\x00\x0b\x02REQUEST_URI/a\x00",
    b"\x01\x04\x00\x01\x00\x00\x00\x00",
    b"\x01\x05\x00\x01\x00\x05\x03\x00hello\x00\x00\x00",
    b"\x01\x05\x00\x01\x00\x28\x00\x00",
    b"\x01\x05\x00\x01\x00\x00\x00\x00",
    b"\x01\x06\x00\x01\x00\x17\x01\x00Status: 404 No\r\n\r\nhello\x00",
    b"\x01\x06\x00\x01\x00\x28\x00\x00",
    b"\x01\x06\x00\x01\x00\x00\x00\x00",
    b"\x01\x07\x00\x01\x00\x03\x00\x00bad",
    b"\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\x01\x03\x00\x02\x00\x08\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00",
    b"\x01\x02\x00\x01\x00\x00\x00\x00",
    b"\x01\x0c",
    b"\x02",
];

/// Records of TLS, whole and cut. The hellos fit into the smallest limit.
pub const TLS: &[&[u8]] = &[
    // a client's hello, with and without extensions, and in two records
    b"\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\
      rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\x00\x00\x02\x13\x01\x01\x00\x00\x00",
    b"\x16\x03\x01\x00\x36\x01\x00\x00\x32\x03\x03\
      rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\x00\x00\x02\x13\x01\x01\x00\
      \x00\x07\x00\x2b\x00\x03\x02\x03\x04",
    b"\x16\x03\x01\x00\x33\x01\x00\x00\x2f\x03\x03\
      rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\x00\x00\x02\x13\x01\x01\x00\
      \x00\x04\x00\x2a\x00\x00",
    b"\x16\x03\x01\x00\x10\x01\x00\x00\x29\x03\x03rrrrrrrrrr",
    b"\x16\x03\x01\x00\x1d\x72rrrrrrrrrrrrrrrrrrrrr\x00\x00\x02\x13\x01\x01\x00",
    // a server's: TLS 1.2, 1.3, another one wanted
    b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03\
      ssssssssssssssssssssssssssssssss\x00\xc0\x2f\x00",
    b"\x16\x03\x03\x00\x32\x02\x00\x00\x2e\x03\x03\
      ssssssssssssssssssssssssssssssss\x00\x13\x01\x00\
      \x00\x06\x00\x2b\x00\x02\x03\x04",
    b"\x16\x03\x03\x00\x2a\x02\x00\x00\x26\x03\x03\
      \xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\
      \xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c\x00\x13\x01\x00",
    // other messages of a handshake, in the clear and encrypted
    b"\x16\x03\x03\x00\x04\x0e\x00\x00\x00",
    b"\x16\x03\x03\x00\x05eeeee",
    b"\x14\x03\x03\x00\x01\x01",
    // alerts, data, an encrypted alert
    b"\x15\x03\x03\x00\x02\x02\x28",
    b"\x15\x03\x03\x00\x02\x01\x70",
    b"\x15\x03\x03\x00\x02\x01\x00",
    b"\x15\x03\x03\x00\x03eee",
    b"\x17\x03\x03\x00\x12dddddddddddddddddd",
    b"\x17\x03\x03\x00\x13ddddddddddddddddddd",
    b"\x17\x03\x03\x41\x00",
    b"\x17\x03\x03\x00\x00",
    b"\x17\x03",
    b"\x80\x2e\x01\x00\x02",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
];

/// A connection that becomes a WebSocket, and frames of both sides, whole and cut.
pub const WEBSOCKET: &[&[u8]] = &[
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: x\r\n\r\n",
    b"\x81\x02hi",
    b"\x81\x82\x01\x02\x03\x04ik",
    b"\xc1\x82\x01\x02\x03\x04ik",
    b"\x01\x02hi",
    b"\x00\x00",
    b"\x80\x01!",
    b"\x01\x80\x01\x02\x03\x04",
    b"\x80\x80\x01\x02\x03\x04",
    b"\x89\x00",
    b"\x8a\x80\0\0\0\0",
    b"\x82\x7e\x00\x80",
    b"\x82\xfe\x00\x80\0\0\0\0",
    b"\x82\x7f\0\0\0\0\0\x01\0\0",
    b"\x88\x02\x03\xe8",
    b"\x88\x82\0\0\0\0\x03\xf3",
    b"\x88\x00",
    b"\x88",
    b"\x82\xff\x80",
];

/// Frames of HTTP/2, whole and cut.
pub const HTTP2: &[&[u8]] = &[
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    // SETTINGS, its acknowledgement, PING, WINDOW_UPDATE, PRIORITY.
    b"\0\0\x06\x04\0\0\0\0\0\0\x01\0\0\x10\0",
    b"\0\0\0\x04\x01\0\0\0\0",
    b"\0\0\x08\x06\0\0\0\0\0pingpong",
    b"\0\0\x04\x08\0\0\0\0\x01\0\0\x10\0",
    b"\0\0\x05\x02\0\0\0\0\x03\0\0\0\0\x10",
    // Requests: GET, POST with a new field, with padding and priority, in two pieces, over TLS.
    b"\0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84",
    b"\0\0\x0b\x01\x04\0\0\0\x03\x83\x86\x84\x41\x06h:8080",
    b"\0\0\x0b\x01\x2d\0\0\0\x05\x02\0\0\0\0\x10\x82\x86\xbe\0\0",
    b"\0\0\x02\x01\x01\0\0\0\x07\x82\x86",
    b"\0\0\x05\x09\x04\0\0\0\x07\x44\x03/ab",
    b"\0\0\x07\x01\x05\0\0\0\x09\x82\x87\x84\x7e\x02ab",
    b"\0\0\x12\x01\x04\0\0\0\x0b\x83\x86\x84\x40\x0ctrace-parent\0",
    // Bodies, padded, empty, ended.
    b"\0\0\x05\0\0\0\0\0\x03hello",
    b"\0\0\x05\0\x01\0\0\0\x03world",
    b"\0\0\x08\0\x09\0\0\0\x0b\x02hello\0\0",
    b"\0\0\x28\0\0\0\0\0\x01",
    b"\0\0\0\0\x01\0\0\0\x01",
    // Answers: 200, 404, 100, a status of its own, trailers.
    b"\0\0\x01\x01\x04\0\0\0\x01\x88",
    b"\0\0\x01\x01\x05\0\0\0\x03\x8d",
    b"\0\0\x05\x01\x04\0\0\0\x03\x08\x03100",
    b"\0\0\x05\x01\x05\0\0\0\x05\x48\x03503",
    b"\0\0\x01\x01\x05\0\0\0\x07\xbe",
    b"\0\0\x10\x01\x05\0\0\0\x01\x40\x0bgrpc-status\x010",
    // Another size of the table, none, an index of nothing, a long integer, bad Huffman.
    b"\0\0\x04\x01\x04\0\0\0\x0d\x20\x82\x86\x84",
    b"\0\0\x06\x01\x04\0\0\0\x0f\x3f\xe1\x1f\x82\x86\x84",
    b"\0\0\x02\x01\x04\0\0\0\x11\x82\xff\xff\xff\xff\xff\x7f",
    b"\0\0\x05\x01\x04\0\0\0\x13\x82\x44\x82\xff\xff",
    // RST_STREAM, GOAWAY, PUSH_PROMISE, an unknown kind.
    b"\0\0\x04\x03\0\0\0\0\x03\0\0\0\x08",
    b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\0",
    b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x03\0\0\0\0",
    b"\0\0\x07\x05\x04\0\0\0\x01\0\0\0\x02\x82\x86\x84",
    b"\0\0\x02\x0c\0\0\0\0\0ab",
    b"\0\0",
    b"\0\0\x28\x01\x04\0\0\0\x15",
];

/// Parts of HTTP/1 messages.
pub const HTTP1: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HEAD /a HTTP/1.1\r\n\r\n",
    b"POST /b HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /b HTTP/1.1\r\nContent-Length: 40\r\n\r\n",
    b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"CONNECT h:443 HTTP/1.1\r\n\r\n",
    b"custom * HTTP/1.0\n\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld",
    b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\0\0\x03\x01\x05\0\0\0\x03\x82\x86\x84",
    b"\0\0\x01\x01\x05\0\0\0\x01\x88",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    b"5\r\nhello\r\n",
    b"28\r\n",
    b"0\r\n\r\n",
    b"0\r\nTrailer: x\r\n\r\n",
    b"a;ext=1\r\n0123456789\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
    b" folded\r\n",
    b"Cookie: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n",
    b"\r\n",
    b"\n",
    b"HTTP/1.",
    b"POST",
];
