//! Heads of HTTP/1 messages: what is kept of the header lines, and which framing they ask for.
//!
//! In: header lines, one at a time, so that a head that the kernel cut is still worth what was
//! seen of it. Out: the few fields that matter, bounded. Not here: attributes (`http::operation`).

use super::body::{Body, Framing};
use super::line::{Header, RequestLine, content, header};
use super::switch::Switch;
use crate::protocol::http::field::{LONGEST_NAME, Name, number};
use crate::protocol::http::head::{Head, method};
use crate::protocol::text::text;

/// `x` of `HTTP/1.x` as `network.protocol.version`.
const VERSIONS: [&str; 10] = [
    "1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8", "1.9",
];

/// What is kept of a request's head.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestHead {
    pub(super) head: Head,
    framed: Framed,
    last: Name,
}

/// What the header lines say about framing.
#[derive(Clone, Debug, Default)]
struct Framed {
    length: Length,
    coding: Coding,
}

/// `Content-Length`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    None,
    Of(u64),
    /// Several that differ, or no number.
    Invalid,
}

/// Last coding of `Transfer-Encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    Chunked,
    Other,
}

impl RequestHead {
    pub(super) fn new(line: RequestLine<'_>) -> Self {
        let mut head = Self::default();
        head.head.method = method(line.method);
        head.head.version = VERSIONS.get(usize::from(line.minor)).copied();
        let rest = head.split_authority(line);
        if !rest.is_empty() {
            head.head.put_target(rest);
        }
        head
    }

    /// Takes scheme and authority; the rest is path and query.
    fn split_authority<'a>(&mut self, line: RequestLine<'a>) -> &'a [u8] {
        if line.method == b"CONNECT" {
            self.head.authority = Some(text(line.target, LONGEST_NAME));
            return b"";
        }
        if line.target.first() == Some(&b'/') {
            return line.target;
        }
        let Some(at) = memchr::memmem::find(line.target, b"://") else {
            return line.target;
        };
        let (scheme, rest) = line.target.split_at(at);
        let rest = rest.get(3..).unwrap_or(b"");
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'/' | b'?' | b'#'))
            .unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        self.head.put_authority(authority);
        let secure = scheme
            .last()
            .is_some_and(|byte| byte.eq_ignore_ascii_case(&b's'));
        self.head.scheme = Some(if secure { "https" } else { "http" });
        if rest.is_empty() { b"/" } else { rest }
    }

    /// Takes one header line; false if it is the empty line that ends the head.
    pub(super) fn line(&mut self, line: &[u8]) -> bool {
        let line = content(line);
        let Some(first) = line.first() else {
            return false;
        };
        if !Name::may_begin(*first) {
            self.last = Name::Other;
            return true;
        }
        match header(line) {
            Header::Field(name, value) => {
                self.last = Name::of(name);
                self.field(value, false);
            }
            Header::Folded(value) => self.field(value, true),
            Header::Junk => self.last = Name::Other,
        }
        true
    }

    fn field(&mut self, value: &[u8], folded: bool) {
        match self.last {
            Name::Other => {}
            Name::ContentLength => self.framed.length(value),
            Name::TransferEncoding => self.framed.coding(value),
            name => self.head.fields.keep(name, value, folded),
        }
    }

    /// How the body comes, if there is one.
    pub(super) fn framing(&self) -> Option<Framing> {
        match (self.framed.coding, self.framed.length) {
            (Coding::Chunked, _) => Some(Body::chunked()),
            (Coding::Other, _) | (Coding::None, Length::Invalid) => {
                Some(Framing::Unknown { chunked: false })
            }
            (Coding::None, Length::Of(0) | Length::None) => None,
            (Coding::None, Length::Of(length)) => Some(Framing::Length(length)),
        }
    }

    /// How the body goes on when the end of the head was not seen.
    pub(super) fn cut_framing(&self) -> Framing {
        self.framed.cut()
    }

    /// What is kept beyond framing, to be told.
    pub(super) fn told(&mut self) -> &mut Head {
        self.head.announced = self.framed.announced();
        &mut self.head
    }
}

/// What is kept of an answer's head.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerHead {
    pub(super) status: u16,
    /// `grpc-status`.
    pub(super) call: Option<u16>,
    /// It names HTTP/2 as what follows.
    pub(super) upgrades: bool,
    framed: Framed,
    last: Name,
    /// What a 101 says of the protocol behind it.
    pub(super) switch: Option<Box<Switch>>,
}

impl AnswerHead {
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            switch: (status == 101).then(Box::default),
            ..Self::default()
        }
    }

    /// Is a final answer still to come? 101 is final: the protocol changes behind it.
    pub(super) const fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// Takes one header line; false if it is the empty line that ends the head.
    pub(super) fn line(&mut self, line: &[u8]) -> bool {
        let line = content(line);
        let Some(first) = line.first() else {
            return false;
        };
        if !Name::may_begin(*first) && self.switch.is_none() {
            self.last = Name::Other;
            return true;
        }
        let value = match header(line) {
            Header::Field(name, value) => {
                if let Some(switch) = &mut self.switch {
                    switch.field(name, value);
                }
                self.last = Name::of(name);
                value
            }
            Header::Folded(value) => value,
            Header::Junk => {
                self.last = Name::Other;
                return true;
            }
        };
        match self.last {
            Name::ContentLength => self.framed.length(value),
            Name::TransferEncoding => self.framed.coding(value),
            Name::GrpcStatus => {
                self.call = number(value).and_then(|status| u16::try_from(status).ok());
            }
            Name::Upgrade => self.upgrades |= value.eq_ignore_ascii_case(b"h2c"),
            _ => {}
        }
        true
    }

    /// How the body comes, if there is one; `bodiless` when the request was HEAD.
    pub(super) fn framing(&self, bodiless: bool) -> Option<Framing> {
        if bodiless || self.status < 200 || matches!(self.status, 204 | 304) {
            return None;
        }
        match (self.framed.coding, self.framed.length) {
            (Coding::Chunked, _) => Some(Body::chunked()),
            (Coding::None, Length::Of(0)) => None,
            (Coding::None, Length::Of(length)) => Some(Framing::Length(length)),
            (Coding::None, Length::Invalid) => Some(Framing::Unknown { chunked: false }),
            (Coding::Other, _) | (Coding::None, Length::None) => Some(Framing::UntilClose),
        }
    }

    /// How the body goes on when the end of the head was not seen.
    pub(super) fn cut_framing(&self) -> Framing {
        self.framed.cut()
    }

    /// Size of the body as announced.
    pub(super) fn announced(&self) -> Option<u64> {
        self.framed.announced()
    }
}

impl Framed {
    fn length(&mut self, value: &[u8]) {
        if self.length == Length::None
            && let Some(length) = number(value)
        {
            self.length = Length::Of(length);
            return;
        }
        for part in value.split(|&byte| byte == b',') {
            let part = part.trim_ascii();
            // An empty value is what stands before a folded line.
            let length = match number(part) {
                Some(length) => Length::Of(length),
                None if part.is_empty() => continue,
                None => Length::Invalid,
            };
            self.length = if self.length == Length::None || self.length == length {
                length
            } else {
                Length::Invalid
            };
        }
    }

    fn coding(&mut self, value: &[u8]) {
        for part in value.split(|&byte| byte == b',') {
            match part.trim_ascii() {
                [] => {}
                coding if coding.eq_ignore_ascii_case(b"chunked") => self.coding = Coding::Chunked,
                // Means "as it is"; some servers still say so.
                coding if coding.eq_ignore_ascii_case(b"identity") => {}
                _ => self.coding = Coding::Other,
            }
        }
    }

    fn cut(&self) -> Framing {
        // Whether it was chunked is not known either, unless something else was said.
        let chunked = self.coding == Coding::Chunked
            || (self.coding == Coding::None && self.length == Length::None);
        Framing::Unknown { chunked }
    }

    fn announced(&self) -> Option<u64> {
        match (self.coding, self.length) {
            (Coding::None, Length::Of(length)) => Some(length),
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
