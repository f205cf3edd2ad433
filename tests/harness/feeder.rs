//! Drives a protocol over traffic, as the stream stage does, and holds it to its contract.
//!
//! In: traffic, a role. Out: what the conversation reported. It panics where the contract of
//! [`Conversation`] is broken: no progress, more taken than offered, times out of order, an
//! answer without a request or two for one, a request that is never answered, texts without
//! bound.

use crate::traffic::{Event, Way, What};
use std::collections::BTreeMap;
use weft::protocol::exchange::{Attribute, Moment, Report, Role, Value};
use weft::protocol::tls::{Handshake, Stage};
use weft::protocol::{Conversation, Limits, Progress, Protocol, Verdict};
use weft::record::{Direction, Task};

/// Most text that one report may hold, bytes.
const MOST_TEXT: usize = 64 * 1024;

/// What came of a connection.
#[derive(Debug, Default, PartialEq)]
pub struct Run {
    /// What was reported, by conversation: a new one begins where sync was lost.
    pub conversations: Vec<Vec<Report>>,
    /// How often sync was lost.
    pub lost: usize,
    /// The protocol changed.
    pub opaque: bool,
}

impl Run {
    /// Was any exchange cut?
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.conversations
            .iter()
            .flatten()
            .any(|report| matches!(report, Report::Answered(answer) if answer.cut))
    }
}

/// Runs `protocol` over a connection, detection included.
#[must_use]
pub fn run(protocol: &dyn Protocol, role: Role, limits: Limits, events: &[Event]) -> Run {
    drive(protocol, role, limits, events, None)
}

/// Runs one conversation of `protocol` over a connection, until sync is lost.
#[must_use]
pub fn converse(protocol: &dyn Protocol, role: Role, limits: Limits, events: &[Event]) -> Run {
    let conversation = protocol.open(role, limits);
    drive(protocol, role, limits, events, Some(conversation))
}

fn drive(
    protocol: &dyn Protocol,
    role: Role,
    limits: Limits,
    events: &[Event],
    conversation: Option<Box<dyn Conversation>>,
) -> Run {
    let once = conversation.is_some();
    let mut feeder = Feeder {
        protocol,
        role,
        limits,
        conversation,
        halves: [Half::default(), Half::default()],
        out: Vec::new(),
        run: Run::default(),
    };
    for event in events {
        if feeder.run.opaque || (once && feeder.run.lost > 0) {
            break;
        }
        feeder.event(event);
    }
    let at = events.last().map_or(0, |event| event.at);
    feeder.finish(moment(at, 0));
    feeder
        .run
        .conversations
        .iter()
        .for_each(|reports| check(reports));
    feeder.run
}

/// One direction: bytes not yet taken and the calls that moved them.
#[derive(Default)]
struct Half {
    bytes: Vec<u8>,
    /// Offset of the first of them.
    offset: u64,
    /// Offset of each call's first byte, and its time.
    calls: Vec<(u64, u64)>,
}

impl Half {
    fn first(&self) -> Moment {
        let call = self
            .calls
            .iter()
            .rev()
            .find(|(offset, _)| *offset <= self.offset);
        moment(call.map_or(0, |(_, at)| *at), self.offset)
    }

    fn last(&self) -> Moment {
        let end = self.offset + self.bytes.len() as u64;
        moment(
            self.calls.last().map_or(0, |(_, at)| *at),
            end.saturating_sub(1),
        )
    }

    fn take(&mut self, len: usize) {
        self.bytes.drain(..len);
        self.offset += len as u64;
        let offset = self.offset;
        let current = self.calls.iter().rposition(|(start, _)| *start <= offset);
        self.calls.drain(..current.unwrap_or(0));
    }
}

struct Feeder<'a> {
    protocol: &'a dyn Protocol,
    role: Role,
    limits: Limits,
    conversation: Option<Box<dyn Conversation>>,
    halves: [Half; 2],
    out: Vec<Report>,
    run: Run,
}

impl Feeder<'_> {
    fn event(&mut self, event: &Event) {
        let direction = direction(self.role, event.way);
        let half = &mut self.halves[direction.index()];
        match &event.what {
            What::Bytes(bytes) => {
                let end = half.offset + half.bytes.len() as u64;
                half.calls.push((end, event.at));
                half.bytes.extend(bytes);
                if self.conversation.is_none() {
                    self.detect(direction, bytes);
                }
                self.offer(direction);
            }
            What::Gap(missing) => self.gap(direction, *missing, event.at),
            What::Close => {
                let at = moment(event.at, half.offset + half.bytes.len() as u64);
                if let Some(conversation) = &mut self.conversation {
                    conversation.end(direction, at, &mut self.out);
                }
            }
        }
    }

    /// Looks whether a request begins with this call, or with what was kept because it might.
    fn detect(&mut self, direction: Direction, call: &[u8]) {
        let half = &mut self.halves[direction.index()];
        let mut verdict = self.protocol.probe(direction, &half.bytes);
        if verdict == Verdict::No && half.bytes.len() > call.len() {
            half.take(half.bytes.len() - call.len());
            verdict = self.protocol.probe(direction, &half.bytes);
        }
        match verdict {
            Verdict::Yes(role) if role == self.role => {
                self.conversation = Some(self.protocol.open(role, self.limits));
                // Answers under way are not of this request.
                let other = &mut self.halves[direction.opposite().index()];
                other.take(other.bytes.len());
            }
            Verdict::More => {}
            Verdict::No | Verdict::Yes(_) | Verdict::Opaque => half.take(half.bytes.len()),
        }
    }

    fn offer(&mut self, direction: Direction) {
        while let Some(conversation) = &mut self.conversation {
            let half = &mut self.halves[direction.index()];
            if half.bytes.is_empty() {
                return;
            }
            let (first, last) = (half.first(), half.last());
            match conversation.feed(direction, &half.bytes, first, last, &mut self.out) {
                Progress::Took(0) => panic!("no progress on {}", half.bytes.escape_ascii()),
                Progress::Took(len) => {
                    assert!(len <= half.bytes.len(), "took more than was offered");
                    half.take(len);
                }
                Progress::Want => {
                    // What is waited for is bounded, whatever a single call brings.
                    assert!(half.bytes.len() <= self.limits.head, "waits without bound");
                    return;
                }
                Progress::Lost => self.lose(last),
                Progress::Switched(len) => {
                    assert!(len <= half.bytes.len(), "took more than was offered");
                    half.take(len);
                    let Some(next) = conversation.successor() else {
                        self.run.opaque = true;
                        return;
                    };
                    *conversation = next.conversation;
                }
                Progress::Opaque => {
                    self.run.opaque = true;
                    return;
                }
            }
        }
    }

    fn gap(&mut self, direction: Direction, missing: u64, at: u64) {
        let half = &mut self.halves[direction.index()];
        half.take(half.bytes.len());
        let end = half.offset + missing;
        while let Some(conversation) = &mut self.conversation {
            let half = &mut self.halves[direction.index()];
            let left = end - half.offset;
            if left == 0 {
                return;
            }
            let moment = moment(at, half.offset);
            match conversation.gap(direction, left, moment, &mut self.out) {
                Progress::Took(0) => panic!("no progress over a gap"),
                Progress::Took(len) => {
                    assert!(len as u64 <= left, "bridged more than was missing");
                    half.offset += len as u64;
                }
                Progress::Want => panic!("a gap cannot be waited for"),
                Progress::Lost => self.lose(moment),
                Progress::Opaque | Progress::Switched(_) => {
                    self.run.opaque = true;
                    return;
                }
            }
        }
        self.halves[direction.index()].offset = end;
    }

    fn lose(&mut self, at: Moment) {
        self.run.lost += 1;
        self.finish(at);
        for half in &mut self.halves {
            half.take(half.bytes.len());
        }
    }

    fn finish(&mut self, at: Moment) {
        if let Some(mut conversation) = self.conversation.take() {
            conversation.abandon(at, &mut self.out);
            self.run.conversations.push(std::mem::take(&mut self.out));
        }
    }
}

/// Which way `way` is, seen from `role`.
const fn direction(role: Role, way: Way) -> Direction {
    match (role, way) {
        (Role::Server, Way::Request) | (Role::Client, Way::Answer) => Direction::Received,
        (Role::Server, Way::Answer) | (Role::Client, Way::Request) => Direction::Sent,
    }
}

/// The moment of a file's time, µs.
fn moment(at: u64, offset: u64) -> Moment {
    Moment {
        at: at.saturating_mul(1000),
        task: Task { tgid: 1, tid: 1 },
        fiber: 0,
        offset,
    }
}

/// Holds the reports of one conversation to the contract.
fn check(reports: &[Report]) {
    let mut asked = BTreeMap::new();
    let mut secured = None;
    for report in reports {
        match report {
            Report::Asked(request) => {
                assert_eq!(
                    request.number,
                    asked.len() as u64,
                    "requests are counted from 0"
                );
                asked.insert(request.number, Some(request.start));
                check_texts(&request.operation.attributes);
            }
            Report::Answered(answer) => {
                let start = asked
                    .get_mut(&answer.number)
                    .and_then(Option::take)
                    .expect("an answer has a request, and a request one answer");
                let first = answer.first.unwrap_or(answer.end);
                assert!(
                    start.at <= first.at,
                    "answered before it was asked: {answer:?}"
                );
                assert!(
                    first.at <= answer.end.at,
                    "ended before it began: {answer:?}"
                );
                check_texts(&answer.attributes);
            }
            Report::Secured(handshake) => {
                assert!(
                    secured < Some(rank(handshake)),
                    "no progress: {handshake:?}"
                );
                secured = Some(rank(handshake));
                check_texts(&handshake.operation().attributes);
            }
            Report::Switched(number) => {
                let open = asked.get(number).is_some_and(Option::is_some);
                assert!(open, "{number} switched and is not open");
            }
            Report::Dropped(_) => {}
        }
    }
    let open: Vec<_> = asked.iter().filter(|(_, start)| start.is_some()).collect();
    assert!(open.is_empty(), "never answered: {open:?}");
}

/// How far a handshake has come; each report tells more than the one before.
const fn rank(handshake: &Handshake) -> u8 {
    match handshake.stage {
        Stage::Offered => 0,
        Stage::Chosen => 1,
        Stage::Established(_) | Stage::Failed(..) => 2,
    }
}

fn check_texts(attributes: &[Attribute]) {
    let len = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.iter().map(String::len).sum(),
        Value::Int(_) | Value::Bool(_) => 0,
    };
    for (at, one) in attributes.iter().enumerate() {
        let before = attributes.iter().take(at);
        let twice = before.filter(|other| other.key == one.key).count();
        assert_eq!(twice, 0, "{} stands there twice", one.key);
    }
    let total: usize = attributes
        .iter()
        .map(|attribute| len(&attribute.value))
        .sum();
    assert!(total <= MOST_TEXT, "{total} bytes of text in one report");
}
