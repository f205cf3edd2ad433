//! Pieces of a connection in, reports out, in words.

use super::*;
use crate::protocol::exchange::{Outcome, Value};
use crate::semconv;
use Direction::{Received, Sent};

const LIMITS: Limits = Limits {
    head: 1024,
    pending: 8,
};

/// A connection as its server sees it, byte after byte.
#[derive(Default)]
struct Wire {
    session: Session,
    offsets: [u64; 2],
    calls: u64,
    out: Vec<Report>,
    changes: Vec<Change>,
}

impl Wire {
    fn moment(&mut self, direction: Direction) -> Moment {
        self.calls += 1;
        Moment {
            at: self.calls,
            offset: self.offsets[direction.index()],
            ..Moment::default()
        }
    }

    fn take(&mut self, piece: &Piece<'_>) {
        let change = self.session.take(piece, LIMITS, &mut self.out);
        if change != Change::None {
            self.changes.push(change);
        }
    }

    fn bytes(&mut self, direction: Direction, bytes: &[u8]) -> &mut Self {
        let opposite = self.offsets[direction.opposite().index()];
        self.bytes_after(direction, bytes, opposite)
    }

    fn bytes_after(&mut self, direction: Direction, bytes: &[u8], opposite: u64) -> &mut Self {
        let moment = self.moment(direction);
        self.offsets[direction.index()] += bytes.len() as u64;
        let call_start = true;
        self.take(&Piece::Bytes {
            direction,
            bytes,
            moment,
            opposite,
            call_start,
        });
        self
    }

    fn ask(&mut self, text: &str) -> &mut Self {
        self.bytes(Received, text.as_bytes())
    }

    fn tell(&mut self, text: &str) -> &mut Self {
        self.bytes(Sent, text.as_bytes())
    }

    fn gap(&mut self, direction: Direction, missing: u64) -> &mut Self {
        let moment = self.moment(direction);
        self.offsets[direction.index()] += missing;
        self.take(&Piece::Gap {
            direction,
            missing,
            moment,
        });
        self
    }

    fn end(&mut self, direction: Direction) -> &mut Self {
        let moment = self.moment(direction);
        self.take(&Piece::End { direction, moment });
        self
    }

    fn forget(&mut self) -> &mut Self {
        let moment = self.moment(Sent);
        self.take(&Piece::Forgotten { moment });
        self
    }

    /// What was reported, and how the session changed.
    fn told(&self) -> String {
        let reports = self.out.iter().map(|report| match report {
            Report::Asked(request) => {
                let attributes = &mut request.operation.attributes.iter();
                let path = attributes.find(|one| one.key == semconv::URL_PATH);
                let path = match path.map(|path| &path.value) {
                    Some(Value::Text(path)) => path,
                    _ => "?",
                };
                format!("{path}@{}", request.start.at)
            }
            Report::Answered(answer) => match &answer.outcome {
                Outcome::Ok => "ok".to_owned(),
                Outcome::Unknown => "unknown".to_owned(),
                Outcome::Aborted => "aborted".to_owned(),
                Outcome::ClientError { kind } | Outcome::ServerError { kind } => kind.clone(),
            },
            Report::Secured(handshake) => format!("{:?}", handshake.stage),
            Report::Switched(number) => format!("{number} lasts"),
            Report::Dropped(cause) => format!("dropped {cause}"),
        });
        let changes = self.changes.iter().map(|change| format!("{change:?}"));
        reports.chain(changes).collect::<Vec<_>>().join(" ")
    }
}

const A: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
const B: &str = "GET /b HTTP/1.1\r\nHost: a\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn check(name: &str, expected: &str, script: impl FnOnce(&mut Wire)) {
    let mut wire = Wire::default();
    script(&mut wire);
    assert_eq!(wire.told(), expected, "{name}");
}

#[test]
fn requests_and_answers() {
    check("one", "/a@1 ok", |wire| {
        wire.ask(A).tell(OK);
    });
    check("two on one connection", "/a@1 ok /b@3 ok", |wire| {
        wire.ask(A).tell(OK).ask(B).tell(OK);
    });
    check("pipelined", "/a@1 /b@1 ok ok", |wire| {
        wire.ask(&[A, B].concat()).tell(OK).tell(OK);
    });
    check("ended early", "/a@1 aborted", |wire| {
        wire.ask(A).end(Received).end(Sent);
    });
    check("forgotten", "/a@1 unknown", |wire| {
        wire.ask(A).forget().forget();
    });
}

#[test]
fn a_head_may_come_in_any_pieces() {
    for width in 1..A.len() {
        let mut wire = Wire::default();
        for part in A.as_bytes().chunks(width) {
            wire.bytes(Received, part);
        }
        wire.tell(OK);
        assert_eq!(wire.told(), "/a@1 ok", "width {width}");
        assert_eq!(wire.session.kept(), 0);
    }
}

#[test]
fn calls_of_a_head_are_bounded() {
    let mut wire = Wire::default();
    wire.ask("GET /long HTTP/1.1\r\nX: ");
    for _ in 0..900 {
        wire.ask("x");
    }
    let calls = wire.session.halves[Received.index()].calls.len();
    assert!(calls <= CALLS, "{calls}");
    wire.ask("\r\n\r\n").tell(OK);
    assert_eq!(wire.told(), "/long@1 ok");
}

#[test]
fn a_head_without_end_costs_little() {
    let mut wire = Wire::default();
    wire.ask("GET /long HTTP/1.1\r\nX: ");
    let mut most = 0;
    for _ in 0..400 {
        wire.bytes(Received, &[b'x'; 512]);
        most = most.max(wire.session.kept());
    }
    assert!(most <= LIMITS.head + UNDECIDED + 512, "{most}");
    wire.ask("\r\n\r\n").tell(OK);
    assert_eq!(wire.told(), "/long@1 ok");
}

#[test]
fn the_middle_of_a_conversation_is_left_alone_until_a_request() {
    check("an answer under way", "/a@3 ok", |wire| {
        wire.tell("rest of a body").gap(Sent, 5000).ask(A).tell(OK);
    });
    check(
        "an answer from before the first request",
        "/a@1 ok",
        |wire| {
            wire.ask(A).bytes_after(Sent, OK.as_bytes(), 0).tell(OK);
        },
    );
    check(
        "several requests that wait, joined midway",
        "/a@1 /b@1 dropped answer_of_unknown_request unknown unknown \
         dropped answer_of_unknown_request /a@4 ok",
        |wire| {
            wire.session.joined_midway();
            wire.ask(&[A, B].concat()).tell(OK).tell(OK).ask(A).tell(OK);
        },
    );
    check(
        "several requests behind something else",
        "/a@2 /b@2 dropped answer_of_unknown_request unknown unknown",
        |wire| {
            wire.ask("\u{1}other").ask(&[A, B].concat()).tell(OK);
        },
    );
    check(
        "a piece that only looked like a request",
        "/a@2 ok",
        |wire| {
            wire.ask("PRI * HT").ask(A).tell(OK);
        },
    );
}

#[test]
fn after_a_loss_the_next_request_is_found() {
    check(
        "part of a head is missing",
        "dropped request_head_cut /a@4 ok Lost",
        |wire| {
            wire.ask("GET /lost HTTP/1.1\r\nHo")
                .gap(Received, 9)
                .ask("rest\r\n\r\n")
                .ask(A)
                .tell(OK);
        },
    );
    check("an answer is missing", "/a@1 unknown /b@3 ok", |wire| {
        wire.ask(A).gap(Sent, OK.len() as u64).ask(B).tell(OK);
    });
    check("nonsense", "/a@1 ok /b@4 ok Lost", |wire| {
        wire.ask(A).tell(OK).ask("\0\0\0\0").ask(B).tell(OK);
    });
    check("torn", "/a@1 unknown /b@3 ok Lost", |wire| {
        wire.ask(A);
        let moment = wire.moment(Received);
        wire.take(&Piece::Torn {
            direction: Received,
            moment,
        });
        wire.ask(B).tell(OK);
    });
}

#[test]
fn after_the_loss_of_an_answer_s_head_requests_in_a_row_are_paired() {
    const CUT: &str = "HTTP/1.1 200 OK\r\nServ";
    let both = [A, B].concat();
    check(
        "the last answer",
        "/a@1 unknown /a@4 /b@4 ok ok Lost",
        |wire| {
            wire.ask(A)
                .tell(CUT)
                .gap(Sent, 5000)
                .ask(&both)
                .tell(OK)
                .tell(OK);
        },
    );
    check(
        "bytes of that answer follow",
        "/a@1 unknown /a@5 /b@5 ok ok Lost",
        |wire| {
            wire.ask(A).tell(CUT).gap(Sent, 5000).tell("rest");
            wire.ask(&both).tell(OK).tell(OK);
        },
    );
    check(
        "not the last answer",
        "/a@1 /b@1 unknown unknown /a@4 /b@4 dropped answer_of_unknown_request unknown unknown \
         Lost",
        |wire| {
            wire.ask(&both)
                .tell(CUT)
                .gap(Sent, 5000)
                .ask(&both)
                .tell(OK);
        },
    );
}

#[test]
fn bodies_may_be_gaps() {
    check("cut after the head", "/a@1 ok /b@4 ok", |wire| {
        wire.ask(A)
            .tell("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nab")
            .gap(Sent, 99_998)
            .ask(B)
            .tell(OK);
    });
}

#[test]
fn what_is_no_known_protocol_is_left_alone() {
    check("TLS, joined midway", "Opaque", |wire| {
        wire.ask("\x17\x03\x03\x00\x11")
            .tell("\x17\x03\x03\x00\x11")
            .ask(A)
            .tell(OK);
    });
    let mut wire = Wire::default();
    for turn in 0..PATIENCE {
        assert!(wire.changes.is_empty(), "turn {turn}");
        wire.ask("\u{1}ping").tell("\u{1}pong");
        if !wire.changes.is_empty() {
            break;
        }
    }
    assert_eq!(wire.told(), "Opaque");
    assert_eq!(wire.session.kept(), 0);
}

#[test]
fn a_tunnel_is_looked_into_once() {
    const HELLO: &str = "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03\
        rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr\x00\x00\x02\x13\x01\x01\x00\x00\x00";
    const CONNECT: &str = "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n";
    const OPEN: &str = "HTTP/1.1 200 OK\r\n\r\n";
    check("TLS", "?@1 ok Offered", |wire| {
        wire.ask(CONNECT).tell(OPEN).ask(HELLO);
    });
    check("TLS in parts", "?@1 ok Offered", |wire| {
        let (head, rest) = HELLO.split_at(5);
        wire.ask(CONNECT).tell(OPEN).ask(head).ask(rest);
    });
    check("anything else", "?@1 ok Opaque", |wire| {
        wire.ask(CONNECT).tell(OPEN).ask(A).tell(OK).ask(HELLO);
    });
    check("bytes that were not seen", "?@1 ok Opaque", |wire| {
        wire.ask(CONNECT).tell(OPEN).gap(Received, 9).ask(HELLO);
    });
    check("nothing", "?@1 ok", |wire| {
        wire.ask(CONNECT).tell(OPEN).forget();
    });
}

#[test]
fn endless_losses_end() {
    let mut wire = Wire::default();
    for _ in 0..=LOSSES {
        wire.ask(A).ask("\0\0\0\0");
    }
    assert_eq!(
        wire.changes
            .iter()
            .filter(|change| **change == Change::Opaque)
            .count(),
        1
    );
    let before = wire.out.len();
    wire.ask(A).tell(OK);
    assert_eq!(wire.out.len(), before);
}
