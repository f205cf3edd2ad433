//! The state of one HTTP/2 connection: frames, field tables, streams.
//!
//! In: bytes and gaps of both directions. Out: reports. Memory: one entry per stream without its
//! whole answer, at most [`Limits::pending`]; the field tables, bounded; of a field block that is
//! not whole one field at most, of [`Limits::head`] bytes.
//!
//! When the heads of frames were missing in a direction, it is *blind*: it is found again where a
//! call begins with frames that real peers send. What its field table held is unknown from there
//! on. Streams that were open may have ended unseen: those that nothing is heard of for a while
//! are given up, with what is known of them.

mod payload;

use super::frame::{Frame, HEAD, Kind, PREFACE, Start, walk};
use super::hpack::Decoder;
use super::section::Section;
use super::stream::Stream;
use crate::protocol::exchange::{Attribute, Moment, Outcome, Report, Request, Role};
use crate::protocol::http::rpc::Call;
use crate::protocol::http::{behind, operation};
use crate::protocol::{Conversation, Limits, Progress};
use crate::record::{Direction, Nanos};
use crate::semconv;
use payload::Open;
use std::collections::BTreeMap;

/// The half of the requests, and of the answers.
pub(super) const ASKING: usize = 0;
pub(super) const ANSWERING: usize = 1;

/// Calls without a frame at their start after which the connection is given up.
const PATIENCE: u32 = 256;
/// How long a stream whose end may have gone by unseen is waited for, ns.
const DOUBT: Nanos = 10_000_000_000;

/// One connection.
pub(super) struct Http2Conversation {
    role: Role,
    limits: Limits,
    /// Number of the next request.
    next: u64,
    halves: [Half; 2],
    /// Streams without their whole answer, by their id. Ordered, so that every replay tells the
    /// same.
    streams: BTreeMap<u32, Stream>,
    /// Largest id of a request's stream.
    newest: u32,
    /// It was not seen from its first byte.
    midway: bool,
    /// When streams in doubt are looked through next.
    review: Option<Nanos>,
}

/// One direction.
struct Half {
    state: State,
    decoder: Decoder,
    /// A field block that is not over.
    block: Option<Box<Block>>,
}

/// What a direction is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The client's first bytes.
    Preface,
    /// Between frames.
    Boundary,
    /// In a frame.
    Frame(Open),
    /// Heads of frames were missing, and so many calls led nowhere since.
    Blind(u32),
}

/// A field block: that of a HEADERS or PUSH_PROMISE frame and the CONTINUATIONs behind it.
struct Block {
    stream: u32,
    /// First byte of its first frame.
    start: Moment,
    ends_stream: bool,
    /// Of a pushed request: it only counts for the table.
    pushed: bool,
    section: Section,
    /// Bytes of a field that is not whole.
    rest: Vec<u8>,
    /// The table is lost: what follows is not looked at.
    malformed: bool,
}

/// The conversation that follows an upgrade from HTTP/1.1: the request that asked for it is
/// stream 1, and its answer comes as HTTP/2.
pub(in crate::protocol) fn upgraded(
    role: Role,
    limits: Limits,
    request: Upgraded,
) -> Box<dyn Conversation> {
    let mut conversation = Http2Conversation::new(role, limits);
    let mut stream = Stream::new(request.number, request.start, request.bodiless, None);
    stream.asked = true;
    stream.cut = request.cut;
    conversation.streams.insert(1, stream);
    conversation.newest = 1;
    conversation.next = request.number.saturating_add(1);
    Box::new(conversation)
}

/// The request that asked for HTTP/2.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocol) struct Upgraded {
    /// Its number, which is the last.
    pub(in crate::protocol) number: u64,
    pub(in crate::protocol) start: Moment,
    /// Its answer has no body: HEAD.
    pub(in crate::protocol) bodiless: bool,
    /// Not all of it was understood.
    pub(in crate::protocol) cut: bool,
}

impl Http2Conversation {
    pub(super) fn new(role: Role, limits: Limits) -> Self {
        let half = |state| Half {
            state,
            decoder: Decoder::default(),
            block: None,
        };
        Self {
            role,
            limits,
            next: 0,
            halves: [half(State::Preface), half(State::Boundary)],
            streams: BTreeMap::new(),
            newest: 0,
            midway: false,
            review: None,
        }
    }

    const fn half(&self, direction: Direction) -> usize {
        match (self.role, direction) {
            (Role::Server, Direction::Received) | (Role::Client, Direction::Sent) => ASKING,
            _ => ANSWERING,
        }
    }

    /// The client's first bytes.
    fn preface(&mut self, bytes: &[u8], out: &mut Vec<Report>) -> Progress {
        if bytes.starts_with(PREFACE) {
            // Nothing came before that.
            self.halves[ASKING].state = State::Boundary;
            if self.midway {
                self.midway = false;
                self.halves[ANSWERING].state = State::Boundary;
                for half in &mut self.halves {
                    half.decoder = Decoder::default();
                }
            }
            return Progress::Took(PREFACE.len());
        }
        if PREFACE.starts_with(bytes) {
            return Progress::Want;
        }
        // The first request that is seen is not the first of the connection.
        self.become_midway(out);
        Progress::Took(0)
    }

    fn become_midway(&mut self, out: &mut Vec<Report>) {
        out.push(Report::Dropped(MISSING));
        self.midway = true;
        for half in &mut self.halves {
            half.decoder.table.lose();
        }
        self.halves[ASKING].state = State::Boundary;
        if self.halves[ANSWERING].state == State::Boundary {
            self.halves[ANSWERING].state = State::Blind(0);
        }
    }

    /// The head of a frame.
    fn head(
        &mut self,
        half: usize,
        bytes: &[u8],
        first: Moment,
        last: Moment,
        out: &mut Vec<Report>,
    ) -> Progress {
        let Some(frame) = Frame::first(bytes) else {
            return Progress::Want;
        };
        if !frame.is_sound() {
            self.lose(half, first.at, out);
            return Progress::Took(bytes.len());
        }
        self.begin(half, frame, first, out);
        let open = Open::new(frame);
        if open.is_over() {
            self.halves[half].state = State::Boundary;
            self.over(half, frame, behind(first, last, HEAD), out);
        } else {
            self.halves[half].state = State::Frame(open);
        }
        Progress::Took(HEAD)
    }

    /// The start of a call, after heads of frames were missing.
    fn seek(&mut self, half: usize, calls: u32, bytes: &[u8]) -> Progress {
        let whole = Frame::first(bytes).is_some_and(|frame| self.is_expected(half, frame));
        if whole && walk(bytes) != Start::No {
            self.halves[half].state = State::Boundary;
            return Progress::Took(0);
        }
        if calls >= PATIENCE {
            return Progress::Lost;
        }
        self.halves[half].state = State::Blind(calls + 1);
        Progress::Took(bytes.len())
    }

    /// May a direction go on with this frame after a gap?
    fn is_expected(&self, half: usize, frame: Frame) -> bool {
        match frame.kind {
            // The middle of a block is of no use.
            Kind::Continuation | Kind::Push => false,
            // An answer has a request, and a body a head, as long as requests are seen.
            Kind::Headers | Kind::Data if half == ANSWERING => frame.stream <= self.newest,
            Kind::Data => self.newest == 0 || frame.stream <= self.newest,
            _ => true,
        }
    }

    /// Heads of frames were missing in this half.
    fn lose(&mut self, half: usize, at: Nanos, out: &mut Vec<Report>) {
        let lost = &mut self.halves[half];
        if !matches!(lost.state, State::Blind(_)) {
            out.push(Report::Dropped(MISSING));
        }
        lost.state = State::Blind(0);
        lost.decoder.table.lose();
        if lost.block.take().is_some_and(|block| !block.pushed) {
            out.push(Report::Dropped(CUT[half]));
        }
        for stream in self.streams.values_mut() {
            stream.doubt(half, at);
        }
        self.review.get_or_insert(at.saturating_add(DOUBT));
    }

    /// Takes the streams out that `wanted` tells, in the order of their ids.
    fn take_streams(&mut self, wanted: impl Fn(u32, &Stream) -> bool) -> Vec<Stream> {
        let wanted = self
            .streams
            .iter()
            .filter(|(id, stream)| wanted(**id, stream));
        let ids: Vec<u32> = wanted.map(|(id, _)| *id).collect();
        let taken = ids.iter().filter_map(|id| self.streams.remove(id));
        taken.collect()
    }

    /// So many bytes of answers were missing. When they are all that the only answer under way
    /// still lacked, it is over.
    fn ended_unseen(&mut self, missing: u64, end: Moment, out: &mut Vec<Report>) {
        if self.streams.len() == 1
            && let Some(lone) = self.streams.first_entry()
            && lone.get().lacks().is_some_and(|lacks| lacks <= missing)
        {
            let mut stream = lone.remove();
            stream.touch(end);
            stream.overlooked(out);
        }
    }

    /// Gives up the streams that nothing was heard of since bytes were missing.
    fn review(&mut self, now: Nanos, out: &mut Vec<Report>) {
        if self.review.is_none_or(|due| now < due) {
            return;
        }
        let old = |stream: &Stream| {
            stream
                .doubted
                .is_some_and(|since| since.saturating_add(DOUBT) <= now)
        };
        for stream in self.take_streams(|_, stream| old(stream)) {
            stream.overlooked(out);
        }
        let oldest = self
            .streams
            .values()
            .filter_map(|stream| stream.doubted)
            .min();
        self.review = oldest.map(|since| since.saturating_add(DOUBT));
    }
}

/// What is counted when heads of frames were missing.
const MISSING: &str = "frames_missing";
/// What is counted when a field block was cut, by half.
const CUT: [&str; 2] = ["request_head_cut", "answer_head_cut"];

/// What frames lead to.
impl Http2Conversation {
    /// A frame begins at `first`.
    fn begin(&mut self, half: usize, frame: Frame, first: Moment, out: &mut Vec<Report>) {
        let continued = frame.kind == Kind::Continuation;
        let state = &mut self.halves[half];
        let fits = |block: &Block| continued && block.stream == frame.stream;
        if state.block.as_ref().is_some_and(|block| !fits(block)) {
            // Something else in the middle of a block.
            state.block = None;
            state.decoder.table.lose();
            out.push(Report::Dropped(CUT[half]));
        } else if continued && state.block.is_none() {
            // Its beginning was not seen, and what it holds for the table is no use without.
            state.decoder.table.lose();
        }
        if matches!(frame.kind, Kind::Headers | Kind::Push) {
            state.block = Some(Box::new(Block {
                stream: frame.stream,
                start: first,
                ends_stream: frame.has(super::frame::END_STREAM) && frame.kind == Kind::Headers,
                pushed: frame.kind == Kind::Push,
                section: Section::default(),
                rest: Vec::new(),
                malformed: false,
            }));
        }
    }

    /// A frame is over, with the byte at `end`.
    fn over(&mut self, half: usize, frame: Frame, end: Moment, out: &mut Vec<Report>) {
        match frame.kind {
            Kind::Data if frame.has(super::frame::END_STREAM) => {
                self.ended(half, frame.stream, end, out)
            }
            Kind::Headers | Kind::Push | Kind::Continuation
                if frame.has(super::frame::END_HEADERS) =>
            {
                if let Some(block) = self.halves[half].block.take() {
                    self.block_over(half, *block, end, out);
                }
            }
            _ => {}
        }
    }

    /// A field block is over.
    fn block_over(&mut self, half: usize, block: Block, end: Moment, out: &mut Vec<Report>) {
        if block.malformed || !block.rest.is_empty() {
            self.halves[half].decoder.table.lose();
            out.push(Report::Dropped("malformed_fields"));
        }
        if block.pushed {
            return;
        }
        let (id, ends) = (block.stream, block.ends_stream);
        if half == ANSWERING {
            if let Some(stream) = self.streams.get_mut(&id) {
                if stream.headed(&block.section, block.start, end) {
                    out.push(Report::Switched(stream.number));
                }
            } else if id > self.newest && block.section.status.is_some() {
                out.push(Report::Dropped("answer_without_request"));
            }
        } else if id > self.newest && id % 2 == 1 {
            self.newest = id;
            if block.section.asks || block.section.unknown > 0 {
                self.ask(block, out);
            }
        }
        if ends {
            self.ended(half, id, end, out);
        }
    }

    /// A request's head is over.
    fn ask(&mut self, block: Block, out: &mut Vec<Report>) {
        if self.streams.len() >= self.limits.pending {
            out.push(Report::Dropped("too_many_requests_pending"));
            return;
        }
        let Section {
            mut head,
            unknown,
            websocket,
            ..
        } = block.section;
        head.version = Some("2");
        let number = self.next;
        self.next = self.next.saturating_add(1);
        let bodiless = head.method == "HEAD";
        let lacks = head.path.is_none() && head.method != "CONNECT";
        let mut stream = Stream::new(number, block.start, bodiless, head.announced);
        stream.cut = lacks;
        stream.call = Call::of(&head);
        let asks_socket = websocket && head.method == "CONNECT";
        stream.asks_socket = asks_socket.then_some(self.role);
        let mut operation = match &stream.call {
            Some(call) => call.operation(&mut head, self.role),
            None => operation::operation(&mut head, self.role),
        };
        if unknown > 0 {
            let unknown = Attribute::new(semconv::WEFT_UNKNOWN_FIELDS, i64::from(unknown));
            operation.attributes.push(unknown);
        }
        out.push(Report::Asked(Box::new(Request {
            number,
            role: self.role,
            stream: Some(block.stream),
            start: block.start,
            operation,
            carried: operation::carried(&mut head),
        })));
        self.streams.insert(block.stream, stream);
    }

    /// A stream ended in one direction.
    fn ended(&mut self, half: usize, id: u32, end: Moment, out: &mut Vec<Report>) {
        if half == ASKING {
            let Some(stream) = self.streams.get_mut(&id) else {
                return;
            };
            stream.asked = true;
            if stream.is_closing() {
                self.answered(id, end, out);
            }
        } else {
            self.answered(id, end, out);
        }
    }

    /// A stream is over as its framing says.
    pub(super) fn answered(&mut self, id: u32, end: Moment, out: &mut Vec<Report>) {
        if let Some(mut stream) = self.streams.remove(&id) {
            stream.touch(end);
            stream.answered(out);
        }
    }

    /// A stream was reset.
    fn reset(&mut self, half: usize, id: u32, code: u32, end: Moment, out: &mut Vec<Report>) {
        let Some(stream) = self.streams.remove(&id) else {
            return;
        };
        stream.reset(half == ASKING, code, end, out);
    }

    /// The answering side takes no requests behind `last`.
    fn go_away(&mut self, half: usize, last: u32, end: Moment, out: &mut Vec<Report>) {
        if half == ASKING {
            return;
        }
        for stream in self.take_streams(|id, _| id > last) {
            stream.give_up(Outcome::Aborted, end, out);
        }
    }

    fn give_up(&mut self, outcome: &Outcome, end: Moment, out: &mut Vec<Report>) {
        for stream in std::mem::take(&mut self.streams).into_values() {
            stream.give_up(outcome.clone(), end, out);
        }
    }
}

impl Conversation for Http2Conversation {
    fn joined_midway(&mut self) {
        self.midway = true;
        self.halves[ANSWERING].state = State::Blind(0);
        for half in &mut self.halves {
            half.decoder.table.lose();
        }
    }

    fn leaves_requests(&self) -> bool {
        // The field tables cannot be known again either.
        true
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
            return Progress::Took(0);
        }
        let half = self.half(direction);
        self.review(moment.at, out);
        loop {
            let progress = match self.halves[half].state {
                State::Preface => self.preface(bytes, out),
                State::Boundary => self.head(half, bytes, moment, last, out),
                State::Frame(open) => self.payload(half, open, bytes, moment, last, out),
                State::Blind(calls) => self.seek(half, calls, bytes),
            };
            // Nothing was taken, but the state is another now.
            if progress != Progress::Took(0) {
                return progress;
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
        let all = usize::try_from(missing).unwrap_or(usize::MAX);
        let bridged = usize::try_from(self.skippable(direction)).unwrap_or(usize::MAX);
        if let State::Frame(open) = self.halves[half].state
            && bridged > 0
        {
            let bridged = bridged.min(all);
            let end = behind(moment, moment, bridged);
            self.pass(half, open, bridged, None, end, out);
            return Progress::Took(bridged);
        }
        if self.halves[half].state == State::Preface {
            self.become_midway(out);
        }
        self.lose(half, moment.at, out);
        if half == ANSWERING {
            self.ended_unseen(missing, behind(moment, moment, all), out);
        }
        Progress::Took(all)
    }

    fn end(&mut self, direction: Direction, moment: Moment, out: &mut Vec<Report>) {
        if self.half(direction) == ANSWERING {
            for stream in self.take_streams(|_, stream| stream.doubted.is_some()) {
                stream.overlooked(out);
            }
            self.give_up(&Outcome::Aborted, moment, out);
            return;
        }
        // What is not asked by now never will be; other answers may still come.
        for stream in self.take_streams(|_, stream| !stream.asked) {
            stream.give_up(Outcome::Aborted, moment, out);
        }
    }

    fn abandon(&mut self, moment: Moment, out: &mut Vec<Report>) {
        if self.halves[ASKING].block.take().is_some() {
            out.push(Report::Dropped(CUT[ASKING]));
        }
        self.give_up(&Outcome::Unknown, moment, out);
    }

    fn skippable(&self, direction: Direction) -> u64 {
        match self.halves[self.half(direction)].state {
            State::Frame(open) => open.skippable(),
            _ => 0,
        }
    }

    fn at_boundary(&self, direction: Direction) -> bool {
        let half = &self.halves[self.half(direction)];
        half.state == State::Boundary && half.block.is_none()
    }
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
