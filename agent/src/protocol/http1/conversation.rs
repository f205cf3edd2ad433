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
//!
//! Joined midway, a connection may have requests open that were not seen, and its answers name no
//! request. An answer is believed to be that of the only request that waits; while several wait
//! none of them can be told, so they and as many answers are dropped and counted.
//!
//! Behind a switch to a protocol that is known, that protocol's conversation goes on with the
//! exchange ([`Conversation::successor`]).

mod answer;
mod ask;
mod lines;
mod switch;

use super::body::Body;
use super::head::{AnswerHead, RequestHead};
use crate::protocol::exchange::{Answer, Attribute, Moment, Outcome, Report, Role};
use crate::protocol::http::{not_before, outcome, put_size, rpc};
use crate::protocol::{Conversation, Limits, Progress, Successor};
use crate::record::Direction;
use crate::semconv;
use lines::Lines;
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
    /// No request is open that was not seen.
    aligned: bool,
    /// What the connection is handed over to, until it is taken.
    successor: Option<Successor>,
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
    /// It was given up: which answer is its own cannot be told.
    void: bool,
    /// It is a call.
    call: Option<Box<rpc::Call>>,
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
    Head(AnsweringHead),
    Body(AnsweringBody),
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
            aligned: true,
            successor: None,
        }
    }

    const fn is_request(&self, direction: Direction) -> bool {
        matches!(
            (self.role, direction),
            (Role::Server, Direction::Received) | (Role::Client, Direction::Sent)
        )
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
                if let Some(request) = self.next_waiting() {
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
            request.give_up(&outcome, end, out);
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
    fn joined_midway(&mut self) {
        self.aligned = false;
    }

    fn leaves_requests(&self) -> bool {
        let begun = usize::from(matches!(self.answering, Answering::Head(_)));
        let asking = matches!(&self.asking, Asking::Head(asking) if asking.reported.is_none());
        !self.aligned || asking || self.pending.len() > begun
    }

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

    fn successor(&mut self) -> Option<Successor> {
        self.successor.take()
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
    fn report(mut self, ending: Ending, counted: Option<u64>, out: &mut Vec<Report>) {
        if let Some(call) = self.request.call.take() {
            return self.report_call(*call, ending, out);
        }
        let mut attributes = self.attributes();
        if matches!(ending, Ending::Whole) {
            put_size(
                semconv::HTTP_RESPONSE_BODY_SIZE,
                self.announced.or(counted),
                &mut attributes,
            );
        }
        let (how, end, cut) = self.ended(ending);
        let how = how.unwrap_or(outcome(self.status));
        self.answer(how, end, cut, attributes, out);
    }

    /// Reports the answer to a call.
    fn report_call(self, mut call: rpc::Call, ending: Ending, out: &mut Vec<Report>) {
        let mut attributes = Vec::with_capacity(4);
        let whole = matches!(ending, Ending::Whole);
        let (how, end, cut) = self.ended(ending);
        let how = if whole {
            call.answered(self.status, false, &mut attributes)
        } else {
            call.put(&mut attributes);
            how.unwrap_or(outcome(self.status))
        };
        // A call has a status of its own.
        let told = attributes
            .iter()
            .any(|attribute| attribute.key == semconv::RPC_STATUS_CODE);
        if let Some(status) = self.status.filter(|status| !told || *status != 200) {
            let status = i64::from(status);
            attributes.push(Attribute::new(semconv::HTTP_RESPONSE_STATUS_CODE, status));
        }
        self.answer(how, end, cut || call.is_cut(), attributes, out);
    }

    /// How it went where its framing does not say so, when it ended, and whether it was cut.
    fn ended(&self, ending: Ending) -> (Option<Outcome>, Moment, bool) {
        match ending {
            Ending::Whole => (None, self.last, false),
            Ending::Cut => (None, self.last, true),
            Ending::GivenUp(outcome, end) => (Some(outcome), not_before(end, self.last), false),
        }
    }

    fn answer(
        self,
        outcome: Outcome,
        end: Moment,
        cut: bool,
        attributes: Vec<Attribute>,
        out: &mut Vec<Report>,
    ) {
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

impl Open {
    /// What was learnt about the request after its head, and the answer's status.
    fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = self.request.attributes();
        if let Some(status) = self.status {
            let status = i64::from(status);
            attributes.push(Attribute::new(semconv::HTTP_RESPONSE_STATUS_CODE, status));
        }
        attributes
    }
}

impl Pending {
    /// Reports that no answer was seen.
    fn give_up(&self, outcome: &Outcome, end: Moment, out: &mut Vec<Report>) {
        if self.void {
            return;
        }
        out.push(Report::Answered(Box::new(Answer {
            number: self.number,
            first: None,
            end: not_before(end, self.start),
            cut: self.cut,
            outcome: outcome.clone(),
            attributes: self.attributes(),
        })));
    }

    /// What was learnt about the request after its head.
    fn attributes(&self) -> Vec<Attribute> {
        let mut attributes = Vec::with_capacity(3);
        match &self.call {
            Some(call) => call.put(&mut attributes),
            None => put_size(semconv::HTTP_REQUEST_BODY_SIZE, self.size, &mut attributes),
        }
        attributes
    }
}

fn took(bytes: u64) -> Progress {
    Progress::Took(usize::try_from(bytes).unwrap_or(usize::MAX))
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
