//! The direction of the requests: heads, bodies and gaps, and what is reported of them.

use super::lines::{Lines, Read};
use super::{Answering, Asking, AskingHead, Http1Conversation, Pending, took};
use crate::protocol::Progress;
use crate::protocol::exchange::{Moment, Report, Request};
use crate::protocol::http::operation;
use crate::protocol::http::rpc::{ASKED, Call};
use crate::protocol::http1::body::{Body, Framing};
use crate::protocol::http1::head::RequestHead;
use crate::protocol::http1::line::{self, Start};

impl Http1Conversation {
    pub(super) fn ask(&mut self, bytes: &[u8], moment: Moment, out: &mut Vec<Report>) -> Progress {
        match &mut self.asking {
            Asking::Boundary => self.ask_start(bytes, moment),
            Asking::Head(_) => self.ask_head(bytes, out),
            Asking::Body { body, .. } => {
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
                self.ask_body(bytes, out)
            }
        }
    }

    fn ask_body(&mut self, bytes: &[u8], out: &mut Vec<Report>) -> Progress {
        let mut call = self.take_call();
        let Asking::Body {
            number,
            body,
            expects,
        } = &mut self.asking
        else {
            return Progress::Lost;
        };
        *expects = false;
        let (number, known) = (*number, !body.is_unknown());
        let taken = body.feed(bytes, |content| {
            if let Some(call) = &mut call {
                call.body(ASKED, content);
            }
        });
        self.put_call(number, call);
        self.asked_body(known, taken.over, out);
        Progress::Took(usize::try_from(taken.bytes).unwrap_or(bytes.len()))
    }

    /// The call whose request is under way, if it is one.
    fn take_call(&mut self) -> Option<Box<Call>> {
        match self.asking {
            Asking::Body { number, .. } => self.waiting(number)?.call.take(),
            Asking::Boundary | Asking::Head(_) => None,
        }
    }

    fn put_call(&mut self, number: u64, call: Option<Box<Call>>) {
        if call.is_some()
            && let Some(request) = self.waiting(number)
        {
            request.call = call;
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
                    lines: Lines::behind(len),
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
        let head = &mut asking.head;
        let read = asking
            .lines
            .each(bytes, self.limits.head, |line| head.line(line));
        let taken = match read {
            Read::Open(0) => return Progress::Want,
            Read::Open(taken) => return Progress::Took(taken),
            Read::Over(taken) => taken,
        };
        let cut = asking.lines.cut;
        let framing = asking.head.framing();
        match self.asked(cut, framing, out) {
            true => Progress::Took(taken),
            false => Progress::Lost,
        }
    }

    /// The head under way is over, or as much as can be known of it. False if there are too many
    /// requests without answers.
    pub(super) fn asked(
        &mut self,
        cut: bool,
        framing: Option<Framing>,
        out: &mut Vec<Report>,
    ) -> bool {
        let Asking::Head(asking) = &mut self.asking else {
            return true;
        };
        let unknown = matches!(framing, Some(Framing::Unknown { .. }));
        let cut = cut || unknown || asking.lines.cut;
        let expects = asking.head.head.fields.expects;
        let number = match asking.reported {
            Some(number) => number,
            None => {
                if self.pending.len() >= self.limits.pending {
                    out.push(Report::Dropped("too_many_requests_pending"));
                    self.asking = Asking::Boundary;
                    return false;
                }
                let number = self.next;
                self.next = self.next.saturating_add(1);
                asking.reported = Some(number);
                let head = asking.head.told();
                let pending = Pending {
                    number,
                    start: asking.start,
                    bodiless: head.method == "HEAD",
                    tunnel: head.method == "CONNECT",
                    cut: false,
                    size: None,
                    void: false,
                    call: Call::of(head),
                };
                let request = Request {
                    number,
                    role: self.role,
                    stream: None,
                    start: asking.start,
                    operation: match &pending.call {
                        Some(call) => call.operation(head, self.role),
                        None => operation::operation(head, self.role),
                    },
                    carried: operation::carried(head),
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
            self.cut_request(number, out);
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
    pub(super) fn ask_early(&mut self, out: &mut Vec<Report>) -> bool {
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
    fn asked_body(&mut self, known: bool, over: bool, out: &mut Vec<Report>) {
        let Asking::Body { number, body, .. } = &self.asking else {
            return;
        };
        let (number, size, chunked) = (*number, body.size, body.is_chunked());
        if known && body.is_unknown() {
            self.cut_request(number, out);
        }
        if over {
            self.asking = Asking::Boundary;
            if let Some(request) = self.waiting(number).filter(|_| known && chunked) {
                request.size = Some(size);
            }
        }
    }

    fn cut_request(&mut self, number: u64, out: &mut Vec<Report>) {
        match self.waiting(number) {
            Some(request) => request.cut = true,
            // It was answered before its body was over: no exchange is left to tell it.
            None => out.push(Report::Dropped("request_framing_lost")),
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

    pub(super) fn ask_gap(&mut self, missing: u64, out: &mut Vec<Report>) -> Progress {
        match &mut self.asking {
            Asking::Boundary => Progress::Lost,
            Asking::Head(asking) => {
                let framing = Some(asking.head.cut_framing());
                match self.asked(true, framing, out) {
                    true => took(missing),
                    false => Progress::Lost,
                }
            }
            Asking::Body {
                number,
                body,
                expects,
            } => {
                *expects = false;
                let (number, known) = (*number, !body.is_unknown());
                let taken = body.skip(missing);
                let bridged = !body.is_unknown();
                if let Some(call) = self.waiting(number).and_then(|one| one.call.as_mut()) {
                    call.skip(ASKED, if bridged { taken.bytes } else { u64::MAX });
                }
                self.asked_body(known, taken.over, out);
                took(taken.bytes)
            }
        }
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
