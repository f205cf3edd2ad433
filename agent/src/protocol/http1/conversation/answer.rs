//! The direction of the answers: heads, bodies and gaps, and which request they belong to.

use super::lines::{Lines, Read};
use super::{
    Answering, AnsweringBody, AnsweringHead, Asking, Ending, Http1Conversation, Open, Pending,
};
use crate::protocol::Progress;
use crate::protocol::exchange::{Moment, Outcome, Report};
use crate::protocol::http::behind;
use crate::protocol::http::rpc::{ANSWERED, Call};
use crate::protocol::http1::body::{Body, Framing};
use crate::protocol::http1::head::AnswerHead;
use crate::protocol::http1::line::{self, Start};

impl Open {
    /// The call that it answers.
    fn call(&mut self) -> Option<&mut Call> {
        self.request.call.as_deref_mut()
    }
}

impl Http1Conversation {
    pub(super) fn answer(
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
                let mut call = answering.open.as_mut().and_then(Open::call);
                let taken = answering.body.feed(bytes, |content| {
                    if let Some(call) = &mut call {
                        call.body(ANSWERED, content);
                    }
                });
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
        self.align(first, out);
        self.answering = Answering::Head(AnsweringHead {
            head: AnswerHead::new(status),
            first,
            lines: Lines::behind(len),
        });
        Progress::Took(len)
    }

    /// An answer begins at `first`: which request is it for?
    fn align(&mut self, first: Moment, out: &mut Vec<Report>) {
        // A head that has begun is one more that waits.
        let more = matches!(&self.asking, Asking::Head(asking) if asking.reported.is_none());
        let lone = self.pending.len() == 1 && !more;
        if self.pending.is_empty() {
            out.push(Report::Dropped("answer_without_request"));
            self.aligned = false;
        } else if lone && self.pending.iter().all(|request| !request.void) {
            self.aligned = true;
        } else if !self.aligned {
            out.push(Report::Dropped("answer_of_unknown_request"));
            for request in &mut self.pending {
                request.give_up(&Outcome::Unknown, first, out);
                request.void = true;
            }
        }
    }

    /// The request that the next answer is for, if it can be told.
    pub(super) fn next_waiting(&mut self) -> Option<Pending> {
        self.pending.pop_front().filter(|request| !request.void)
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
        let head = &mut answering.head;
        let read = answering
            .lines
            .each(bytes, self.limits.head, |line| head.line(line));
        let taken = match read {
            Read::Open(0) => return Progress::Want,
            Read::Open(taken) => return Progress::Took(taken),
            Read::Over(taken) => taken,
        };
        let end = behind(moment, last, taken);
        match self.answer_headed(end, out) {
            true => Progress::Took(taken),
            false => Progress::Switched(taken),
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
        let request = self.next_waiting();
        if head.status == 101
            && head.upgrades
            && self.pending.is_empty()
            && let Some(request) = &request
        {
            self.switch_to_http2(request);
            return false;
        }
        let changes = head.status == 101
            || (request.as_ref().is_some_and(|request| request.tunnel)
                && (200..300).contains(&head.status));
        let bodiless = request.as_ref().is_some_and(|request| request.bodiless) || changes;
        let framing = head.framing(bodiless);
        let announced = head.announced().filter(|_| !bodiless && head.status != 304);
        let open = request.map(|mut request| {
            request.cut |= cut;
            if let Some(call) = &mut request.call {
                call.headed(Some(head.status), head.call);
            }
            Open {
                request,
                status: Some(head.status),
                first,
                last: end,
                announced,
            }
        });
        if let (Some(open), Some(switch)) = (&open, &head.switch)
            && switch.websocket
        {
            self.switch_to_websocket(open, switch, out);
            return false;
        }
        let over = framing.is_none();
        self.answering = Answering::Body(AnsweringBody {
            open,
            body: Body::new(framing.unwrap_or(Framing::Length(0))),
        });
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
    pub(super) fn answer_overtaken(&mut self, out: &mut Vec<Report>) {
        if let Answering::Body(answering) = &mut self.answering
            && answering.body.is_unknown()
            && let Some(open) = answering.open.take()
        {
            open.report(Ending::Cut, None, out);
        }
    }

    /// The answer under way is over.
    pub(super) fn answered(&mut self, ending: Ending, out: &mut Vec<Report>) {
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

    pub(super) fn answer_gap(
        &mut self,
        missing: u64,
        moment: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        if let Answering::Body(answering) = &mut self.answering {
            let taken = answering.body.skip(missing);
            let bridged = !answering.body.is_unknown();
            if let Some(call) = answering.open.as_mut().and_then(Open::call) {
                call.skip(ANSWERED, if bridged { taken.bytes } else { u64::MAX });
            }
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
        if matches!(self.answering, Answering::Boundary) {
            self.align(moment, out);
        }
        self.body_refused();
        let open = self.next_waiting().map(|request| Open {
            request,
            status,
            first,
            last: first,
            announced: None,
        });
        self.answering = Answering::Body(AnsweringBody {
            open,
            body: Body::new(framing),
        });
        let taken = usize::try_from(missing).unwrap_or(usize::MAX);
        self.answer_moved(missing, false, moment, moment, out);
        Progress::Took(taken)
    }
}
