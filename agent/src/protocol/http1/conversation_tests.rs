use super::*;
use crate::record::Task;
use crate::semconv::{HTTP_REQUEST_BODY_SIZE, HTTP_RESPONSE_BODY_SIZE};

/// One call: bytes asked or answered, a gap, an end.
#[derive(Clone, Copy)]
enum Call<'a> {
    Ask(&'a str),
    Reply(&'a str),
    AskGap(u64),
    ReplyGap(u64),
    AskEnd,
    ReplyEnd,
}
use Call::{Ask, AskEnd, AskGap, Reply, ReplyEnd, ReplyGap};

const LIMITS: Limits = Limits {
    head: 256,
    pending: 3,
};

/// A server's conversation, the bytes that it has not taken, and the offsets of both directions.
struct Talk {
    conversation: Box<dyn Conversation>,
    kept: [Vec<u8>; 2],
    offsets: [u64; 2],
    clock: u64,
    out: Vec<Report>,
    end: Option<Progress>,
}

impl Talk {
    fn moment(&self, direction: Direction) -> Moment {
        Moment {
            at: self.clock,
            task: Task::default(),
            fiber: 0,
            offset: self.offsets[direction.index()],
        }
    }

    fn call(&mut self, call: Call<'_>) {
        self.clock += 10;
        match call {
            Ask(text) => self.feed(Direction::Received, text.as_bytes()),
            Reply(text) => self.feed(Direction::Sent, text.as_bytes()),
            AskGap(missing) => self.gap(Direction::Received, missing),
            ReplyGap(missing) => self.gap(Direction::Sent, missing),
            AskEnd => self.finish(Direction::Received),
            ReplyEnd => self.finish(Direction::Sent),
        }
    }

    fn feed(&mut self, direction: Direction, bytes: &[u8]) {
        let place = direction.index();
        self.kept[place].extend(bytes);
        while self.end.is_none() && !self.kept[place].is_empty() {
            let moment = self.moment(direction);
            let offered = &self.kept[place];
            let conversation = &mut self.conversation;
            match conversation.feed(direction, offered, moment, moment, &mut self.out) {
                Progress::Took(len) => {
                    self.kept[place].drain(..len);
                    self.offsets[place] += len as u64;
                }
                Progress::Want => break,
                Progress::Switched(len) if self.follow() => {
                    self.kept[place].drain(..len);
                    self.offsets[place] += len as u64;
                }
                other => self.end = Some(other),
            }
        }
    }

    /// The connection's next conversation goes on, if there is one.
    fn follow(&mut self) -> bool {
        let next = self.conversation.successor();
        next.map(|next| self.conversation = next.conversation)
            .is_some()
    }

    fn gap(&mut self, direction: Direction, missing: u64) {
        let place = direction.index();
        self.offsets[place] += self.kept[place].len() as u64;
        self.kept[place].clear();
        let mut left = missing;
        while self.end.is_none() && left > 0 {
            let moment = self.moment(direction);
            match self
                .conversation
                .gap(direction, left, moment, &mut self.out)
            {
                Progress::Took(len) => {
                    left -= len as u64;
                    self.offsets[place] += len as u64;
                }
                other => self.end = Some(other),
            }
        }
    }

    fn finish(&mut self, direction: Direction) {
        let moment = self.moment(direction);
        self.conversation.end(direction, moment, &mut self.out);
    }
}

fn talk(calls: &[Call<'_>]) -> Talk {
    let mut talk = Talk {
        conversation: Box::new(Http1Conversation::new(Role::Server, LIMITS)),
        kept: [Vec::new(), Vec::new()],
        offsets: [0; 2],
        clock: 0,
        out: Vec::new(),
        end: None,
    };
    for call in calls {
        talk.call(*call);
    }
    talk
}

fn line(report: &Report) -> String {
    match report {
        Report::Asked(request) => {
            let path = request.operation.attributes.iter();
            let path = path
                .filter(|one| one.key == semconv::URL_PATH)
                .map(|one| &one.value);
            let path: Vec<_> = path.collect();
            let verb = &request.operation.verb;
            format!(
                "{} asked at {}: {verb} {path:?}",
                request.number, request.start.at
            )
        }
        Report::Answered(answer) => {
            let first = answer
                .first
                .map_or("never".to_owned(), |first| first.at.to_string());
            let mut line = format!(
                "{} answered {first}..{}@{}: {:?}",
                answer.number, answer.end.at, answer.end.offset, answer.outcome
            );
            for (name, key) in [
                ("request", HTTP_REQUEST_BODY_SIZE),
                ("answer", HTTP_RESPONSE_BODY_SIZE),
            ] {
                if let Some(one) = answer.attributes.iter().find(|one| one.key == key) {
                    line.push_str(&format!(" {name} {:?}", one.value));
                }
            }
            if answer.cut {
                line.push_str(" cut");
            }
            line
        }
        Report::Secured(_) => "secured".to_owned(),
        Report::Switched(number) => format!("{number} lasts"),
        Report::Dropped(cause) => format!("dropped {cause}"),
    }
}

/// Compares what is reported.
fn check(calls: &[Call<'_>], expected: &[&str]) {
    assert_eq!(said(&talk(calls)), expected);
}

/// What is reported, and how the conversation ended if it did. Calls are at 10, 20, 30...
fn said(talk: &Talk) -> Vec<String> {
    let mut found: Vec<_> = talk.out.iter().map(line).collect();
    if let Some(end) = talk.end {
        found.push(format!("{end:?}"));
    }
    found
        .iter()
        .map(|line| {
            line.replace("[Text(\"", "")
                .replace("\")]", "")
                .replace(" []", "")
        })
        .collect()
}

const GET: Call<'_> = Ask("GET /g HTTP/1.1\r\n\r\n");
const OK: Call<'_> = Reply("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

#[test]
fn one_after_the_other() {
    check(
        &[GET, OK, GET, OK],
        &[
            "0 asked at 10: GET /g",
            "0 answered 20..20@39: Ok answer Int(2)",
            "1 asked at 30: GET /g",
            "1 answered 40..40@79: Ok answer Int(2)",
        ],
    );
}

#[test]
fn pipelined_with_head_between() {
    check(
        &[
            Ask("GET /a HTTP/1.1\r\n\r\nHEAD /b HTTP/1.1\r\n\r\n"),
            GET,
            Reply("HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
            OK,
        ],
        &[
            "0 asked at 10: GET /a",
            "1 asked at 10: HEAD /b",
            "2 asked at 20: GET /g",
            "0 answered 30..30@18: Ok",
            "1 answered 30..30@56: Ok",
            "2 answered 40..40@96: Ok answer Int(2)",
        ],
    );
}

#[test]
fn too_many_pipelined() {
    check(
        &[GET, GET, GET, GET],
        &[
            "0 asked at 10: GET /g",
            "1 asked at 20: GET /g",
            "2 asked at 30: GET /g",
            "dropped too_many_requests_pending",
            "Lost",
        ],
    );
}

#[test]
fn chunked_both_ways_and_the_end_is_the_last_chunk() {
    check(
        &[
            Ask("POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"),
            Ask("0\r\n\r\n"),
            Reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"),
            Reply("0\r\nX: y\r\n"),
            Reply("\r\n"),
        ],
        &[
            "0 asked at 10: POST /p",
            "0 answered 30..50@64: Ok request Int(3) answer Int(2)",
        ],
    );
}

#[test]
fn interim_answers_are_not_the_answer() {
    check(
        &[
            Ask("POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
            Reply("HTTP/1.1 100 Continue\r\n\r\n"),
            Ask("ab"),
            Reply("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
            OK,
        ],
        &[
            "0 asked at 10: POST /p",
            "0 answered 50..50@101: Ok answer Int(2)",
        ],
    );
}

#[test]
fn a_refused_body_is_left_out() {
    check(
        &[
            Ask("POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 200\r\n\r\n"),
            Reply("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"),
            GET,
            OK,
        ],
        &[
            "0 asked at 10: POST /p",
            "0 answered 20..20@37: ClientError { kind: \"417\" } answer Int(0)",
            "1 asked at 30: GET /g",
            "1 answered 40..40@77: Ok answer Int(2)",
        ],
    );
}

#[test]
fn protocol_changes() {
    let switch = Reply("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x01\x02");
    check(
        &[GET, switch],
        &[
            "0 asked at 10: GET /g",
            "0 answered 20..20@47: Ok",
            "Switched(14)",
        ],
    );
    let connect = Ask("CONNECT h:1 HTTP/1.1\r\n\r\n");
    check(
        &[connect, Reply("HTTP/1.1 200 OK\r\n\r\n")],
        &[
            "0 asked at 10: CONNECT",
            "0 answered 20..20@18: Ok",
            "Switched(2)",
        ],
    );
    check(
        &[
            connect,
            Reply("HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            "0 asked at 10: CONNECT",
            "0 answered 20..20@37: ServerError { kind: \"502\" } answer Int(0)",
        ],
    );
}

#[test]
fn websockets_last_until_they_are_closed() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\n\r\n";
    let asked = ["0 asked at 10: GET /g", "0 lasts"];
    let check = |calls: &[Call<'_>], end: &str| {
        let calls = [&[GET, Reply(SWITCH)], calls].concat();
        check(&calls, &[&asked[..], &[end]].concat());
    };
    let message = Reply("\x01\x02hi\0\x01!");
    let close = Reply("\x08\x00");
    // No frame is whole: UTF-8 has no bytes such as begin one.
    check(
        &[message, AskGap(1), AskEnd, ReplyEnd],
        "0 answered 20..60@63: Unknown cut",
    );
    check(
        &[ReplyGap(1), close, AskEnd, ReplyEnd],
        "0 answered 20..60@59: Unknown cut",
    );
    check(&[AskEnd, ReplyEnd], "0 answered 20..40@56: Aborted");
    // Its request's head is not over: where the first frame begins is unknown.
    let early = [Ask("GET /g HTTP/1.1\r\n"), Reply(SWITCH), AskEnd, ReplyEnd];
    let found = said(&talk(&early));
    assert_eq!(
        found.last().map(String::as_str),
        Some("0 answered 20..40@56: Unknown cut")
    );
}

#[test]
fn bodies_until_the_end_of_the_connection() {
    let calls = [
        GET,
        Reply("HTTP/1.0 200 OK\r\n\r\nsome"),
        Reply("more"),
        ReplyEnd,
    ];
    check(
        &calls,
        &[
            "0 asked at 10: GET /g",
            "0 answered 20..30@26: Ok answer Int(8)",
        ],
    );
}

#[test]
fn connections_that_end_early() {
    check(
        &[GET, AskEnd, ReplyEnd],
        &["0 asked at 10: GET /g", "0 answered never..30@0: Aborted"],
    );
    check(
        &[GET, AskEnd, OK],
        &[
            "0 asked at 10: GET /g",
            "0 answered 30..30@39: Ok answer Int(2)",
        ],
    );
    check(
        &[
            GET,
            Reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            ReplyEnd,
        ],
        &["0 asked at 10: GET /g", "0 answered 20..30@42: Aborted"],
    );
    check(
        &[GET, Reply("HTTP/1.1 200 OK\r\nX: y\r\n"), ReplyEnd],
        &["0 asked at 10: GET /g", "0 answered 20..30@23: Aborted"],
    );
    check(
        &[Ask("GET /half HTTP/1.1\r\nHost: x\r\n"), AskEnd, ReplyEnd],
        &[
            "0 asked at 10: GET /half",
            "0 answered never..30@0: Aborted",
        ],
    );
}

#[test]
fn gaps_in_bodies_of_known_size_are_no_loss() {
    check(
        &[
            Ask("POST /p HTTP/1.1\r\nContent-Length: 1000\r\n\r\nhead"),
            AskGap(996),
            Reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\nhead"),
            ReplyGap(996),
            Reply("\r\n0\r\n\r\n"),
            GET,
        ],
        &[
            "0 asked at 10: POST /p",
            "0 answered 30..50@1058: Ok answer Int(1000)",
            "1 asked at 60: GET /g",
        ],
    );
}

#[test]
fn a_body_of_lost_framing_ends_with_the_next_request() {
    let chunked = Reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
    check(
        &[
            GET,
            chunked,
            ReplyGap(50),
            Reply("rest"),
            GET,
            Reply("late"),
            OK,
        ],
        &[
            "0 asked at 10: GET /g",
            "0 answered 20..40@105: Ok cut",
            "1 asked at 50: GET /g",
            "1 answered 70..70@149: Ok answer Int(2)",
        ],
    );
}

#[test]
fn a_body_of_lost_framing_ends_with_the_next_answer_or_its_last_chunk_or_the_connection() {
    let chunked = Reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
    check(
        &[GET, GET, chunked, ReplyGap(50), OK],
        &[
            "0 asked at 10: GET /g",
            "1 asked at 20: GET /g",
            "0 answered 30..40@101: Ok cut",
            "1 answered 50..50@141: Ok answer Int(2)",
        ],
    );
    check(
        &[GET, chunked, ReplyGap(50), Reply("0\r\n\r\n")],
        &["0 asked at 10: GET /g", "0 answered 20..40@106: Ok cut"],
    );
    check(
        &[GET, chunked, ReplyGap(50), ReplyEnd],
        &["0 asked at 10: GET /g", "0 answered 20..30@101: Ok cut"],
    );
}

#[test]
fn heads_that_the_capture_cut_still_count() {
    check(
        &[
            Ask("GET /g HTTP/1.1\r\nHost: x\r\nCookie: aaa"),
            AskGap(9000),
            OK,
            GET,
            OK,
        ],
        &[
            "0 asked at 10: GET /g",
            "0 answered 30..30@39: Ok answer Int(2) cut",
            "1 asked at 40: GET /g",
            "1 answered 50..50@79: Ok answer Int(2)",
        ],
    );
    check(
        &[
            GET,
            Reply("HTTP/1.1 500 Oops\r\nX: "),
            ReplyGap(9000),
            GET,
            OK,
        ],
        &[
            "0 asked at 10: GET /g",
            "0 answered 20..30@9021: ServerError { kind: \"500\" } cut",
            "1 asked at 40: GET /g",
            "1 answered 50..50@9061: Ok answer Int(2)",
        ],
    );
    check(
        &[GET, ReplyGap(300), GET],
        &[
            "0 asked at 10: GET /g",
            "0 answered 20..20@299: Unknown cut",
            "1 asked at 30: GET /g",
        ],
    );
}

#[test]
fn long_heads_are_read_to_their_end() {
    let long = format!(
        "GET /g HTTP/1.1\r\nCookie: {}\r\nHost: x\r\n\r\n",
        "c".repeat(900)
    );
    check(
        &[Ask(&long), OK, GET],
        &[
            "0 asked at 10: GET /g",
            "0 answered 20..20@39: Ok answer Int(2) cut",
            "1 asked at 30: GET /g",
        ],
    );
    let line = format!("GET /{}", "a".repeat(300));
    check(&[Ask(&line)], &["Lost"]);
}

#[test]
fn answers_out_of_place() {
    check(
        &[OK, GET, OK],
        &[
            "dropped answer_without_request",
            "0 asked at 20: GET /g",
            "0 answered 30..30@79: Ok answer Int(2)",
        ],
    );
    check(
        &[
            Ask("GET /g HTTP/1.1\r\nHost: "),
            Reply("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            "0 asked at 10: GET /g",
            "0 answered 20..20@38: ClientError { kind: \"400\" } answer Int(0) cut",
        ],
    );
    check(
        &[
            Ask("POST /p HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"),
            OK,
            Ask("cd"),
            GET,
        ],
        &[
            "0 asked at 10: POST /p",
            "0 answered 20..20@39: Ok answer Int(2)",
            "1 asked at 40: GET /g",
        ],
    );
}

#[test]
fn what_is_not_http_is_lost() {
    check(&[Ask("\x16\x03\x01")], &["Lost"]);
    check(&[GET, Reply("+OK\r\n")], &["0 asked at 10: GET /g", "Lost"]);
    check(&[AskGap(5)], &["Lost"]);
}

#[test]
fn what_may_be_skipped() {
    let skippable = |calls: &[Call<'_>]| {
        let talk = talk(calls).conversation;
        [Direction::Received, Direction::Sent]
            .map(|way| (talk.skippable(way), talk.at_boundary(way)))
    };
    assert_eq!(skippable(&[]), [(0, true), (0, true)]);
    assert_eq!(skippable(&[GET]), [(0, true), (0, true)]);
    assert_eq!(
        skippable(&[Ask("PUT /p HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc")]),
        [(6, false), (0, true)]
    );
    assert_eq!(
        skippable(&[
            GET,
            Reply("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc")
        ]),
        [(0, true), (6, false)]
    );
    assert_eq!(
        skippable(&[GET, Reply("HTTP/1.1 200 OK\r\n\r\n")]),
        [(0, true), (u64::MAX / 2, false)]
    );
}

#[test]
fn what_is_left_is_given_up() {
    let mut talk = talk(&[
        GET,
        GET,
        Reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
    ]);
    talk.out.clear();
    let moment = talk.moment(Direction::Sent);
    talk.conversation.abandon(moment, &mut talk.out);
    let found: Vec<_> = talk.out.iter().map(line).collect();
    assert_eq!(
        found,
        [
            "0 answered 30..30@38: Unknown",
            "1 answered never..30@38: Unknown"
        ]
    );
}

#[test]
fn joined_midway_only_a_lone_request_is_believed() {
    let check = |calls: &[Call<'_>], expected: &[&str]| {
        let mut joined = talk(&[]);
        joined.conversation.joined_midway();
        for call in calls {
            joined.call(*call);
        }
        assert_eq!(said(&joined), expected);
    };
    check(
        &[GET, OK, GET, GET, OK],
        &[
            "0 asked at 10: GET /g",
            "0 answered 20..20@39: Ok answer Int(2)",
            "1 asked at 30: GET /g",
            "2 asked at 40: GET /g",
            "1 answered 50..50@79: Ok answer Int(2)",
        ],
    );
    // The answers may be to requests from before.
    let unknown = [
        "0 asked at 10: GET /g",
        "1 asked at 20: GET /g",
        "dropped answer_of_unknown_request",
        "0 answered never..30@0: Unknown",
        "1 answered never..30@0: Unknown",
        "dropped answer_of_unknown_request",
    ];
    let then = |more: &[&'static str]| [&unknown[..], more].concat();
    check(
        &[GET, GET, OK, OK, GET, OK],
        &then(&[
            "2 asked at 50: GET /g",
            "2 answered 60..60@119: Ok answer Int(2)",
        ]),
    );
    check(
        &[GET, GET, OK, OK, OK, ReplyEnd],
        &then(&["dropped answer_without_request"]),
    );
    check(
        &[GET, Ask("GET /h HTTP/1.1\r\n"), OK, Ask("\r\n"), OK],
        &[
            "0 asked at 10: GET /g",
            "dropped answer_of_unknown_request",
            "0 answered never..30@0: Unknown",
            "1 asked at 20: GET /h",
            "1 answered 50..50@79: Ok answer Int(2)",
        ],
    );
    check(
        &[GET, GET, ReplyGap(500), ReplyGap(40), GET, GET],
        &[
            &unknown[..5],
            &["2 asked at 50: GET /g", "3 asked at 60: GET /g"],
        ]
        .concat(),
    );
}

#[test]
fn an_answer_too_many_shows_that_others_were_taken_for_wrong_ones() {
    let stray = [
        "0 asked at 10: GET /g",
        "0 answered 20..20@39: Ok answer Int(2)",
        "dropped answer_without_request",
        "1 asked at 40: GET /g",
        "2 asked at 50: GET /g",
        "dropped answer_of_unknown_request",
        "1 answered never..60@80: Unknown",
        "2 answered never..60@80: Unknown",
    ];
    check(&[GET, OK, OK, GET, GET, OK], &stray);
}
