//! The state of one HTTP/1 connection: which answer belongs to which request, and when.
//!
//! In: bytes and gaps of both directions. Out: reports. Memory: one entry per request that has
//! no answer yet, at most [`Limits::pending`]; nothing of heads and bodies but the fields that
//! matter.
//!
//! When a gap swallows framing (the header of a chunk, the end of a head), the connection is
//! kept: that body is of *unknown* framing and ends with the first of these: the next request,
//! if it was the only one without an answer; a status line at the start of what is offered,
//! while another request waits; the last chunk at the end of what is offered; the connection's
//! end. Its exchange is marked as cut and ended with the last byte seen before.

use super::body::{Body, Framing};
use super::head::{AnswerHead, RequestHead};
use super::line::{self, Start};
use super::operation;
use crate::protocol::exchange::{Answer, Attribute, Moment, Outcome, Report, Request, Role};
use crate::protocol::{Conversation, Limits, Progress};
use crate::record::Direction;
use crate::semconv;
use std::collections::VecDeque;

/// One connection.
pub(super) struct Http1Conversation {
    role: Role,
    limits: Limits,
    /// Number of the next request.
    next: u64,
    asking: Asking,
    answering: Answering,
    /// Requests without an answer, oldest first.
    pending: VecDeque<Pending>,
    /// No more answers come.
    answers_ended: bool,
}

/// A request whose answer has not begun.
#[derive(Clone, Debug)]
struct Pending {
    number: u64,
    start: Moment,
    /// Its answer has no body: HEAD.
    bodiless: bool,
    /// CONNECT: a tunnel if the answer is a success.
    tunnel: bool,
    cut: bool,
    /// Size of its body, if it was not announced by its head.
    size: Option<u64>,
}

/// What the direction of the requests is in.
enum Asking {
    Boundary,
    Head(Box<AskingHead>),
    Body {
        number: u64,
        body: Body,
        expects: bool,
    },
}

struct AskingHead {
    head: RequestHead,
    start: Moment,
    lines: Lines,
    /// It was reported before its end, for an answer came.
    reported: Option<u64>,
}

/// What the direction of the answers is in.
enum Answering {
    Boundary,
    Head(Box<AnsweringHead>),
    Body(Box<AnsweringBody>),
}

struct AnsweringHead {
    head: AnswerHead,
    first: Moment,
    lines: Lines,
}

struct AnsweringBody {
    /// Whom it answers; none for an answer that nobody asked for or that was already reported.
    open: Option<Open>,
    body: Body,
}

/// An answer that has begun.
struct Open {
    request: Pending,
    /// Unknown if its head was not seen.
    status: Option<u16>,
    first: Moment,
    /// Last byte seen.
    last: Moment,
    /// Size announced by its head.
    announced: Option<u64>,
}

/// Progress through the lines of a head.
#[derive(Clone, Copy, Debug, Default)]
struct Lines {
    /// Bytes so far.
    taken: usize,
    /// Inside a line too long to be waited for.
    skipping: bool,
    /// The head is longer than the limit, or a line was.
    cut: bool,
}

/// What [`Lines::next`] found.
enum Line<'a> {
    /// A line with its end.
    Whole(&'a [u8]),
    /// That many bytes of a line too long to be kept.
    Skipped(usize),
    /// More bytes are needed.
    Want,
}

impl Lines {
    /// The next line of `bytes`. Lines behind `limit` are not waited for and count as skipped.
    fn next<'a>(&mut self, bytes: &'a [u8], limit: usize) -> Line<'a> {
        let len = line::length(bytes);
        let end = len.unwrap_or(bytes.len());
        if self.skipping || end > limit {
            self.cut = true;
            self.skipping = len.is_none();
            self.taken = self.taken.saturating_add(end);
            return Line::Skipped(end);
        }
        match len.and_then(|len| bytes.get(..len)) {
            Some(line) => {
                self.taken = self.taken.saturating_add(line.len());
                self.cut |= self.taken > limit;
                Line::Whole(line)
            }
            None => Line::Want,
        }
    }
}

impl Http1Conversation {
    pub(super) fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            limits,
            next: 0,
            asking: Asking::Boundary,
            answering: Answering::Boundary,
            pending: VecDeque::new(),
            answers_ended: false,
        }
    }

    const fn is_request(&self, direction: Direction) -> bool {
        matches!(
            (self.role, direction),
            (Role::Server, Direction::Received) | (Role::Client, Direction::Sent)
        )
    }
}

/// Requests.
impl Http1Conversation {
    fn ask(&mut self, bytes: &[u8], moment: Moment, out: &mut Vec<Report>) -> Progress {
        match &mut self.asking {
            Asking::Boundary => self.ask_start(bytes, moment),
            Asking::Head(_) => self.ask_head(bytes, out),
            Asking::Body { body, expects, .. } => {
                if body.is_unknown() {
                    match next_request(bytes) {
                        Start::Whole(..) => {
                            self.asking = Asking::Boundary;
                            return self.ask_start(bytes, moment);
                        }
                        Start::Partial if bytes.len() <= self.limits.head => return Progress::Want,
                        Start::Partial | Start::Bad => {}
                    }
                }
                *expects = false;
                let known = !body.is_unknown();
                let taken = body.feed(bytes);
                self.asked_body(known, taken.over);
                Progress::Took(usize::try_from(taken.bytes).unwrap_or(bytes.len()))
            }
        }
    }

    fn ask_start(&mut self, bytes: &[u8], start: Moment) -> Progress {
        let blank = line::blank(bytes);
        if blank > 0 {
            return Progress::Took(blank);
        }
        match line::request(bytes) {
            Start::Whole(found, len) if len <= self.limits.head => {
                self.asking = Asking::Head(Box::new(AskingHead {
                    head: RequestHead::new(found),
                    start,
                    lines: Lines {
                        taken: len,
                        ..Lines::default()
                    },
                    reported: None,
                }));
                Progress::Took(len)
            }
            Start::Partial if bytes.len() <= self.limits.head => Progress::Want,
            _ => Progress::Lost,
        }
    }

    fn ask_head(&mut self, bytes: &[u8], out: &mut Vec<Report>) -> Progress {
        let Asking::Head(asking) = &mut self.asking else {
            return Progress::Lost;
        };
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or(b"");
            match asking.lines.next(rest, self.limits.head) {
                Line::Want if taken == 0 => return Progress::Want,
                Line::Want => return Progress::Took(taken),
                Line::Skipped(0) => return Progress::Took(taken),
                Line::Skipped(len) => taken += len,
                Line::Whole(line) => {
                    taken += line.len();
                    if !asking.head.line(line) {
                        break;
                    }
                }
            }
        }
        let cut = asking.lines.cut;
        let framing = asking.head.framing();
        match self.asked(cut, framing, out) {
            true => Progress::Took(taken),
            false => Progress::Lost,
        }
    }

    /// The head under way is over, or as much as can be known of it. False if there are too many
    /// requests without answers.
    fn asked(&mut self, cut: bool, framing: Option<Framing>, out: &mut Vec<Report>) -> bool {
        let Asking::Head(asking) = &mut self.asking else {
            return true;
        };
        let unknown = matches!(framing, Some(Framing::Unknown { .. }));
        let cut = cut || unknown || asking.lines.cut;
        let expects = asking.head.fields.expects;
        let number = match asking.reported {
            Some(number) => number,
            None => {
                if self.pending.len() >= self.limits.pending {
                    out.push(Report::Dropped("too_many_requests_pending"));
                    return false;
                }
                let number = self.next;
                self.next = self.next.saturating_add(1);
                asking.reported = Some(number);
                let head = &asking.head;
                let request = Request {
                    number,
                    role: self.role,
                    start: asking.start,
                    operation: operation::operation(head, self.role),
                    carried: operation::carried(head),
                };
                let pending = Pending {
                    number,
                    start: asking.start,
                    bodiless: head.method == "HEAD",
                    tunnel: head.method == "CONNECT",
                    cut: false,
                    size: None,
                };
                if self.pending.is_empty() {
                    self.answer_overtaken(out);
                }
                out.push(Report::Asked(Box::new(request)));
                self.pending.push_back(pending);
                number
            }
        };
        if cut {
            self.cut_request(number);
        }
        if let Asking::Head(_) = &self.asking {
            self.asking = match framing {
                None => Asking::Boundary,
                Some(framing) => Asking::Body {
                    number,
                    body: Body::new(framing),
                    expects,
                },
            };
        }
        true
    }

    /// An answer begins while the only request is still in its head: what is known of it is
    /// reported, and the rest of its head is read on.
    fn ask_early(&mut self, out: &mut Vec<Report>) -> bool {
        let Asking::Head(asking) = &self.asking else {
            return true;
        };
        if asking.reported.is_some() || !self.pending.is_empty() {
            return true;
        }
        let lines = asking.lines;
        let head = asking.head.clone();
        let start = asking.start;
        let reported = self.next;
        if !self.asked(true, None, out) {
            return false;
        }
        self.asking = Asking::Head(Box::new(AskingHead {
            head,
            start,
            lines,
            reported: Some(reported),
        }));
        true
    }

    /// Notes what the body of the request under way came to.
    fn asked_body(&mut self, known: bool, over: bool) {
        let Asking::Body { number, body, .. } = &self.asking else {
            return;
        };
        let (number, size, chunked) = (*number, body.size, body.is_chunked());
        if known && body.is_unknown() {
            self.cut_request(number);
        }
        if over {
            self.asking = Asking::Boundary;
            if let Some(request) = self.waiting(number).filter(|_| known && chunked) {
                request.size = Some(size);
            }
        }
    }

    fn cut_request(&mut self, number: u64) {
        if let Some(request) = self.waiting(number) {
            request.cut = true;
        }
    }

    /// The request of that number, as long as its answer is not complete.
    fn waiting(&mut self, number: u64) -> Option<&mut Pending> {
        if let Answering::Body(answering) = &mut self.answering
            && let Some(open) = &mut answering.open
            && open.request.number == number
        {
            return Some(&mut open.request);
        }
        self.pending
            .iter_mut()
            .rev()
            .find(|request| request.number == number)
    }

    fn ask_gap(&mut self, missing: u64, out: &mut Vec<Report>) -> Progress {
        match &mut self.asking {
            Asking::Boundary => Progress::Lost,
            Asking::Head(asking) => {
                let framing = Some(asking.head.cut_framing());
                match self.asked(true, framing, out) {
                    true => took(missing),
                    false => Progress::Lost,
                }
            }
            Asking::Body { body, expects, .. } => {
                *expects = false;
                let known = !body.is_unknown();
                let taken = body.skip(missing);
                self.asked_body(known, taken.over);
                took(taken.bytes)
            }
        }
    }
}

/// Answers.
impl Http1Conversation {
    fn answer(
        &mut self,
        bytes: &[u8],
        moment: Moment,
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        if let Answering::Body(answering) = &self.answering
            && answering.body.is_unknown()
            && !self.pending.is_empty()
        {
            match line::begins_status(bytes) {
                Start::Whole(..) => self.answered(Ending::Cut, out),
                Start::Partial => return Progress::Want,
                Start::Bad => {}
            }
        }
        match &mut self.answering {
            Answering::Boundary => self.answer_start(bytes, moment, out),
            Answering::Head(_) => self.answer_head(bytes, moment, last, out),
            Answering::Body(answering) => {
                let taken = answering.body.feed(bytes);
                self.answer_moved(taken.bytes, taken.over, moment, last, out)
            }
        }
    }

    fn answer_start(&mut self, bytes: &[u8], first: Moment, out: &mut Vec<Report>) -> Progress {
        let blank = line::blank(bytes);
        if blank > 0 {
            return Progress::Took(blank);
        }
        let (status, len) = match line::status(bytes) {
            Start::Whole(found, len) if len <= self.limits.head => (found.status, len),
            Start::Partial if bytes.len() <= self.limits.head => return Progress::Want,
            _ => return Progress::Lost,
        };
        if !self.ask_early(out) {
            return Progress::Lost;
        }
        if self.pending.is_empty() {
            out.push(Report::Dropped("answer_without_request"));
        }
        self.answering = Answering::Head(Box::new(AnsweringHead {
            head: AnswerHead::new(status),
            first,
            lines: Lines {
                taken: len,
                ..Lines::default()
            },
        }));
        Progress::Took(len)
    }

    fn answer_head(
        &mut self,
        bytes: &[u8],
        moment: Moment,
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        let Answering::Head(answering) = &mut self.answering else {
            return Progress::Lost;
        };
        let mut taken = 0;
        loop {
            let rest = bytes.get(taken..).unwrap_or(b"");
            match answering.lines.next(rest, self.limits.head) {
                Line::Want if taken == 0 => return Progress::Want,
                Line::Want => return Progress::Took(taken),
                Line::Skipped(0) => return Progress::Took(taken),
                Line::Skipped(len) => taken += len,
                Line::Whole(line) => {
                    taken += line.len();
                    if !answering.head.line(line) {
                        break;
                    }
                }
            }
        }
        let end = behind(moment, last, taken);
        match self.answer_headed(end, out) {
            true => Progress::Took(taken),
            false => Progress::Opaque,
        }
    }

    /// The head of an answer is over at `end`. False if the protocol changes behind it.
    fn answer_headed(&mut self, end: Moment, out: &mut Vec<Report>) -> bool {
        let Answering::Head(answering) = &self.answering else {
            return true;
        };
        let head = answering.head.clone();
        let (first, cut) = (answering.first, answering.lines.cut);
        if head.is_interim() {
            self.answering = Answering::Boundary;
            if let Asking::Body { expects, .. } = &mut self.asking {
                *expects = false;
            }
            return true;
        }
        self.body_refused();
        let request = self.pending.pop_front();
        let changes = head.status == 101
            || (request.as_ref().is_some_and(|request| request.tunnel)
                && (200..300).contains(&head.status));
        let bodiless = request.as_ref().is_some_and(|request| request.bodiless) || changes;
        let framing = head.framing(bodiless);
        let announced = head.announced().filter(|_| !bodiless && head.status != 304);
        let open = request.map(|mut request| {
            request.cut |= cut;
            Open {
                request,
                status: Some(head.status),
                first,
                last: end,
                announced,
            }
        });
        let over = framing.is_none();
        self.answering = Answering::Body(Box::new(AnsweringBody {
            open,
            body: Body::new(framing.unwrap_or(Framing::Length(0))),
        }));
        if over {
            self.answered(Ending::Whole, out);
        }
        if changes {
            self.give_up(Outcome::Unknown, end, out);
        }
        !changes
    }

    /// A final answer came although the request's body is still waiting for `100 Continue`: the
    /// client may leave it out and go on with the next request.
    fn body_refused(&mut self) {
        if let Asking::Body {
            number,
            body,
            expects: true,
        } = &mut self.asking
            && self
                .pending
                .front()
                .is_some_and(|request| request.number == *number)
        {
            body.lose();
        }
    }

    /// `bytes` of the body under way were moved.
    fn answer_moved(
        &mut self,
        bytes: u64,
        over: bool,
        moment: Moment,
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        let taken = usize::try_from(bytes).unwrap_or(usize::MAX);
        if let Answering::Body(answering) = &mut self.answering {
            let unknown = answering.body.is_unknown();
            if let Some(open) = &mut answering.open {
                open.request.cut |= unknown;
                open.last = behind(moment, last, taken);
            }
            if over {
                self.answered(if unknown { Ending::Cut } else { Ending::Whole }, out);
            }
        }
        Progress::Took(taken)
    }

    /// A request begins while no other waits: an answer whose end is unknown is over, but its
    /// bytes may still come.
    fn answer_overtaken(&mut self, out: &mut Vec<Report>) {
        if let Answering::Body(answering) = &mut self.answering
            && answering.body.is_unknown()
            && let Some(open) = answering.open.take()
        {
            open.report(Ending::Cut, None, out);
        }
    }

    /// The answer under way is over.
    fn answered(&mut self, ending: Ending, out: &mut Vec<Report>) {
        let before = std::mem::replace(&mut self.answering, Answering::Boundary);
        if let Answering::Body(answering) = before
            && let Some(open) = answering.open
        {
            let counted = answering
                .body
                .counted()
                .filter(|_| open.announced.is_none());
            open.report(ending, counted, out);
        }
    }

    fn answer_gap(&mut self, missing: u64, moment: Moment, out: &mut Vec<Report>) -> Progress {
        if let Answering::Body(answering) = &mut self.answering {
            let taken = answering.body.skip(missing);
            return self.answer_moved(taken.bytes, taken.over, moment, moment, out);
        }
        if !self.ask_early(out) {
            return Progress::Lost;
        }
        let (status, first, framing) = match &self.answering {
            Answering::Head(answering) => (
                (!answering.head.is_interim()).then_some(answering.head.status),
                answering.first,
                answering.head.cut_framing(),
            ),
            _ => (None, moment, Framing::Unknown { chunked: true }),
        };
        if self.pending.is_empty() && matches!(self.answering, Answering::Boundary) {
            out.push(Report::Dropped("answer_without_request"));
        }
        self.body_refused();
        let open = self.pending.pop_front().map(|request| Open {
            request,
            status,
            first,
            last: first,
            announced: None,
        });
        self.answering = Answering::Body(Box::new(AnsweringBody {
            open,
            body: Body::new(framing),
        }));
        let taken = usize::try_from(missing).unwrap_or(usize::MAX);
        self.answer_moved(missing, false, moment, moment, out);
        Progress::Took(taken)
    }
}

/// Ends.
impl Http1Conversation {
    /// Everything open ends at `end` without an answer.
    fn give_up(&mut self, outcome: Outcome, end: Moment, out: &mut Vec<Report>) {
        let ending = Ending::GivenUp(outcome.clone(), end);
        match std::mem::replace(&mut self.answering, Answering::Boundary) {
            Answering::Body(answering) => {
                if let Some(open) = answering.open {
                    open.report(ending, None, out);
                }
            }
            Answering::Head(answering) if !answering.head.is_interim() => {
                if let Some(request) = self.pending.pop_front() {
                    let open = Open {
                        request,
                        status: Some(answering.head.status),
                        first: answering.first,
                        last: answering.first,
                        announced: None,
                    };
                    open.report(ending, None, out);
                }
            }
            Answering::Head(_) | Answering::Boundary => {}
        }
        for request in self.pending.drain(..) {
            out.push(Report::Answered(Box::new(Answer {
                number: request.number,
                first: None,
                end: not_before(end, request.start),
                cut: request.cut || outcome == Outcome::Unknown,
                outcome: outcome.clone(),
                attributes: request.attributes(),
            })));
        }
    }

    fn end_of_answers(&mut self, moment: Moment, out: &mut Vec<Report>) {
        self.answers_ended = true;
        if let Answering::Body(answering) = &self.answering {
            if answering.body.ends_at_close() {
                self.answered(Ending::Whole, out);
            } else if answering.body.is_unknown() {
                self.answered(Ending::Cut, out);
            }
        }
        self.give_up(Outcome::Aborted, moment, out);
    }

    fn end_of_requests(&mut self, moment: Moment, out: &mut Vec<Report>) {
        // The answer may still come: the client closed its half only.
        let asked = self.asked(false, None, out);
        self.asking = Asking::Boundary;
        if self.answers_ended || !asked {
            self.give_up(Outcome::Aborted, moment, out);
        }
    }
}

impl Conversation for Http1Conversation {
    fn feed(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        moment: Moment,
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        if bytes.is_empty() {
            Progress::Took(0)
        } else if self.is_request(direction) {
            self.ask(bytes, moment, out)
        } else {
            self.answer(bytes, moment, last, out)
        }
    }

    fn gap(
        &mut self,
        direction: Direction,
        missing: u64,
        moment: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        if missing == 0 {
            Progress::Took(0)
        } else if self.is_request(direction) {
            self.ask_gap(missing, out)
        } else {
            self.answer_gap(missing, moment, out)
        }
    }

    fn end(&mut self, direction: Direction, moment: Moment, out: &mut Vec<Report>) {
        if self.is_request(direction) {
            self.end_of_requests(moment, out);
        } else {
            self.end_of_answers(moment, out);
        }
    }

    fn abandon(&mut self, moment: Moment, out: &mut Vec<Report>) {
        if matches!(&self.asking, Asking::Head(asking) if asking.reported.is_none()) {
            out.push(Report::Dropped("request_head_cut"));
        }
        self.asking = Asking::Boundary;
        self.give_up(Outcome::Unknown, moment, out);
    }

    fn skippable(&self, direction: Direction) -> u64 {
        if self.is_request(direction) {
            match &self.asking {
                Asking::Body { body, .. } => body.skippable(),
                Asking::Boundary | Asking::Head(_) => 0,
            }
        } else {
            match &self.answering {
                Answering::Body(answering) => answering.body.skippable(),
                Answering::Boundary | Answering::Head(_) => 0,
            }
        }
    }

    fn at_boundary(&self, direction: Direction) -> bool {
        if self.is_request(direction) {
            matches!(self.asking, Asking::Boundary)
        } else {
            match &self.answering {
                Answering::Boundary => true,
                Answering::Head(_) => false,
                Answering::Body(answering) => {
                    answering.open.is_none() && answering.body.is_unknown()
                }
            }
        }
    }
}

/// How an answer came to its end.
enum Ending {
    /// As its framing says.
    Whole,
    /// Its framing was lost; the last byte seen is its last.
    Cut,
    /// It was left at that moment.
    GivenUp(Outcome, Moment),
}

impl Open {
    /// Reports the answer; `counted` is its body's size where its head did not announce it.
    fn report(self, ending: Ending, counted: Option<u64>, out: &mut Vec<Report>) {
        let mut attributes = self.request.attributes();
        if let Some(status) = self.status {
            let status = i64::from(status);
            attributes.push(Attribute::new(semconv::HTTP_RESPONSE_STATUS_CODE, status));
        }
        let (outcome, end, cut) = match ending {
            Ending::Whole => {
                put_size(
                    semconv::HTTP_RESPONSE_BODY_SIZE,
                    self.announced.or(counted),
                    &mut attributes,
                );
                (outcome(self.status), self.last, false)
            }
            Ending::Cut => (outcome(self.status), self.last, true),
            Ending::GivenUp(outcome, end) => {
                let unknown = outcome == Outcome::Unknown;
                (outcome, not_before(end, self.last), unknown)
            }
        };
        out.push(Report::Answered(Box::new(Answer {
            number: self.request.number,
            first: Some(self.first),
            end,
            outcome,
            attributes,
            cut: cut || self.request.cut,
        })));
    }
}

impl Pending {
    /// What was learnt about the request after its head.
    fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = Vec::with_capacity(3);
        put_size(semconv::HTTP_REQUEST_BODY_SIZE, self.size, &mut attributes);
        attributes
    }
}

fn put_size(key: &'static str, size: Option<u64>, attributes: &mut Vec<Attribute>) {
    if let Some(size) = size.and_then(|size| i64::try_from(size).ok()) {
        attributes.push(Attribute::new(key, size));
    }
}

fn outcome(status: Option<u16>) -> Outcome {
    match status {
        None => Outcome::Unknown,
        Some(status @ 400..500) => Outcome::ClientError {
            kind: status.to_string(),
        },
        Some(status @ 500..) => Outcome::ServerError {
            kind: status.to_string(),
        },
        Some(_) => Outcome::Ok,
    }
}

/// Does a request begin here, inside a body of unknown length? Only a well-known method is
/// waited for: any word may be the beginning of another.
fn next_request(bytes: &[u8]) -> Start<()> {
    match line::request(bytes) {
        Start::Whole(..) => Start::Whole((), 0),
        Start::Partial if line::may_begin_registered(bytes) => Start::Partial,
        Start::Partial | Start::Bad => Start::Bad,
    }
}

/// The moment of the last of `taken` bytes from `first` on.
fn behind(first: Moment, last: Moment, taken: usize) -> Moment {
    let taken = u64::try_from(taken).unwrap_or(u64::MAX);
    Moment {
        offset: first.offset.saturating_add(taken.saturating_sub(1)),
        ..last
    }
}

/// `moment`, but not before `earliest`: records of two CPUs may come with times that overlap.
fn not_before(moment: Moment, earliest: Moment) -> Moment {
    Moment {
        at: moment.at.max(earliest.at),
        ..moment
    }
}

fn took(bytes: u64) -> Progress {
    Progress::Took(usize::try_from(bytes).unwrap_or(usize::MAX))
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
