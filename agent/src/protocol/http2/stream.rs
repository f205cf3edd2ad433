//! A stream: a request and its answer.
//!
//! In: what the conversation learns of it. Out: the answer's report.

use super::section::Section;
use super::socket::Socket;
use crate::protocol::exchange::{Answer, Attribute, Moment, Outcome, Report, Role};
use crate::protocol::http::rpc::Call;
use crate::protocol::http::{not_before, outcome, put_size};
use crate::record::Nanos;
use crate::semconv;

/// A request without its whole answer.
pub(super) struct Stream {
    pub(super) number: u64,
    pub(super) start: Moment,
    /// The request is over.
    pub(super) asked: bool,
    /// Its answer has no body: HEAD.
    pub(super) bodiless: bool,
    /// Status, and first byte of the answer's head.
    pub(super) answer: Option<(Option<u16>, Moment)>,
    /// Last byte of the answer so far.
    last: Moment,
    /// Bytes of the bodies, of the request and of the answer.
    sizes: [u64; 2],
    /// Sizes as announced.
    announced: [Option<u64>; 2],
    /// Bytes were missing that may have been of this stream.
    pub(super) cut: bool,
    /// Fields of its answer are not known.
    unknown: bool,
    /// It is a call.
    pub(super) call: Option<Box<Call>>,
    /// It asks for a WebSocket, seen from this side.
    pub(super) asks_socket: Option<Role>,
    /// It is one.
    socket: Option<Box<Socket>>,
    /// Since when its end may have gone by unseen.
    pub(super) doubted: Option<Nanos>,
}

impl Stream {
    /// The request with that head, which began at `start`.
    pub(super) fn new(number: u64, start: Moment, bodiless: bool, announced: Option<u64>) -> Self {
        Self {
            number,
            start,
            asked: false,
            bodiless,
            answer: None,
            last: start,
            sizes: [0; 2],
            announced: [announced, None],
            cut: false,
            unknown: false,
            call: None,
            asks_socket: None,
            socket: None,
            doubted: None,
        }
    }

    /// Bytes of a body went in one direction, the last of them at `last`. They themselves, if
    /// they were seen.
    pub(super) fn moved(&mut self, half: usize, bytes: u64, seen: Option<&[u8]>, last: Moment) {
        if let Some(socket) = &mut self.socket {
            socket.moved(half, bytes, seen);
            return self.touch(last);
        }
        match (&mut self.call, seen) {
            (Some(call), Some(seen)) => call.body(half, seen),
            (Some(call), None) => call.skip(half, bytes),
            (None, _) => {}
        }
        if let Some(size) = self.sizes.get_mut(half) {
            *size = size.saturating_add(bytes);
        }
        if half == super::conversation::ANSWERING {
            self.touch(last);
        }
    }

    /// Bytes of its answer that are still to come, where its head said how many there are.
    pub(super) fn lacks(&self) -> Option<u64> {
        let [_, announced] = self.announced;
        let [_, size] = self.sizes;
        announced.filter(|_| !self.bodiless)?.checked_sub(size)
    }

    /// A byte of the answer was seen.
    pub(super) fn touch(&mut self, last: Moment) {
        self.last = not_before(last, self.last);
        self.doubted = None;
    }

    /// It is a WebSocket that both sides have closed.
    pub(super) fn is_over(&self) -> bool {
        self.socket.as_ref().is_some_and(|socket| socket.is_over())
    }

    /// It is a WebSocket that one side has closed.
    pub(super) fn is_closing(&self) -> bool {
        let socket = self.socket.as_ref();
        socket.is_some_and(|socket| socket.is_closing())
    }

    /// The head of an answer, or its trailers, that began at `first`. True if that makes it a
    /// WebSocket.
    pub(super) fn headed(&mut self, section: &Section, first: Moment, last: Moment) -> bool {
        self.touch(last);
        self.unknown |= section.unknown > 0;
        if let Some(call) = &mut self.call {
            call.headed(section.status, section.call);
        }
        if self.answer.is_some_and(|(status, _)| status.is_some()) {
            return false;
        }
        if section.status.is_some_and(|status| status < 200) {
            // The answer is still to come.
            return false;
        }
        let first = self
            .answer
            .map_or(not_before(first, self.start), |(_, first)| first);
        self.answer = Some((section.status, first));
        self.announced[1] = section.head.announced;
        let taken = matches!(section.status, Some(200..=299));
        if let Some(role) = self.asks_socket.filter(|_| taken) {
            self.socket = Some(Box::new(Socket::new(role, section)));
        }
        self.socket.is_some()
    }

    /// The answer is over as its framing says.
    pub(super) fn answered(self, out: &mut Vec<Report>) {
        let status = self.answer.and_then(|(status, _)| status);
        let (end, outcome) = (self.last, outcome(status));
        self.report(outcome, end, true, out);
    }

    /// Bytes in one direction were missing that may have been of this stream.
    pub(super) fn doubt(&mut self, half: usize, at: Nanos) {
        self.cut = true;
        if let Some(socket) = &mut self.socket {
            // It may be silent for long: it is not given up before its connection.
            return socket.lose(half);
        }
        self.doubted.get_or_insert(at);
        if let Some(call) = &mut self.call {
            call.lose(half);
        }
    }

    /// It was reset, by the client or by the server.
    pub(super) fn reset(mut self, by_client: bool, code: u32, end: Moment, out: &mut Vec<Report>) {
        if code == 0 && self.socket.is_some() {
            // Left without a word.
            return self.give_up(Outcome::Aborted, end, out);
        }
        let (start, kind) = (self.start, error(code).to_owned());
        let call = self.call.as_mut();
        let outcome = call.and_then(|call| call.reset(by_client, code, start, end));
        let outcome = outcome.unwrap_or(if by_client {
            Outcome::ClientError { kind }
        } else {
            Outcome::ServerError { kind }
        });
        self.give_up(outcome, end, out);
    }

    /// Its end was missed: what is known of it is told.
    pub(super) fn overlooked(mut self, out: &mut Vec<Report>) {
        self.cut = true;
        let status = self.answer.and_then(|(status, _)| status);
        let (end, outcome) = (self.last, outcome(status));
        self.report(outcome, end, false, out);
    }

    /// It ended at `end` before its answer did.
    pub(super) fn give_up(self, outcome: Outcome, end: Moment, out: &mut Vec<Report>) {
        let end = not_before(end, self.last);
        self.report(outcome, end, false, out);
    }

    fn report(mut self, outcome: Outcome, end: Moment, whole: bool, out: &mut Vec<Report>) {
        let mut attributes = Vec::with_capacity(4);
        let status = self.answer.and_then(|(status, _)| status);
        let outcome = match (self.call.take(), self.socket.take()) {
            (Some(call), _) => self.called(*call, outcome, whole, &mut attributes),
            (None, Some(socket)) => {
                let ended = socket.ended(outcome);
                attributes.extend(ended.attributes);
                self.cut |= ended.cut;
                ended.outcome
            }
            (None, None) => {
                self.sized(whole, &mut attributes);
                outcome
            }
        };
        let plain = attributes
            .iter()
            .any(|one| one.key == semconv::RPC_STATUS_CODE);
        // A call has a status of its own.
        if let Some(status) = status.filter(|status| !plain || *status != 200) {
            let status = i64::from(status);
            attributes.push(Attribute::new(semconv::HTTP_RESPONSE_STATUS_CODE, status));
        }
        out.push(Report::Answered(Box::new(Answer {
            number: self.number,
            first: self.answer.map(|(_, first)| first),
            end,
            outcome,
            attributes,
            cut: self.cut,
        })));
    }
}

/// What is told of the answer.
impl Stream {
    /// Of a call; answers how it went.
    fn called(
        &mut self,
        mut call: Call,
        outcome: Outcome,
        whole: bool,
        attributes: &mut Vec<Attribute>,
    ) -> Outcome {
        self.cut |= call.is_cut();
        if !whole {
            call.put(attributes);
            return outcome;
        }
        let status = self.answer.and_then(|(status, _)| status);
        call.answered(status, self.unknown, attributes)
    }

    /// Sizes of the bodies, where they are known.
    fn sized(&self, whole: bool, attributes: &mut Vec<Attribute>) {
        let status = self.answer.and_then(|(status, _)| status);
        let [asked, answered] = self.announced;
        let [sent, received] = self.sizes.map(|size| (size > 0).then_some(size));
        if self.asked && asked.is_none() && !self.cut {
            put_size(semconv::HTTP_REQUEST_BODY_SIZE, sent, attributes);
        }
        if whole && !self.bodiless && status != Some(304) && !self.cut {
            let size = answered.or(received);
            put_size(semconv::HTTP_RESPONSE_BODY_SIZE, size, attributes);
        }
    }
}

/// Name of an error code (RFC 9113, 7), as `error.type`.
pub(super) const fn error(code: u32) -> &'static str {
    match code {
        0 => "NO_ERROR",
        1 => "PROTOCOL_ERROR",
        2 => "INTERNAL_ERROR",
        3 => "FLOW_CONTROL_ERROR",
        4 => "SETTINGS_TIMEOUT",
        5 => "STREAM_CLOSED",
        6 => "FRAME_SIZE_ERROR",
        7 => "REFUSED_STREAM",
        8 => "CANCEL",
        9 => "COMPRESSION_ERROR",
        10 => "CONNECT_ERROR",
        11 => "ENHANCE_YOUR_CALM",
        12 => "INADEQUATE_SECURITY",
        13 => "HTTP_1_1_REQUIRED",
        _ => "_OTHER",
    }
}
