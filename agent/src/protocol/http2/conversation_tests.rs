use super::*;
use crate::protocol::exchange::Value;
use crate::record::Task;

/// A connection that a server sees, fed call by call.
struct Peer {
    conversation: Http2Conversation,
    offsets: [u64; 2],
    at: u64,
    out: Vec<Report>,
}

impl Peer {
    fn new() -> Self {
        Self {
            conversation: Http2Conversation::new(Role::Server, Limits::default()),
            offsets: [0; 2],
            at: 0,
            out: Vec::new(),
        }
    }

    fn fresh() -> Self {
        let mut peer = Self::new();
        peer.ask(PREFACE);
        peer
    }

    fn ask(&mut self, bytes: &[u8]) {
        self.feed(Direction::Received, bytes);
    }

    fn answer(&mut self, bytes: &[u8]) {
        self.feed(Direction::Sent, bytes);
    }

    fn moment(&self, direction: Direction) -> Moment {
        Moment {
            at: self.at,
            task: Task::default(),
            fiber: 0,
            offset: self.offsets[direction.index()],
        }
    }

    fn feed(&mut self, direction: Direction, mut bytes: &[u8]) {
        self.at += 1;
        while !bytes.is_empty() {
            let first = self.moment(direction);
            let last = Moment {
                offset: first.offset + bytes.len() as u64 - 1,
                ..first
            };
            let progress = self
                .conversation
                .feed(direction, bytes, first, last, &mut self.out);
            let Progress::Took(taken) = progress else {
                panic!("{progress:?} on {}", bytes.escape_ascii());
            };
            self.offsets[direction.index()] += taken as u64;
            bytes = &bytes[taken..];
        }
    }

    fn gap(&mut self, direction: Direction, mut missing: u64) {
        self.at += 1;
        while missing > 0 {
            let moment = self.moment(direction);
            let progress = self
                .conversation
                .gap(direction, missing, moment, &mut self.out);
            let Progress::Took(taken) = progress else {
                panic!("{progress:?} on a gap");
            };
            self.offsets[direction.index()] += taken as u64;
            missing -= taken as u64;
        }
    }

    /// What was reported since the last time, in words.
    #[track_caller]
    fn check(&mut self, expected: &[&str]) {
        let words: Vec<String> = self.out.drain(..).map(|report| words(&report)).collect();
        assert_eq!(words, expected);
    }
}

fn words(report: &Report) -> String {
    match report {
        Report::Asked(request) => {
            let path = request
                .operation
                .attributes
                .iter()
                .find(|attribute| attribute.key == semconv::URL_PATH);
            let path = path.map(|attribute| format!("{:?}", attribute.value));
            format!(
                "{} {} {} @{}",
                request.number,
                request.operation.verb,
                path.as_deref().unwrap_or("?"),
                request.start.offset
            )
        }
        Report::Answered(answer) => {
            let cut = if answer.cut { " cut" } else { "" };
            format!(
                "{} {:?}{cut} @{}",
                answer.number, answer.outcome, answer.end.offset
            )
        }
        Report::Switched(number) => format!("{number} lasts"),
        Report::Secured(_) => "secured".to_owned(),
        Report::Dropped(cause) => (*cause).to_owned(),
    }
}

const fn head(len: u32, kind: u8, flags: u8, stream: u32) -> [u8; 9] {
    let [_, len2, len1, len0] = len.to_be_bytes();
    let [id3, id2, id1, id0] = stream.to_be_bytes();
    [len2, len1, len0, kind, flags, id3, id2, id1, id0]
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [
        &head(payload.len() as u32, kind, flags, stream)[..],
        payload,
    ]
    .concat()
}

/// A whole request for `/`.
fn get(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, &[0x82, 0x86, 0x84])
}

/// A whole answer, status 200.
fn ok(stream: u32) -> Vec<u8> {
    frame(1, 5, stream, &[0x88])
}

#[test]
fn answers_in_any_order() {
    let mut peer = Peer::fresh();
    peer.ask(&[get(1), get(3), get(5)].concat());
    peer.answer(&[ok(5), frame(1, 4, 1, &[0x8d]), ok(3)].concat());
    peer.answer(&frame(0, 1, 1, b"gone"));
    peer.check(&[
        "0 GET Text(\"/\") @24",
        "1 GET Text(\"/\") @36",
        "2 GET Text(\"/\") @48",
        "2 Ok @9",
        "1 Ok @29",
        "0 ClientError { kind: \"404\" } @42",
    ]);
}

#[test]
fn blocks_in_pieces_with_padding_and_priority() {
    let mut peer = Peer::fresh();
    peer.ask(&frame(1, 0x29, 1, &[2, 0, 0, 0, 0, 16, 0x82, 0x86, 0, 0]));
    peer.ask(&frame(9, 0, 1, &[0x44]));
    peer.ask(&frame(9, 4, 1, b"\x03/ab"));
    peer.check(&["0 GET Text(\"/ab\") @24"]);
    peer.answer(&frame(1, 4, 1, b"\x08\x03100"));
    peer.answer(&frame(1, 4, 1, b"\x88"));
    peer.answer(&frame(0, 8, 1, b"\x03body\0\0\0"));
    peer.check(&[]);
    peer.answer(&frame(1, 5, 1, b"\x00\x01a\x01b"));
    peer.check(&["0 Ok @54"]);
}

#[test]
fn resets_and_going_away() {
    let mut peer = Peer::fresh();
    peer.ask(&[get(1), get(3), get(5), get(7)].concat());
    peer.out.clear();
    peer.ask(&frame(3, 0, 1, &[0, 0, 0, 8]));
    peer.answer(&frame(3, 0, 3, &[0, 0, 0, 2]));
    peer.answer(&frame(7, 0, 0, &[0, 0, 0, 5, 0, 0, 0, 0]));
    peer.answer(&ok(5));
    peer.check(&[
        "0 ClientError { kind: \"CANCEL\" } @84",
        "1 ServerError { kind: \"INTERNAL_ERROR\" } @12",
        "3 Aborted @29",
        "2 Ok @39",
    ]);
}

#[test]
fn bodies_may_be_missing() {
    let mut peer = Peer::fresh();
    peer.ask(&get(1));
    peer.answer(&frame(1, 4, 1, &[0x88]));
    peer.answer(&head(1000, 0, 1, 1));
    peer.gap(Direction::Sent, 1000);
    peer.ask(&get(3));
    peer.answer(&ok(3));
    peer.check(&[
        "0 GET Text(\"/\") @24",
        "0 Ok @1018",
        "1 GET Text(\"/\") @36",
        "1 Ok @1028",
    ]);
}

#[test]
fn found_again_behind_a_gap() {
    let mut peer = Peer::fresh();
    peer.ask(&frame(1, 5, 1, b"\x82\x86\x44\x02/a"));
    peer.gap(Direction::Received, 30);
    // The middle of a body, then frames again. What is at 62 now is not known.
    peer.ask(b"no frame at all, for sure");
    peer.ask(&frame(1, 5, 5, b"\x82\x86\xbe"));
    peer.ask(&frame(1, 5, 7, b"\x82\x86\x44\x02/c"));
    peer.ask(&frame(1, 5, 9, b"\x82\x86\xbe"));
    peer.answer(&[ok(1), ok(5), ok(7), ok(9)].concat());
    peer.check(&[
        "0 GET Text(\"/a\") @24",
        "frames_missing",
        "1 GET ? @94",
        "2 GET Text(\"/c\") @106",
        "3 GET Text(\"/c\") @121",
        "0 Ok cut @9",
        "1 Ok cut @19",
        "2 Ok @29",
        "3 Ok @39",
    ]);
}

#[test]
fn joined_in_the_middle() {
    let mut peer = Peer::new();
    peer.conversation.joined_midway();
    peer.ask(&frame(1, 5, 101, b"\x83\x86\xbe\xbf"));
    peer.answer(b"the end of a body that was under way");
    peer.answer(&frame(1, 4, 101, &[0xbe]));
    peer.answer(&frame(0, 1, 101, b"hi"));
    peer.ask(&frame(1, 5, 103, b"\x83\x86\x44\x02/b"));
    peer.answer(&ok(103));
    peer.check(&[
        "frames_missing",
        "0 POST ? @0",
        "0 Unknown cut @56",
        "1 POST Text(\"/b\") @13",
        "1 Ok @66",
    ]);
}

#[test]
fn a_body_of_known_size_ends_in_a_gap() {
    for (missing, expected) in [(499, None), (500, Some("0 Ok cut @514"))] {
        let mut peer = Peer::fresh();
        peer.ask(&get(1));
        peer.out.clear();
        // content-length: 500
        peer.answer(&frame(1, 4, 1, b"\x88\x5c\x03500"));
        peer.gap(Direction::Sent, missing);
        peer.check(&[&["frames_missing"], expected.as_slice()].concat());
    }
}

#[test]
fn what_ended_unseen_is_given_up() {
    let mut peer = Peer::fresh();
    peer.ask(&[get(1), get(3)].concat());
    peer.answer(&frame(1, 4, 1, &[0x88]));
    peer.gap(Direction::Sent, 500);
    peer.out.clear();
    peer.answer(&ok(3));
    peer.at += DOUBT;
    peer.ask(&get(5));
    peer.check(&["1 Ok cut @519", "0 Ok cut @9", "2 GET Text(\"/\") @48"]);
}

#[test]
fn many_streams_are_bounded() {
    let mut peer = Peer::fresh();
    for stream in 0..10_000 {
        peer.ask(&get(2 * stream + 1));
    }
    let asked = |report: &&Report| matches!(report, Report::Asked(_));
    assert_eq!(
        peer.out.iter().filter(asked).count(),
        Limits::default().pending
    );
    assert_eq!(peer.conversation.streams.len(), Limits::default().pending);
    let dropped = Report::Dropped("too_many_requests_pending");
    assert!(peer.out.ends_with(&[dropped]));
}

#[test]
fn a_flood_of_continuations_is_bounded() {
    let mut peer = Peer::fresh();
    peer.ask(&frame(1, 1, 1, &[0x82, 0x86, 0x84]));
    for _ in 0..1000 {
        peer.ask(&frame(9, 0, 1, &[0x90; 500].map(|_| 0x82)));
    }
    // A text that never ends.
    peer.ask(&frame(9, 0, 1, b"\x00\x7f\xff\xff\x7f"));
    for _ in 0..1000 {
        peer.ask(&frame(9, 0, 1, &[b'x'; 500]));
        let block = peer.conversation.halves[ASKING].block.as_ref();
        let held = block.map_or(0, |block| block.rest.capacity());
        assert!(held <= 4 * Limits::default().head, "{held}");
    }
    peer.ask(&frame(9, 4, 1, b""));
    peer.ask(&get(3));
    peer.check(&[
        "malformed_fields",
        "0 GET Text(\"/\") @24",
        "1 GET Text(\"/\") @1018059",
    ]);
}

#[test]
fn something_else_in_a_block() {
    let mut peer = Peer::fresh();
    peer.ask(&frame(1, 1, 1, &[0x82, 0x86, 0x84]));
    peer.ask(&get(3));
    peer.check(&["request_head_cut", "0 GET Text(\"/\") @36"]);
}

fn check_upgraded(cut: bool, expected: [&str; 3]) {
    let request = Upgraded {
        number: 3,
        start: Moment::default(),
        bodiless: false,
        cut,
    };
    let mut conversation = upgraded(Role::Server, Limits::default(), request);
    let mut out = Vec::new();
    let moment = Moment::default();
    for (direction, bytes) in [
        (Direction::Sent, ok(1)),
        (Direction::Received, PREFACE.to_vec()),
        (Direction::Received, get(3)),
        (Direction::Sent, ok(3)),
    ] {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match conversation.feed(direction, rest, moment, moment, &mut out) {
                Progress::Took(taken) => rest = &rest[taken..],
                other => panic!("{other:?}"),
            }
        }
    }
    let words: Vec<String> = out.iter().map(words).collect();
    assert_eq!(words, expected);
}

#[test]
fn an_upgraded_request_is_answered_on_the_first_stream() {
    check_upgraded(false, ["3 Ok @0", "4 GET Text(\"/\") @0", "4 Ok @0"]);
    // Of which not all was understood before.
    check_upgraded(true, ["3 Ok cut @0", "4 GET Text(\"/\") @0", "4 Ok @0"]);
}

/// A request for a WebSocket at `/ws` (RFC 8441), and the answer that grants it.
fn socket(stream: u32) -> [Vec<u8>; 2] {
    let mut fields = b"\x00\x07:method\x07CONNECT\x00\x09:protocol\x09websocket\x86".to_vec();
    fields.extend(b"\x44\x03/ws");
    [frame(1, 4, stream, &fields), frame(1, 4, stream, &[0x88])]
}

/// What a WebSocket whose messages go by `talk` ends as.
#[track_caller]
fn check_socket(talk: impl FnOnce(&mut Peer), expected: &[&str], counts: [Option<i64>; 3]) {
    let mut peer = Peer::fresh();
    let [ask, grant] = socket(1);
    peer.ask(&ask);
    peer.answer(&grant);
    peer.out.clear();
    talk(&mut peer);
    let attributes = peer.out.iter().find_map(|report| match report {
        Report::Answered(answer) => Some(&answer.attributes),
        _ => None,
    });
    let count = |key| {
        let found = attributes?.iter().find(|attribute| attribute.key == key)?;
        match found.value {
            Value::Int(count) => Some(count),
            _ => None,
        }
    };
    let found = [
        count(semconv::WEFT_WEBSOCKET_MESSAGES_RECEIVED),
        count(semconv::WEFT_WEBSOCKET_MESSAGES_SENT),
        count(semconv::WEFT_WEBSOCKET_CLOSE_CODE),
    ];
    peer.check(expected);
    assert_eq!(found, counts);
}

/// `hi`, masked by zeros as clients may; and a close frame with code 1000.
const HI: &[u8] = b"\x81\x82\0\0\0\0hi";
const BYE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

#[test]
fn websockets_on_streams() {
    let data = |half: &[u8]| frame(0, 0, 1, half);
    let close = b"\x88\x02\x03\xe8";
    let mut peer = Peer::fresh();
    let [ask, grant] = socket(1);
    peer.ask(&ask);
    peer.answer(&grant);
    peer.check(&["0 CONNECT Text(\"/ws\") @24", "0 lasts"]);
    let whole = |peer: &mut Peer| {
        // Frames of the one and of the other need not agree.
        peer.ask(&[data(HI), data(&HI[..3]), data(&HI[3..])].concat());
        peer.answer(&data(b"\x81\x02yo"));
        peer.ask(&data(BYE));
        peer.answer(&data(close));
        peer.answer(&frame(0, 1, 1, b""));
    };
    check_socket(whole, &["0 Ok @35"], [Some(2), Some(1), Some(1000)]);
    let hurried = |peer: &mut Peer| {
        peer.answer(&data(b"\x88\x02\x03\xf3"));
        peer.ask(&frame(0, 1, 1, b""));
    };
    let failed = "0 ServerError { kind: \"1011\" } @85";
    check_socket(hurried, &[failed], [Some(0), Some(0), Some(1011)]);
    let reset = |peer: &mut Peer| {
        peer.ask(&data(HI));
        peer.ask(&frame(3, 0, 1, &[0, 0, 0, 8]));
    };
    let left = "0 ClientError { kind: \"CANCEL\" } @106";
    check_socket(reset, &[left], [Some(1), Some(0), None]);
    let gone = |peer: &mut Peer| {
        peer.answer(&data(b"\x81\x02yo"));
        let moment = peer.moment(Direction::Sent);
        peer.conversation
            .end(Direction::Sent, moment, &mut peer.out);
    };
    check_socket(gone, &["0 Aborted @23"], [Some(0), Some(1), None]);
    let missed = |peer: &mut Peer| {
        peer.ask(&head(8, 0, 0, 1));
        peer.gap(Direction::Received, 8);
        peer.ask(&data(BYE));
        peer.answer(&data(close));
        peer.answer(&frame(0, 1, 1, b""));
    };
    check_socket(missed, &["0 Ok cut @31"], [None, Some(0), Some(1000)]);
}

#[test]
fn a_refused_websocket_is_a_request() {
    let mut peer = Peer::fresh();
    let [ask, _] = socket(1);
    peer.ask(&ask);
    peer.answer(&frame(1, 4, 1, &[0x8d]));
    peer.answer(&frame(0, 1, 1, b"no"));
    peer.check(&[
        "0 CONNECT Text(\"/ws\") @24",
        "0 ClientError { kind: \"404\" } @20",
    ]);
}
