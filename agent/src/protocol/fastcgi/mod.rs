//! FastCGI 1.0, as web servers speak it with php-fpm.
//!
//! In: bytes of a connection. Out: one exchange per request. A record has a head of eight bytes;
//! a request is a record that begins it, its parameters, and its body; the answer is output that
//! begins with header lines, and a record that ends it. Memory: per open request its parameters
//! until they are complete, and the header lines of its answer, both bounded. Not here: filters
//! and authorizers, and what management records say.

mod parameters;

use super::exchange::{Answer, Attribute, Moment, Outcome, Report, Request, Role};
use super::{Conversation, Limits, Progress, Protocol, Verdict};
use crate::record::Direction;
use crate::semconv;

/// Bytes of a record's head.
const HEAD: usize = 8;
/// Most bytes of an answer's header lines that are looked through for its status.
const LINES: usize = 4096;

// Types of records.
const BEGIN: u8 = 1;
const END: u8 = 3;
const PARAMETERS: u8 = 4;
const INPUT: u8 = 5;
const OUTPUT: u8 = 6;
const LAST_TYPE: u8 = 11;

/// FastCGI.
pub struct FastCgi;

impl Protocol for FastCgi {
    fn name(&self) -> &'static str {
        "fastcgi"
    }

    fn probe(&self, direction: Direction, bytes: &[u8]) -> Verdict {
        // `version, type, id, content length 8, padding, reserved`, then `role, flags`.
        let fixed = [(0, 1), (1, BEGIN), (4, 0), (5, 8), (7, 0), (8, 0)];
        let wrong = |(at, byte): &(usize, u8)| bytes.get(*at).is_some_and(|found| found != byte);
        let role = bytes.get(9).is_some_and(|role| !(1..=3).contains(role));
        let flags = bytes.get(10).is_some_and(|flags| *flags > 1);
        if fixed.iter().any(wrong) || role || flags {
            return Verdict::No;
        }
        if bytes.len() <= 10 {
            return Verdict::More;
        }
        Verdict::Yes(match direction {
            Direction::Received => Role::Server,
            Direction::Sent => Role::Client,
        })
    }

    fn open(&self, role: Role, limits: Limits) -> Box<dyn Conversation> {
        Box::new(Connection {
            role,
            limits,
            next: 0,
            halves: [State::Boundary, State::Boundary],
            open: Vec::new(),
        })
    }
}

/// What a direction is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between records.
    Boundary,
    /// In a record.
    Record(Record),
    /// Heads of records were lost: nothing is understood any more.
    Blind,
}

/// A record, and what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    kind: u8,
    id: u16,
    content: usize,
    padding: usize,
    /// It had no content at all: the end of its stream.
    empty: bool,
}

impl Record {
    /// From a head; `None` when it is none.
    fn parse(head: &[u8]) -> Option<Self> {
        let &[1, kind @ 1..=LAST_TYPE, id1, id0, len1, len0, padding, _] = head else {
            return None;
        };
        let content = usize::from(u16::from_be_bytes([len1, len0]));
        Some(Self {
            kind,
            id: u16::from_be_bytes([id1, id0]),
            content,
            padding: usize::from(padding),
            empty: content == 0,
        })
    }
}

/// A request that has no complete answer.
struct Open {
    id: u16,
    number: u64,
    start: Moment,
    parameters: Vec<u8>,
    asked: bool,
    /// Its body is over.
    sent: bool,
    lines: Vec<u8>,
    status: Option<i64>,
    /// First and last byte of its answer so far.
    answer: Option<(Moment, Moment)>,
    cut: bool,
}

/// One connection.
struct Connection {
    role: Role,
    limits: Limits,
    /// Number of the next request.
    next: u64,
    /// Of requests, of answers.
    halves: [State; 2],
    open: Vec<Open>,
}

const ASKING: usize = 0;
const ANSWERING: usize = 1;

impl Connection {
    const fn half(&self, direction: Direction) -> usize {
        match (self.role, direction) {
            (Role::Server, Direction::Received) | (Role::Client, Direction::Sent) => ASKING,
            _ => ANSWERING,
        }
    }

    fn of(&mut self, id: u16) -> Option<&mut Open> {
        self.open.iter_mut().find(|open| open.id == id)
    }

    /// A record begins at `moment`.
    fn begin(&mut self, half: usize, record: Record, moment: Moment, out: &mut Vec<Report>) {
        if half == ASKING && record.kind == BEGIN {
            if let Some(place) = self.open.iter().position(|open| open.id == record.id) {
                self.open
                    .remove(place)
                    .give_up(Outcome::Unknown, moment, out);
            }
            if self.halves[ANSWERING] == State::Blind {
                self.halves[ANSWERING] = State::Boundary;
                self.cut_off(out);
            }
            if self.open.len() >= self.limits.pending {
                out.push(Report::Dropped("too_many_requests"));
                return;
            }
            self.open.push(Open {
                id: record.id,
                number: 0,
                start: moment,
                parameters: Vec::new(),
                asked: false,
                sent: false,
                lines: Vec::new(),
                status: None,
                answer: None,
                cut: false,
            });
        } else if half == ANSWERING
            && record.kind == OUTPUT
            && !record.empty
            && let Some(open) = self.of(record.id)
        {
            open.answer.get_or_insert((moment, moment));
        }
    }

    /// Content of `record`, the last byte of it at `last`.
    fn content(&mut self, half: usize, record: Record, bytes: &[u8], last: Moment) {
        let most = self.limits.head;
        let Some(open) = self.of(record.id) else {
            return;
        };
        match (half, record.kind) {
            (ASKING, PARAMETERS) => {
                let room = most.saturating_sub(open.parameters.len());
                open.parameters.extend(bytes.iter().take(room));
            }
            (ANSWERING, OUTPUT) => {
                open.read_lines(bytes);
                if let Some((_, seen)) = &mut open.answer {
                    *seen = last;
                }
            }
            _ => {}
        }
    }

    /// The content of `record` is over, with the byte at `last`.
    fn over(&mut self, half: usize, record: Record, last: Moment, out: &mut Vec<Report>) {
        let (role, next) = (self.role, self.next);
        match (half, record.kind) {
            (ASKING, PARAMETERS) if record.empty => {
                let Some(open) = self.of(record.id).filter(|open| !open.asked) else {
                    return;
                };
                open.asked = true;
                open.number = next;
                let parameters = std::mem::take(&mut open.parameters);
                let (operation, carried) = parameters::read(&parameters, role);
                out.push(Report::Asked(Box::new(Request {
                    number: next,
                    role,
                    stream: None,
                    start: open.start,
                    operation,
                    carried,
                })));
                self.next += 1;
            }
            (ASKING, INPUT) if record.empty => {
                if let Some(open) = self.of(record.id) {
                    open.sent = true;
                }
            }
            (ANSWERING, END) => {
                if let Some(place) = self.open.iter().position(|open| open.id == record.id) {
                    self.open.remove(place).answered(last, out);
                }
            }
            _ => {}
        }
    }

    /// What was answering when sync was lost ends with the last byte seen.
    fn cut_off(&mut self, out: &mut Vec<Report>) {
        for open in self.open.extract_if(.., |open| open.answer.is_some()) {
            let seen = open.answer.map_or(open.start, |(_, last)| last);
            Open { cut: true, ..open }.answered(seen, out);
        }
    }

    fn give_up(&mut self, outcome: &Outcome, moment: Moment, out: &mut Vec<Report>) {
        for open in self.open.drain(..) {
            open.give_up(outcome.clone(), moment, out);
        }
    }
}

impl Open {
    /// Header lines of the answer, until they are over.
    fn read_lines(&mut self, bytes: &[u8]) {
        if self.status.is_some() {
            return;
        }
        let room = LINES - self.lines.len();
        self.lines.extend(bytes.iter().take(room));
        let over = self.lines.windows(2).any(|pair| pair == b"\n\n")
            || self.lines.windows(4).any(|four| four == b"\r\n\r\n");
        if over || self.lines.len() >= LINES {
            // CGI (RFC 3875, 6.3.3): without a status line it is a success.
            self.status = Some(parameters::status(&self.lines).unwrap_or(200));
            self.lines = Vec::new();
        }
    }

    fn answered(self, end: Moment, out: &mut Vec<Report>) {
        let outcome = match self.status {
            Some(status @ 400..500) => Outcome::ClientError {
                kind: status.to_string(),
            },
            Some(status @ 500..) => Outcome::ServerError {
                kind: status.to_string(),
            },
            Some(_) => Outcome::Ok,
            None => Outcome::Aborted,
        };
        self.give_up(outcome, end, out);
    }

    fn give_up(self, outcome: Outcome, end: Moment, out: &mut Vec<Report>) {
        if !self.asked {
            out.push(Report::Dropped("request_head_cut"));
            return;
        }
        let earliest = self.answer.map_or(self.start, |(_, last)| last);
        let status = self.status;
        let status = status.map(|s| Attribute::new(semconv::HTTP_RESPONSE_STATUS_CODE, s));
        out.push(Report::Answered(Box::new(Answer {
            number: self.number,
            first: self.answer.map(|(first, _)| first),
            end: Moment {
                at: end.at.max(earliest.at),
                ..end
            },
            outcome,
            attributes: status.into_iter().collect(),
            cut: self.cut,
        })));
    }
}

impl Conversation for Connection {
    fn feed(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        moment: Moment,
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        let half = self.half(direction);
        let behind = |taken: usize| Moment {
            offset: moment.offset.saturating_add(taken as u64).saturating_sub(1),
            ..last
        };
        match self.halves[half] {
            State::Blind => Progress::Took(bytes.len()),
            State::Boundary => {
                let Some(head) = bytes.get(..HEAD) else {
                    return Progress::Want;
                };
                let Some(record) = Record::parse(head) else {
                    return Progress::Lost;
                };
                self.begin(half, record, moment, out);
                if record.empty {
                    self.over(half, record, behind(HEAD), out);
                }
                self.halves[half] = after(record);
                Progress::Took(HEAD)
            }
            State::Record(mut record) => {
                let taken = bytes.len().min(record.content);
                if taken > 0 {
                    let content = bytes.get(..taken).unwrap_or(bytes);
                    self.content(half, record, content, behind(taken));
                    record.content -= taken;
                    if record.content == 0 {
                        self.over(half, record, behind(taken), out);
                    }
                    self.halves[half] = after(record);
                    return Progress::Took(taken);
                }
                let taken = bytes.len().min(record.padding);
                record.padding -= taken;
                self.halves[half] = after(record);
                Progress::Took(taken)
            }
        }
    }

    fn gap(
        &mut self,
        direction: Direction,
        missing: u64,
        moment: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        let half = self.half(direction);
        let bridged = self.skippable(direction).min(missing);
        let missing = usize::try_from(missing).unwrap_or(usize::MAX);
        match self.halves[half] {
            State::Record(mut record) if bridged > 0 => {
                let bridged = usize::try_from(bridged).unwrap_or(usize::MAX);
                let content = bridged.min(record.content);
                record.content -= content;
                record.padding -= bridged - content;
                if content > 0 && record.content == 0 {
                    self.over(half, record, moment, out);
                }
                self.halves[half] = after(record);
                Progress::Took(bridged)
            }
            State::Blind => Progress::Took(missing),
            _ if half == ANSWERING => {
                self.halves[half] = State::Blind;
                Progress::Took(missing)
            }
            _ => Progress::Lost,
        }
    }

    fn end(&mut self, direction: Direction, moment: Moment, out: &mut Vec<Report>) {
        let half = self.half(direction);
        if half == ANSWERING {
            if self.halves[ANSWERING] == State::Blind {
                self.cut_off(out);
            }
            self.give_up(&Outcome::Aborted, moment, out);
            return;
        }
        // What is not asked by now never will be; answers may still come.
        for open in self.open.extract_if(.., |open| !open.asked) {
            open.give_up(Outcome::Aborted, moment, out);
        }
    }

    fn abandon(&mut self, moment: Moment, out: &mut Vec<Report>) {
        self.give_up(&Outcome::Unknown, moment, out);
    }

    fn skippable(&self, direction: Direction) -> u64 {
        let half = self.half(direction);
        let State::Record(record) = self.halves[half] else {
            return 0;
        };
        let status = self.open.iter().find(|open| open.id == record.id);
        let matters = match (half, record.kind) {
            (ASKING, BEGIN | PARAMETERS) | (ANSWERING, END) => true,
            (ANSWERING, OUTPUT) => status.is_some_and(|open| open.status.is_none()),
            _ => false,
        };
        if matters && record.content > 0 {
            return 0;
        }
        (record.content + record.padding) as u64
    }

    fn at_boundary(&self, direction: Direction) -> bool {
        let half = self.half(direction);
        let begun = |open: &Open| match half {
            ASKING => !open.sent,
            _ => open.answer.is_some(),
        };
        self.halves[half] == State::Boundary && !self.open.iter().any(begun)
    }
}

/// What a direction is in behind what was taken of `record`.
const fn after(record: Record) -> State {
    if record.content == 0 && record.padding == 0 {
        State::Boundary
    } else {
        State::Record(record)
    }
}

#[cfg(test)]
#[path = "mod_tests.rs"]
mod tests;
